"""What one option does on one machine: memory, speed, quality and cost, for any number of draws at once."""

from dataclasses import dataclass, replace

import numpy as np

from ..formats.grammar import parse
from ..hardware import geometry as shapes
from ..hardware import speed
from ..hardware.devices import Device, Price, price
from ..hardware.kernels import Kernel, kernel
from . import costs
from .inputs import Option
from .scenario import Scenario


@dataclass(frozen=True)
class Case:
    """One Option on so many Devices: what no draw changes.

    batches: (B, 1) sequences in flight; tokens: (B, 1) prefilled at once; bits: of a weight and an activation, as
    stored; faster: the Speedups of prefill and decode; training: the Device that trains, and its Price.
    """

    scenario: Scenario
    option: Option
    device: Device
    gpus: int
    kernel: Kernel
    shape: shapes.Geometry
    bits: tuple
    kv_bits: float
    batches: np.ndarray
    tokens: np.ndarray
    fit: speed.Efficiency
    faster: tuple
    price: Price
    training: tuple


def cases(scenario, known):
    """Every option on every device and number of devices, in this order; known: {name: Device}."""
    trainer = scenario.project.train_device or scenario.hardware.devices[0]
    training = (known[trainer], priced(scenario, trainer))
    return [
        _case(scenario, option, known[name], gpus, training)
        for option in scenario.options
        for name in scenario.hardware.devices
        for gpus in scenario.hardware.gpus
    ]


def _case(scenario, option, device, gpus, training):
    engine, shape = scenario.hardware.engine, scenario.model.shape
    weights, activations, kv = (parse(text) for text in (option.weights, option.activations, option.kv))
    own = kernel(weights, activations, device, engine, option.kernel)
    if option.credited and not own.runs:
        own = replace(own, status="native", note=f"{own.note}; credited by you")
    bits = (16.0, 16.0) if own.status == "emulated" else (weights.bits, activations.bits)
    batches = np.array(scenario.hardware.batches, dtype=float)[:, None]
    tokens = np.minimum(batches * scenario.traffic.tokens_in, speed.PREFILL_TOKENS)
    return Case(
        scenario=scenario,
        option=option,
        device=device,
        gpus=gpus,
        kernel=own,
        shape=shape,
        bits=bits,
        kv_bits=kv.bits,
        batches=batches,
        tokens=tokens,
        fit=speed.efficiency(device, engine),
        faster=tuple(
            speed.given(yours, together, option.measured_on)
            if yours
            else speed.speedup(shape, device, engine, own, bits, together)
            for yours, together in ((option.speedup_prefill, tokens), (option.speedup_decode, batches))
        ),
        price=priced(scenario, device.name),
        training=training,
    )


def priced(scenario, device):
    """The Price of a device (its name): the scenario's own, else the table's; a purchase is spread over its life."""
    prices, day = scenario.prices, scenario.run.date.isoformat()
    rents, purchases = dict(prices.gpu_hour_usd), dict(prices.purchase_usd)
    if device in rents:
        return Price(*rents[device], np.nan, "scenario", day)
    found = price(device, scenario.run.date, scenario.hardware.overrides or None)
    bought = purchases.get(device, (found.purchase,) * 3)
    if not np.isfinite(bought[1]) or (np.isfinite(found.mid) and device not in purchases):
        return replace(found, purchase=np.nan)
    hourly = (value / prices.lifetime_months / costs.HOURS for value in bought)
    if device in purchases:
        return Price(*hourly, bought[1], "scenario", day)
    return Price(*hourly, bought[1], found.source, found.as_of, found.stale)


def bought(price):
    """Whether a Price is that of a purchase: its electricity is paid apart, and nothing comes on top of a rent."""
    return bool(np.isfinite(price.purchase))


def source(scenario, option, draws):
    """Where the capacity of an Option, or its loss, comes from."""
    if not option.dense and scenario.project.kind == "post-training":
        return "loss measured by you" if option.dloss else "not covered: post-training"
    return "yours" if option.rho or option.dloss else draws.capacity(option.weights, option.activations)[1]


def outcome(case, drawn, draws):
    """Everything about a Case for what was Drawn, money in USD: {name: array that broadcasts to (B, n)}."""
    law = draws.at(drawn.law)
    rho, origin = draws.capacity(case.option.weights, case.option.activations)
    rho = 1.0 if origin == "dense" else rho[drawn.law]
    with np.errstate(all="ignore"):  # ρ = 0 and unknown arithmetic end as infinities and nan, which the table shows
        found = _quality(case, drawn, law, rho)
        found |= _memory(case, found["size"])
        found |= _speeds(case, drawn, found["size"])
        found |= _monthly(case, drawn, found)
        found |= _once(case, drawn, found, law)
    return found


def _quality(case, drawn, law, rho):
    """rho: capacity; loss: of the dense model; dloss: what the option adds; size: of the model that is served relative
    to the dense one. Each (n,), or one number where it is certain.

    No law covers what a compressed key-value cache costs."""
    scenario, option = case.scenario, case.option
    N, D = case.shape.non_embedding, scenario.model.n_tokens
    dense = law.loss(N, D)
    if option.dense:
        return {"rho": 1.0, "loss": dense, "dloss": 0.0, "size": 1.0}
    measured = costs.triangular(option.dloss, drawn.rank) if option.dloss else None
    if scenario.project.kind == "post-training":  # the law is about training in the format
        return {"rho": np.nan, "loss": dense, "dloss": np.nan if measured is None else measured, "size": 1.0}
    rho = costs.triangular(option.rho, drawn.rank) if option.rho else rho
    if scenario.project.comparison == "equal-loss":
        return {"rho": rho, "loss": dense, "dloss": 0.0, "size": np.divide(1.0, rho)}
    dloss = law.loss(N, D, rho) - dense if measured is None else measured
    return {"rho": rho, "loss": dense, "dloss": dloss, "size": 1.0}


def _memory(case, size):
    """Bytes on all devices of a replica, (B, n)."""
    hardware, window = case.scenario.hardware, case.scenario.traffic.window
    reserve = hardware.reserve_gb * 1e9 * case.gpus
    parts = shapes.memory(case.shape, case.bits[0], case.kv_bits, case.batches, window, size, reserve)
    return {f"memory_{name}": part for name, part in parts.items()} | {"memory": sum(parts.values())}


def _speeds(case, drawn, size):
    """Tokens a second of a replica, its speed-up over 16 bits at equal N, and what limits 16 bits there."""
    traffic, found = case.scenario.traffic, {}
    together = case.gpus * (drawn.parallel if case.gpus > 1 else 1.0)

    def step(phase, size):
        if phase == "prefill":
            return speed.prefill(case.shape, case.device, case.fit, case.tokens, traffic.tokens_in, size)
        context = traffic.tokens_in + traffic.tokens_out / 2
        return speed.decode(case.shape, case.device, case.fit, case.batches, context, case.kv_bits, size)

    for phase, tokens, faster in (("prefill", case.tokens, case.faster[0]), ("decode", case.batches, case.faster[1])):
        gain, same = faster.draw(drawn.kernels), step(phase, 1.0)
        whole = faster.rung == "yours"  # of the whole engine, not of its matrix products
        seconds = {}
        for name, each in (("own", step(phase, size)), ("same", same)):
            dense = each.dense(drawn.system)
            seconds[name] = dense / gain if whole else each.seconds(gain, drawn.system, drawn.place)
        found[f"{phase}_tokens_s"] = tokens * together / seconds["own"]
        found[f"speedup_{phase}"] = same.dense(drawn.system) / seconds["same"]
        found[f"limits_{phase}"] = same.limits
    return found | {"latency_ms": 1000 * case.batches / found["decode_tokens_s"]}


def _monthly(case, drawn, found):
    """USD and kWh: per million tokens, and a month."""
    traffic, prices = case.scenario.traffic, case.scenario.prices
    prefill, decode = found["prefill_tokens_s"], found["decode_tokens_s"]
    hourly = _hourly(case.price, drawn) * case.gpus
    watts = case.device.power * drawn.power * case.gpus
    seconds = traffic.tokens_in / prefill + traffic.tokens_out / decode
    hours = costs.paid_hours(traffic.requests_per_month, seconds, drawn.utilisation, prices.billing)
    kwh = traffic.requests_per_month * seconds / 3600 * watts / 1000 * drawn.pue
    bill = np.nan_to_num(kwh) * drawn.electricity if bought(case.price) else 0.0
    return {
        "usd_in": costs.per_million(prefill, hourly, drawn.utilisation),
        "usd_out": costs.per_million(decode, hourly, drawn.utilisation),
        "kwh_in": costs.kwh_per_million(prefill, watts, drawn.pue),
        "kwh_out": costs.kwh_per_million(decode, watts, drawn.pue),
        "hours_month": hours,
        "replicas": hours / costs.HOURS,
        "kwh_month": kwh,
        "usd_month": hours * hourly + bill,
    }


def _hourly(price, drawn):
    """USD an hour of one device, with what comes on top of a rent."""
    rent = costs.triangular((price.low, price.mid, price.high), drawn.price)
    return rent if bought(price) else rent * drawn.overhead


def _once(case, drawn, found, law):
    """USD that is paid once, (n,): training; the project, beyond a dense model's; the cheapest way to a target loss."""
    scenario, project, dense = case.scenario, case.scenario.project, case.option.dense
    device, hourly = case.training[0], _hourly(case.training[1], drawn)
    N, D = case.shape.non_embedding, scenario.model.n_tokens
    slower = 1.0 if dense else costs.triangular(case.option.slowdown or project.slowdown, drawn.slowdown)

    def training(params, tokens, slowdown):
        return costs.training_usd(params, tokens, drawn.mfu, device.bf16, hourly, slowdown)

    params, tokens = law.cheapest(project.target_loss or found["loss"], found["rho"])
    cheapest = {"target_params": params, "target_tokens": tokens, "usd_target": training(params, tokens, slower)}
    if project.kind == "train":
        whole = training(N * found["size"], D, slower)
        extra = whole - training(N, D, 1.0)
    elif project.kind == "qat":
        whole = extra = training(N, project.qat_tokens, slower)
    else:
        whole = extra = project.calibration_hours * hourly
    if dense:
        return cheapest | {"usd_training": whole if project.kind == "train" else 0 * hourly, "usd_once": 0 * hourly}
    people = drawn.effort * project.engineer_week_usd + project.evaluation_usd
    return cheapest | {"usd_training": whole, "usd_once": people + extra}
