"""Laws that were fitted once and then left alone, so that what they say of runs of others is a prediction.

laws = load("frozen2026")                   {name: FrozenLaw}, from data/frozen/2026.csv and 2026_samples.csv
laws["unified"].extra(runs)                 nats per token above the dense model of the same size and tokens
made(row)                                   a recipe, a row of 2026.csv, fitted to today's runs
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtri

from .. import runs as run_tables
from .. import tables
from ..checked import unknown
from ..formats.format import Format
from . import registry, resampling
from .chinchilla import Chinchilla
from .fitted import capacities
from .fitting import fit
from .intervals import percentiles, widened
from .optimise import minimise
from .parameters import Parameters
from .training_length import TOKENS_PER_PARAM

HUBER = 1e-3  # as `fit`
RECIPE = ("law", "form", "series", "selection", "held")


@dataclass(frozen=True)
class FrozenLaw:
    """A law as it was when it was frozen: samples of its parameters instead of a fit.

    samples: a row a sample, a column a parameter; what is predicted is the median over them.  noise: nats per token,
    by which the difference of two runs scatters about the law in the runs that it was fitted to.  sha256: of the
    recipe and the samples.
    """

    name: str
    noise: float
    sha256: str
    samples: pd.DataFrame = field(repr=False)
    model: Chinchilla = field(repr=False)

    @property
    def params(self) -> dict[str, float]:
        """{name: median over the samples}."""
        return self.samples.median().to_dict()

    def predict(self, runs: pd.DataFrame) -> np.ndarray:
        """Loss of each run, (n,), in nats per token of the text that the law was fitted on."""
        return np.median(self._loss(runs), axis=0)

    def predict_interval(self, runs: pd.DataFrame, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """(low, high), each (n,), of the loss: the samples' percentiles, widened by half the variance of ``noise``."""
        return _about(self._loss(runs), self.noise / np.sqrt(2), level)

    def extra(self, runs: pd.DataFrame) -> np.ndarray:
        """(S, n): for each sample, by how much the loss lies above a dense run of the same N and D, nats per token.

        Raises ValueError for a format that the law cannot predict.
        """
        return self._loss(runs) - self._loss(runs.assign(weights="dense", activations="dense"))

    def extra_interval(
        self, runs: pd.DataFrame, level: float = 0.95, variance: ArrayLike = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(median, low, high), each (n,), of ``extra``, widened by ``noise``, and by the variance of what is measured.

        Raises ValueError as ``extra``.
        """
        samples = self.extra(runs)
        return np.median(samples, axis=0), *_about(samples, np.sqrt(self.noise**2 + variance), level)

    def capacity(
        self,
        weights: str | Format,
        activations: str | Format = "dense",
        level: float = 0.95,
        *,
        tokens_per_param: float = TOKENS_PER_PARAM,
    ) -> tuple[float, float, float]:
        """(ρ, low, high) of a pair of formats, after so many tokens a parameter where the law tells them apart.

        Raises ValueError for a law in which a format is no factor on N, and for formats that it cannot express.
        """
        rho = capacities(self.name, self.model, self._points, weights, activations, tokens_per_param)
        return float(np.median(rho)), *map(float, percentiles(rho, level))

    @property
    def _points(self) -> Parameters:
        return Parameters(tuple(self.samples), np.log(self.samples.to_numpy()))

    def _loss(self, runs: pd.DataFrame) -> np.ndarray:
        """(S, n)."""
        if series := getattr(self.model, "series", ()):  # a series that was not fitted has no level of its own
            runs = runs.assign(series=series[0])
        return np.exp(self.model.log_loss(self._points, self.model.columns(runs)))


def _about(samples: np.ndarray, noise: ArrayLike, level: float) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), each (n,), about the median of samples (S, n), with Gaussian noise of this standard deviation."""
    return widened(np.median(samples, axis=0), samples, ndtri((1 + level) / 2) * noise, level)


def names() -> list[str]:
    """The frozen sets that `load` knows: "frozen2026" is data/frozen/2026.csv."""
    stored = [name.removeprefix("frozen/") for name in tables.names() if name.startswith("frozen/")]
    return [f"frozen{name}" for name in stored if not name.endswith("_samples")]


def load(name: str) -> dict[str, FrozenLaw]:
    """The laws of a frozen set, by name, as they were when they were frozen.

    Raises ValueError for an unknown set, and for a law whose recipe or samples are not what its hash says.
    """
    rows, laws = recipes(name), {}
    samples = tables.read(f"{_table(name)}_samples")
    for row in rows:
        part = samples[samples["law"] == row["law"]]
        if digest(row, part) != row["sha256"]:
            raise ValueError(f"{name}: the law {row['law']!r} or its samples were altered after they were frozen")
        wide = part.pivot(index="sample", columns="parameter", values="value")
        model = registry.find(row["form"])(_selected(row))
        laws[row["law"]] = FrozenLaw(row["law"], row["noise"], row["sha256"], wide[list(model.names)], model)
    return laws


def recipes(name: str) -> list[dict]:
    """The recipe of each law of a frozen set: RECIPE, noise and sha256. Raises ValueError for an unknown set."""
    if name not in names():
        raise ValueError(unknown(name, names(), "frozen fit"))
    return tables.read(_table(name)).fillna({"selection": "", "held": ""}).to_dict("records")


def digest(row: Mapping[str, object], samples: pd.DataFrame) -> str:
    """The sha256 of a recipe with its noise and of its samples, each (sample, parameter, value), in their order."""
    values = [f"{sample} {name} {value:.6g}" for sample, name, value in _triples(samples)]
    text = [*(row[key] for key in RECIPE), f"{row['noise']:.4g}", *values]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


def made(row: Mapping[str, str], seed: int = 0, count: int = 100) -> tuple[float, pd.DataFrame]:
    """(noise, samples) of a recipe fitted to today's runs; samples: law, sample (``count`` of them), parameter, value.

    row: the name of the ``law``, its ``form`` in the registry, ``series`` with spaces between, ``selection`` of their
    runs as pandas' query takes it, and ``held``: parameters as "E=0" or "C=1.39~0.08", drawn anew in each sample with
    that standard deviation; sets of them, between which the samples take turns, stand apart by semicolons.  Sizes, not
    runs, are drawn, as ``fit`` draws them; those of frozen2026 had exponential weights (Rubin 1981), which vary less.
    """
    table = _selected(row)
    generator = np.random.default_rng(seed)
    model = registry.find(row["form"])(table)
    columns, log_loss = model.columns(table), np.log(table["loss"].to_numpy(float))
    sizes = resampling.labels(table, "n_params")
    resamples = resampling.weights(sizes, resampling.strata(table), count, seed)
    variants = [_held(text) for text in row["held"].split(";")]
    fits = [fit(row["form"], table, fixed={name: mean for name, (mean, _) in held.items()}) for held in variants]
    points = []
    for number, weights in enumerate(resamples):
        held, start = variants[number % len(variants)], fits[number % len(fits)].params
        drawn = {name: max(generator.normal(*spread), spread[0] / 10) for name, spread in held.items()}
        bounds = model.bounds | {name: (value,) * 2 for name, value in (model.held | drawn).items()}
        lower, upper = np.log(np.maximum([bounds[name] for name in model.names], 1e-300)).T
        begin = np.log([[start[name] for name in model.names]])
        points.append(
            minimise(
                lambda u: model.log_loss(Parameters(model.names, u), columns) - log_loss,
                *(begin, lower, upper, weights, HUBER),
            )[0][0]
        )
    predicted = np.median(np.exp(model.log_loss(Parameters(model.names, np.array(points)), columns)), axis=0)
    noise = float(np.sqrt(2 * np.mean((predicted - np.exp(log_loss)) ** 2)))
    rows = [
        {"law": row["law"], "sample": number, "parameter": name, "value": float(f"{np.exp(value):.6g}")}
        for number, u in enumerate(points)
        for name, value in zip(model.names, u, strict=True)
    ]
    return float(f"{noise:.4g}"), pd.DataFrame(rows)


def _table(name: str) -> str:
    return f"frozen/{name.removeprefix('frozen')}"


def _held(text: str) -> dict[str, tuple[float, float]]:
    """{parameter: (value, standard deviation)} of "E=0" or "C=1.39~0.08 F=0.41~0.02"."""
    held = {}
    for item in text.split():
        name, _, values = item.partition("=")
        value, _, spread = values.partition("~")
        held[name] = (float(value), float(spread or 0))
    return held


def _selected(row: Mapping[str, str]) -> pd.DataFrame:
    """The runs of a recipe."""
    table = run_tables.load(row["series"].split())
    return table.query(row["selection"], engine="python").reset_index(drop=True) if row["selection"] else table


def _triples(samples: pd.DataFrame) -> zip:
    return zip(samples["sample"], samples["parameter"], samples["value"], strict=True)
