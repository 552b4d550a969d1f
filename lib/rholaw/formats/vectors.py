"""Elements that code several consecutive weights together: codebooks, the E8P lattice, and trellis codes.

An element rounds tensors of shape (…, n), n a multiple of its ``dim``, of data at scale 1: its points are already those
of least error for N(0,1). ``bits`` is the code length per weight.
"""

import math
import threading
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import ClassVar

import numpy as np
import torch
from scipy.linalg import hadamard as sylvester
from torch import Tensor

from .. import tables
from ..threads import over
from .element import Element
from .grids import Codebook, lloyd_max

SCORES = 2**18  # at most so many vector × point scores in memory: they stay in the cache of a core


def nearest(x: Tensor, points: Tensor) -> Tensor:
    """Index of the nearest of ``points`` (count, dim) to each row of ``x`` (n, dim); a tie goes to the lowest index."""
    shift = points.square().sum(1) / -2  # |x − c|² = |x|² − 2 (x·c − |c|²/2)
    # Into one tensor: a list of small results, each made beside large temporaries, would pin the memory of those.
    index = torch.empty(len(x), dtype=torch.int64, device=x.device)
    count = max(1, SCORES // len(points))

    def find(part: Tensor, into: Tensor) -> None:
        into.copy_(torch.addmm(shift, part, points.T).argmax(1))

    over(find, x.split(count), index.split(count))
    return index


@dataclass(frozen=True)
class VectorCodebook(Element):
    """``vqP_K``: the K points in P dimensions of least mean squared error for N(0, I) (as in HIGGS, arXiv 2411.17525).

    They are in data/codebooks, computed by bench/codebooks.py: the best local optima that it found, which nobody can
    prove to be global.
    """

    dim: int
    count: int
    kind: ClassVar[str] = "codebook"

    @property
    def name(self) -> str:
        """As ``Element.name``."""
        return f"vq{self.dim}_{self.count}"

    @property
    def bits(self) -> float:
        """As ``Element.bits``."""
        return math.log2(self.count) / self.dim

    @property
    def work(self) -> float:
        """As ``Element.work``."""
        return 4 + self.count / self.dim / 4

    @cached_property
    def points(self) -> np.ndarray:
        """As ``Element.points``."""
        return tables.read(f"codebooks/{self.name}").to_numpy(copy=True)  # writable, as torch wants it

    def round(self, x: Tensor) -> Tensor:
        """As ``Element.round``; a tie goes to the first point."""
        points = _points_at(self, x.dtype, x.device)
        return points[nearest(self.codes(x), points)].view(x.shape)


@lru_cache
def _points_at(codebook: VectorCodebook, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Where they are used, once: a GPU would wait for each copy."""
    return torch.as_tensor(codebook.points, dtype=dtype, device=device)


def stored_codebooks() -> list[tuple[int, int]]:
    """The codebooks of two and more dimensions that data/ holds, as (P, K)."""
    names = [name.removeprefix("codebooks/vq") for name in tables.names() if name.startswith("codebooks/vq")]
    return sorted(tuple(map(int, name.split("_"))) for name in names)


@lru_cache
def vector_codebook(dim: int, count: int) -> VectorCodebook | Codebook:
    """``vqP_K``, for P = 1 Lloyd-Max levels; ValueError that lists what there is when data/ does not hold it."""
    if dim == 1 and 2 <= count <= 256:
        return Codebook(f"vq1_{count}", math.log2(count), lloyd_max(count))
    if (dim, count) not in (known := stored_codebooks()):
        names = ", ".join(f"vq{p}_{k}" for p, k in known)
        raise ValueError(f"there is no codebook 'vq{dim}_{count}'; there are vq1_2 … vq1_256, {names}")
    return VectorCodebook(dim, count)


# The places of the ½ in the 29 rows of norm² 12 (QuIP#, appendix C).  Its first code had 045 twice in place of 014.
E8P_NORM12 = (
    "123 023 013 012 367 357 347 356 346 345 267 257 247 256 246 245 167 157 147 156 146 "
    "045 067 057 047 056 046 014 237"
)
# The step of least error for N(0,1), scanned on 2^18 vectors: from 0.96 to 0.97 the error stays within 0.00002.
# QuIP#'s own is 1 / 1.03 = 0.971.
E8P_STEP = 0.965


@dataclass(frozen=True)
class E8P(Element):
    """``e8p``: 2^16 points of the lattice E8 + ¼ in 8 dimensions (QuIP#, arXiv 2402.04396, §4.2 and appendix C).

    A point is one of 256 rows of magnitudes, with signs such that the coordinates have an even sum, ± ¼ throughout:
    8 + 7 + 1 bits.  The rows are the 227 of half-integers with norm² ≤ 10 and 29 of norm² 12.
    """

    name: ClassVar[str] = "e8p"
    kind: ClassVar[str] = "codebook"
    bits: ClassVar[float] = 2.0
    dim: ClassVar[int] = 8
    work: ClassVar[float] = 64.0

    @cached_property
    def rows(self) -> np.ndarray:
        """The 256 rows of magnitudes, in steps of the lattice."""
        halves = np.array([row for row in product((0.5, 1.5, 2.5), repeat=8) if np.square(row).sum() <= 10])
        norm12 = np.full((29, 8), 1.5)
        for row, places in zip(norm12, E8P_NORM12.split(), strict=True):
            row[[int(place) for place in places]] = 0.5
        return np.concatenate([halves, norm12])

    @cached_property
    def points(self) -> np.ndarray:
        """As ``Element.points``, all 65,536: first those + ¼, then those − ¼."""
        half = self._even(list(product((1, -1), repeat=8)))
        return np.concatenate([half + 0.25, half - 0.25]) * E8P_STEP

    def _even(self, signs: list | np.ndarray) -> np.ndarray:
        half = (self.rows[:, None] * np.array(signs)).reshape(-1, 8)
        return half[half.sum(1) % 2 == 0]

    @cached_property
    def _candidates(self) -> np.ndarray:
        """What can be nearest to a vector whose last 7 coordinates are not negative: at most one sign is against it.

        And that at a ½: elsewhere, the lattice point with ½ in place of −3/2 or −5/2 is nearer, and among the points.
        """
        one = np.ones((8, 8)) - 2 * np.eye(8)
        half = self._even(np.concatenate([one, one * one[0]]))
        return np.unique(half[half[:, 1:].min(1) >= -0.5], axis=0)

    def round(self, x: Tensor) -> Tensor:
        """As ``Element.round``."""
        vectors = self.codes(x) / E8P_STEP
        candidates = torch.as_tensor(self._candidates, dtype=x.dtype, device=x.device)
        best = least = None
        for shift in (0.25, -0.25):
            y = vectors - shift
            # Flipping an even number of signs maps the points onto themselves: make all but the first not negative.
            signs = torch.where(y < 0, -1.0, 1.0).to(x.dtype)
            signs[:, 0] = signs[:, 1:].prod(1)
            y = y * signs
            point = candidates[nearest(y, candidates)]
            error = (point - y).square().sum(1, keepdim=True)
            point = point * signs + shift
            best, least = (point, error) if best is None else (torch.where(error < least, point, best), least)
        return best.mul_(E8P_STEP).view(x.shape)


@dataclass(frozen=True)
class Trellis(Element):
    """``trellisB``: a bitshift trellis code, tail-biting over 256 weights (QTIP, arXiv 2406.11235, §3).

    The bits of 256 weights form a ring; weight t reads the ``window`` bits that end with its own ``bits`` new ones, as
    the number of an entry of ``values``.  So exactly ``bits`` per weight are stored.  Viterbi's algorithm finds a path;
    that the ring must close costs a second pass, and makes the path nearly the best (their algorithm 4).  QTIP's window
    of 16 bits takes more than 4 times as long as 14, for 2 % less error.
    """

    bits: int
    window: int = 14
    kind: ClassVar[str] = "trellis"
    dim: ClassVar[int] = 256
    work: ClassVar[float] = 2000.0

    @property
    def name(self) -> str:
        """As ``Element.name``."""
        return f"trellis{self.bits}"

    @cached_property
    def values(self) -> np.ndarray:
        """The code "1MAD" of QTIP (§3.1.1): the sum of the four bytes of a scrambled window is nearly Gaussian."""
        words = (np.arange(2**self.window) * 34038481 + 76625530) % 2**32
        return (words[:, None] >> np.array([0, 8, 16, 24]) & 255).sum(1) / 147.8 - 510 / 147.8

    def round(self, x: Tensor) -> Tensor:
        """As ``Element.round``: what is read along the path of ``encode``."""
        values = torch.as_tensor(self.values, dtype=x.dtype, device=x.device)
        return values[self.encode(x)].view(x.shape)

    def encode(self, x: Tensor) -> Tensor:
        """The path: the window that each weight reads, as a number (rows of 256 weights, 256)."""
        rows = self.codes(x)
        count = max(1, min(len(rows), 2 * SCORES >> self.window))
        mine = threading.local()  # one table of costs a thread: fresh memory for every part would cost a tenth more

        def encode(part: Tensor) -> Tensor:
            if not hasattr(mine, "cost"):
                mine.cost = part.new_empty(self.dim + 1, 2 ** (self.window - self.bits), count)
            return self._encode(part.T, mine.cost[..., : len(part)])

        return torch.cat(over(encode, rows.split(count)))

    def _encode(self, x: Tensor, cost: Tensor) -> Tensor:
        half = self.dim // 2
        # A free path of the ring, cut open at its far side, shows in which state the best path passes weight 0.
        start = self._viterbi(x.roll(half, 0), None, cost)[half] >> self.bits
        return self._viterbi(x, start, cost).T

    def _viterbi(self, x: Tensor, start: Tensor | None, cost: Tensor) -> Tensor:
        """The best path of windows for the columns of ``x``, from state ``start`` back to it unless that is None.

        A state is the older ``window − bits`` bits of a window; the next state is its newer ones.  ``cost[t]`` becomes
        that of the best path to each state before weight t.
        """
        values = torch.as_tensor(self.values, dtype=x.dtype, device=x.device)
        # |x − v|² = |x|² + v² − 2 x v, of which the last two terms are a matrix product.
        terms, x = torch.stack([values.square(), -2 * values], 1), torch.stack([torch.ones_like(x), x], 1)
        states, count, branches = *cost.shape[1:], 2**self.bits
        cost[0] = 0.0 if start is None else math.inf
        if start is not None:
            cost[0].scatter_(0, start[None], 0.0)
        for t in range(self.dim):
            reach = torch.mm(terms, x[t]).view(states, branches, count).add_(cost[t, :, None])
            torch.amin(reach.view(branches, states, count), 0, out=cost[t + 1])
        state = cost[self.dim].argmin(0) if start is None else start
        path = torch.empty(self.dim, count, dtype=torch.int64, device=x.device)
        oldest = torch.arange(branches, device=x.device)[:, None] * states
        for t in reversed(range(self.dim)):
            window = oldest + state
            reach = (terms[window] * x[t].T).sum(-1) + cost[t].gather(0, window >> self.bits)
            path[t] = window.gather(0, reach.argmin(0, keepdim=True))
            state = path[t] >> self.bits
        return path


def hadamard(x: Tensor, size: int) -> Tensor:
    """Rotate each block of ``size`` (a power of two) along the last dimension; orthonormal and its own inverse.

    A matrix product, up to 256 faster than the butterflies of the fast transform; larger sizes factor into such.
    """
    if size < 1 or size & (size - 1) or x.shape[-1] % size:
        raise ValueError(f"hadamard{size} needs a power of two that divides the row, which has {x.shape[-1]} values")
    if size <= 256:
        return (x.reshape(-1, size) @ _sylvester(size).to(x)).view(x.shape)
    blocks = hadamard(x, 256).reshape(-1, size // 256, 256)
    return hadamard(blocks.mT, size // 256).mT.reshape(x.shape)


@lru_cache
def _sylvester(size: int) -> Tensor:
    return torch.from_numpy(sylvester(size, dtype=float)) / math.sqrt(size)
