"""The mean squared error with which a grid represents a source of unit variance, and the scale at which it is least.

By partial moments and quadrature. All sources are symmetric, so that everything is folded onto x ≥ 0, where a partial
moment is a difference of tails.
"""

from functools import lru_cache

import numpy as np
from scipy.optimize import minimize_scalar

from ..distributions import Source, source
from .element import Element
from .sparsity import NofM, Sparsity, TopK

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def squared_error(
    levels: np.ndarray | None, sparsity: Sparsity | None, source: Source, end: float = np.inf
) -> float | np.ndarray:
    """E[(X − Q(X))²] where Q prunes by ``sparsity``, then rounds survivors to ``levels``; None for either: it does not.

    levels: (L,) increasing, already scaled; without N:M also (…, L), for errors (…).  end: larger magnitudes are
    outliers, kept exactly.  Closed form, but for N:M: there the chance to survive is an order statistic, and the
    integral a quadrature over smooth pieces.
    """
    if isinstance(sparsity, NofM):
        return _semi_structured(levels, sparsity, source, end)
    start = source.magnitude_quantile(sparsity.share) if isinstance(sparsity, TopK) else 0.0
    kept = 0.0 if levels is None else clipped_error(levels, start, end, source)
    return kept + 1 - 2 * source.tail_moments(start)[2]


def clipped_error(levels: np.ndarray, start: np.ndarray | float, end: np.ndarray | float, source: Source) -> np.ndarray:
    """∫ (x − q(x))² f(x) dx over start ≤ |x| ≤ end; levels (…, L), start and end broadcast against (…)."""
    levels = np.asarray(levels)
    mirrored = -levels[..., ::-1]
    positive = _half(levels, start, end, source)
    return 2 * positive if np.array_equal(levels, mirrored) else positive + _half(mirrored, start, end, source)


def _half(levels, start, end, source):
    start, end = np.asarray(start)[..., None], np.asarray(end)[..., None]
    if (first := max(np.count_nonzero(levels < 0, axis=-1).min() - 1, 0)) > 0:
        levels = levels[..., first:]  # cells that lie below zero hold nothing
    midpoints = np.clip((levels[..., 1:] + levels[..., :-1]) / 2, start, end)
    shape = (*midpoints.shape[:-1], 1)
    edges = np.concatenate([np.broadcast_to(start, shape), midpoints, np.broadcast_to(end, shape)], axis=-1)
    mass, mean, square = (-np.diff(moment, axis=-1) for moment in source.tail_moments(edges))
    return np.sum(square - 2 * levels * mean + levels**2 * mass, axis=-1)


def _semi_structured(levels, sparsity, source, end):
    x, f, kept = _groups(levels, sparsity, source, end)
    pruned = 2 * np.sum(x * x * (1 - kept) * f)
    if levels is None:
        return float(pruned)
    return float(pruned + np.sum((_error(x, levels) + _error(-x, levels)) * kept * f))


def _groups(levels, sparsity, source, end):
    """Under N:M: nodes of |x| up to ``end``, density × weight there, and the chance to survive."""
    edges = [np.linspace(0, 8, 33), 2.0 ** np.arange(3, 64)]  # heavy tails need far pieces
    if levels is not None:
        midpoints = (levels[1:] + levels[:-1]) / 2
        edges += [np.abs(midpoints[midpoints != 0])]
    edges = np.unique(np.minimum(np.concatenate(edges), end))
    half_width = np.diff(edges)[:, None] / 2
    x = edges[:-1, None] + half_width * (1 + _NODES)
    return x, source.density(x) * _WEIGHTS * half_width, sparsity.kept(2 * source.tail_moments(x)[0])


def _error(x, levels):
    return (x - levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, x)]) ** 2


def best_scale(
    levels: np.ndarray, sparsity: Sparsity | None = None, end: float = np.inf, data: Source | None = None
) -> tuple[float, float]:
    """(scale, error): the scale that minimises the mean squared error on ``data`` (a Source; default N(0,1)).

    end: weights of larger magnitude are outliers, stored exactly.  The error of a float grid has a local minimum in
    every octave, so that log-MSE is first scanned over log-scale and the three best hollows are then polished.
    """
    data = data or source("normal")

    def log_error(log_scale):
        error = squared_error(levels * np.exp(log_scale), sparsity, data, end)
        return np.log(max(error, 1e-300))  # of next to nothing that is rounded, a difference may fall below zero

    outer = np.log(max(levels[-1], -levels[0]))
    grid = np.log(np.geomspace(0.25, 64, 65) * min(1.0, end)) - outer  # what is left may all be small
    if isinstance(sparsity, NofM) or len(levels) > 2**10:  # of 16 bits, an array of all would not fit in memory
        values = np.array([log_error(s) for s in grid])
    else:
        values = np.log(np.maximum(squared_error(levels * np.exp(grid)[:, None], sparsity, data, end), 1e-300))
    hollows = [i for i in range(1, 64) if values[i] <= min(values[i - 1], values[i + 1])]
    fits = [
        minimize_scalar(log_error, bounds=(grid[i - 1], grid[i + 1]), method="bounded", options={"xatol": 1e-11})
        for i in sorted(hollows, key=values.__getitem__)[:3]
    ]
    best = min(fits, key=lambda fit: fit.fun)
    return float(np.exp(best.x)), float(np.exp(best.fun))


@lru_cache
def gaussian_scale(element: Element, sparsity: Sparsity | None, outliers: float = 0.0) -> float:
    """The MSE-optimal scale for N(0,1) data of what is left after outliers and sparsity, in units of its RMS.

    outliers: their share.  Points without levels, of vectors and trellises, are made for N(0,1) at scale 1.
    """
    if element.levels is None:
        return 1.0
    data = source("normal")
    end = float(data.magnitude_quantile(1 - outliers)) if outliers else np.inf
    return best_scale(element.levels, sparsity, end)[0] / survivors_rms(sparsity, data, end)


def survivors_rms(sparsity: Sparsity | None, data: Source, end: float = np.inf) -> float:
    """The root mean square of what is rounded: neither pruned nor an outlier, which lie beyond ``end``."""
    if isinstance(sparsity, NofM):
        x, f, kept = _groups(None, sparsity, data, end)
        return float(np.sqrt(np.sum(x * x * kept * f) / np.sum(kept * f)))
    start = data.magnitude_quantile(sparsity.share) if sparsity else 0.0
    (count, _, energy), (beyond, _, far) = data.tail_moments(start), data.tail_moments(end)
    return float(np.sqrt((energy - far) / (count - beyond)))
