"""A Format says how a tensor is stored: what survives, to which grid it is rounded, at which scale."""

import math
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

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
TYPES_OF_WEIGHTS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
BEYOND = 2.0**500  # more than any scale × level that is stored, and its square is still a float64
GROWTH = 2.0**11  # no result is larger than the largest value by more, even where a rotation gathers errors in a place
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
    def outlier_share(self) -> float:
        """The share of the weights that are kept apart."""
        return self.outliers.share if self.outliers else 0.0

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
        constant = 1.0 if own else gaussian_scale(self.element, self.sparsity, self.outlier_share)
        return Coder(self.element, self.block, constant)

    @property
    def needs(self) -> Needs:
        """What has to be known of a whole tensor before ``coded`` stores some of its rows."""
        if self.outliers or (self.sparsity and self.sparsity.needs == "everything"):
            return "everything"
        return self.coder.needs if self.coder else "nothing"

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Tensor:
        """The values that come back when ``x`` is stored in this format: finite, whatever the finite ``x``.

        x: a floating-point tensor of 16, 32 or 64 bits, of any shape and strides, on any device with values; it is not
        changed.  Half precision is computed in float32.  Stored scales, outliers and minima saturate at the largest
        number of their type, and the result at that of ``x.dtype``; what lies below the least scale becomes the levels
        nearest to zero.  Raises TypeError for other types, layouts and devices, and ValueError that names the first NaN
        or infinity, or for rows that are no ``multiple``.
        """
        _refuse_without_values(x, self)
        row = x.shape[-1] if x.ndim else 1
        if row % self.multiple:
            raise ValueError(
                f"{self}, tensor of shape {tuple(x.shape)}: rows of {row} weights are no multiple of {self.multiple}"
            )
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
        largest, limit, unit = max(-low, high), torch.finfo(x.dtype).max, 1.0
        y = x if x.dtype in (torch.float32, torch.float64) else x.float()
        if not self.ordinary(largest):
            if self.coder and self.coder.needs == "rms":  # nothing that is stored limits its scale
                unit = math.ldexp(1.0, math.frexp(largest)[1] - 1)
                y = y / unit
            else:
                y = y.double().clamp(-BEYOND, BEYOND)
        y = self.coded(hadamard(y, self.rotation) if self.rotation else y, unit=unit)
        y = hadamard(y, self.rotation) if self.rotation else y
        if largest > limit / GROWTH:
            y = y.clamp(-limit / unit, limit / unit)
        return (y * unit if unit != 1 else y).to(x.dtype)

    @staticmethod
    def ordinary(largest: float) -> bool:
        """Whether squares, sums and scales of values up to this magnitude stay within the range of float32."""
        return 2.0**-40 < largest < 2.0**40

    def coded(self, y: Tensor, known: Top = None, unit: float = 1.0) -> Tensor:
        """``y``, which is rotated already, pruned and rounded, with outliers apart: a new tensor.

        y: float32 or float64, of shape (…, row), finite.  known: what the format ``needs`` to know
        of a tensor of which these are some rows (default: ``y`` is all of it).  unit: what ``y`` has been divided by.
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
            over(partial(self._put_back, unit), *(t.reshape(-1).split(CHUNK) for t in (y, outliers, body)))
        return body

    def _put_back(self, unit: float, y: Tensor, outliers: Tensor, body: Tensor) -> None:
        body.masked_scatter_(outliers, self.outliers.stored(y[outliers] * unit) / unit)

    def __str__(self) -> str:
        words = [f"hadamard{self.rotation}"] if self.rotation else []
        words += [str(self.sparsity)] if self.sparsity else []
        if self.element is not None:
            words.append(self.element.name + (f"/{self.block.text(default_rule(self.element))}" if self.block else ""))
        words += [str(self.outliers)] if self.outliers else []
        return "+".join(words) or "dense"


def _refuse_without_values(x: object, format: Format) -> None:
    """TypeError for what is no tensor of floats that can be read as it is."""
    if not torch.is_tensor(x):
        what = type(x).__name__
    elif x.dtype not in TYPES_OF_WEIGHTS:
        what = str(x.dtype)
    elif x.is_meta:
        what = "a tensor without values, on the device meta"
    elif x.is_nested or x.layout != torch.strided:
        what = "a nested tensor" if x.is_nested else f"the layout {x.layout}; x.to_dense() has the values"
    else:
        return
    raise TypeError(f"{format}: needs a floating-point tensor of 16, 32 or 64 bits, got {what}")


def _first_non_finite(x: Tensor) -> str:
    position = tuple((~x.isfinite()).nonzero()[0].tolist())
    return f"{'a NaN' if x[position].isnan() else 'an infinity'} at index {position}"
