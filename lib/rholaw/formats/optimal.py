"""The mean squared error with which a grid represents a source of unit variance, by partial moments and quadrature.

All sources are symmetric, so that everything is folded onto x ≥ 0, where a partial moment is a difference of tails.
"""

import numpy as np

from .sparsity import NofM, TopK

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def squared_error(levels, sparsity, source, end=np.inf):
    """E[(X − Q(X))²] where Q prunes by ``sparsity``, then rounds survivors to ``levels``; None for either: it does not.

    levels: increasing, already scaled.  end: larger magnitudes are outliers, kept exactly.  Closed form, but for N:M:
    there the chance to survive is an order statistic, and the integral a quadrature over smooth pieces.
    """
    if isinstance(sparsity, NofM):
        return _semi_structured(levels, sparsity, source)
    start = source.magnitude_quantile(sparsity.share) if isinstance(sparsity, TopK) else 0.0
    kept = 0.0 if levels is None else float(np.sum(clipped_error(levels, start, end, source)))
    return kept + 1 - 2 * source.tail_moments(start)[2]


def clipped_error(levels, start, end, source):
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


def _semi_structured(levels, sparsity, source):
    edges = [np.linspace(0, 8, 33), 2.0 ** np.arange(3, 64)]  # heavy tails need far pieces
    if levels is not None:
        midpoints = (levels[1:] + levels[:-1]) / 2
        edges += [np.abs(midpoints[midpoints != 0])]
    edges = np.unique(np.concatenate(edges))
    half_width = np.diff(edges)[:, None] / 2
    x = edges[:-1, None] + half_width * (1 + _NODES)
    f = source.density(x) * _WEIGHTS * half_width
    kept = sparsity.kept(2 * source.tail_moments(x)[0])
    pruned = 2 * np.sum(x * x * (1 - kept) * f)
    if levels is None:
        return float(pruned)
    return float(pruned + np.sum((_error(x, levels) + _error(-x, levels)) * kept * f))


def _error(x, levels):
    return (x - levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, x)]) ** 2
