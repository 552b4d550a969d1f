"""How far engines are from the roofline: learnt from half of the reported speeds, tested on the other half.

    t = roofline × factor × exp(error z)      z standard normal

The logarithm of reported over roofline time is a sum of effects of what a report has in common with others (its engine,
device, kind of device, phase, batch, rung, …), each of one standard deviation, of its source, and of itself, which is
less sure of mixtures and where nobody timed a format's products: a Gaussian model whose four deviations maximise
marginal likelihood (Gelman & Hill 2007, ch. 12).  What was never reported has an effect of zero and its whole
deviation in the error: a new device is believed to be as its kind is, less surely.  Last, errors are made as wide as
those of reports are whose source was left out, at the edge and in data centres apart.
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
from .devices import Device, devices, kind, where
from .speed import Numbers, Rung

Z = 1.2816
"""Standard deviations from the median to the 10 % and to the 90 % quantile."""
BATCHES = (1, 32, 512)
"""One sequence, some, many: effects of the batch are interpolated between them, in its logarithm."""
LEARNT = (Rung.MEASURED, Rung.FITTED, Rung.NOMINAL)
"""Where a format has kernels of its own."""
WIDE = ("all", "mixture")
"""Effects of a deviation of 1, of which reports alone say how large they are: all take, and mixtures beside it."""
ROUGH = {f"rung {Rung.NOMINAL}", "mixture"}
"""Effects of reports with a wider deviation: nobody timed the products of their format, or engines split a mixture."""
KIND = ["type", "where", "rung"]
"""What the rows of ``coverage`` have in common."""


@dataclass(frozen=True)
class Belief:
    """What an engine's times are over those of the roofline: of 16 bits, and of a format beside them.

    factor: medians, (2, …), one for each number of sequences; error: standard deviations of their logarithms; shared:
    correlation of the two errors; runs: the reports of the same engine among those it was learnt from, ``source``.
    """

    factor: np.ndarray
    error: np.ndarray
    shared: np.ndarray
    runs: int
    source: str

    def over(self, z: Numbers, own: Numbers) -> tuple[np.ndarray, np.ndarray]:
        """Times over the roofline, of 16 bits and of the format; z, own: standard normal, shared and of the format."""
        both = self.shared * z + np.sqrt(1 - self.shared**2) * own
        return self.factor[0] * np.exp(self.error[0] * z), self.factor[1] * np.exp(self.error[1] * both)


@dataclass(frozen=True)
class Fit:
    """A fitted model: the names of effects, and what predicts from them.

    deviations: of effects, of a source, of a report, and of one that is ROUGH; design, wide: (reports, names), and of
    WIDE; solved: (K⁻¹ y, factored K).
    """

    names: tuple[str, ...]
    deviations: np.ndarray
    design: np.ndarray
    wide: np.ndarray
    solved: tuple[np.ndarray, tuple]

    def predict(self, effects: list[dict[str, float]]) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) of the logarithm of time over roofline for new reports of a new source."""
        mean, covariance = self.joint(effects)
        return mean, np.sqrt(np.diag(covariance))

    def joint(self, effects: list[dict[str, float]]) -> tuple[np.ndarray, np.ndarray]:
        """(mean, covariance) of the logarithms of time over roofline for new reports of one new source."""
        effect, source = self.deviations[:2] ** 2
        wide = _design(effects, WIDE)
        across = wide @ self.wide.T + effect * _design(effects, self.names) @ self.design.T
        every = _design(effects, _names(effects))  # what no report had is as unsure as any effect
        prior = wide @ wide.T + source + effect * every @ every.T + np.diag(_own(effects, self.deviations))
        return across @ self.solved[0], prior - across @ cho_solve(self.solved[1], across.T)


def fit(effects: list[dict[str, float]], sources: list[str], logs: np.ndarray) -> Fit:
    """The Fit to logarithms of time over roofline; effects: {name: how much of it} of each report."""
    names = _names(effects)
    design, wide = _design(effects, names), _design(effects, WIDE)
    same = (np.array(sources)[:, None] == np.array(sources)).astype(float)
    logs = np.asarray(logs, dtype=float)

    def solved(deviations: np.ndarray) -> tuple[np.ndarray, tuple]:
        effect, source = deviations[:2] ** 2
        own = np.diag(_own(effects, deviations))
        factored = cho_factor(wide @ wide.T + effect * design @ design.T + source * same + own, lower=True)
        return cho_solve(factored, logs), factored

    def loss(parameters: np.ndarray) -> float:
        weights, factored = solved(np.exp(parameters))
        return 0.5 * logs @ weights + np.log(np.diag(factored[0])).sum()

    best = minimize(loss, np.log([0.3, 0.2, 0.2, 0.2]), method="L-BFGS-B", bounds=[(math.log(0.02), math.log(3))] * 4)
    deviations = np.exp(best.x)
    return Fit(names, deviations, design, wide, solved(deviations))


def widths(own: Fit, rows: pd.DataFrame, by: str) -> dict[str, float]:
    """{group: times its deviation that the log of a row is off}, where each source is predicted from the others.

    rows: what a Fit was learnt from: source, log, and the column of groups.  The root of the mean square; of a source
    the error is S (K⁻¹ y) and its covariance S, the inverse of its block of K⁻¹.
    """
    weights, factored = own.solved
    inverse, off = cho_solve(factored, np.eye(len(rows))), np.zeros(len(rows))
    for places in rows.reset_index().groupby("source").indices.values():
        covariance = np.linalg.inv(inverse[np.ix_(places, places)])
        off[places] = covariance @ weights[places] / np.sqrt(np.diag(covariance))
    return pd.Series(off**2).groupby(rows[by].to_numpy()).mean().pow(0.5).to_dict()


def belief(
    engine: str, device: Device, phase: str, sequences: np.ndarray, rung: str, mixture: bool, gpus: int = 1
) -> Belief:
    """The Belief about an engine on a Device; phase: "prefill", "decode" or "mixed", as data/hardware/observed has it.

    sequences: in flight; rung: of ``speed.Rung``; mixture: whether the model is one of experts.  What runs no kernel of
    its own errs as 16 bits do.
    """
    rows, own, times = _learnt(mixture)
    rungs = (str(Rung.DENSE), str(rung)) if rung in LEARNT else (str(Rung.DENSE),)
    count = np.size(sequences)
    mean, covariance = own.joint(
        [effects(engine, device, phase, n, one, mixture, gpus) for one in rungs for n in np.ravel(sequences)]
    )
    mean, covariance = mean.round(12), covariance.round(12)  # the same in whatever company it is asked for
    mean[:count] = np.maximum(mean[:count], 0)  # nothing reads 16 bits faster than its memory
    factor, error = np.exp(mean), np.sqrt(np.diag(covariance))
    shared = np.diag(covariance[:count, -count:]) / (error[:count] * error[-count:]) if rungs[1:] else np.ones(count)
    error = error * times[where(device)]
    pairs = (np.stack([values[:count], values[-count:]]).reshape(2, *np.shape(sequences)) for values in (factor, error))
    source = f"{len(rows)} calibration rows of data/hardware/observed and reports"
    return Belief(*pairs, shared.reshape(np.shape(sequences)), int((rows.engine == engine).sum()), source)


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
    names.append("all")
    if mixture:
        names.append("mixture")
    by = [engine, *(["mixture"] if mixture else [])]
    parts = parts | {f"{one} {name}": weight for one in by for name, weight in parts.items()}
    return dict.fromkeys(names, 1.0) | {name: weight for name, weight in parts.items() if weight}


def type_of(mixture: bool) -> str:
    """Of a model: "mixture" of experts, or "dense"."""
    return "mixture" if mixture else "dense"


def held_out() -> pd.DataFrame:
    """A row per reported speed that took no part in what it is held against.

    Validation rows of data/hardware/reports, and each source of data/hardware/observed in turn, by what the calibration
    rows of the others say.  Columns of both tables, of ``observed.rooflines`` and KIND; log: of time over roofline;
    mean and deviation of the belief; low, predicted and high, its P10 to P90 in tokens/s; error: predicted / observed −
    1; ``off``: the factor between the two, at least 1; ``inside``: whether P10 to P90 hold it.
    """
    return _held_out().copy()


def coverage(by: list[str] | None = None) -> pd.DataFrame:
    """``held_out`` by KIND, or by some of it: rows, and the share inside, and the median and largest factor off."""
    grouped = held_out().groupby(by or KIND)
    return grouped.agg(rows=("log", "size"), inside=("inside", "mean"), off=("off", "median"), most=("off", "max"))


@cache
def held(device: Device, rung: str, mixture: bool) -> tuple[int, int]:
    """(rows, of which inside) of ``held_out`` of the kind of a plan's speeds; see ``belief``."""
    kinds, own = held_out(), str(rung if rung in LEARNT else Rung.DENSE)
    rows = kinds[(kinds.type == type_of(mixture)) & (kinds["where"] == where(device)) & (kinds.rung == own)]
    return len(rows), int(rows.inside.sum())


def accuracy() -> pd.DataFrame:
    """Of ``held_out``, two rows, "timed" and "untimed": by the products of the format.

    runs; error: the median |error|; close: the share of observations within 25 %; inside: of those inside their band.
    """
    table = held_out()
    products = np.where(table.rung == Rung.MEASURED, "timed", "untimed")
    table = table.assign(error=table.error.abs(), close=table.error.abs() <= 0.25, products=products)
    return table.groupby("products").agg(
        runs=("error", "size"), error=("error", "median"), close=("close", "mean"), inside=("inside", "mean")
    )


@cache
def _held_out() -> pd.DataFrame:
    rows = _reports()
    parts = [(rows[(rows.table == "reports") & (rows.role == "validation")], rows)]
    for source, own in rows[rows.table == "observed"].groupby("source"):
        parts.append((own, rows[rows.source != source]))
    done = []
    for test, rest in parts:
        for mixture, own in test.groupby("mixture"):
            taught, times = _fit(_teachers(rest, mixture))
            mean, deviation = taught.predict(list(own.effects))
            done.append(own.assign(mean=mean, deviation=deviation * own["where"].map(times)))
    table = pd.concat(done)
    for name, z in (("low", Z), ("predicted", 0.0), ("high", -Z)):
        table[name] = table.roofline / np.exp(table["mean"] + z * table.deviation)
    table["error"] = table.predicted / table.tokens_per_second - 1
    table["off"] = np.exp(np.abs(np.log(table.predicted / table.tokens_per_second)))
    table["inside"] = table.tokens_per_second.between(table.low, table.high)
    return table.drop(columns=["effects"]).reset_index(drop=True)


@cache
def _learnt(mixture: bool) -> tuple[pd.DataFrame, Fit, dict[str, float]]:
    rows = _teachers(_reports(), mixture)
    return rows, *_fit(rows)


def _teachers(rows: pd.DataFrame, mixture: bool) -> pd.DataFrame:
    """What a mixture is learnt from is all that is for calibration; dense models, of which more is known: their own."""
    return rows[(rows.role == "calibration") & (mixture | ~rows.mixture)]


def _fit(rows: pd.DataFrame) -> tuple[Fit, dict[str, float]]:
    """The Fit to rows, and the ``widths`` of its errors at the edge and in data centres."""
    own = fit(list(rows.effects), list(rows.source), rows["log"].to_numpy())
    return own, widths(own, rows, "where")


@cache
def _reports() -> pd.DataFrame:
    """All reports, with their effects."""
    both = {name: tables.read(f"hardware/{name}").assign(table=name) for name in ("observed", "reports")}
    rows = pd.concat(both.values(), ignore_index=True)
    rows = rows.assign(kv=rows.kv.fillna("dense"), devices=rows.devices.fillna(1).astype(int))
    rows, known = observed.rooflines(rows), devices()
    rows["log"] = np.log(rows.roofline / rows.tokens_per_second)
    rows["where"] = [where(known[name]) for name in rows.device]
    rows["type"] = [type_of(mixture) for mixture in rows.mixture]
    rows["effects"] = [
        effects(row.engine, known[row.device], row.phase, row.sequences, row.rung, row.mixture, row.devices)
        for row in rows.itertuples()
    ]
    return rows


def _names(effects: list[dict[str, float]]) -> tuple[str, ...]:
    return tuple(sorted({name for one in effects for name in one} - set(WIDE)))


def _own(effects: list[dict[str, float]], deviations: np.ndarray) -> np.ndarray:
    """Variances of reports apart from what they have in common with others."""
    return np.where([bool(ROUGH & set(one)) for one in effects], *deviations[[3, 2]] ** 2)


def _design(effects: list[dict[str, float]], names: tuple[str, ...]) -> np.ndarray:
    return np.array([[one.get(name, 0.0) for name in names] for one in effects])
