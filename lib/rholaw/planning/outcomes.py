"""What one option does on one machine: memory, speed, quality and cost, for any number of draws at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..hardware import geometry as shapes
from ..hardware import speed, training
from ..hardware.benchmarks import Shift
from ..hardware.devices import Device, Price
from ..laws.draws import Draws
from ..laws.law import rise_in_training
from . import costs, damage, load, monthly, work
from .cases import Case
from .inputs import Model, Option
from .monthly import Numbers
from .remarks import Origin
from .scenario import Scenario
from .uncertain import Drawn


@dataclass(frozen=True)
class Outcome:
    """What follows for a Case from what was Drawn: Numbers each, money in USD, memory in bytes.

    rho: capacity; loss: of the dense model, dloss: what the option adds, and dloss_trained: what training in it would
    add at equal N, by the law of training, in nats per token; size: of the model that is served relative to the dense
    one, and n_params, n_dense: its parameters, and those of the dense model of equal loss.  usd_once: paid once, beyond
    a dense model's; usd_training: the part of it that is training; usd_token: of training on for one token.
    gpus: devices a replica; limits_*: seconds of 16 bits that each limit takes.  From saving on against a baseline: nan
    until ``compared``; qat_tokens: as ``affordable`` has it, nan until there is something to compare with.
    """

    gpus: int
    rho: Numbers
    loss: Numbers
    dloss: Numbers
    dloss_trained: Numbers
    size: Numbers
    n_params: Numbers
    n_dense: Numbers
    memory: Numbers
    memory_weights: Numbers
    memory_embeddings: Numbers
    memory_kv: Numbers
    memory_reserve: Numbers
    prefill_tokens_s: Numbers
    decode_tokens_s: Numbers
    in_flight: Numbers
    latency_ms: Numbers
    ttft_ms: Numbers
    speedup_prefill: Numbers
    speedup_decode: Numbers
    margin_prefill: Numbers
    margin_decode: Numbers
    margin_memory: Numbers
    limits_prefill: Mapping[str, Numbers]
    limits_decode: Mapping[str, Numbers]
    usd_in: Numbers
    usd_out: Numbers
    kwh_in: Numbers
    kwh_out: Numbers
    replicas: Numbers
    utilisation: Numbers
    kwh_month: Numbers
    usd_month: Numbers
    usd_used: Numbers
    target_params: Numbers
    target_tokens: Numbers
    usd_target: Numbers
    usd_training: Numbers
    usd_token: Numbers
    usd_once: Numbers
    saving: Numbers = np.nan
    npv: Numbers = np.nan
    roi: Numbers = np.nan
    payback_months: Numbers = np.nan
    qat_tokens: Numbers = np.nan


def outcome(case: Case, drawn: Drawn, draws: Draws) -> Outcome:
    """The Outcome of a Case for what was Drawn, without a baseline."""
    return by_requests(case, drawn, draws)(case.scenario.traffic.requests_per_month)


def by_requests(case: Case, drawn: Drawn, draws: Draws) -> Callable[[float], Outcome]:
    """The ``outcome`` of a Case by its requests a month: what does not depend on them is computed once."""
    with np.errstate(all="ignore"):  # ρ = 0 and unknown arithmetic end as infinities and nan, which the table shows
        quality, once = _of_the_option(case.scenario, case.option, case.training, drawn, draws)
        memory = _memory(case, quality["size"])
        speeds, replica = _speeds(case, drawn, quality["size"], quality["rho"])
        most = monthly.carried(case, drawn, replica)

    def at(requests: float) -> Outcome:
        with np.errstate(all="ignore"):
            month = monthly.month(case, drawn, replica, most, speeds, requests)
        return Outcome(case.gpus, **quality, **memory, **speeds, **month, **once)

    return at


def compared(case: Case, outcome: Outcome, baseline: Numbers | None) -> Outcome:
    """The Outcome against a baseline: its USD a month, or None where there is none."""
    project = case.scenario.project
    with np.errstate(all="ignore"):
        saving = np.nan * outcome.usd_month if baseline is None else baseline - outcome.usd_month
        returns = costs.returns(saving, outcome.usd_once, project.horizon_months, project.discount_rate)
    if case.option.dense:  # nothing is paid once: there is no return on it
        returns |= {name: np.nan * returns[name] for name in ("roi", "payback_months")}
    return replace(outcome, saving=saving, **returns)


def affordable(outcome: Outcome, rival: Numbers) -> Numbers:
    """Tokens of training on in the format, instead of rounding, after which it is worth no more than its ``rival``.

    outcome: of a case of kind "post-training"; rival: USD of net present value.
    """
    with np.errstate(all="ignore"):
        return np.maximum(outcome.npv + outcome.usd_training - rival, 0.0) / outcome.usd_token


@lru_cache(maxsize=2)  # the Cases of an option follow each other, and two are compared where one breaks even
def _of_the_option(
    scenario: Scenario, option: Option, training: tuple[Device, Price], drawn: Drawn, draws: Draws
) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
    """What follows for an Option wherever it is served: its quality, and what is paid once."""
    law = draws.at(drawn.law)
    quality = _quality(scenario, option, drawn, draws, law)
    return quality, _once(scenario, option, training, drawn, law, quality)


def _quality(scenario: Scenario, option: Option, drawn: Drawn, draws: Draws, law: Draws) -> dict[str, Numbers]:
    """Capacity, losses, and how large the model is. No law covers what a compressed key-value cache costs.

    The law of training says nothing of mixtures of experts: what follows from it is nan for them.
    """
    shape, model = scenario.model.shape, scenario.model
    N, D = shape.non_embedding, model.n_tokens
    loss, rho, dloss, trained, size = law.loss(N, D), 1.0, 0.0, 0.0, 1.0
    loss = np.nan * loss if shape.sparse else loss
    if not option.dense:
        rho = costs.triangular(option.rho, drawn.rank) if option.rho else _capacity(model, option, drawn, draws, law)
        trained, finished = rise_in_training(law, N, rho), scenario.project.kind == "post-training"
        trained = np.nan * trained if shape.sparse else trained
        if scenario.project.comparison == "equal-loss":
            size = np.divide(1.0, rho)
        else:
            dloss = damage.rise(scenario, option, drawn.damage) if finished or option.dloss else trained
        rho = np.nan if finished else rho  # the capacity is that of a model trained in the format
    return {
        "rho": rho,
        "loss": loss,
        "dloss": dloss,
        "dloss_trained": trained,
        "size": size,
        "n_params": N * size,
        "n_dense": N * size * rho,
    }


def _capacity(model: Model, option: Option, drawn: Drawn, draws: Draws, law: Draws) -> Numbers:
    """ρ after the model's own tokens per parameter."""
    rho, where = draws.capacity(option.weights, option.activations)
    return 1.0 if where == Origin.DENSE else law.longer(rho[drawn.law], model.tokens_per_param)


def _memory(case: Case, size: Numbers) -> dict[str, Numbers]:
    """Bytes on all devices of a replica."""
    hardware, window = case.scenario.hardware, case.scenario.traffic.window
    reserve = hardware.reserve_gb * 1e9 * case.gpus
    bits, beside = (case.bits[0], case.kv_bits), (case.vocabulary_bits, case.shared_bits)
    speculates = bool(case.option.speculation)
    parts = shapes.memory(case.shape, *bits, case.batches, window, size, reserve, *beside, speculates)
    return {f"memory_{name}": part for name, part in parts.items()} | {"memory": sum(parts.values())}


def _speeds(case: Case, drawn: Drawn, size: Numbers, rho: Numbers) -> tuple[dict[str, Numbers], load.Replica]:
    """Of a replica that holds all it may: tokens a second, the speed-up over 16 bits at equal N, what limits 16 bits
    there, and margins; and the Replica, with any number in flight."""
    share = _share(case, drawn)
    faster_decode = case.option.speculation or (1.0,) * 3
    credit = {"prefill": 1.0, "decode": speed.given(faster_decode, np.ones(1), "").draw(drawn.kernels)}
    values: dict[str, Numbers] = {"margin_memory": 1 - case.bits[0] / (16 * rho)}
    full, rates = np.searchsorted(case.flight[:, 0], case.batches[:, 0]), {}
    for phase, tokens in (("prefill", case.tokens), ("decode", case.flight)):
        same = _step(case, phase, 1.0)
        (_, own), (dense, beside) = (_seconds(case, phase, step, drawn) for step in (_step(case, phase, size), same))
        timed = _as_timed(case.timed, phase, tokens / beside, drawn)
        speedup = (timed / _as_timed(case.timed_dense, phase, tokens / dense, drawn))[full]
        rates[phase] = _as_timed(case.timed, phase, tokens * share * credit[phase] / own, drawn)
        values |= {
            f"{phase}_tokens_s": rates[phase][full],
            f"speedup_{phase}": speedup,
            f"margin_{phase}": speedup * rho - 1,
            f"limits_{phase}": {name: (seconds + 0 * case.flight)[full] for name, seconds in same.limits.items()},
        }
    traffic = case.scenario.traffic
    step, prompt = case.flight / rates["decode"], traffic.tokens_in / rates["prefill"]
    return values, load.replica(case.flight, case.batches, step, prompt, traffic.tokens_out)


def _as_timed(shifts: tuple[Shift | None, ...], phase: str, rates: Numbers, drawn: Drawn) -> Numbers:
    """Tokens a second of a phase, after what you measured."""
    timed = shifts[phase == "decode"]
    return rates if timed is None else timed.applied(rates, drawn.kernels)


def reckoned(case: Case, drawn: Drawn) -> tuple[Numbers, Numbers]:
    """Tokens a second of prefill and of decode at equal N, whatever you measured, each (G, n)."""
    share = _share(case, drawn)
    return tuple(
        tokens * share / _seconds(case, phase, _step(case, phase, 1.0), drawn)[1]
        for phase, tokens in (("prefill", case.tokens), ("decode", case.flight))
    )


def _share(case: Case, drawn: Drawn) -> Numbers:
    """Speed of a replica over that of its ``machine``."""
    return drawn.parallel * case.gpus if case.scenario.hardware.parallel_efficiency and case.gpus > 1 else 1.0


def _step(case: Case, phase: str, size: Numbers) -> speed.Step:
    """The Step of a phase of a model ``size`` times as large."""
    traffic = case.scenario.traffic
    if phase == "prefill":
        return speed.prefill(case.shape, case.machine, case.fit, case.tokens, traffic.tokens_in, size, case.gather)
    context = traffic.tokens_in + traffic.tokens_out / 2
    rest = (case.kv_bits, size, case.vocabulary_bits, case.scenario.hardware.engine, case.gather)
    return speed.decode(case.shape, case.machine, case.fit, case.flight, context, *rest)


def _seconds(case: Case, phase: str, step: speed.Step, drawn: Drawn) -> tuple[Numbers, Numbers]:
    """Seconds of a Step, of 16 bits and in the format: the roofline's, as far off as engines are believed to be.

    A speed-up of yours is of the whole engine, not of its products alone.
    """
    decode = phase == "decode"
    faster = case.faster[decode]
    gain, yours = faster.draw(drawn.kernels), faster.rung == speed.Rung.YOURS
    if not case.beliefs:
        dense = step.dense(drawn.system)
        return dense, dense / gain if yours else step.seconds(gain, drawn.system, drawn.place)
    over, own = case.beliefs[decode].over(drawn.system, drawn.kernels)
    dense = step.dense(1.0) * over
    return dense, dense / gain if yours else step.seconds(faster.mid, 1.0, 0.0) * own


def _once(
    scenario: Scenario,
    option: Option,
    trainer: tuple[Device, Price],
    drawn: Drawn,
    law: Draws,
    quality: Mapping[str, Numbers],
) -> dict[str, Numbers]:
    """USD that is paid once: training; the project, beyond a dense model's; the cheapest way to a target loss."""
    project, shape, dense, (device, price) = scenario.project, scenario.model.shape, option.dense, trainer
    hourly, N, D = monthly.hourly(scenario, price, drawn), shape.non_embedding, scenario.model.n_tokens
    known = option.slowdown or project.slowdown or training.slowdown(option.weights, option.activations, device)
    slower, active = 1.0 if dense else costs.triangular(known, drawn.slowdown), shape.active_body / N

    def paid(params: Numbers, tokens: Numbers, slowdown: Numbers) -> Numbers:
        return costs.training_usd(active * params, tokens, drawn.mfu, device.bf16, hourly, slowdown)

    params, tokens = law.cheapest(
        project.target_loss or quality["loss"], quality["rho"], scenario.model.tokens_per_param
    )
    if project.kind == "train":
        whole = paid(quality["n_params"], D, slower)
        extra = whole - paid(N, D, 1.0)
    elif project.kind == "qat":
        whole = extra = paid(N, project.qat_tokens, slower)
    else:
        whole = extra = project.calibration_hours * hourly
    once = sum(work.usd(scenario, drawn.effort)) + extra
    if dense:
        whole, once = whole if project.kind == "train" else 0 * hourly, 0 * hourly
    return {
        "target_params": params,
        "target_tokens": tokens,
        "usd_target": paid(params, tokens, slower),
        "usd_training": whole,
        "usd_token": paid(N, 1, slower),
        "usd_once": once,
    }
