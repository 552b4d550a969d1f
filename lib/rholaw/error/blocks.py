"""The exact mean squared error of blocks that share a scale, for sources of unit variance, by what their rule needs.

Where a block's scale follows from its largest magnitude, the law of that is known (``absmax``).  Outliers, and scales
that look at a whole tensor, add the largest magnitude of the tensor, over whose law is averaged.  Where the levels span
the block it is an integral over both its ends.
"""

import math

import numpy as np
import torch
from scipy.special import betainc, betaincinv, ndtr, ndtri

from ..distributions import Source
from ..formats.blocks import Block
from ..formats.grids import Grid
from ..formats.optimal import squared_error
from ..formats.sparsity import NofM, Sparsity, TopK
from .absmax import Blocks, between, sliced

Shape = tuple[int, int]
SQUARE: Shape = 4096, 4096
"""Rows and columns of the tensor that is assumed where a scale depends on all of a row or tensor."""
LONG = 2**16
"""So many weights count as without end: the scatter of their means and quantiles adds about 1 / LONG to an error."""
LIMIT = 2**25
"""Levels × nodes that an integral may take, about two seconds; what would take more is sampled."""

_NEGLIGIBLE = 1e-20  # probability left out at either end of an integral


def outliers_among(weights: int, share: float) -> int:
    """How many ``Outliers`` of this share a tensor of so many weights has."""
    return weights - round((1 - share) * weights)


def exact_error(
    element: Grid,
    block: Block,
    sparsity: Sparsity | None,
    source: Source,
    outliers: float = 0.0,
    shape: Shape = SQUARE,
) -> float | None:
    """E[(X − Q(X))²] of a grid in blocks of a tensor of this shape; None where no integral is known, or a long one.

    outliers: the share of the largest magnitudes that is stored apart and left out of the scales; their own error is
    not part of the value.
    """
    rule, type = block.rule, block.type
    if math.prod(shape) < LONG and (outliers or isinstance(sparsity, TopK)):
        return None
    if rule.needs in ("largest", "signed largest") and type.needs != "everything":
        columns = block.tile[1] if block.tile else shape[1]
        if isinstance(sparsity, NofM) and (outliers or columns % sparsity.m):
            return None
        return _largest_error(element, block, sparsity, source, outliers, shape)
    if sparsity is not None or outliers:
        return None
    if rule.needs == "ends" and type.smooth:
        return ends_error(element, block.length(shape), source)
    if block.size == "tensor" and math.prod(shape) >= LONG and (scale := rule.limit(element, source)) is not None:
        scale = scale if type.smooth else float(type.stored(torch.tensor(scale, dtype=torch.float64)))
        return squared_error(element.levels * scale, None, source)
    return None


def _largest_error(element, block, sparsity, source, outliers, shape) -> float | None:
    """Where the largest magnitude of a block fixes its scale; N:M needs M to divide the block."""
    weights, length = math.prod(shape), block.length(shape)
    if not outliers and block.size != "tensor" and block.type.needs == "nothing":
        alone = Blocks(element, block, sparsity, source, length)
        return alone.free() if alone.cost <= LIMIT else None
    count = outliers_among(weights, outliers)
    jumps = ()
    if block.size == "tensor" and block.type.needs == "nothing":
        ends = [float(source.beyond(betaincinv(count + 1, weights - count, ndtr(z)))) for z in (7.5, -7.5)]
        jumps = block.type.jumps(block.rule.reach(element), element, None, *ends)
    tops, chances = _tops(source, weights, count, jumps)
    around = Blocks(element, block, sparsity, source, length, tops, count / max(weights - 1, 1))
    # The block that holds the largest, one of weights / length, and then all others, whose largest is free below it.
    value = float(chances @ around.given(tops)) / weights
    if length >= weights:
        return value if around.points(len(tops)) <= LIMIT else None
    below = [Blocks(element, block, sparsity, source, length, top, around.outliers) for top in tops]
    if sum(one.cost for one in below) > LIMIT:
        return None
    return value + (1 - length / weights) * float(chances @ [one.free() for one in below])


def _tops(source: Source, weights: int, outliers: int, jumps: np.ndarray | tuple) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and probabilities of the largest magnitude among ``weights`` but for ``outliers``: an order statistic.

    As a function of a standard normal z it is smooth; it is split at the ``jumps`` of what depends on it.
    """
    if len(jumps) == 0:
        z, chances = np.polynomial.hermite_e.hermegauss(10)
        chances = chances / chances.sum()
    else:
        kinks = -ndtri(betainc(outliers + 1, weights - outliers, 2 * source.tail_moments(np.asarray(jumps))[0]))
        edges = np.unique(np.append(np.linspace(-7.5, 7.5, 16), kinks[np.abs(kinks) < 7.5]))
        z, chances = between(edges, 8 if len(edges) < 64 else 3)
        chances = chances * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return source.beyond(betaincinv(outliers + 1, weights - outliers, ndtr(-z))), chances


def searched_errors(
    element: Grid,
    block: Block,
    sparsity: Sparsity | None,
    source: Source,
    outliers: float,
    shape: Shape,
    rng: np.random.Generator,
    samples: int,
) -> np.ndarray:
    """Samples of E[(X − Q(X))²] given the largest magnitudes, where a block tries several reaches; from ``LONG`` on.

    In blocks so long the best reach is that of least expected error.
    """
    weights, length = math.prod(shape), block.length(shape)
    count = outliers_among(weights, outliers)
    tops = source.beyond(betaincinv(count + 1, weights - count, rng.random(samples)))
    blocks = Blocks(element, block, sparsity, source, length, tops, count / weights)
    between = -np.expm1(np.log(rng.random(samples)) / length) / (2 * blocks.factor)
    m = source.beyond(2 * (between + source.tail_moments(tops)[0]))
    share = length / weights
    return (share * blocks.given(tops) + ((1 - share) * blocks.given(m) if share < 1 else 0.0)) / length


def ends_error(element: Grid, length: int, source: Source) -> float:
    """E[(X − Q(X))²] where the grid spans the block from its minimum to its maximum, with scales in fp32.

    The two ends are represented exactly; the others lie between them, an integral over the joint law of both.
    """
    if length <= 2:
        return 0.0
    reach = float(source.beyond(2 * _NEGLIGIBLE / length))
    least = float(source.exceeded(-np.expm1(np.log(_NEGLIGIBLE) / length)))
    edges = np.linspace(max(least, -reach), reach, 25)
    x, w = between(np.unique(np.append(edges, max(edges[0], 0.0))), 10)  # Laplace has a kink at zero
    tail, f = source.tail_moments(np.abs(x))[0], source.density(x) * w
    tail = np.where(x < 0, 1 - tail, tail)
    low, high = np.nonzero(x >= np.abs(x[:, None]))  # the minimum is −x[low]; as often it is the other way round
    outside = tail[low] + tail[high]
    chance = np.where(x[low] == x[high], 1.0, 2.0) * length * (length - 1) * f[low] * f[high]
    with np.errstate(divide="ignore"):
        chance = chance * np.exp((length - 3) * np.log1p(-np.minimum(outside, 1.0)))
    relevant = (chance * (1 - outside) > 1e-18) & (x[high] > -x[low])
    low, high, chance = -x[low][relevant], x[high][relevant], chance[relevant]
    inside = sliced(lambda a, b: _spanned(element, a, b, source), len(element.levels), low, high)
    return float(np.sum(chance * (length - 2) / length * inside))


def _spanned(element, low, high, source):
    """∫_low^high (x − q(x))² f(x) dx for levels that begin at ``low`` and end at ``high``."""
    levels = low[:, None] + ((high - low) / (element.count - 1))[:, None] * element.levels
    edges = np.concatenate([low[:, None], (levels[:, 1:] + levels[:, :-1]) / 2, high[:, None]], axis=1)
    tails = source.tail_moments(np.abs(edges))
    flip = np.sign(edges)
    below = [np.where(flip > 0, 1 - tails[0], tails[0]), -tails[1], np.where(flip > 0, 1 - tails[2], tails[2])]
    mass, mean, square = (np.diff(moment, axis=1) for moment in below)
    return np.sum(square - 2 * levels * mean + levels**2 * mass, axis=1)
