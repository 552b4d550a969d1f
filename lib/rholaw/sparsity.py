"""Which weights survive: the largest of a whole tensor, or the N largest of every M."""

import math
from dataclasses import dataclass

import torch
from scipy.special import bdtr


@dataclass(frozen=True)
class TopK:
    """``sS`` prunes the share S of a tensor with the smallest magnitudes; of equal ones the first survive."""

    share: float

    @property
    def density(self):
        return 1 - self.share

    @property
    def mask_bits(self):
        """The entropy of the mask, bits per weight: what an ideal code needs."""
        s = self.share
        return -s * math.log2(s) - (1 - s) * math.log2(1 - s)

    def mask(self, x):
        """True where a weight survives; exactly ``round(S · n)`` of the n weights do not."""
        magnitude = x.abs().flatten()
        pruned = round(self.share * magnitude.numel())
        if pruned == 0:
            return torch.ones_like(x, dtype=torch.bool)
        threshold = magnitude.kthvalue(pruned).values
        mask = magnitude > threshold
        ties = (magnitude == threshold).nonzero().squeeze(1)
        mask[ties[: magnitude.numel() - pruned - int(mask.sum())]] = True
        return mask.reshape(x.shape)

    def __str__(self):
        return f"s{self.share:.15g}"


@dataclass(frozen=True)
class NofM:
    """``N:M`` keeps the N largest magnitudes of every M consecutive weights of a row; the first of equal ones."""

    n: int
    m: int

    @property
    def density(self):
        return self.n / self.m

    @property
    def mask_bits(self):
        """log2 C(M, N) / M bits per weight. (2:4 hardware stores 1 bit, two per survivor, where this counts 0.646.)"""
        return math.log2(math.comb(self.m, self.n)) / self.m

    def kept(self, tail):
        """P(a weight survives) where ``tail`` = P(another is larger): at most N − 1 of the M − 1 others are."""
        return bdtr(self.n - 1, self.m - 1, tail)

    def mask(self, x):
        """True where a weight survives. Raises ValueError where M does not divide the rows."""
        if x.ndim == 0 or x.shape[-1] % self.m:
            raise ValueError(f"{self}: rows of {x.shape[-1] if x.ndim else 1} weights are no multiple of {self.m}")
        groups = x.abs().reshape(-1, self.m)
        order = groups.argsort(dim=1, descending=True, stable=True)
        mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(1, order[:, : self.n], True)
        return mask.reshape(x.shape)

    def __str__(self):
        return f"{self.n}:{self.m}"


Sparsity = TopK | NofM
