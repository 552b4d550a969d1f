"""Rounding, decided once: what an element and its scales make of a tensor, or of some rows of one."""

from dataclasses import dataclass

from torch import Tensor

from .blocks import Block
from .element import Element, Needs
from .rounding import rms, rounded
from .scale_types import Top


@dataclass(frozen=True)
class Coder:
    """Rounds the weights that survive, at the scales of ``block``, or without one at ``constant`` × their RMS.

    It rounds some rows as it would among all of the tensor, if told of the whole what it ``needs``.
    """

    element: Element
    block: Block | None
    constant: float

    @property
    def needs(self) -> Needs:
        """What has to be known of the whole tensor."""
        if self.element.own_scales:
            return "nothing"
        return self.block.needs if self.block else "rms"

    def __call__(self, y: Tensor, mask: Tensor | None = None, known: Top = None, out: Tensor | None = None) -> Tensor:
        """The values that come back for ``y``.

        y: float32 or float64, of shape (…, row).  mask: what survives, where the others are zero already.  known: the
        number that it ``needs`` (default: that of ``y``, which is then all of the tensor).  out: what may hold the
        result, ``y`` itself if need be (default: a new tensor).  Raises ValueError where blocks do not divide the rows.
        """
        if self.element.own_scales:
            return self.element.round(y)
        if self.block is None:
            return self.at(y, self.scale(y, mask, known), out)
        blocks, mask, out = (None if t is None else self.block.split(t) for t in (y, mask, out))
        return self.block.join(self.block.coded(blocks, self.element, mask, known, out), y.shape)

    def scale(self, y: Tensor, mask: Tensor | None = None, known: Top = None) -> Tensor | None:
        """By how much ``y`` is divided, of shape (n, 1) for n equal runs of its weights, in their order.

        None where that does not say all: for affine rules, tiles, and elements with scales of their own.  Arguments as
        above; or ``y`` is a stack of M tensors and ``known`` of shape (M, 1).
        """
        if self.element.own_scales or (self.block and (self.block.rule.affine or self.block.spans_rows)):
            return None
        if self.block is None:
            known = rms(y, y.numel() if mask is None else int(mask.count_nonzero())) if known is None else known
            scale = known * self.constant
            return scale.to(y.dtype) if isinstance(scale, Tensor) else y.new_full((1, 1), scale)
        stacked = isinstance(known, Tensor)
        blocks = y.reshape(-1, self.block.length(y.shape[1:] if stacked else y.shape))
        top = known.expand(-1, len(blocks) // len(y)).reshape(-1, 1) if stacked else known
        return self.block.scale(blocks, self.element, None if mask is None else mask.reshape(blocks.shape), top)

    def at(self, y: Tensor, scale: Tensor, out: Tensor | None = None) -> Tensor:
        """``y`` rounded at the given ``scale``, (n, 1) as above."""
        if self.element.dim > 1 and self.block is None:  # codes may not run across rows
            scale, shape = scale[..., None], (len(scale), -1, *y.shape[-1:])
        else:
            shape = (len(scale), -1)
        out = None if out is None else out.reshape(shape)
        return rounded(y.reshape(shape), self.element, scale, out).reshape(y.shape)
