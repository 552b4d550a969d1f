"""How far engines are from the roofline: learnt from half of the reported speeds, tested on the other half.

    t = roofline × factor × exp(error z)      z standard normal

The logarithm of reported over roofline time is a sum of effects of what a report has in common with others (its engine,
device, kind of device, phase, batch, rung, …), each of one standard deviation, of its source, and of itself: a Gaussian
model whose three deviations maximise the marginal likelihood (Gelman & Hill 2007, ch. 12).  What was never reported has
an effect of zero and its whole deviation in the error: a new device is believed to be as its kind is, less surely.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from .. import tables
from . import observed
from .devices import Device, devices

Z = 1.2816
"""Standard deviations from the median to the 10 % and to the 90 % quantile."""
BATCHES = (1, 32, 512)
"""One sequence, some, many: effects of the batch are interpolated between them, in its logarithm."""
KIND = ["phase", "model", "where", "rung"]
"""What the rows of ``coverage`` have in common."""


@dataclass(frozen=True)
class Belief:
    """What an engine's time is over that of the roofline, and how sure that is.

    factor: median; error: standard deviation of its logarithm; rung: of the speed-up; source: what it was learnt from;
    runs: the reports of the same engine among these.
    """

    factor: float
    error: float
    rung: str
    source: str
    runs: int


@dataclass(frozen=True)
class Fit:
    """A fitted model: the names of effects, and what predicts from them.

    deviations: of effects, of a source and of a report; design: (reports, names); solved: (K⁻¹ y, factored K).
    """

    names: tuple[str, ...]
    deviations: np.ndarray
    design: np.ndarray
    solved: tuple[np.ndarray, tuple]

    def predict(self, effects: list[dict[str, float]]) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) of the logarithm of time over roofline for new reports of a new source."""
        effect, source, own = self.deviations**2
        design = _design(effects, self.names)
        across = 1 + effect * design @ self.design.T
        # what no report had stands in no column, but is as unsure as any effect
        size = np.array([sum(weight**2 for weight in one.values()) for one in effects])
        variance = 1 + effect * size + source + own - (across * cho_solve(self.solved[1], across.T).T).sum(1)
        return across @ self.solved[0], np.sqrt(variance)


def fit(effects: list[dict[str, float]], sources: list[str], logs: np.ndarray) -> Fit:
    """The Fit to logarithms of time over roofline; effects: {name: how much of it} of each report."""
    names = tuple(sorted({name for one in effects for name in one}))
    design = _design(effects, names)
    same = (np.array(sources)[:, None] == np.array(sources)).astype(float)
    logs = np.asarray(logs, dtype=float)

    def solved(deviations: np.ndarray) -> tuple[np.ndarray, tuple]:
        effect, source, own = deviations**2
        factored = cho_factor(1 + effect * design @ design.T + source * same + own * np.eye(len(logs)), lower=True)
        return cho_solve(factored, logs), factored

    def loss(parameters: np.ndarray) -> float:
        weights, factored = solved(np.exp(parameters))
        return 0.5 * logs @ weights + np.log(np.diag(factored[0])).sum()

    best = minimize(loss, np.log([0.3, 0.2, 0.2]), method="L-BFGS-B", bounds=[(math.log(0.02), math.log(3))] * 3)
    deviations = np.exp(best.x)
    return Fit(names, deviations, design, solved(deviations))


def belief(engine: str, device: Device, phase: str, batch: float, rung: str, mixture: bool, gpus: int = 1) -> Belief:
    """The Belief about an engine on a Device; phase: "prefill", "decode" or "mixed", as data/hardware/observed has it.

    batch: sequences in flight; rung: of ``speed.Rung``; mixture: whether the model is one of experts.
    """
    rows, own = _learnt()
    mean, error = own.predict([effects(engine, device, phase, batch, rung, mixture, gpus)])
    source = f"{len(rows)} calibration rows of data/hardware/observed and reports"
    return Belief(float(np.exp(mean[0])), float(error[0]), str(rung), source, int((rows.engine == engine).sum()))


def effects(
    engine: str, device: Device, phase: str, batch: float, rung: str, mixture: bool, gpus: int = 1
) -> dict[str, float]:
    """{name: how much of it} of the effects in a report; see ``belief``."""
    place = np.interp(math.log(max(batch, 1)), np.log(BATCHES), range(len(BATCHES)))
    hats = {f"decode {size}": max(0.0, 1 - abs(place - i)) for i, size in enumerate(BATCHES)}
    parts = {"prefill": 1.0} if phase == "prefill" else hats
    names = [f"engine {engine}", f"device {device.name}", f"kind {kind(device)}", f"rung {rung}", f"{engine} {rung}"]
    if phase == "mixed":
        names.append("prompts too")
    if gpus > 1:
        names.append("several devices")
    if mixture:
        parts = parts | {f"mixture {name}": weight for name, weight in parts.items()}
    return dict.fromkeys(names, 1.0) | {name: weight for name, weight in parts.items() if weight}


def kind(device: Device) -> str:
    """ "data centre", "consumer", or the platform where that is neither CUDA's nor a rack's."""
    if device.platform in ("cuda", "rocm", "tpu") and device.memory >= 40e9 and device.bandwidth >= 800e9:
        return "data centre"
    return "consumer" if device.platform == "cuda" else device.platform


def held_out() -> pd.DataFrame:
    """A row per reported speed that took no part in what it is held against; time over roofline, in logarithms.

    Validation rows of data/hardware/reports, and each source of data/hardware/observed in turn, by what the calibration
    rows of the others say.  Columns of KIND; log; mean and error of the belief, its ``inside`` and ``off`` (the factor
    that its median is off, at least 1); ``plan_inside`` and ``plan_off`` of the band that a plan has.
    """
    return _held_out().copy()


def coverage(by: list[str] | None = None) -> pd.DataFrame:
    """``held_out`` by KIND, or by some of it: rows, and the share inside and the median factor off, of both."""
    grouped = held_out().groupby(by or KIND)
    columns = {name: (name, "mean" if "inside" in name else "median") for name in ("inside", "off")}
    columns |= {f"plan_{name}": (f"plan_{name}", how) for name, (_, how) in columns.items()}
    return grouped.agg(rows=("log", "size"), **columns)


@cache
def _held_out() -> pd.DataFrame:
    rows = _reports()
    parts = [(rows[(rows.table == "reports") & (rows.role == "validation")], rows)]
    for source, own in rows[rows.table == "observed"].groupby("source"):
        parts.append((own, rows[rows.source != source]))
    done = []
    for test, rest in parts:
        mean, error = _fit(rest[rest.role == "calibration"]).predict(list(test.effects))
        done.append(test.assign(mean=mean, error=error))
    table = pd.concat(done)
    miss = (table["log"] - table["mean"]).abs()
    table = table.assign(inside=miss <= Z * table["error"], off=np.exp(miss))
    return table.drop(columns=["effects"]).reset_index(drop=True)


@cache
def _learnt() -> tuple[pd.DataFrame, Fit]:
    rows = _reports().query("role == 'calibration'")
    return rows, _fit(rows)


def _fit(rows: pd.DataFrame) -> Fit:
    return fit(list(rows.effects), list(rows.source), rows["log"].to_numpy())


@cache
def _reports() -> pd.DataFrame:
    """All reports, with their effects, and what the plan's own band says of them."""
    both = {name: tables.read(f"hardware/{name}").assign(table=name) for name in ("observed", "reports")}
    rows = pd.concat(both.values(), ignore_index=True)
    rows = rows.assign(kv=rows.kv.fillna("dense"), devices=rows.devices.fillna(1).astype(int))
    rows, requests = observed.rooflines(rows)
    rows["log"] = np.log(rows.roofline / rows.tokens_per_second)
    known = devices()
    where = rows.device.map(lambda name: kind(known[name]))
    rows["where"] = where.where(where == "data centre", "edge")
    rows["model"] = np.where(rows.mixture, "mixture", "dense")
    rows["effects"] = [
        effects(row.engine, known[row.device], row.phase, row.sequences, row.rung, row.mixture, row.devices)
        for row in rows.itertuples()
    ]
    bands = [observed.band(*pair) for pair in zip(rows.itertuples(), requests, strict=True)]
    low, middle, high = np.array(bands).T
    rows["plan_inside"] = rows.tokens_per_second.between(low, high)
    rows["plan_off"] = np.exp(np.abs(np.log(middle / rows.tokens_per_second)))
    return rows


def _design(effects: list[dict[str, float]], names: tuple[str, ...]) -> np.ndarray:
    return np.array([[one.get(name, 0.0) for name in names] for one in effects])
