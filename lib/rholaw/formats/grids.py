"""The values that a number may take: uniform and floating-point grids, and codebooks of chosen levels.

A grid is a set of levels at scale 1. It rounds to the nearest of them and saturates at the outermost. A grid knows
nothing of the data: ``blocks`` and ``optimal`` scale it.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from scipy.linalg import solve_banded
from scipy.special import ndtri
from torch import Tensor

from ..distributions import Source, source
from .element import Element

_EXPONENT_BITS = {torch.float32: (torch.int32, 0x7F800000), torch.float64: (torch.int64, 0x7FF0000000000000)}


class Grid(Element):
    """Numbers: one weight a code, and increasing ``levels``."""

    dim = 1

    @property
    def reach(self) -> float:
        """What the largest magnitude of a block meets by the rule "absmax", at scale 1."""
        raise NotImplementedError

    def round(self, x: Tensor) -> Tensor:
        """The nearest level to each value; ``x`` of any shape, float32 or float64, is kept."""
        return self.round_(x.clone())


@dataclass(frozen=True)
class Uniform(Grid):
    """Equally spaced levels, one apart, from ``lowest``: integers (mid-tread), or halves between them (mid-rise).

    A tie goes to the even integer on a mid-tread grid, as in integer hardware, and up on a mid-rise grid.
    """

    name: str
    bits: float
    lowest: float
    count: int
    kind = "integer"

    @cached_property
    def levels(self) -> np.ndarray:
        """As ``Element.levels``."""
        return self.lowest + np.arange(self.count)

    @property
    def reach(self) -> float:
        """As ``Grid.reach``: half the width of the grid."""
        return (self.count - 1) / 2

    def round_(self, x: Tensor) -> Tensor:
        """As ``Element.round_``."""
        y = x.round_() if self.lowest == int(self.lowest) else x.floor_().add_(0.5)
        return y.clamp_(self.lowest, self.lowest + self.count - 1)


@dataclass(frozen=True)
class Float(Grid):
    """Sign, exponent and mantissa bits with IEEE-style bias and subnormals; magnitudes end at ``largest``.

    Ties go to the even code, and to the larger magnitude where no mantissa bit can be even (IEEE 754, section 4.3.1).
    """

    name: str
    exponent: int
    mantissa: int
    largest: float
    kind = "float"

    @property
    def reach(self) -> float:
        """As ``Grid.reach``: the largest value."""
        return self.largest

    @property
    def bits(self) -> int:
        """As ``Element.bits``."""
        return 1 + self.exponent + self.mantissa

    @property
    def smallest_normal(self) -> float:
        """The least magnitude with a full mantissa: 2^(1 − bias)."""
        return 2.0 ** (2 - 2 ** (self.exponent - 1))

    @cached_property
    def levels(self) -> np.ndarray:
        """As ``Element.levels``."""
        codes = np.arange(2 ** (self.exponent + self.mantissa))
        fraction, power = (codes % 2**self.mantissa) / 2**self.mantissa, codes // 2**self.mantissa
        significand = np.where(power == 0, fraction, 1 + fraction)
        magnitudes = significand * 2.0 ** np.maximum(power - 1, 0) * self.smallest_normal
        magnitudes = magnitudes[(magnitudes > 0) & (magnitudes <= self.largest)]
        return np.concatenate([-magnitudes[::-1], [0.0], magnitudes])

    def round_(self, x: Tensor) -> Tensor:
        """As ``Element.round_``."""
        integers, mask = _EXPONENT_BITS[x.dtype]
        step = (x.view(integers) & mask).view(x.dtype)  # 2^⌊log2 |x|⌋: the float's own exponent field
        step = step.clamp_(min=self.smallest_normal).mul_(2.0**-self.mantissa)
        return x.div_(step).round_().mul_(step).clamp_(-self.largest, self.largest)


@dataclass(frozen=True)
class Codebook(Grid):
    """Any increasing levels; a tie goes to the lower one.  ``bits`` is the length of a stored code."""

    name: str
    bits: float
    values: tuple[float, ...]
    kind = "codebook"

    @property
    def reach(self) -> float:
        """As ``Grid.reach``: the largest magnitude of a level."""
        return max(self.values[-1], -self.values[0])

    @cached_property
    def levels(self) -> np.ndarray:
        """As ``Element.levels``."""
        return np.asarray(self.values)

    def round_(self, x: Tensor) -> Tensor:
        """As ``Element.round_``."""
        tables = _cell_tables(self, x.dtype, x.device)
        if tables is None:
            levels = torch.as_tensor(self.levels, dtype=x.dtype, device=x.device)
            return levels[torch.bucketize(x.contiguous(), (levels[1:] + levels[:-1]) / 2)]
        edges, pairs = tables
        cell = self.cell(x, len(edges)).view(-1)
        above = x.reshape(-1) > edges.index_select(0, cell)
        return pairs.index_select(0, cell.mul_(2).add_(above)).view(x.shape)

    def cell(self, x: Tensor, count: int) -> Tensor:
        """In which of ``count`` uniform cells x lies; it never falls where x grows, whatever the rounding."""
        density = count / (self.values[-1] - self.values[0])
        return (x * density).add_(-self.values[0] * density).clamp_(0, count - 1).int().contiguous()


@lru_cache
def _cell_tables(codebook: Codebook, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """For uniform cells the edge that lies in each, and the levels below and above it; None if some need two edges."""
    levels = torch.as_tensor(codebook.levels, dtype=dtype)
    edges = (levels[1:] + levels[:-1]) / 2
    for count in (2**k for k in range(4, 13)):
        cells = codebook.cell(edges, count).long()
        if (cells.diff() > 0).all():
            below = torch.bucketize(torch.arange(count), cells)  # edges in the cells before
            pairs = torch.stack([levels[below], levels[(below + 1).clamp(max=len(edges))]], 1).view(-1)
            edge_of = torch.full((count,), math.inf, dtype=dtype).index_put((cells,), edges)
            return edge_of.to(device), pairs.to(device)
    return None


def mid_rise(bits: int) -> Uniform:
    """``intB``: 2^B levels ±½, ±1½, … without a zero: the paper's INT."""
    return Uniform(f"int{bits}", bits, -(2**bits - 1) / 2, 2**bits)


def mid_tread(bits: int) -> Uniform:
    """``sintB``: the 2^B − 1 integers from −(2^(B−1) − 1) to 2^(B−1) − 1."""
    return Uniform(f"sint{bits}", bits, 1.0 - 2 ** (bits - 1), 2**bits - 1)


def full_range(bits: int) -> Uniform:
    """``fintB``: all 2^B integers of two's complement, −2^(B−1) to 2^(B−1) − 1."""
    return Uniform(f"fint{bits}", bits, -(2.0 ** (bits - 1)), 2**bits)


def unsigned(bits: int) -> Uniform:
    """``uintB``: the integers 0 to 2^B − 1, for blocks with a minimum or a zero point of their own."""
    return Uniform(f"uint{bits}", bits, 0.0, 2**bits)


def float_grid(exponent: int, mantissa: int, name: str | None = None, largest: float = math.inf) -> Float:
    """``eXmY``: every code a finite value, or only those up to ``largest`` where a standard reserves some."""
    top = 2.0 ** (2 ** (exponent - 1)) * (2 - 2.0**-mantissa)
    return Float(name or f"e{exponent}m{mantissa}", exponent, mantissa, min(top, largest))


@lru_cache
def lloyd_max(count: int) -> tuple[float, ...]:
    """The ``count`` levels of least mean squared error for N(0,1) (Lloyd 1957, Max 1960).

    Newton's method on the centroid conditions, whose Jacobian is tridiagonal, from Panter and Dite's asymptotic levels.
    """
    levels = np.sqrt(3) * ndtri((np.arange(count) + 0.5) / count)
    normal = source("normal")
    for _ in range(100):
        mass, density, centroid = _cells(levels, normal)
        gap = levels - centroid
        # d centroid_i / d edge: the mass that moves in, times how far it lies from the centroid.
        edges = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [0.0]])
        left = -density[:-1] * (edges[:-1] - centroid) / mass / 2
        right = density[1:] * (edges[1:] - centroid) / mass / 2
        banded = np.array([np.roll(-right, 1), 1 - left - right, np.roll(-left, -1)])
        banded[0, 0] = banded[2, -1] = 0.0
        step = solve_banded((1, 1), banded, gap)
        levels = np.sort(levels - step)
        levels = (levels - levels[::-1]) / 2
        if np.abs(step).max() < 1e-14 * count:
            return tuple(levels.tolist())
    raise RuntimeError(f"Lloyd-Max with {count} levels did not converge")


def _cells(levels: np.ndarray, normal: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mass of the Voronoi cells of ``levels``, the density at their edges, and their centroids."""
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    tail, first, _ = normal.tail_moments(np.abs(edges))
    below = np.where(edges < 0, tail, 1 - tail)
    # Differences are taken on the side of the nearer tail, where they lose no digits.
    mass = np.where(edges[1:] <= 0, np.diff(below), np.where(edges[:-1] >= 0, -np.diff(tail), np.diff(below)))
    first = -np.diff(first)
    density = np.where(np.isfinite(edges), normal.density(edges), 0.0)
    return mass, density, first / mass


def lloyd_max_grid(bits: int) -> Codebook:
    """``lmB``: Lloyd-Max levels for N(0,1)."""
    return Codebook(f"lm{bits}", bits, lloyd_max(2**bits))


def parse_levels(text: str) -> tuple[float, ...]:
    """A tuple of increasing numbers from text such as "-1, 0, 1". Raises ValueError for anything else."""
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise ValueError(f"levels are numbers separated by commas, as in '-1, 0, 1', not {text!r}") from None
    if len(values) < 2 or not np.isfinite(values).all() or not (np.diff(values) > 0).all():
        raise ValueError(f"levels must be at least two finite, increasing numbers, not {text!r}")
    return values
