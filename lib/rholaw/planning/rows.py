"""The table of a plan: what its columns mean, and each row from an outcome."""

import numpy as np

from ..hardware import speed
from . import costs

COLUMNS = {
    "option": "weights, activations and key-value cache, as in Option.name",
    "weights": "format of the weights",
    "activations": "format of the activations",
    "kv": "format of the key-value cache",
    "device": "name of the device",
    "gpus": "devices a replica",
    "batch": "sequences in flight",
    "comparison": "equal-loss: the model served is N / ρ; equal-n: it keeps N and loses dloss",
    "kernel": "status of the engine's kernel",
    "bits": "stored bits per compressed weight, scales and mask included",
    "rho": "capacity; missing where the law does not apply",
    "rho_source": "law; law, format without runs; printed capacities, figures disagree; yours; not covered",
    "n_params": "non-embedding parameters of the model served",
    "n_dense": "parameters of the dense model of equal loss",
    "loss": "nats per token of the dense model",
    "dloss": "nats per token above the dense model",
    "memory_gb": "all of it, GB, on all devices of a replica",
    "memory_weights_gb": "compressed weights with scales and masks",
    "memory_embeddings_gb": "embeddings, head, norms: 16 bits",
    "memory_kv_gb": "key-value cache of all sequences in flight",
    "memory_reserve_gb": "for the engine",
    "fits": "whether nine of ten draws fit",
    "prefill_tokens_s": "tokens of prompts a second, a replica",
    "decode_tokens_s": "tokens of output a second, a replica",
    "latency_ms": "between two tokens of one sequence",
    "speedup_prefill": "over 16 bits at equal N, of the whole engine",
    "speedup_decode": "likewise",
    "speed_source_prefill": "rung of the ladder: measured, fitted, nominal (upper bound), yours, …",
    "speed_source_decode": "likewise",
    "limit_prefill": "what limits 16 bits: arithmetic, weights (their bytes), overhead",
    "limit_decode": "likewise, or key-value cache (its bytes)",
    "critical_batch": "tokens in flight above which arithmetic limits this format, not the bytes of the weights",
    "margin_prefill": "speed-up × ρ − 1: above 0 it pays at equal loss",
    "margin_decode": "likewise",
    "margin_memory": "1 − bits / (16 ρ): above 0 it saves memory at equal loss",
    "cost_in": "money per million tokens of prompts",
    "cost_out": "money per million tokens of output",
    "kwh_in": "kWh per million tokens of prompts",
    "kwh_out": "kWh per million tokens of output",
    "hours_month": "paid hours a month, of all replicas together",
    "replicas": "paid copies of the model, each on ``gpus`` devices, on average over the month",
    "kwh_month": "kWh a month",
    "cost_month": "money a month",
    "cost_training": "money to train it: anew, or on in the format, or to calibrate",
    "cost_once": "money once, beyond what the dense model costs",
    "target_params": "N of the cheapest training that reaches the target loss",
    "target_tokens": "D of it",
    "cost_target": "money for it",
    "saving_month": "money a month below the baseline",
    "npv": "present value of the savings over the horizon, less the money once",
    "roi": "npv / money once",
    "payback_months": "money once / saving a month",
    "pays": "share of the draws in which npv is above 0",
    "break_even_requests": "requests a month at which the median npv is 0",
    "feasible": "whether it runs, fits, is fast enough, and good enough in nine of ten draws",
    "meets": "as feasible, whatever it costs: a price that is not known does not count",
    "unpriced": "devices that it needs and of which no price is known",
    "why_not": "what stands against it",
    "pareto": "no feasible row is better in money a month, money once, loss and latency together",
}
"""What each column of ``Plan.table`` holds; money is in the scenario's currency."""

QUANTILES = ("_p10", "", "_p90")
LEAST = 0.01
"""A capacity that may lie below this leaves the size of a model of equal loss without a bound worth the name."""
MONEY = {f"usd_{name}": f"cost_{name}" for name in ("in", "out", "month", "training", "once", "target")}
MONEY |= {"saving": "saving_month", "npv": "npv"}
BYTES = {f"memory{part}": f"memory{part}_gb" for part in ("", "_weights", "_embeddings", "_kv", "_reserve")}
PLAIN = ("rho", "n_params", "n_dense", "loss", "dloss", "prefill_tokens_s", "decode_tokens_s", "latency_ms")
PLAIN += ("speedup_prefill", "speedup_decode", "margin_prefill", "margin_decode", "margin_memory", "kwh_in", "kwh_out")
PLAIN += ("hours_month", "replicas", "kwh_month", "target_params", "target_tokens", "roi", "payback_months")
UNCERTAIN = {*MONEY.values(), *BYTES.values(), *PLAIN}


def at(values, i):
    """Row ``i`` of what broadcasts to (B, n)."""
    values = np.atleast_2d(values)
    return values[min(i, len(values) - 1)]


def quantiles(values):
    """(P10, P50, P90) along the last axis, each one of the values, so that infinities do no harm; nan where any is.

    The least values that a tenth, half, nine tenths do not exceed; numpy's "inverted_cdf", in half its time.
    """
    places = (np.array([1, 5, 9]) * values.shape[-1] + 9) // 10 - 1
    found = np.partition(values, places)[..., places]
    return np.where(np.isnan(values).any(axis=-1, keepdims=True), np.nan, found)


def median(values):
    """The middle one of ``quantiles``."""
    return float(quantiles(values)[1])


def problems(case, result, i):
    """What stands against an option on a machine at one batch, whatever it costs: a text each."""
    scenario, project = case.scenario, case.scenario.project
    if not case.kernel.runs:
        yield case.kernel.note
    least = quantiles(at(result["rho"], i))[0]
    if project.comparison == "equal-loss" and least <= LEAST:
        yield f"ρ may be as low as {least:.2g}: a model of equal loss would have no bound"
    elif np.isnan(case.device.bf16):
        yield f"the arithmetic of {case.device.name} is unknown: give bf16 in hardware.overrides"
    elif not case.option.dense and np.isnan(case.training[0].bf16) and project.kind != "post-training":
        yield f"the arithmetic of {case.training[0].name} is unknown: give bf16 in hardware.overrides"
    need, room = quantiles(at(result["memory"], i))[2], case.device.memory * case.gpus
    if np.isnan(room):
        yield f"the memory of {case.device.name} is unknown: give it in hardware.overrides"
    elif not need <= room:
        wanted = f"{need / 1e9:.1f}" if np.isfinite(need) else "more than any"
        yield f"does not fit: {wanted} of {room / 1e9:.0f} GB"
    step = median(at(result["latency_ms"], i))
    if step > scenario.traffic.latency_ms:
        yield f"too slow: {step:.1f} ms a token, with a limit of {scenario.traffic.latency_ms:g}"
    loss = quantiles(at(result["dloss"], i))[2]
    if np.isnan(loss):
        yield "loss unknown: the law does not cover post-training; measure it and give dloss"
    elif loss > project.tolerance:
        yield f"loss too high: up to {loss:+.3g}, with a tolerance of {project.tolerance:g} nats"
    if project.target_loss and project.kind == "train" and np.isinf(median(at(result["target_params"], i))):
        yield f"a loss of {project.target_loss:g} is out of reach: most draws of the law have an E of that or more"


def unpriced(case):
    """Names of the devices that serve or train and of which no price is known; 16 bits are not charged for training."""
    used = (case.device, case.price), *([] if case.option.dense else [case.training])
    return sorted({device.name for device, price in used if not np.isfinite(price.mid)})


def against(case, result, baseline):
    """What needs the baseline's USD a month (n,), or None: saving, returns, margins."""
    scenario, N = case.scenario, case.shape.non_embedding
    with np.errstate(all="ignore"):
        saving = np.nan * result["usd_month"] if baseline is None else baseline - result["usd_month"]
        returned = costs.returns(
            saving, result["usd_once"], scenario.project.horizon_months, scenario.project.discount_rate
        )
        if case.option.dense:  # nothing is paid once: there is no return on it
            returned |= {name: np.nan * returned[name] for name in ("roi", "payback_months")}
        return returned | {
            "saving": saving,
            "n_params": N * result["size"],
            "n_dense": N * result["size"] * result["rho"],
            "margin_prefill": result["speedup_prefill"] * result["rho"] - 1,
            "margin_decode": result["speedup_decode"] * result["rho"] - 1,
            "margin_memory": 1 - case.bits[0] / (16 * result["rho"]),
        }


def row(case, result, i, source):
    """One row of the table: a Case at its batch ``i``; source: of its capacity."""
    scenario, option = case.scenario, case.option
    fit = speed.efficiency(case.device, scenario.hardware.engine, case.kernel)
    found = {
        "option": option.name,
        "weights": option.weights,
        "activations": option.activations,
        "kv": option.kv,
        "device": case.device.name,
        "gpus": case.gpus,
        "batch": int(case.batches[i, 0]),
        "comparison": scenario.project.comparison,
        "kernel": case.kernel.status,
        "bits": case.bits[0],
        "rho_source": source,
        "speed_source_prefill": case.faster[0].rung,
        "speed_source_decode": case.faster[1].rung,
        "critical_batch": speed.critical_batch(case.device, case.bits[0], case.kernel, fit),
    }
    for phase in ("prefill", "decode"):
        limits = {name: np.nan_to_num(np.median(at(each, i))) for name, each in result[f"limits_{phase}"].items()}
        found[f"limit_{phase}"] = max(limits, key=limits.get)
    shown = {name: (name, 1.0) for name in PLAIN}
    shown |= {name: (to, scenario.prices.rate) for name, to in MONEY.items()}
    shown |= {name: (to, 1e-9) for name, to in BYTES.items()}
    for name, (to, factor) in shown.items():
        values = factor * quantiles(at(result[name], i))
        found |= {to + part: float(value) for part, value in zip(QUANTILES, values, strict=True)}
    npv = at(result["npv"], i)
    found["pays"] = np.nan if np.isnan(npv).any() else float((npv > 0).mean())
    found["break_even_requests"] = _break_even(scenario, result, i)
    wrong, missing = list(problems(case, result, i)), unpriced(case)
    found["fits"] = not any(text.startswith("does not fit") for text in wrong)
    found |= {"feasible": not (wrong or missing), "meets": not wrong, "unpriced": ", ".join(missing)}
    found["why_not"] = "; ".join(wrong + [f"no price of {name}: give prices.gpu_hour_usd" for name in missing])
    names = (name + part for name in COLUMNS for part in (QUANTILES if name in UNCERTAIN else ("",)))
    return {name: found[name] for name in names if name in found}


def _break_even(scenario, result, i):
    """Requests a month at which what is saved is what is spent, at the medians; only where hours are paid as used."""
    saving, once = (median(at(result[name], i)) for name in ("saving", "usd_once"))
    requests, project = scenario.traffic.requests_per_month, scenario.project
    if scenario.prices.billing != "hours" or not requests or np.isnan(saving):
        return np.nan
    per_request = saving / requests * costs.annuity(project.horizon_months, project.discount_rate)
    return np.inf if per_request <= 0 else max(once, 0.0) / per_request


def pareto(table):
    """Whether no feasible row is at least as good in money a month, money once, loss and latency, and better in one."""
    goals = table[["cost_month", "cost_once", "dloss", "latency_ms"]].to_numpy(float)
    feasible = table.feasible.to_numpy()
    others = goals[feasible]
    beaten = [((others <= own).all(axis=1) & (others < own).any(axis=1)).any() for own in goals]
    return feasible & ~np.array(beaten)
