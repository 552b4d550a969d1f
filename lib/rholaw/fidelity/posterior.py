"""What a few measurements say about κ, floor and scatter, beside what all models say: a posterior on a grid.

    rise = (floor + κ · GMSE) · (1 + scatter · t)        t: Student's with four degrees of freedom

All three are positive and spread over decades, so each has a normal prior in its logarithm. Three numbers need no
sampler: the grid is exact to its spacing, and it is narrowed twice to where the posterior is.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import stdtrit

from .. import tables

NAMES = ("kappa", "floor", "scatter")
SIZES = (61, 51, 9)  # points of the grid, by name
FREEDOM = 4  # of Student's t: one measurement of ten is off by more than the rest would say
DRAWS = 4000


@dataclass(frozen=True)
class Prior:
    """The natural logarithms of κ, floor and scatter before anything is measured: centre and standard deviation."""

    kappa: tuple[float, float]
    floor: tuple[float, float]
    scatter: tuple[float, float]


@cache
def population() -> dict[str, float]:
    """The recorded numbers of the law over models: {name: value} (data/fidelity/population)."""
    table = tables.read("fidelity/population")
    return dict(zip(table["name"], table["value"].astype(float), strict=True))


def any_model() -> Prior:
    """The prior of a model of which nothing is known."""
    known = population()
    return Prior(*((known[f"log_{name}"], known[f"log_{name}_sd"]) for name in NAMES))


def from_prior(prior: Prior, seed: int = 0) -> np.ndarray:
    """κ, floor and scatter before anything is measured, by Student's t, as some models are far away: (DRAWS, 3)."""
    centre, spread = np.transpose([prior.kappa, prior.floor, prior.scatter])
    return np.exp(centre + spread * _standard(seed))


@cache
def _standard(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(FREEDOM, (DRAWS, 3))


def from_measurements(
    gmse: np.ndarray, rise: np.ndarray, stderr: np.ndarray, prior: Prior, seed: int = 0
) -> np.ndarray:
    """κ, floor and scatter given measurements, each (n,): (DRAWS, 3), the same for the same numbers and seed."""
    about = np.array([prior.kappa, prior.floor, prior.scatter])
    low, high = about[:, 0] - 5 * about[:, 1], about[:, 0] + 5 * about[:, 1]
    # data may lie beyond what any model had: the grid must reach them
    low[0] = min(low[0], np.log(max(rise.max(), 1e-6)) - np.log(gmse.max()) - 7)
    high[:2] = np.maximum(high[:2], np.log(max(rise.max(), 1e-6)) + np.array([3 - np.log(gmse.max()), 1.0]))
    for _ in range(3):
        axes = [np.linspace(*ends, size) for *ends, size in zip(low, high, SIZES, strict=True)]
        weights = _density(axes, about, gmse, rise, stderr)
        for i, points in enumerate(axes):
            others = tuple(j for j in range(3) if j != i)
            there = np.flatnonzero(weights.max(axis=others) > 1e-5)
            low[i], high[i] = points[max(there[0] - 1, 0)], points[min(there[-1] + 1, len(points) - 1)]
    random = np.random.default_rng(seed)
    chosen = random.choice(weights.size, DRAWS, p=weights.ravel() / weights.sum())
    cells = np.unravel_index(chosen, weights.shape)
    steps = [points[1] - points[0] for points in axes]  # within a cell the density is taken as flat
    return np.exp(
        np.transpose(
            [
                points[cell] + step * (random.random(DRAWS) - 0.5)
                for points, cell, step in zip(axes, cells, steps, strict=True)
            ]
        )
    )


def _density(axes: list[np.ndarray], about: np.ndarray, gmse: np.ndarray, rise: np.ndarray, stderr: np.ndarray):
    """The posterior at each point of the grid, its maximum 1."""
    log_scatter, log_kappa, log_floor = np.ix_(axes[2], *axes[:2])  # the shortest first: numpy's inner loops are long
    z_kappa, z_floor, z_scatter = (
        (axis - centre) / spread
        for axis, (centre, spread) in zip((log_kappa, log_floor, log_scatter), about, strict=True)
    )
    # models can be far from all others in κ; that is no reason to take what they lose for a floor
    total = -(FREEDOM + 1) / 2 * np.log1p(z_kappa**2 / FREEDOM) - 0.5 * z_floor**2 - 0.5 * z_scatter**2
    for error, value, noise in zip(gmse, rise, stderr, strict=True):
        expected = np.exp(log_floor) + np.exp(log_kappa) * error
        variance = np.exp(2 * log_scatter) * expected**2 + noise**2
        beyond = (value - expected) ** 2 / FREEDOM
        # Student's density of (value − expected) / √variance, over √variance, as two logarithms
        total = total + FREEDOM / 2 * np.log(variance) - (FREEDOM + 1) / 2 * np.log(variance + beyond)
    return np.exp(total - total.max()).transpose(1, 2, 0)


def one_measurement(draws: np.ndarray, gmse: np.ndarray) -> np.ndarray:
    """What a measurement would print, scatter included: (DRAWS, n), for draws (DRAWS, 3) and errors (n,).

    The scatter is that of the logarithm, exp(scatter · t) for 1 + scatter · t, so that nothing printed is negative.
    """
    kappa, floor, scatter = draws.T[:, :, None]
    return (floor + kappa * gmse) * np.exp(scatter * _scattered(len(draws))[:, None])


@cache
def _scattered(count: int) -> np.ndarray:
    """Student's t at as many equal shares, in an order that belongs to no draw."""
    return stdtrit(FREEDOM, (np.random.default_rng(1).permutation(count) + 0.5) / count)
