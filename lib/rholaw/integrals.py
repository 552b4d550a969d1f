"""The mean squared error with which a grid at a scale, after sparsity, represents a source of unit variance: exact.

All sources are symmetric, so that everything is folded onto x ≥ 0, where a partial moment is a difference of tails.
"""

import numpy as np

from .sparsity import NofM, TopK

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def squared_error(levels, sparsity, source):
    """E[(X − Q(X))²] where Q prunes by ``sparsity``, then rounds survivors to ``levels``; None for either: it does not.

    levels: increasing, already scaled.  Closed form, but for N:M: there the chance to survive is an order statistic,
    and the integral a Gauss-Legendre quadrature over smooth pieces, exact to rounding.
    """
    if isinstance(sparsity, NofM):
        return _semi_structured(levels, sparsity, source)
    start = source.magnitude_quantile(sparsity.share) if isinstance(sparsity, TopK) else 0.0
    kept = 0.0 if levels is None else _half(levels, start, source) + _half(-levels[::-1], start, source)
    return kept + 1 - 2 * source.tail_moments(start)[2]


def _half(levels, start, source):
    """∫_start^∞ (x − q(x))² f(x) dx."""
    edges = np.concatenate([[start], np.maximum((levels[1:] + levels[:-1]) / 2, start), [np.inf]])
    mass, first, second = (-np.diff(moment) for moment in source.tail_moments(edges))
    return float(np.sum(second - 2 * levels * first + levels**2 * mass))


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
