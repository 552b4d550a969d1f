"""The exact mean squared error of blocks that share a scale, for sources of unit variance, by what their rule needs.

Where a block's scale follows from its largest magnitude m, the law of that is known, a maximum of independent values;
given m, the others are independent and lie within ±m.  One integral over m is left, split wherever the stored scale
jumps.  Where the levels span the block it is an integral over both its ends.
"""

import math

import numpy as np
import torch
from scipy.special import bdtr

from ..distributions import Source
from ..formats.blocks import Block
from ..formats.grids import Grid
from ..formats.optimal import clipped_error, squared_error
from ..formats.sparsity import NofM, Sparsity, TopK

ROW, TENSOR = 4096, 4096**2
"""The sizes that are assumed where a scale covers a whole row or tensor."""

_NEGLIGIBLE = 1e-20  # probability left out at either end of the integral over m


def assumed_length(block: Block) -> int:
    """Weights per scale."""
    return math.prod(block.tile) if block.tile else {"row": ROW, "tensor": TENSOR}[block.size]


def exact_error(
    element: Grid, block: Block, sparsity: Sparsity | None, source: Source, end: float = np.inf
) -> float | None:
    """E[(X − Q(X))²] of a grid in blocks; None where no integral is known.

    end: larger magnitudes are outliers, stored exactly and left out of the scale.
    """
    rule, type = block.rule, block.type
    if rule.needs in ("largest", "signed largest") and type.needs != "everything":
        columns = block.tile[1] if block.tile else assumed_length(block)
        whole_groups = not isinstance(sparsity, NofM) or columns % sparsity.m == 0
        return largest_error(element, block, sparsity, source, end) if whole_groups else None
    if sparsity is not None or np.isfinite(end):
        return None
    if rule.needs == "ends" and type.smooth:
        return ends_error(element, block, source)
    if block.size == "tensor" and (scale := rule.limit(element, source)) is not None:
        scale = scale if type.smooth else float(type.stored(torch.tensor(scale, dtype=torch.float64)))
        return squared_error(element.levels * scale, None, source)
    return None


def largest_error(element: Grid, block: Block, sparsity: Sparsity | None, source: Source, end: float = np.inf) -> float:
    """E[(X − Q(X))²] where the largest magnitude of a block fixes its scale; N:M needs M to divide the block.

    end: as of ``exact_error``.
    """
    if block.type.needs != "largest":
        return _given_tensor(element, block, sparsity, source, end, None)
    # The scales of all blocks hang on the largest magnitude of the tensor: an average over its law.
    nodes, weights = _legendre(0, 1, 16)
    tensors = source.magnitude_quantile(np.exp(np.log(nodes) / TENSOR))
    return float(weights @ [_given_tensor(element, block, sparsity, source, end, top) for top in tensors])


def _given_tensor(
    element: Grid, block: Block, sparsity: Sparsity | None, source: Source, end: float, top: float | None
) -> float:
    length, reach, signed = assumed_length(block), block.rule.reach(element), block.rule.needs == "signed largest"
    outer = min(end, np.inf if top is None else top)

    def below(m):  # of one weight: an outlier, or a magnitude up to m
        return 1 - 2 * (source.tail_moments(m)[0] - (source.tail_moments(outer)[0] if np.isfinite(outer) else 0.0))

    m, weight = _nodes(element, block, source, length, reach, outer, sparsity, top)
    scale = block.type.of_largest(torch.from_numpy(m), reach, element, top).numpy()
    levels = scale[:, None] * (-element.levels[::-1] if signed else element.levels)
    start = source.magnitude_quantile(sparsity.share) if isinstance(sparsity, TopK) else 0.0
    largest = _at(m, levels, start)
    if not signed:  # at −m as often as at m
        largest = (largest + _at(m, -levels[:, ::-1], start)) / 2
    if isinstance(sparsity, NofM):
        others = _groups(m, element, scale, sparsity, source, length, below)
    else:
        pruned = 1 - 2 * source.tail_moments(np.minimum(start, m))[2] if start else 0.0
        inside = clipped_error(levels, np.minimum(start, m), m, source) + pruned
        others = (length - 1) * inside / below(m)
    density = 2 * source.density(m) * np.exp((length - 1) * np.log(below(m)))  # of m, over the length
    return float(np.sum(weight * density * (largest + others)))


def _at(m, levels, start):
    """The squared error of the block's largest value, at +m."""
    nearest = np.take_along_axis(levels, np.abs(levels - m[:, None]).argmin(axis=1)[:, None], axis=1)[:, 0]
    return np.where(m < start, m, m - nearest) ** 2


def _groups(m, element, scale, sparsity, source, length, below):
    """The summed error of all weights but the largest, under N:M: its own group has one survivor less to give."""
    nodes, weights = _legendre(-1, 1, 8)
    midpoints = (element.levels[1:] + element.levels[:-1]) / 2
    ends = np.concatenate([[0.0], np.unique(np.abs(midpoints[midpoints != 0])), [np.inf]])
    edges = np.minimum(ends * scale[:, None], m[:, None])
    half = np.diff(edges, axis=1)[:, :, None] / 2
    x = (edges[:, :-1, None] + half * (1 + nodes)).reshape(len(m), -1)
    f = source.density(x) * (half * weights).reshape(len(m), -1)
    total = below(m)[:, None]
    larger = np.clip((total - below(x)) / total, 0, 1)
    y, symmetric = x / scale[:, None], np.array_equal(element.levels, -element.levels[::-1])
    rounding = sum(
        (y - sign * element.levels[np.searchsorted(midpoints, sign * y)]) ** 2
        for sign in ((1,) if symmetric else (1, -1))
    )
    rounding *= scale[:, None] ** 2 * (2 if symmetric else 1)
    n, group = sparsity.n, sparsity.m
    shares = [(group - 1, n - 2, group - 2), (length - group, n - 1, group - 1)]  # how many, survivors left, rivals
    error = 0.0
    for count, spare, rivals in shares:
        kept = bdtr(spare, rivals, larger) if spare >= 0 and rivals > 0 else np.full_like(x, float(spare >= 0))
        error = error + count * np.sum(f * (kept * rounding + 2 * (1 - kept) * x * x), axis=1)
    return error / total[:, 0]


def _nodes(element, block, source, length, reach, outer, sparsity, top):
    """Nodes and weights over m: between its extreme quantiles, split at the jumps of the scale and at kinks."""
    outliers = 2 * float(source.tail_moments(outer)[0]) if np.isfinite(outer) else 0.0
    lowest = max(source.magnitude_quantile(max(_NEGLIGIBLE ** (1 / length) - outliers, 0.0)), 1e-9)
    highest = min(outer, float(source.distribution.isf(_NEGLIGIBLE / length / 2)))
    type = block.type
    edges = [
        np.geomspace(lowest, highest, 100 if type.smooth else 25),
        type.jumps(reach, element, top, lowest, highest),
    ]
    order = 4 if type.any_scale and not type.smooth else 10  # floats jump so often that few nodes do in between
    if isinstance(sparsity, TopK):
        start = source.magnitude_quantile(sparsity.share)
        midpoints = np.abs(np.concatenate([(element.levels[1:] + element.levels[:-1]) / 2, element.levels]))
        edges += [[start], start * reach / midpoints[midpoints > 0]]
    edges = np.unique(np.clip(np.concatenate(edges), lowest, highest))
    if not type.smooth:  # where m itself passes from one level to the next while the scale stands still
        scale = type.of_largest(torch.from_numpy((edges[1:] + edges[:-1]) / 2), reach, element, top).numpy()
        passes = np.abs((element.levels[1:] + element.levels[:-1]) / 2) * scale[:, None]
        edges = np.unique(np.append(edges, passes[(passes > edges[:-1, None]) & (passes < edges[1:, None])]))
    nodes, weights = _legendre(-1, 1, order)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()


def _legendre(low, high, order):
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


def ends_error(element: Grid, block: Block, source: Source) -> float:
    """E[(X − Q(X))²] where the grid spans the block from its minimum to its maximum, with scales in fp32.

    The two ends are represented exactly; the others lie between them, an integral over the joint law of both.
    """
    length = assumed_length(block)
    reach = float(source.distribution.isf(_NEGLIGIBLE / length))
    nodes, weights = _legendre(-1, 1, 12)
    edges = np.linspace(-reach, reach, 31)
    half = np.diff(edges)[:, None] / 2
    x, w = (edges[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()
    cdf, f = source.distribution.cdf(x), source.density(x)
    low, high = np.nonzero(np.triu(np.ones((len(x), len(x))), 1))
    inside = cdf[high] - cdf[low]
    mass = length * (length - 1) * w[low] * w[high] * f[low] * f[high] * inside ** (length - 3)
    relevant = mass * inside > 1e-18
    low, high, mass = low[relevant], high[relevant], mass[relevant]
    step = (x[high] - x[low]) / (element.count - 1)
    levels = x[low][:, None] + step[:, None] * element.levels
    return float(np.sum(mass * (length - 2) / length * _between(levels, x[low], x[high], source)))


def _between(levels, low, high, source):
    """∫_low^high (x − q(x))² f(x) dx for levels that begin at ``low`` and end at ``high``."""
    edges = np.concatenate([low[:, None], (levels[:, 1:] + levels[:, :-1]) / 2, high[:, None]], axis=1)
    tails = source.tail_moments(np.abs(edges))
    flip = np.sign(edges)
    below = [np.where(flip > 0, 1 - tails[0], tails[0]), -tails[1], np.where(flip > 0, 1 - tails[2], tails[2])]
    mass, mean, square = (np.diff(moment, axis=1) for moment in below)
    return np.sum(square - 2 * levels * mean + levels**2 * mass, axis=1)
