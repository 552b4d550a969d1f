"""Capacity ρ as a function of GMSE: the paper's three forms, each with its inverse, and their fits to printed ρ.

A form holds its one formula, ``log_rho``, and what a law needs to fit it: names, limits and first guesses.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from .intervals import percentiles
from .law import constant, numbers


def effective_bits(gmse: ArrayLike) -> np.ndarray:
    """log_{1/4} GMSE: the bits per weight with which an ideal code would reach this error (Shannon: D = 4^-R).

    Infinite where GMSE is 0.  Raises ValueError for a negative GMSE.
    """
    gmse = numbers("GMSE", gmse)
    if (gmse < 0).any() or np.isnan(gmse).any():
        raise ValueError(f"GMSE must not be negative, got {gmse[(gmse < 0) | np.isnan(gmse)].flat[0]}")
    with np.errstate(divide="ignore"):
        return -np.log(gmse) / math.log(4)


class Form:
    """What the forms share: positive parameters, and ρ from ``log_rho``.

    limits: {name: (lower, upper)} of the parameters in a law, in the order of the fields, by the names they have there.
    guesses: first guesses of them, for a law's fit.
    """

    limits: ClassVar[dict[str, tuple[float, float]]]
    guesses: ClassVar[tuple[tuple[float, ...], ...]]
    log_rho: ClassVar[Callable[..., np.ndarray]]

    def __post_init__(self) -> None:
        for name, value in self._values.items():
            constant(f"{type(self).__name__}: {name}", value)

    @property
    def _values(self) -> dict[str, float]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __call__(self, gmse: ArrayLike) -> np.ndarray:
        """ρ for an array or number of GMSE ≥ 0. Raises ValueError for a negative one."""
        with np.errstate(divide="ignore"):
            return np.exp(self.log_rho(effective_bits(gmse), *self._values.values()))


@dataclass(frozen=True)
class Curve(Form):
    """ρ = L · tanh(F · log_{1/4} GMSE)^C, and 0 where GMSE ≥ 1 (Panferov et al. 2025, section 3).

    F: how fast capacity rises with effective bits; C: curvature near GMSE = 1; L: where a trainer saturates.
    """

    F: float
    C: float
    L: float = 1.0

    limits: ClassVar = {"F": (1e-3, 20), "C": (1e-2, 20), "L": (1e-2, 1.5)}
    guesses: ClassVar = ((0.45, 1.2, 1.0), (0.3, 0.6, 1.0))

    @staticmethod
    def log_rho(bits: np.ndarray, F: ArrayLike, C: ArrayLike, L: ArrayLike) -> np.ndarray:
        """log ρ at these effective bits; analytic in the parameters, which may be complex."""
        return np.log(L) + C * np.log(np.tanh(F * np.maximum(bits, 0)))

    def inverse(self, rho: ArrayLike) -> np.ndarray:
        """The GMSE at which the curve reaches ρ; ValueError above L, which no GMSE reaches."""
        rho = _reachable(rho, self.L)
        with np.errstate(divide="ignore"):
            return 4.0 ** (-np.arctanh((rho / self.L) ** (1 / self.C)) / self.F)


@dataclass(frozen=True)
class Logistic(Form):
    """ρ = 1 / (1 + B · GMSE^A): the paper's second form (Table 3); it does not vanish at GMSE = 1."""

    A: float
    B: float

    limits: ClassVar = {"slope": (1e-2, 20), "gain": (1e-3, 1e4)}  # A and B are taken in a law
    guesses: ClassVar = ((0.8, 5.0), (1.2, 20.0))

    @staticmethod
    def log_rho(bits: np.ndarray, slope: ArrayLike, gain: ArrayLike) -> np.ndarray:
        """log ρ at these effective bits; analytic in the parameters, which may be complex."""
        return -np.log1p(gain * np.exp(-slope * bits * math.log(4)))

    def inverse(self, rho: ArrayLike) -> np.ndarray:
        """The GMSE at which the curve reaches ρ, above 1 where ρ < 1 / (1 + B); ValueError above 1."""
        rho = _reachable(rho, 1.0)
        with np.errstate(divide="ignore"):
            return ((1 / rho - 1) / self.B) ** (1 / self.A)


@dataclass(frozen=True)
class BoundedLogistic(Form):
    """ρ = (1 − GMSE^A) / (1 + B · GMSE^A), 0 where GMSE ≥ 1: the logistic held to ρ(0) = 1 and ρ(1) = 0 (Table 3)."""

    A: float
    B: float

    limits: ClassVar = Logistic.limits
    guesses: ClassVar = Logistic.guesses

    @staticmethod
    def log_rho(bits: np.ndarray, slope: ArrayLike, gain: ArrayLike) -> np.ndarray:
        """log ρ at these effective bits; analytic in the parameters, which may be complex."""
        log_power = -slope * np.maximum(bits, 0) * math.log(4)
        return np.log(-np.expm1(log_power)) - np.log1p(gain * np.exp(log_power))

    def inverse(self, rho: ArrayLike) -> np.ndarray:
        """The GMSE at which the curve reaches ρ; ValueError above 1."""
        rho = _reachable(rho, 1.0)
        return ((1 - rho) / (1 + self.B * rho)) ** (1 / self.A)


def _reachable(rho: ArrayLike, limit: float) -> np.ndarray:
    rho = numbers("rho", rho)
    outside = ~((rho >= 0) & (rho <= limit))
    if outside.any():
        raise ValueError(f"no GMSE gives ρ = {rho[outside].flat[0]}; this curve lies between 0 and {limit:g}")
    return rho


@dataclass(frozen=True)
class CurveFit:
    """A curve fitted to pairs of GMSE and ρ: the ``curve``, the ``rmse`` in ρ, and the curves of the bootstrap."""

    curve: Form
    rmse: float
    samples: tuple[Form, ...]

    def band(self, gmse: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) arrays of ρ over the bootstrap."""
        return percentiles([sample(gmse) for sample in self.samples], level)

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """(low, high) of a parameter over the bootstrap."""
        low, high = percentiles([getattr(sample, name) for sample in self.samples], level)
        return float(low), float(high)


def fit_curve(form: type[Form], gmse: ArrayLike, rho: ArrayLike, n_bootstrap: int = 0, seed: int = 0) -> CurveFit:
    """The CurveFit of ``form`` (Curve with L = 1, Logistic or BoundedLogistic) by least squares in ρ.

    gmse, rho: (n,).  n_bootstrap: resamples of the pairs, seeded.  Raises ValueError for fewer than three different
    values of GMSE.
    """
    gmse, rho = np.asarray(gmse, dtype=float), np.asarray(rho, dtype=float)
    if len(np.unique(gmse)) < 3:
        raise ValueError(f"two parameters need three different values of GMSE, got {len(np.unique(gmse))}")

    def solve(rows: np.ndarray) -> Form:
        def curve(log_parameters: np.ndarray) -> Form:
            return form(*np.exp(log_parameters).tolist())

        start = np.log(form.guesses[0][:2])
        return curve(_least_squares(lambda u: curve(u)(gmse[rows]) - rho[rows], start).x)

    everything = np.arange(len(gmse))
    curve = solve(everything)
    generator = np.random.default_rng(seed)
    resamples = (generator.choice(everything, len(everything)) for _ in range(n_bootstrap))
    samples = tuple(solve(rows) for rows in resamples if len(np.unique(gmse[rows])) >= 3)
    return CurveFit(curve, float(np.sqrt(np.mean((curve(gmse) - rho) ** 2))), samples)


def fit_families(
    gmse: ArrayLike, rho: ArrayLike, family: ArrayLike, shared: Iterable[str] = ()
) -> tuple[dict[str, Curve], float]:
    """({family: Curve with L = 1}, rmse in ρ) by least squares over all pairs at once.

    gmse, rho, family: (n,).  shared: the parameters, of "F" and "C", that all families have in common.
    """
    gmse, rho, family = np.asarray(gmse, dtype=float), np.asarray(rho, dtype=float), np.asarray(family)
    names = list(dict.fromkeys(family.tolist()))
    width = {name: 1 if name in shared else len(names) for name in "FC"}

    def curves(log_parameters: np.ndarray) -> dict[str, Curve]:
        F, C = np.split(np.exp(log_parameters), [width["F"]])
        return {name: Curve(float(F[i % width["F"]]), float(C[i % width["C"]])) for i, name in enumerate(names)}

    def residuals(log_parameters: np.ndarray) -> np.ndarray:
        of_family = curves(log_parameters)
        return np.concatenate([of_family[name](gmse[family == name]) - rho[family == name] for name in names])

    solution = _least_squares(residuals, np.repeat(np.log(Curve.guesses[0][:2]), [width["F"], width["C"]]))
    return curves(solution.x), float(np.sqrt(np.mean(solution.fun**2)))


def _least_squares(residuals, start):
    return least_squares(residuals, start, bounds=(-7, 7), xtol=1e-12, ftol=1e-12)
