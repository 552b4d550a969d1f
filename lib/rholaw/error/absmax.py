"""Blocks whose largest magnitude m fixes their scale: the law of m, and the error of the others, which lie below it.

Scales that are stored coarsely stand still between jumps, where E[error; m ≤ t] is a closed form whose differences add
up; finer ones leave one integral over m.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.special import bdtr

from ..distributions import Source
from ..formats.blocks import Block
from ..formats.grids import Grid
from ..formats.optimal import clipped_error
from ..formats.sparsity import NofM, Sparsity, TopK

_NEGLIGIBLE = 1e-20  # probability left out at either end of the integral over m
_SMALLEST = 1e-6  # below it a block adds no more than its square, times the probability to lie there
_TOGETHER = 2**18  # levels × nodes at once
_PIECES = np.concatenate([np.arange(0, 4, 0.25), np.arange(4, 8, 0.5), 2.0 ** np.arange(3, 24, 2), [np.inf]])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)  # in each piece of a density, and of the rounding


@dataclass(frozen=True)
class Blocks:
    """Blocks of ``length`` weights, each an outlier with a chance of ``outliers``, else of the source below ``top``.

    ``top`` may be an array, of which ``given`` then takes an entry for each m.
    """

    element: Grid
    block: Block
    sparsity: Sparsity | None
    source: Source
    length: int
    top: float | np.ndarray = np.inf
    outliers: float = 0.0

    @cached_property
    def reach(self) -> float:
        """What the largest meets, at scale 1."""
        return self.block.rule.reach(self.element)

    @cached_property
    def start(self) -> float:
        """Smaller magnitudes are pruned, whatever their block."""
        return float(self.source.magnitude_quantile(self.sparsity.share)) if isinstance(self.sparsity, TopK) else 0.0

    @cached_property
    def factor(self) -> float | np.ndarray:
        """Density below the top, in units of the source's."""
        return (1 - self.outliers) / (1 - 2 * self.source.tail_moments(self.top)[0])

    def above(self, m: np.ndarray, k: slice = slice(None)) -> np.ndarray:
        """P(a weight lies between m and the top); ``k``: which of the tops."""
        factor, top = (np.ravel(x)[k] if np.ndim(self.top) else x for x in (self.factor, self.top))
        shape = (-1, *[1] * (np.ndim(m) - 1)) if np.ndim(self.top) else ()
        tails = self.source.tail_moments(m)[0] - np.reshape(self.source.tail_moments(top)[0], shape)
        return np.reshape(factor, shape) * 2 * tails

    def scale(self, m: np.ndarray, reach: float) -> np.ndarray:
        """As stored, of blocks whose largest magnitude m meets ``reach``."""
        top = self.top if np.ndim(self.top) == 0 else torch.from_numpy(self.top)
        return self.block.type.of_largest(torch.from_numpy(m), reach, self.element, top).numpy()

    @cached_property
    def edges(self) -> np.ndarray:
        """Of pieces of m, between its extreme quantiles: where the scale jumps; fine ones where it does not."""
        least = 1 - (_NEGLIGIBLE ** (1 / self.length) - self.outliers) / self.factor
        lowest = max(float(self.source.beyond(min(max(least, 0.0), 1.0))), _SMALLEST)
        highest = min(float(self.top), float(self.source.beyond(_NEGLIGIBLE / self.length)))
        type = self.block.type
        if type.smooth:
            edges = [np.geomspace(lowest, highest, 101)]
            if self.start:
                levels = self.element.levels
                midpoints = np.abs(np.concatenate([(levels[1:] + levels[:-1]) / 2, levels]))
                edges += [[self.start], self.start * self.reach / midpoints[midpoints > 0]]
        else:
            edges = [[lowest, highest], type.jumps(self.reach, self.element, self.top, lowest, highest)]
        return np.unique(np.clip(np.concatenate(edges), lowest, highest))

    @property
    def cost(self) -> int:
        """Levels × nodes of ``free``."""
        return self.points(len(self.edges) * (10 if self.block.type.smooth else 2))

    def points(self, nodes: int) -> int:
        """Levels × nodes at so many largest magnitudes."""
        if isinstance(self.sparsity, NofM):
            return nodes * (len(self._cells) + len(_PIECES)) * len(_NODES) * 4  # of which each takes longer
        return nodes * len(self.element.levels)

    def free(self) -> float:
        """The error of a weight, over the law of the largest magnitude of its block."""
        if self.block.type.smooth:
            m, weight = between(self.edges, 10)
            density = 2 * self.factor * self.source.density(m) * np.exp((self.length - 1) * np.log1p(-self.above(m)))
            return float(np.sum(weight * density * self.given(m)))
        # E[Σ error; m ≤ t] at one scale is length × ∫ up to t of the error × P(all others ≤ t), or as much by groups.
        a, b = self.edges[:-1], self.edges[1:]
        scale = self.scale((a + b) / 2, self.reach)
        log_a, log_b = np.log1p(-self.above(a)), np.log1p(-self.above(b))
        if isinstance(self.sparsity, NofM):
            others, n, m = self.length, self.sparsity.n, self.sparsity.m
            at_a, at_b = (self._in_groups(t, scale, n - 1, m - 1) for t in (a, b))
            more = at_b - at_a
        else:
            others = self.length - 1
            at_a, more = self.factor * self._inside(scale, 0.0, a), self.factor * self._inside(scale, a, b)
        value = np.sum(np.exp(others * log_b) * (more - at_a * np.expm1(others * (log_a - log_b))))
        if self.block.rule.needs == "signed largest":  # at +m the error is not that at −m, of which it took the mean
            m, weight = between(self.edges, 4)
            lowest, highest = (self._own(m, np.repeat(scale, 4), sign) for sign in (-1, 1))
            density = self.factor * self.source.density(m) * np.exp((self.length - 1) * np.log1p(-self.above(m)))
            value += np.sum(weight * density * (lowest - highest))
        return float(value)

    def given(self, m: np.ndarray) -> np.ndarray:
        """The expected error of all weights of a block together whose largest magnitude is m."""
        reaches = self.block.rule.reaches(self.element, self.block.type)
        return np.min([self._at_scale(m, self.scale(m, reach)) for reach in reaches], axis=0)

    def _at_scale(self, m, scale):
        own = self._own(m, scale, -1)
        if self.block.rule.needs != "signed largest":  # at −m as often as at m
            own = (own + self._own(m, scale, 1)) / 2
        if isinstance(self.sparsity, NofM):  # its own group has one survivor less to give
            n, group = self.sparsity.n, self.sparsity.m
            beside, elsewhere = (self._in_groups(m, scale, n - k, group - k) for k in (2, 1))
            return own + (group - 1) * beside + (self.length - group) * elsewhere
        return own + (self.length - 1) * self.factor * self._inside(scale, 0.0, m) / (1 - self.above(m))

    def _own(self, m, scale, sign):
        """The squared error of the block's largest, at sign × m in the element's levels."""
        levels, y = self.element.levels, np.divide(sign * m, scale, out=np.zeros_like(m), where=scale > 0)
        nearest = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, y)]
        return np.where((m < self.start) | (scale == 0), m, np.abs(sign * m - scale * nearest)) ** 2

    def _inside(self, scale, low, high):
        """∫ of the squared error over low < |x| ≤ high, times the density of the source."""

        def integral(scale, low, high):
            start = np.clip(self.start, low, high)
            pruned = 2 * (self.source.tail_moments(low)[2] - self.source.tail_moments(start)[2]) if self.start else 0.0
            return clipped_error(scale[:, None] * self.element.levels, start, high, self.source) + pruned

        return sliced(integral, len(self.element.levels), scale, np.broadcast_to(low, high.shape), high)

    @cached_property
    def _cells(self):
        """At scale 1, where the rounding of |x| changes."""
        midpoints = np.abs(self.element.levels[1:] + self.element.levels[:-1]) / 2
        return np.unique(midpoints[midpoints > 0])

    def _in_groups(self, m, scale, spare, rivals):
        """The mean squared error of a weight under N:M, all of its block being ≤ m.

        spare: how many of its ``rivals``, the others of its group, may be larger for it to survive.
        """
        levels = self.element.levels
        midpoints, symmetric = (levels[1:] + levels[:-1]) / 2, np.array_equal(levels, -levels[::-1])

        def mean(m, scale, k):
            edges = np.append(np.multiply.outer(scale, self._cells), np.tile(_PIECES, (len(m), 1)), axis=1)
            edges = np.sort(np.minimum(edges, m[:, None]), axis=1)
            half = np.diff(edges, axis=1)[:, :, None] / 2
            x = (edges[:, :-1, None] + half * (1 + _NODES)).reshape(len(m), -1)
            total = 1 - self.above(m, k)[:, None]
            larger = np.clip((self.above(x, k) - self.above(m, k)[:, None]) / total, 0, 1)
            factor = self.factor if np.ndim(self.factor) == 0 else self.factor[k, None]
            f = factor * self.source.density(x) * (half * _WEIGHTS).reshape(len(m), -1)
            y = np.divide(x, scale[:, None], out=np.zeros_like(x), where=scale[:, None] > 0)
            rounding = sum(
                (x - sign * scale[:, None] * levels[np.searchsorted(midpoints, sign * y)]) ** 2
                for sign in ((1,) if symmetric else (1, -1))
            ) * (2 if symmetric else 1)
            kept = bdtr(spare, rivals, larger) if spare >= 0 and rivals > 0 else np.full_like(x, float(spare >= 0))
            return np.sum(f * (kept * rounding + 2 * (1 - kept) * x * x), axis=1) / total[:, 0]

        return sliced(mean, (len(self._cells) + len(_PIECES)) * len(_NODES), m, scale, np.arange(len(m)))


def sliced(function: Callable, width: int, *arrays: np.ndarray) -> np.ndarray:
    """function(*arrays) in slices of the arrays, for one that takes ``width`` numbers of memory for each entry."""
    step = max(_TOGETHER // width, 1)
    return np.concatenate([function(*(x[i : i + step] for x in arrays)) for i in range(0, len(arrays[0]), step)])


def between(edges: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre between neighbouring edges."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()
