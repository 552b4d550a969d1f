"""A Format says how a tensor is stored: what survives, to which grid it is rounded, at which scale."""

import math
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..threads import alone, over
from .blocks import Block
from .coder import Coder
from .element import Element, Needs
from .optimal import gaussian_scale
from .rounding import extremes, masked
from .rules import default_rule
from .scale_types import TYPES, FloatScale, Top
from .sparsity import CHUNK, Sparsity, TopK
from .vectors import hadamard

DENSE_BITS = 16
OUTLIER_TYPES: dict[str, FloatScale] = {name: TYPES[name] for name in ("fp16", "bf16")}


@dataclass(frozen=True)
class Outliers:
    """``outR``: the share R of a tensor's weights with the largest magnitudes is kept in 16 bits, beside its places."""

    share: float
    type: str = "fp16"

    @property
    def bits(self) -> float:
        """Per weight of the tensor: the values, and the entropy of their places."""
        return self.share * 16 + TopK(self.share).mask_bits

    def mask(self, x: Tensor) -> Tensor:
        """True where a weight is an outlier; of the shape of ``x``."""
        return TopK(1 - self.share).mask(x)

    def stored(self, x: Tensor) -> Tensor:
        """The values as 16 bits hold them, saturated."""
        return OUTLIER_TYPES[self.type].stored(x)

    def __str__(self) -> str:
        return f"out{np.format_float_positional(self.share)}" + (f":{self.type}" if self.type != "fp16" else "")


@dataclass(frozen=True)
class Format:
    """A representation of a tensor: rotation, sparsity, then outliers kept apart and the rest rounded to a grid.

    ``element`` None keeps the survivors in 16 bits; ``block`` None means one MSE-optimal Gaussian scale a tensor;
    ``rotation`` is the size of a Hadamard transform along the rows, undone on the way back, or 0.  ``source`` says
    where the format is defined; it takes no part in equality.
    """

    element: Element | None = None
    sparsity: Sparsity | None = None
    block: Block | None = None
    outliers: Outliers | None = None
    rotation: int = 0
    source: str = field(default="", compare=False)

    @property
    def bits(self) -> float:
        """Stored bits per weight: survivors × their code, the scales, the mask at its entropy, outliers, their places.

        A scale for a whole tensor vanishes over its weights.
        """
        code = DENSE_BITS if self.element is None else self.element.bits
        scale = self.block.bits(self.element) if self.block else 0.0
        mask = self.sparsity.mask_bits if self.sparsity else 0.0
        return code * self.density + scale + mask + (self.outliers.bits if self.outliers else 0.0)

    @property
    def density(self) -> float:
        """The share of the weights that survive."""
        return self.sparsity.density if self.sparsity else 1.0

    @property
    def multiple(self) -> int:
        """Rows must have a multiple of so many weights: groups, blocks, codes and rotation all divide it."""
        block = self.block.tile[1] if self.block and self.block.tile else 1
        group = self.sparsity.group if self.sparsity else 1
        return math.lcm(self.rotation or 1, group, block, self.element.dim if self.element else 1)

    @property
    def one_scale(self) -> bool:
        """Whether a scale serves a whole row or tensor of rounded weights, with outliers that no rotation spreads."""
        if self.element is None or self.element.own_scales or self.rotation:
            return False
        return self.block is None or self.block.tile is None

    @property
    def family(self) -> str:
        """Which capacity curve it belongs to: "dense", "quantised", "sparse" or "sparse-quantised"."""
        words = ["sparse"] * (self.sparsity is not None) + ["quantised"] * (self.element is not None)
        return "-".join(words) or "dense"

    @property
    def parts(self) -> tuple["Format", ...]:
        """The formats it composes: its sparsity alone and the rest alone, without those that it lacks."""
        sparse = (Format(sparsity=self.sparsity),) if self.sparsity is not None else ()
        return sparse + ((replace(self, sparsity=None, source=""),) if self.element is not None else ())

    @cached_property
    def coder(self) -> Coder | None:
        """What rounds the weights that survive and are no outliers; None where nothing is rounded."""
        if self.element is None:
            return None
        own = self.block or self.element.own_scales  # scales that are not the Gaussian constant's
        share = self.outliers.share if self.outliers else 0.0
        return Coder(self.element, self.block, 1.0 if own else gaussian_scale(self.element, self.sparsity, share))

    @property
    def needs(self) -> Needs:
        """What has to be known of a whole tensor before ``coded`` stores some of its rows."""
        if self.outliers or (self.sparsity and self.sparsity.needs == "everything"):
            return "everything"
        return self.coder.needs if self.coder else "nothing"

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Tensor:
        """The values that come back when ``x`` is stored in this format.

        x: a floating-point tensor of any shape, type and device; it is not changed.  Half precision is computed in
        float32.  Raises TypeError for other types, and ValueError that names the first NaN or infinity, or a block,
        group or rotation that does not divide the rows.
        """
        if not torch.is_tensor(x) or not x.is_floating_point():
            raise TypeError(f"{self}: needs a floating-point tensor, got {getattr(x, 'dtype', type(x).__name__)}")
        if x.numel() == 0:
            return x.clone()
        with alone() if x.device.type == "cpu" else nullcontext():
            return self._quantized(x)

    def _quantized(self, x: Tensor) -> Tensor:
        low, high = extremes(x)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{self}: the tensor has {_first_non_finite(x)}; only finite values can be stored")
        if low == high == 0 or not self.parts:
            return x.clone()
        y = x if x.dtype in (torch.float32, torch.float64) else x.float()
        unit = self.unit(max(-low, high))
        y = y / unit if unit != 1 else y
        try:
            y = self.coded(hadamard(y, self.rotation) if self.rotation else y)
        except ValueError as error:
            raise ValueError(f"{self}, tensor of shape {tuple(x.shape)}: {error}") from None
        y = hadamard(y, self.rotation) if self.rotation else y
        return (y * unit if unit != 1 else y).to(x.dtype)

    def unit(self, largest: float) -> float:
        """A power of two by which ``quantize`` divides a tensor of this ``largest`` magnitude, and multiplies again.

        Squares and scales of huge and tiny values would leave the range of the type.  Stored scales have a range of
        their own, which is a property of the format: those are not helped.
        """
        if self.coder is None or self.coder.needs != "rms" or 2.0**-40 < largest < 2.0**40:
            return 1.0
        return 2.0 ** math.floor(math.log2(largest))

    def coded(self, y: Tensor, known: Top = None) -> Tensor:
        """``y``, which is rotated already, pruned and rounded, with outliers apart: a new tensor.

        y: float32 or float64, of shape (…, row), finite.  known: what the format ``needs`` to know
        of a tensor of which these are some rows (default: ``y`` is all of it).
        """
        kept = self.sparsity.mask(y) if self.sparsity else None
        outliers = self.outliers.mask(y) if self.outliers else None
        if outliers is not None:
            kept = ~outliers if kept is None else kept & ~outliers
        if kept is None:
            return self.coder(y, known=known) if self.coder else y.clone()
        body = masked(y, kept)
        if self.coder:
            body = masked(self.coder(body, kept, known, out=body), kept, out=body)
        if outliers is not None:
            over(self._put_back, *(t.reshape(-1).split(CHUNK) for t in (y, outliers, body)))
        return body

    def _put_back(self, y: Tensor, outliers: Tensor, body: Tensor) -> None:
        body.masked_scatter_(outliers, self.outliers.stored(y[outliers]))

    def __str__(self) -> str:
        words = [f"hadamard{self.rotation}"] if self.rotation else []
        words += [str(self.sparsity)] if self.sparsity else []
        if self.element is not None:
            words.append(self.element.name + (f"/{self.block.text(default_rule(self.element))}" if self.block else ""))
        words += [str(self.outliers)] if self.outliers else []
        return "+".join(words) or "dense"


def _first_non_finite(x: Tensor) -> str:
    position = tuple((~x.isfinite()).nonzero()[0].tolist())
    return f"{'a NaN' if x[position].isnan() else 'an infinity'} at index {position}"
