"""Blocks of weights that share a scale: how long they are, by which rule it is found, and as what it is stored."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..threads import over
from .element import Element, Needs
from .rounding import largest, rounded
from .rules import ABSMAX, Rule
from .scale_types import FP16, ScaleType, Top
from .sparsity import CHUNK


@dataclass(frozen=True)
class Block:
    """One scale per ``size`` consecutive weights, or per "row" or "tensor", by ``rule``, stored as ``type``."""

    size: int | str
    type: ScaleType = FP16
    rule: Rule = ABSMAX

    def bits(self, element: Element) -> float:
        """Stored bits per weight: the scale, and the minimum or zero point where the rule has one.

        A scale for a row or a tensor vanishes over its weights.
        """
        if not isinstance(self.size, int):
            return 0.0
        return (self.type.bits + self.rule.offset_bits(element, self.type)) / self.size

    @property
    def needs(self) -> Needs:
        """What has to be known of a whole tensor before some of its rows can be rounded."""
        if self.size == "tensor" and (self.rule.needs != "largest" or self.type.needs == "everything"):
            return "everything"
        return "largest" if self.size == "tensor" else self.type.needs

    def length(self, shape: tuple[int, ...]) -> int:
        """Weights per block in a tensor of this shape. Raises ValueError where the size does not divide the rows."""
        row = shape[-1] if len(shape) else 1
        if self.size == "tensor":
            return max(int(np.prod(shape)), 1)
        if self.size == "row":
            return row
        if row % self.size:
            raise ValueError(f"{self}: rows of {row} weights are no multiple of {self.size}")
        return self.size

    def text(self, default: Rule) -> str:
        """As the grammar has it, without what is understood: fp16, and the ``default`` rule."""
        size = f"g{self.size}" if isinstance(self.size, int) else self.size
        rule = [] if self.rule == default else [self.rule.name]
        return ":".join([size, *([self.type.name] if self.type != FP16 or rule else []), *rule])

    def __str__(self) -> str:
        return self.text(ABSMAX)

    def scale(self, blocks: Tensor, element: Element, mask: Tensor | None = None, top: Top = None) -> Tensor:
        """The stored scale (n, 1) of each of the ``blocks`` (n, length), by a rule that is not affine.

        mask: survivors of sparsity, or None; the others are already zero.  top: the largest magnitude of the tensor,
        where ``needs`` asks for it and the blocks are not all of it.
        """
        if self.size == "tensor" and top is not None:
            ends = torch.as_tensor(top, dtype=blocks.dtype, device=blocks.device).expand(len(blocks), 1)
            return self.type.of_largest(ends, self.rule.reach(element), element, top)
        return self.rule.scale(blocks, element, self.type, mask, top)

    def coded(
        self,
        blocks: Tensor,
        element: Element,
        mask: Tensor | None = None,
        top: Top = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """The values that come back for ``blocks`` (n, length); arguments as those of ``scale``.

        out: what may hold the result, ``blocks`` itself if need be (default: a new tensor).
        """
        small = out is None and blocks.numel() <= CHUNK
        if small or element.dim > 1 or len(blocks) == 1 or self.type.needs == "everything":
            return self._coded(blocks, element, mask, top)
        out = torch.empty_like(blocks) if out is None else out
        if self.type.needs == "largest" and top is None:
            top = largest(blocks.view(1, -1)).view(())
        rows = max(1, CHUNK // blocks.shape[1])
        parts = blocks.split(rows)
        masks = [None] * len(parts) if mask is None else mask.split(rows)
        over(lambda part, kept, into: into.copy_(self._coded(part, element, kept, top)), parts, masks, out.split(rows))
        return out

    def _coded(self, blocks: Tensor, element: Element, mask: Tensor | None, top: Top) -> Tensor:
        if self.rule.affine:
            return self.rule.coded(blocks, element, self.type)
        return rounded(blocks, element, self.scale(blocks, element, mask, top))
