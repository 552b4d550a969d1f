"""A law fitted to runs: its parameters and what they are worth, its predictions, capacities and curves."""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..formats.format import Format
from ..formats.grammar import parse
from .chinchilla import Chinchilla
from .curvature import IDENTIFIED_SE
from .curves import Form
from .intervals import few_clusters, percentiles, widened
from .law import Law, positive
from .parameters import Parameters
from .reach import Prediction, Reach, outside
from .training_length import TOKENS_PER_PARAM

WIDEST = 3.5
"""Of the standard error of a logarithm: beyond a factor of a thousand a parameter is free."""


@dataclass(frozen=True)
class Fit:
    """A law fitted to runs.

    params: {name: value}; one that the data do not identify still has the value that minimises the objective, and
    ``identified`` says not to quote it.  exact: what is exactly determined, by too few runs or sizes to say how well;
    it has no interval.  status: "converged", "bound hit: …" or "not converged".  objective: Σ Huber of the log-loss
    residuals.  intervals: {name: (low, high)}, 95 % bootstrap percentiles, none without a bootstrap or for what is held
    or exact, and conditional on a bound where one is hit.  residuals: log predicted − log observed, (n,).  samples: the
    parameters refitted to each resample, a row each, by name; clusters: how many were resampled.  standard_errors: of
    the logarithms of the free parameters, by the bootstrap; infinite where the runs leave one free, nan where it is
    exact and without a bootstrap.  identified: by the bootstrap and by the curvature, since resamples of few runs may
    agree on what others fit as well; without a bootstrap by the curvature alone.
    reach: of the fitted runs.  condition: largest over smallest singular value of the Jacobian by the logarithms of the
    free parameters; 1e6 and more says that some combination of them is free.  aic: 2 k − 2 log likelihood, for
    residuals that are independent with the density exp(−huber(r) / s), of which this fit is the maximum; its s counts
    as a parameter.  flat: (K, P), directions in the logarithms of the free parameters that change no residual.
    confounded: whether D goes with N in the runs and the term of D is not held: ρ and that term are not told apart.
    remarks: sentences on what the choice of the runs keeps any fit to them from knowing.
    """

    name: str
    params: dict[str, float]
    status: str
    objective: float
    intervals: dict[str, tuple[float, float]]
    identified: dict[str, bool]
    residuals: np.ndarray = field(repr=False)
    samples: pd.DataFrame = field(repr=False)
    model: Chinchilla = field(repr=False)
    standard_errors: dict[str, float] = field(repr=False)
    condition: float = field(repr=False)
    aic: float = field(repr=False)
    reach: Reach = field(repr=False)
    clusters: int = field(repr=False)
    flat: np.ndarray = field(repr=False)
    confounded: bool = False
    exact: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def rmse(self) -> float:
        """Root mean square of the log residuals: a relative error of the loss."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    @property
    def pairs(self) -> tuple[tuple[Format, Format], ...]:
        """The formats of (weights, activations) that the runs had, without the dense ones."""
        return self.model.pairs

    @property
    def families(self) -> tuple[str, ...]:
        """The families of formats with a ``curve``; none for a law that reads no ρ off GMSE."""
        return self.model.families

    @property
    def _points(self) -> Parameters:
        """The fitted parameters."""
        return Parameters(tuple(self.params), np.log(list(self.params.values())))

    @property
    def _resamples(self) -> Parameters:
        """The parameters of every resample: (S, P)."""
        return Parameters(tuple(self.params), np.log(self.samples.to_numpy()))

    def predict(self, runs: pd.DataFrame) -> np.ndarray:
        """Loss of each run, (n,), in nats per token. Raises ValueError for a format that the law cannot predict."""
        return np.exp(self.model.log_loss(self._points, self.model.columns(runs)))

    def predict_interval(self, runs: pd.DataFrame, level: float = 0.95, noise: bool = True) -> Prediction:
        """The Prediction (low, high) of each run: the bootstrap's spread and the noise of a run, in quadrature.

        The spread is widened by Student's t for the few clusters that it comes of.  What moves all runs of a size moves
        the spread, and stands in the residuals of that size too.  Of a run whose size and formats were fitted the
        larger counts alone, the spread or the residuals, as leaving one run out would have them: of n runs and p
        parameters n / (n − p) times as large, on average (Allen 1974; Barber et al. 2021).
        noise: False leaves the noise out, for the mean of many runs.  Outside the N, D or D/N of the fitted runs both
        ends move away from the prediction, by 1 + the distance in e-folds: a factor with which they hold 95 % and
        more of the runs beyond the edges of six real series (bench/intervals.py).  Raises ValueError without a
        bootstrap, and as ``predict``.
        """
        self._needs_samples()
        columns = self.model.columns(runs)
        middle, samples = (self.model.log_loss(p, columns) for p in (self._points, self._resamples))
        few, among = few_clusters(self.clusters, level), self.reach.among(runs)
        scatter = self.noise(level) * np.where(among, self._freedom, 1.0) if noise else 0.0
        low, high = widened(middle, samples, scatter, level, few, shared=among)
        distances = self.reach.distances(runs)
        wider = 1 + distances.max(axis=1)
        with np.errstate(over="ignore"):
            ends = (np.exp(middle + wider * (end - middle)) for end in (low, high))
        return Prediction(*ends, outside(distances))

    def noise(self, level: float = 0.95) -> float:
        """The |log residual| that this share of runs stays within, widened for the parameters that were fitted.

        Infinite where there are no more runs than free parameters.
        """
        return float(np.quantile(np.abs(self.residuals), level)) * self._freedom

    @property
    def _freedom(self) -> float:
        """√(n / (n − p)): by what n runs with p free parameters scatter more about a law than about their fit."""
        left = len(self.residuals) - len(self.standard_errors)
        return math.sqrt(len(self.residuals) / left) if left > 0 else math.inf

    def log_errors(self, runs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """log predicted − log observed of runs, seen or not: (n,), and for each resample (S, n)."""
        observed, columns = np.log(runs["loss"].to_numpy(float)), self.model.columns(runs)
        points, resamples = (self.model.log_loss(p, columns) for p in (self._points, self._resamples))
        return points - observed, resamples - observed

    def score(self, runs: pd.DataFrame) -> dict[str, float]:
        """How well the fit predicts runs, seen or not: the ``summary`` of its errors.

        Raises ValueError for a format that the law cannot predict.
        """
        return summary(*self.log_errors(runs))

    def capacity(
        self,
        weights: str | Format,
        activations: str | Format = "dense",
        level: float = 0.95,
        *,
        tokens_per_param: float = TOKENS_PER_PARAM,
    ) -> tuple[float, float, float]:
        """(ρ, low, high) of a pair of formats; low and high are nan without a bootstrap, and where ρ is exact.

        All are nan where the runs leave ρ open: of one size, since a loss is no size then, and where D goes with N,
        since the terms of both are not told apart, unless that of D is held.
        tokens_per_param: D/N of the training, on which ρ depends in the laws "…-tokens".  Raises ValueError for a law
        in which a format is no factor on N, and for formats that it cannot express.
        """

        def at(u: np.ndarray) -> np.ndarray:
            p = Parameters(tuple(self.params), u)
            return capacities(self.name, self.model, p, weights, activations, tokens_per_param)

        u = self._points.u
        steps = u + 1j * 1e-30 * np.eye(len(u))  # complex ones, as the Jacobian
        rho, slopes = float(at(u)), at(steps).imag / 1e-30
        on = {name for name, slope in zip(self.params, slopes, strict=True) if slope != 0}
        if on and (self.confounded or self._changes_nothing(slopes)):
            return np.nan, np.nan, np.nan
        if self.samples.empty or not on or on & {*self.exact}:
            return rho, np.nan, np.nan
        low, high = percentiles(self.capacity_draws(weights, activations, tokens_per_param=tokens_per_param), level)
        return rho, float(low), float(high)

    def _changes_nothing(self, slopes: np.ndarray) -> bool:
        """Whether what has these slopes, (P,), moves along a direction that no residual notices."""
        free = np.array([name in self.standard_errors for name in self.params])
        return bool((np.abs(self.flat @ slopes[free]) > 1e-3 * np.abs(slopes).max()).any())

    def capacity_draws(
        self,
        weights: str | Format,
        activations: str | Format = "dense",
        *,
        tokens_per_param: ArrayLike = TOKENS_PER_PARAM,
    ) -> np.ndarray:
        """ρ of a pair of formats for each resample, (S,). Raises ValueError as ``capacity``.

        tokens_per_param: one number, or one for each resample.
        """
        return capacities(self.name, self.model, self._resamples, weights, activations, tokens_per_param)

    def law(self, series: str | None = None) -> Law:
        """The part that all formats share, as a Law. Raises ValueError where it is not A N^-α + B D^-β + E.

        series: whose E, where each has its own; the first where none is named.
        """
        if not self.model.dense_is_chinchilla:
            raise ValueError(f"the dense part of the law {self.name!r} is not A N^-α + B D^-β + E")
        E = self.params[self.model.level(series)]
        return Law(**{name: self.params[name] for name in ("A", "alpha", "B", "beta")}, E=E)

    def curve(self, family: str = "quantised") -> Form:
        """The capacity curve of a family (the laws "unified…" only; the family of a composed error is "composed").

        Raises ValueError for another law, or a family without runs.
        """
        self._needs_curves()
        return self.model.curve(family, self.params)

    def curves(self, family: str = "quantised") -> list[Form]:
        """The capacity curve of a family for each resample. Raises ValueError as ``curve``."""
        self._needs_curves()
        return [self.model.curve(family, params) for params in self.samples.to_dict("records")]

    def table(self) -> pd.DataFrame:
        """A row per parameter: value, interval, whether the data identify it ("yes", "no" or "held"), and why not.

        Values are missing where they do not; a parameter that was held has a value and no interval.
        """
        rows = {}
        for name, value in self.params.items():
            low, high = self.intervals.get(name, (np.nan, np.nan))
            if name not in self.standard_errors:
                rows[name] = (value, np.nan, np.nan, "held", "given, not fitted")
            elif self.identified[name]:
                why = "by the curvature alone: a bootstrap would tell better" if self.samples.empty else ""
                why = "exactly determined: too few runs for an interval" if name in self.exact else why
                rows[name] = (value, low, high, "yes", why)
            else:
                rows[name] = (*(np.nan,) * 3, "no", self._open(name))
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "identified", "why"])

    def _open(self, name: str) -> str:
        """Why a parameter is not identified."""
        error = self.standard_errors[name]
        if self.confounded and name in self.model.capacity_names:
            return "ρ and the term of D are not told apart: in these runs D goes with N"
        if np.isnan(error):
            return "hardly known: a bootstrap would say how far"
        if error * few_clusters(self.clusters) < IDENTIFIED_SE:
            return "its resamples agree, but other values of it fit these runs nearly as well"
        if error < WIDEST:
            return f"known to a factor of {np.exp(1.96 * error):.2g} only"
        at = self.status.removeprefix("bound hit: ").split(", ") if self.status.startswith("bound hit") else ()
        if name in at:
            return "it ended on its bound"
        return "other parameters can make up for it: these runs leave it free"

    def _needs_samples(self) -> None:
        if self.samples.empty:
            raise ValueError("this fit has no bootstrap: fit with n_bootstrap of 100 or more for intervals")

    def _needs_curves(self) -> None:
        if not self.families:
            raise ValueError(f"the law {self.name!r} has no curve of ρ over GMSE")


def capacities(
    name: str,
    model: Chinchilla,
    p: Parameters,
    weights: str | Format,
    activations: str | Format,
    tokens_per_param: ArrayLike,
) -> np.ndarray:
    """ρ of a pair of formats at each point of the parameters, (…,). Raises ValueError as ``Fit.capacity``."""
    if not model.has_capacity:
        raise ValueError(f"the law {name!r} has no ρ: in it a format is no factor on N")
    (ratio,) = positive(tokens_per_param=tokens_per_param)
    columns = model.format_columns([(parse(weights), parse(activations))])
    columns |= {"n": 0.0, "d": np.log(ratio)[..., None]}
    rho = np.exp(model.log_rho(p, columns))
    return np.broadcast_to(rho, (*p.u.shape[:-1], 1))[..., 0]


def summary(errors: np.ndarray, spread: np.ndarray) -> dict[str, float]:
    """log_rmse, its 95 % range low and high over resamples (else nan), bias (the mean) and worst (largest magnitude).

    errors: log predicted − log observed, (n,); spread: the same for each resample, (S, n).
    """
    rms = np.sqrt(np.mean(spread**2, axis=1))
    low, high = percentiles(rms) if len(rms) else (np.nan, np.nan)
    return {
        "log_rmse": float(np.sqrt(np.mean(errors**2))),
        "low": float(low),
        "high": float(high),
        "bias": float(errors.mean()),
        "worst": float(np.abs(errors).max()),
    }
