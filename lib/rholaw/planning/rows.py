"""The table of a plan: the rows of each Outcome, and what stands against it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from ..hardware import speed
from . import costs, damage, words
from .cases import Case, held, tested
from .columns import COLUMNS
from .outcomes import Numbers, Outcome
from .remarks import Origin, Reason
from .scenario import Scenario

LEAST = 0.01
"""A capacity that may lie below this leaves the size of a model of equal loss without a bound worth the name."""
TOO_LARGE = {"too_large", "too_large_for_any"}
AMOUNTS = tuple(column for column in COLUMNS.values() if column.of)
"""The uncertain columns."""
Place = tuple[int, int]
"""Of a row: which case, and which of its batches."""


class Spreads(dict):
    """{field of an Outcome: its P10, median and P90, (B, 3), or (1, 3) where no batch moves it}, when asked for."""

    def __init__(self, outcome: Outcome):
        self.outcome = outcome

    def __missing__(self, name: str) -> np.ndarray:
        if name == "devices_paid":  # as many in each replica
            self[name] = self.outcome.gpus * self["replicas"]
        else:
            self[name] = quantiles(np.atleast_2d(getattr(self.outcome, name)))
        return self[name]

    def part(self, name: str, place: int, count: int) -> list[float]:
        """P10, median or P90 (``place`` 0, 1, 2) of a field in each of ``count`` rows."""
        return np.broadcast_to(self[name][:, place], count).tolist()


def at(values: Numbers, i: int) -> np.ndarray:
    """Row ``i``, (n,) or (1,), of what broadcasts to (B, n)."""
    values = np.atleast_2d(values)
    return values[min(i, len(values) - 1)]


def quantiles(values: np.ndarray) -> np.ndarray:
    """(P10, P50, P90) along the last axis, each one of the values, so that infinities do no harm; nan where any is.

    The least values that a tenth, half, nine tenths do not exceed: numpy's "inverted_cdf", without its sort.
    """
    if values.shape[-1] == 1:  # certain
        return np.repeat(values, 3, axis=-1)
    places = (np.array([1, 5, 9]) * values.shape[-1] + 9) // 10 - 1
    ends = np.partition(values, places, axis=-1)[..., places]
    ends[np.isnan(values.max(axis=-1))] = np.nan
    return ends


def reasons(case: Case, spreads: Spreads) -> list[tuple[Reason, ...]]:
    """What stands against an option on a machine at each of its batches, whatever it costs."""
    traffic, count = case.scenario.traffic, len(case.batches)
    before, after = tuple(_known(case, spreads)), tuple(_quality(case, spreads))
    rows = zip(
        spreads.part("memory", 2, count),
        spreads.part("latency_ms", 1, count),
        spreads.part("ttft_ms", 1, count),
        strict=True,
    )
    return [
        (
            *before,
            *_memory(case, need),
            *_late("too_slow", "latency_ms", between, traffic.latency_ms),
            *_late("too_late", "ttft_ms", first, traffic.ttft_ms),
            *after,
        )
        for need, between, first in rows
    ]


def _known(case: Case, spreads: Spreads) -> Iterator[Reason]:
    """Whether it runs, and whether that and its speed can be reckoned."""
    scenario, project = case.scenario, case.scenario.project
    if not case.kernel.known:
        yield Reason("kernel_unknown", {"engine": scenario.hardware.engine, "numbers": case.kernel.name})
    elif not case.kernel.runs:
        yield Reason("removed" if case.kernel.status == "removed" else "no_kernel", {"note": case.kernel.note})
    least = spreads["rho"][0, 0]
    if project.comparison == "equal-loss" and least <= LEAST:
        yield Reason("capacity_near_zero", {"least": least})
    elif np.isnan(case.device.bf16):
        yield Reason("arithmetic_unknown", {"device": case.device.name})
    elif not case.option.dense and np.isnan(case.training[0].bf16) and project.kind != "post-training":
        yield Reason("arithmetic_unknown", {"device": case.training[0].name})
    if np.isnan(case.device.bandwidth):
        yield Reason("bandwidth_unknown", {"device": case.device.name})


def _quality(case: Case, spreads: Spreads) -> Iterator[Reason]:
    """Whether it is good enough, and a target can be reached."""
    project, (low, _, high) = case.scenario.project, spreads["dloss"][0]
    yield from _loss(case, low, high)
    if project.target_loss and project.kind == "train" and np.isinf(spreads["target_params"][0, 1]):
        yield Reason("out_of_reach", {"target": project.target_loss})


def _late(code: str, name: str, taken: float, limit: float) -> Iterator[Reason]:
    """taken, limit: milliseconds."""
    if taken > limit:
        yield Reason(code, {name: taken, "limit_ms": limit})


def _loss(case: Case, low: float, high: float) -> Iterator[Reason]:
    """What the law after training leaves open can be measured. low, high: nats per token, P10 and P90 of the rise."""
    scenario, limit = case.scenario, case.scenario.project.tolerance
    gap = next(iter(damage.gaps(scenario, case.option)), None)
    if low <= limit and damage.by_law(scenario, case.option) and (high > limit or gap):
        because = gap if high <= limit else None  # else the interval says why
        yield Reason("loss_unsettled", {"low": low, "high": high, "tolerance": limit, "because": because})
    elif not high <= limit:
        yield Reason("loss_too_high", {"loss": high, "tolerance": limit})


def _memory(case: Case, need: float) -> Iterator[Reason]:
    """need: bytes."""
    room = case.device.memory * case.gpus
    if np.isnan(room):
        yield Reason("memory_unknown", {"device": case.device.name})
    elif np.isfinite(need) and need > room:
        yield Reason("too_large", {"need_gb": need / 1e9, "room_gb": room / 1e9})
    elif not need <= room:
        yield Reason("too_large_for_any", {"room_gb": room / 1e9})


def unpriced(case: Case) -> list[Reason]:
    """A Reason for each device that serves or trains and has no price; 16 bits are not charged for training."""
    used = (case.device, case.price), *([] if case.option.dense else [case.training])
    names = sorted({device.name for device, price in used if not np.isfinite(price.mid)})
    return [Reason("no_price", {"device": name}) for name in names]


def columns(
    case: Case, outcome: Outcome, spreads: Spreads, origin: Origin, against: Sequence[tuple[Reason, ...]]
) -> tuple[dict[str, list], np.ndarray]:
    """The rows of a Case, one a batch: {column: values} of what is certain, and (3, len(AMOUNTS), B) of what is not.

    origin: of its capacity; against: the Reasons of each row.
    """
    scenario, option, project = case.scenario, case.option, case.scenario.project
    fit = speed.efficiency(case.device, scenario.hardware.engine, case.kernel)
    count, codes = len(case.batches), [{reason.code for reason in reasons} for reasons in against]
    npv, dloss = (np.atleast_2d(values) for values in (outcome.npv, outcome.dloss))
    same = {
        "option": option.name,
        "weights": option.weights,
        "activations": option.activations,
        "kv": option.kv,
        "device": case.device.name,
        "gpus": case.gpus,
        "comparison": project.comparison,
        "kernel": case.kernel.status,
        "bits": case.bits[0],
        "rho_source": str(origin),
        "dloss_source": words.source(damage.origin(scenario, option), len(scenario.model.measured)),
        "speed_source_prefill": str(case.faster[0].rung),
        "speed_source_decode": str(case.faster[1].rung),
        "held_out": words.held(*held(case)) if tested(case) else "",
        "critical_batch": speed.critical_batch(case.device, case.bits[0], case.kernel, fit),
    }
    own = {
        "batch": case.batches[:, 0].astype(int).tolist(),
        "good_enough": _by_row((dloss <= project.tolerance).mean(axis=1), count),
        "limit_prefill": _by_row(_limits(outcome.limits_prefill), count),
        "limit_decode": _by_row(_limits(outcome.limits_decode), count),
        "pays": _by_row(np.where(np.isnan(npv).any(axis=1), np.nan, (npv > 0).mean(axis=1)), count),
        "break_even_requests": _break_even(scenario, spreads, count),
        "fits": [not own & TOO_LARGE for own in codes],
        "feasible": [not own for own in codes],
        "meets": [not own - {"no_price"} for own in codes],
        "unsettled": [own - {"no_price"} == {"loss_unsettled"} for own in codes],
        "untried": [own - {"no_price", "loss_unsettled"} == {"kernel_unknown"} for own in codes],
        "unpriced": [", ".join(one.data["device"] for one in reasons if one.code == "no_price") for reasons in against],
        "why_not": [words.reasons(reasons) for reasons in against],
    }
    amounts = np.empty((3, len(AMOUNTS), count))
    for i, column in enumerate(AMOUNTS):
        amounts[:, i] = spreads[column.of].T
    return own | {name: [value] * count for name, value in same.items()}, amounts


def table(scenario: Scenario, cases: Sequence[tuple[dict[str, list], np.ndarray]]) -> pd.DataFrame:
    """The table of the ``columns`` of all Cases, by COLUMNS."""
    values = {name: list(chain.from_iterable(own[name] for own, _ in cases)) for name in cases[0][0]}
    for column, amounts in zip(
        AMOUNTS, np.concatenate([part for _, part in cases], axis=2).swapaxes(0, 1), strict=True
    ):
        factor = scenario.prices.rate if column.money else column.factor
        values |= zip(column.parts, factor * amounts, strict=True)
    return pd.DataFrame({part: values[part] for column in COLUMNS.values() for part in column.parts if part in values})


def _by_row(values: np.ndarray, count: int) -> list:
    """A value a row, of one for each or of one for all."""
    return np.broadcast_to(values, count).tolist()


def _limits(limits: Mapping[str, Numbers]) -> np.ndarray:
    """The name of what takes most time at each batch."""
    seconds = np.array([np.nan_to_num(quantiles(np.atleast_2d(values))[:, 1]) for values in limits.values()])
    return np.array(list(limits))[seconds.argmax(axis=0)]


def _break_even(scenario: Scenario, spreads: Spreads, count: int) -> list[float]:
    """Requests a month at which what is saved is what is spent, at the medians, a row each.

    Only where hours are paid as used, at a utilisation that is given: else what is paid is no multiple of the traffic.
    """
    requests, project = scenario.traffic.requests_per_month, scenario.project
    if scenario.prices.billing != "hours" or not scenario.traffic.utilisation or not requests:
        return [np.nan] * count
    both = zip(spreads.part("saving", 1, count), spreads.part("usd_once", 1, count), strict=True)
    worth = costs.annuity(project.horizon_months, project.discount_rate) / requests
    return [
        saving if np.isnan(saving) else np.inf if saving <= 0 else max(once, 0.0) / (saving * worth)
        for saving, once in both
    ]


def pareto(table: pd.DataFrame) -> np.ndarray:
    """Whether no feasible row is at least as good in money a month, money once, loss and latency, and better in one.

    From the lowest on, goal by goal, a row can only be beaten by those before it that nothing beats.
    """
    goals = table[["cost_month", "cost_once", "dloss", "latency_ms"]].to_numpy(float)
    places = np.flatnonzero(table.feasible)
    front = np.empty(0, dtype=int)
    for place in places[np.lexsort(goals[places].T[::-1])]:
        others, own = goals[front], goals[place]
        if not ((others <= own).all(axis=1) & (others < own).any(axis=1)).any():
            front = np.append(front, place)
    return np.isin(np.arange(len(table)), front)
