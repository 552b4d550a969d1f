"""Blocks of weights that share a scale: how long they are, by which rule it is found, and as what it is stored."""

import math
from dataclasses import dataclass

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
    """One scale per ``size`` consecutive weights, or per "row", "tensor" or tile, by ``rule``, stored as ``type``.

    A tile "RxC" is R rows by C columns of a matrix; at its lower edge a matrix is padded with zeros.
    """

    size: int | str
    type: ScaleType = FP16
    rule: Rule = ABSMAX

    def bits(self, element: Element) -> float:
        """Stored bits per weight: the scale, and the minimum or zero point where the rule has one.

        A scale for a row or a tensor vanishes over its weights.
        """
        if not self.tile:
            return 0.0
        return (self.type.bits + self.rule.offset_bits(element, self.type)) / math.prod(self.tile)

    @property
    def tile(self) -> tuple[int, int] | None:
        """Rows and columns that share a scale; None where that depends on the tensor."""
        if isinstance(self.size, int):
            return 1, self.size
        return tuple(map(int, self.size.split("x"))) if "x" in self.size else None

    @property
    def spans_rows(self) -> bool:
        """Whether it is a tile of several rows."""
        return self.tile is not None and self.tile[0] > 1

    @property
    def needs(self) -> Needs:
        """What has to be known of a whole tensor before some of its rows can be rounded."""
        if self.spans_rows:
            return "everything"
        if self.size == "tensor" and (self.rule.needs != "largest" or self.type.needs == "everything"):
            return "everything"
        return "largest" if self.size == "tensor" else self.type.needs

    def length(self, shape: tuple[int, ...]) -> int:
        """Weights per block in a tensor of this shape. Raises ValueError where the size does not divide the rows."""
        row = shape[-1] if len(shape) else 1
        if self.size == "tensor":
            return max(math.prod(shape), 1)
        if self.size == "row":
            return row
        if row % self.tile[1]:
            raise ValueError(f"{self}: rows of {row} weights are no multiple of {self.tile[1]}")
        return math.prod(self.tile)

    def split(self, x: Tensor) -> Tensor:
        """The blocks of a tensor, (n, length); ``join`` undoes it. Raises ValueError as ``length``."""
        length = self.length(x.shape)
        if not self.spans_rows:
            return x.reshape(-1, length)
        x = x.reshape(-1, x.shape[-1])
        rows, columns = min(self.tile[0], len(x)), self.tile[1]  # the last tile is padded, one higher than all is cut
        x = torch.nn.functional.pad(x, (0, 0, 0, -len(x) % rows))
        return x.view(-1, rows, x.shape[1] // columns, columns).transpose(1, 2).reshape(-1, rows * columns)

    def join(self, blocks: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The tensor of this ``shape`` whose blocks these are."""
        if not self.spans_rows:
            return blocks.reshape(shape)
        rows, columns, row = min(self.tile[0], math.prod(shape[:-1])), self.tile[1], shape[-1]
        x = blocks.view(-1, row // columns, rows, columns).transpose(1, 2).reshape(-1, row)
        return x[: math.prod(shape[:-1])].reshape(shape)

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
