"""Capacity ρ as a function of GMSE: the paper's three forms, each with its inverse."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares


def effective_bits(gmse):
    """log_{1/4} GMSE: the bits per weight with which an ideal code would reach this error (Shannon: D = 4^-R)."""
    gmse = np.asarray(gmse, dtype=float)
    if (gmse < 0).any() or np.isnan(gmse).any():
        raise ValueError(f"GMSE must not be negative, got {gmse[(gmse < 0) | np.isnan(gmse)].flat[0]}")
    with np.errstate(divide="ignore"):
        return -np.log(gmse) / math.log(4)


@dataclass(frozen=True)
class Curve:
    """ρ = L · tanh(F · log_{1/4} GMSE)^C, and 0 where GMSE ≥ 1 (Panferov et al. 2025, section 3).

    F: how fast capacity rises with effective bits; C: curvature near GMSE = 1; L: where a trainer saturates.
    """

    F: float
    C: float
    L: float = 1.0

    def __post_init__(self):
        _positive(self, "F", "C", "L")

    def __call__(self, gmse):
        """ρ for an array or number of GMSE ≥ 0."""
        return self.L * np.tanh(self.F * np.maximum(effective_bits(gmse), 0)) ** self.C

    def inverse(self, rho):
        """The GMSE at which the curve reaches ρ; ValueError above L, which no GMSE reaches."""
        rho = _reachable(rho, self.L)
        with np.errstate(divide="ignore"):
            return 4.0 ** (-np.arctanh((rho / self.L) ** (1 / self.C)) / self.F)


@dataclass(frozen=True)
class Logistic:
    """ρ = 1 / (1 + B · GMSE^A): the paper's second form (Table 3); it does not vanish at GMSE = 1."""

    A: float
    B: float

    def __post_init__(self):
        _positive(self, "A", "B")

    def __call__(self, gmse):
        """ρ for an array or number of GMSE ≥ 0."""
        effective_bits(gmse)  # refuses negative values
        return 1 / (1 + self.B * np.asarray(gmse, dtype=float) ** self.A)

    def inverse(self, rho):
        """The GMSE at which the curve reaches ρ, above 1 where ρ < 1 / (1 + B); ValueError above 1."""
        rho = _reachable(rho, 1.0)
        with np.errstate(divide="ignore"):
            return ((1 / rho - 1) / self.B) ** (1 / self.A)


@dataclass(frozen=True)
class BoundedLogistic:
    """ρ = (1 − GMSE^A) / (1 + B · GMSE^A), 0 where GMSE ≥ 1: the logistic held to ρ(0) = 1 and ρ(1) = 0 (Table 3)."""

    A: float
    B: float

    def __post_init__(self):
        _positive(self, "A", "B")

    def __call__(self, gmse):
        """ρ for an array or number of GMSE ≥ 0."""
        effective_bits(gmse)  # refuses negative values
        power = np.minimum(np.asarray(gmse, dtype=float), 1) ** self.A
        return (1 - power) / (1 + self.B * power)

    def inverse(self, rho):
        """The GMSE at which the curve reaches ρ; ValueError above 1."""
        rho = _reachable(rho, 1.0)
        return ((1 - rho) / (1 + self.B * rho)) ** (1 / self.A)


def _positive(curve, *names):
    for name in names:
        if not (math.isfinite(value := getattr(curve, name)) and value > 0):
            raise ValueError(f"{type(curve).__name__}: {name} must be positive and finite, got {value}")


def _reachable(rho, limit):
    rho = np.asarray(rho, dtype=float)
    outside = ~((rho >= 0) & (rho <= limit))
    if outside.any():
        raise ValueError(f"no GMSE gives ρ = {rho[outside].flat[0]}; this curve lies between 0 and {limit:g}")
    return rho


@dataclass(frozen=True)
class CurveFit:
    """A curve fitted to pairs of GMSE and ρ: the ``curve``, the ``rmse`` in ρ, and the curves of the bootstrap."""

    curve: Curve | Logistic | BoundedLogistic
    rmse: float
    samples: tuple

    def band(self, gmse, level=0.95):
        """(low, high) arrays of ρ over the bootstrap."""
        rhos = [sample(gmse) for sample in self.samples]
        return tuple(np.quantile(rhos, [(1 - level) / 2, (1 + level) / 2], axis=0))

    def interval(self, name, level=0.95):
        """(low, high) of a parameter over the bootstrap."""
        values = [getattr(sample, name) for sample in self.samples]
        return tuple(np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist())


def fit_curve(form, gmse, rho, n_bootstrap=0, seed=0):
    """The CurveFit of ``form`` (Curve with L = 1, Logistic or BoundedLogistic) by least squares in ρ.

    n_bootstrap: resamples of the pairs, seeded.  Raises ValueError for fewer than three different values of GMSE.
    """
    gmse, rho = np.asarray(gmse, dtype=float), np.asarray(rho, dtype=float)
    if len(np.unique(gmse)) < 3:
        raise ValueError(f"two parameters need three different values of GMSE, got {len(np.unique(gmse))}")

    def solve(rows):
        def residuals(log_parameters):
            return form(*np.exp(log_parameters))(gmse[rows]) - rho[rows]

        start = [-0.8, 0.3] if form is Curve else [0.0, 1.0]
        solution = least_squares(residuals, start, bounds=(-7, 7), xtol=1e-12, ftol=1e-12).x
        return form(*np.exp(solution).tolist())

    everything = np.arange(len(gmse))
    curve = solve(everything)
    generator = np.random.default_rng(seed)
    draws = (generator.choice(everything, len(everything)) for _ in range(n_bootstrap))
    samples = tuple(solve(rows) for rows in draws if len(np.unique(gmse[rows])) >= 3)
    return CurveFit(curve, float(np.sqrt(np.mean((curve(gmse) - rho) ** 2))), samples)


def fit_families(gmse, rho, family, shared=()):
    """({family: Curve with L = 1}, rmse in ρ) by least squares over all pairs at once.

    shared: the parameters, of "F" and "C", that all families have in common.
    """
    gmse, rho, family = np.asarray(gmse, dtype=float), np.asarray(rho, dtype=float), np.asarray(family)
    names = list(dict.fromkeys(family.tolist()))
    width = {name: 1 if name in shared else len(names) for name in "FC"}

    def curves(log_parameters):
        F, C = np.split(np.exp(log_parameters), [width["F"]])
        return {name: Curve(float(F[i % width["F"]]), float(C[i % width["C"]])) for i, name in enumerate(names)}

    def residuals(log_parameters):
        found = curves(log_parameters)
        return np.concatenate([found[name](gmse[family == name]) - rho[family == name] for name in names])

    start = np.repeat([-0.8, 0.3], [width["F"], width["C"]])
    solution = least_squares(residuals, start, bounds=(-7, 7), xtol=1e-12, ftol=1e-12)
    return curves(solution.x), float(np.sqrt(np.mean(solution.fun**2)))
