"""Which weights survive: the largest of a whole tensor, or the N largest of every M."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.special import bdtr
from torch import Tensor

from ..threads import over
from .element import Needs

_SAMPLE = 2**14
CHUNK = 2**18  # weights that pass through all operations before the next ones do: they stay in the cache of a core


@dataclass(frozen=True)
class TopK:
    """``sS`` prunes the share S of a tensor with the smallest magnitudes; of equal ones the first survive."""

    share: float
    group: ClassVar[int] = 1
    needs: ClassVar[Needs] = "everything"

    @property
    def density(self) -> float:
        """The share of the weights that survive."""
        return 1 - self.share

    @property
    def mask_bits(self) -> float:
        """The entropy of the mask, bits per weight: what an ideal code needs."""
        s = self.share
        return -s * math.log2(s) - (1 - s) * math.log2(1 - s)

    def mask(self, x: Tensor) -> Tensor:
        """True where a weight survives; exactly ``round(S · n)`` of the n weights do not."""
        values = x.detach().reshape(-1)
        pruned = round(self.share * len(values))
        mask = torch.ones(values.shape, dtype=torch.bool, device=x.device)
        if pruned == 0:
            return mask.reshape(x.shape)
        threshold = smallest_magnitude(values, pruned)

        def mark(part: Tensor, into: Tensor) -> int:
            torch.gt(part.abs(), threshold, out=into)
            return int(into.count_nonzero())

        parts = values.split(CHUNK), mask.split(CHUNK)
        missing = len(values) - pruned - sum(over(mark, *parts))
        for part, into in zip(*parts, strict=True):
            if not missing:
                break
            ties = (part.abs() == threshold).nonzero().squeeze(1)[:missing]
            into[ties] = True
            missing -= len(ties)
        return mask.reshape(x.shape)

    def __str__(self) -> str:
        return f"s{np.format_float_positional(self.share)}"


@dataclass(frozen=True)
class NofM:
    """``N:M`` keeps the N largest magnitudes of every M consecutive weights of a row; the first of equal ones."""

    n: int
    m: int
    needs: ClassVar[Needs] = "nothing"

    @property
    def group(self) -> int:
        """Weights that are pruned together: rows have a multiple of so many."""
        return self.m

    @property
    def density(self) -> float:
        """The share of the weights that survive."""
        return self.n / self.m

    @property
    def mask_bits(self) -> float:
        """log2 C(M, N) / M bits per weight. (2:4 hardware stores 1 bit, two per survivor, where this counts 0.646.)"""
        return math.log2(math.comb(self.m, self.n)) / self.m

    def kept(self, tail: np.ndarray) -> np.ndarray:
        """P(a weight survives) where ``tail`` = P(another is larger): at most N − 1 of the M − 1 others are."""
        return bdtr(self.n - 1, self.m - 1, tail)

    def mask(self, x: Tensor) -> Tensor:
        """True where a weight survives. Raises ValueError where M does not divide the rows."""
        if x.ndim == 0 or x.shape[-1] % self.m:
            raise ValueError(f"{self}: rows of {x.shape[-1] if x.ndim else 1} weights are no multiple of {self.m}")
        mask = torch.empty(x.shape, dtype=torch.bool, device=x.device)

        def mark(part: Tensor, into: Tensor) -> None:
            into.copy_((_larger(part.abs().t().contiguous()) < self.n).t())

        over(mark, *(t.view(-1, self.m).split(CHUNK // self.m) for t in (x.detach().contiguous(), mask)))
        return mask

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"


def smallest_magnitude(values: Tensor, k: int) -> Tensor:
    """The k-th smallest magnitude of a vector, exactly.

    A sample says between which two it very likely lies; who counts what lies below and ranks what lies between need
    not rank the rest.  Where the sample was not like the whole, all are ranked.
    """
    if len(values) > 8 * _SAMPLE:
        sample = values[:: len(values) // _SAMPLE].abs().sort().values
        middle, spread = k / len(values) * len(sample), 4 * math.sqrt(len(sample))
        low, high = (sample[min(max(int(middle + way * spread), 0), len(sample) - 1)] for way in (-1, 1))

        def between(part: Tensor) -> tuple[int, Tensor]:
            part = part.abs()
            return int((part < low).count_nonzero()), part[(part >= low) & (part <= high)]

        below, candidates = zip(*over(between, values.split(CHUNK)), strict=True)
        place, candidates = k - sum(below), torch.cat(candidates)
        if 0 < place <= len(candidates):
            return _smallest(candidates, place)
    return _smallest(values.abs(), k)


def _smallest(values: Tensor, k: int) -> Tensor:
    """The k-th smallest of a vector, which may be reordered."""
    if values.device.type != "cpu" or values.dtype not in (torch.float32, torch.float64):
        return values.kthvalue(k).values
    ranked = values.numpy()  # whose partition is vectorised: ten times as fast as kthvalue
    ranked.partition(k - 1)
    return values[k - 1]


def _larger(columns: Tensor) -> Tensor:
    """For each entry of (M, n) how many of its column come before it: the larger, and of the equal ones the first."""
    before = torch.arange(len(columns) - 1, -1, -1, dtype=torch.int8, device=columns.device)
    before = before[:, None].repeat(1, columns.shape[1])  # all that follow, until they turn out not to be larger
    for i, column in enumerate(columns[:-1]):
        wins = (column >= columns[i + 1 :]).view(torch.int8)
        before[i + 1 :] += wins
        before[i] -= wins.sum(0, dtype=torch.int8)
    return before


Sparsity = TopK | NofM
