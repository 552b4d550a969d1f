"""The block types of GGUF that code several weights together: iq1, iq2 and iq3, whose codebooks are in data/codebooks.

A block of 256 weights has a scale in fp16, and each run of 16 or 32 weights in it an odd number of steps of that; a
value is scale × unit × steps × (sign × entry of the codebook + shift), all products exact in float32.  The layout is
ggml's.  The search is not: it is for the least squared error, where ggml's weights errors by importances that some of
these types cannot be made without, and leaves 5 to 20 % more where all are one (bench/oracles.py).
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from .. import tables
from ..threads import over
from .element import Element
from .scale_types import FP16
from .vectors import nearest

_CHUNK = 2**16  # weights searched at once
_TOGETHER = 1024  # vectors whose products with all rows stay in the cache of a core
_LARGEST = 2.0**30  # above what any type can store; squares beyond would overflow
_SHIFT = 0.125
_FACTORS = tuple(np.geomspace(0.7, 4, 16).tolist())  # of the scale of Gaussian weights; tails take the larger ones
_TINY = 1e-12  # below what fp16 scales can store


@dataclass(frozen=True)
class Coded:
    """What n blocks store; ``Iq.decode`` makes weights of it.

    scale (n, 1), as fp16 holds it; steps (n, 256 / run), odd numbers; rows (n, 256 / width), places in the codebook;
    signs (n, 256), ±1; shifts (n, 256), 0 or ±⅛.
    """

    scale: Tensor
    steps: Tensor
    rows: Tensor
    signs: Tensor
    shifts: Tensor


@dataclass(frozen=True)
class Iq(Element):
    """A type: ``run`` weights share one of ``counts`` odd numbers of steps of ``unit`` × the scale of 256.

    ``book``: its codebook, data/codebooks/BOOK.  ``signs``: "free", one bit a weight; "even", seven bits for eight
    weights, whose product is positive; "none", where the codebook has both signs, and ``shared`` weights share whether
    ⅛ is added or taken away.  ``spread``: scale × steps of a run over its root mean square, about the best for N(0,1).
    """

    name: str
    book: str
    run: int
    counts: int
    unit: float
    signs: Literal["free", "even", "none"]
    spread: float
    shared: int = 0
    kind: ClassVar[str] = "ggml"
    dim: ClassVar[int] = 256
    own_scales: ClassVar[bool] = True
    work: ClassVar[float] = 80.0

    @cached_property
    def entries(self) -> np.ndarray:
        """The codebook, by rows: magnitudes, or values where there are no signs."""
        return tables.read(f"codebooks/{self.book}").to_numpy(np.float32, copy=True)  # writable, as torch wants it

    @cached_property
    def bits(self) -> float:
        """As ``Element.bits``: the scale of a block, steps, rows, signs and shifts."""
        rows, width = self.entries.shape
        signs = {"free": 1.0, "even": 7 / 8, "none": 0.0}[self.signs] + (1 / self.shared if self.shared else 0.0)
        return 16 / self.dim + np.log2(self.counts) / self.run + np.log2(rows) / width + signs

    def round(self, x: Tensor) -> Tensor:
        """As ``Element.round``, computed in float32."""
        if not x.numel():
            return x.clone()
        blocks = self.codes(x).float().clamp(-_LARGEST, _LARGEST).contiguous()
        chunks = over(lambda part: self.decode(self.encode(part)), blocks.split(_CHUNK // self.dim))
        return torch.cat(chunks).to(x.dtype).view(x.shape)

    def decode(self, coded: Coded) -> Tensor:
        """The weights, (n, 256) in float32."""
        steps = (coded.scale * self.unit * coded.steps).repeat_interleave(self.run, 1)
        return steps * (self._values(coded.rows, steps.shape) * coded.signs + coded.shifts)

    def encode(self, x: Tensor) -> Coded:
        """What is stored of blocks (n, 256), finite and in float32.

        Each run tries some scales, and keeps that of least squared error with the nearest rows.  The largest in a block
        is met by the last number of steps; the numbers nearest to the others are tried, and their neighbours.  Last,
        the scale of the block is that of least squared error for the codes.  Where an odd number of signs would be
        negative, the least of eight weights takes the wrong one, as in ggml: nearly the best.
        """
        n, signs = len(x), self._signs(x)
        runs = (x * signs).view(-1, self.run)
        products = self._products(runs)
        typical = (runs.square().mean(1, keepdim=True).sqrt() * self.spread).clamp_(min=_TINY)
        suited = self._best(runs, products, [typical * factor for factor in _FACTORS])
        unit = FP16.stored(suited.view(n, -1).amax(1, keepdim=True) / (2 * self.counts - 1) / self.unit) * self.unit
        unit = torch.where(unit > 0, unit, 1.0).expand(-1, self.dim // self.run).reshape(-1, 1)
        middle = ((suited / unit - 1) / 2).round()
        steps = [(middle + more).clamp_(0, self.counts - 1) * 2 + 1 for more in (0, -1, 1)]
        steps = (self._best(runs, products, [unit * number for number in steps]) / unit).round_()

        shifts = self._better_shifts(runs, products, unit * steps)
        rows = nearest((runs / (unit * steps) - shifts).view(-1, self._width), _entries_at(self, x.device))
        values = ((self._values(rows, runs.shape) + shifts) * steps).view(x.shape)
        scale = (runs.view(x.shape) * values).sum(1, keepdim=True) / values.square().sum(1, keepdim=True) / self.unit
        return Coded(FP16.stored(scale), steps.view(n, -1), rows.view(n, -1), signs, shifts.view(x.shape))

    def _products(self, runs: Tensor) -> Tensor:
        """(kinds, vectors): the largest scalar product of each vector with a row of each kind."""
        rows, counts, _ = _kinds_at(self, runs.device)
        parts = runs.view(-1, self._width).split(_TOGETHER)
        return torch.cat([torch.stack([kind.amax(0) for kind in (rows @ p.T).split(counts)]) for p in parts], 1)

    def _gains(self, runs: Tensor, products: Tensor, scale: Tensor) -> Tensor:
        """By how much nearest rows at a ``scale`` (runs, 1) lower Σx²: (possible shifts, runs, what shares a shift)."""
        u, gains = scale.expand(-1, self.run // self._width).reshape(-1), []
        for shift, lengths in zip(self._shifts, _kinds_at(self, runs.device)[2], strict=True):
            # |x − u (c + s)|² = |x|² − 2u (x·c + s Σx − u |c + s|² / 2)
            gain = (products - u / 2 * lengths[:, None]).amax(0)
            gain = 2 * u * (gain + shift * runs.view(-1, self._width).sum(1) if shift else gain)
            gains.append(gain.view(len(runs), -1, (self.shared or self.run) // self._width).sum(2))
        return torch.stack(gains)

    def _best(self, runs: Tensor, products: Tensor, scales: list[Tensor]) -> Tensor:
        """Of the ``scales``, (runs, 1) each, that of least squared error for every run; of equals the first."""
        gains = [self._gains(runs, products, scale).amax(0).sum(1, keepdim=True) for scale in scales]
        return torch.stack(scales).gather(0, torch.stack(gains).argmax(0, keepdim=True))[0]

    def _better_shifts(self, runs: Tensor, products: Tensor, scale: Tensor) -> Tensor:
        """The shift of every weight, (runs, run)."""
        if not self.shared:
            return torch.zeros_like(runs)
        below, above = self._gains(runs, products, scale)
        return torch.where(below > above, -_SHIFT, _SHIFT).repeat_interleave(self.shared, 1)

    def _signs(self, x: Tensor) -> Tensor:
        signs = torch.where(x < 0, -1.0, 1.0) if self.signs != "none" else torch.ones_like(x)
        if self.signs == "even":
            signs, eights = signs.view(-1, 8), x.reshape(-1, 8).abs()
            least = eights.argmin(1, keepdim=True)
            signs.scatter_(1, least, signs.gather(1, least) * signs.prod(1, keepdim=True))
        return signs.view(x.shape)

    @property
    def _shifts(self) -> tuple[float, ...]:
        return (-_SHIFT, _SHIFT) if self.shared else (0.0,)

    @property
    def _width(self) -> int:
        return self.entries.shape[1]

    def _values(self, rows: Tensor, shape: tuple[int, ...]) -> Tensor:
        return _entries_at(self, rows.device)[rows].view(shape)


@lru_cache
def _entries_at(type: Iq, device: torch.device) -> Tensor:
    """Where they are used, once: a GPU would wait for each copy."""
    return torch.as_tensor(type.entries, device=device)


@lru_cache
def _kinds_at(type: Iq, device: torch.device) -> tuple[Tensor, list[int], Tensor]:
    """Rows by their lengths after every shift: (rows in this order, how many of each kind, (shifts, kinds) |row + s|²).

    Among rows of a kind the nearest is that of largest product, whatever the scale: some dozens of kinds instead of up
    to 2048 rows are left for each scale that is tried.
    """
    lengths = np.stack([np.square(type.entries + shift).sum(1) for shift in type._shifts])
    kinds, kind, counts = np.unique(lengths, axis=1, return_inverse=True, return_counts=True)
    rows = type.entries[np.argsort(kind.ravel(), kind="stable")]
    return torch.as_tensor(rows, device=device), counts.tolist(), torch.as_tensor(kinds, device=device)


TYPES = {
    type.name: type
    for type in (
        Iq("iq1_s", "iq1", 32, 8, 1.0, "none", 1.24, shared=32),
        Iq("iq1_m", "iq1", 16, 8, 1.0, "none", 1.24, shared=8),
        Iq("iq2_xxs", "iq2_xxs", 32, 16, 1 / 8, "even", 0.0433),
        Iq("iq2_xs", "iq2_xs", 16, 16, 1 / 8, "even", 0.0454),
        Iq("iq2_s", "iq2_s", 16, 16, 1 / 8, "free", 0.0450),
        Iq("iq3_xxs", "iq3_xxs", 32, 16, 1 / 4, "even", 0.0357),
        Iq("iq3_s", "iq3_s", 32, 16, 1.0, "free", 0.158),
    )
}
"""Name in the grammar → type, as ggml-common.h lays them out."""
