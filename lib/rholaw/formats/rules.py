"""How a block finds its scale from its values. A new rule is one class here, entered in ``RULES``.

``blocks`` has a block a row, (n, length); scales have shape (n, 1).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ..distributions import Source
from .element import Element
from .optimal import gaussian_scale
from .rounding import ends, largest, rounded
from .scale_types import PowerOfTwo, ScaleType, Top


@dataclass(frozen=True)
class Rule:
    """A rule by its ``name`` in the grammar, and what it ``means``.

    ``needs``: the least of a block that fixes its levels; room ``error`` integrates over its law.  "largest", "signed
    largest": at the scale of the block ``reach`` is the largest magnitude; "ends": the levels go from the least value
    to the greatest.  ``affine``: whether it stores an offset beside the scale, for elements without a sign.
    ``any_type``: whether it takes scales of all types, or those alone that store any number.
    """

    name: str
    means: str
    needs: ClassVar[Literal["largest", "signed largest", "ends", "everything"]] = "everything"
    affine: ClassVar[bool] = False
    any_type: ClassVar[bool] = False

    def fits(self, element: Element, type: ScaleType) -> bool:
        """Whether it goes with this element in scales of this type."""
        return element.signed is not self.affine

    def offset_bits(self, element: Element, type: ScaleType) -> float:
        """Bits per block that it stores beside the scale."""
        return 0.0

    def reach(self, element: Element) -> float:
        """What the largest magnitude of a block meets, at scale 1."""
        return element.reach

    def reaches(self, element: Element, type: ScaleType) -> tuple[float, ...]:
        """What the largest magnitude may meet, where the rule tries which of several is best."""
        return (self.reach(element),)

    def limit(self, element: Element, source: Source) -> float | None:
        """The scale of a block without end of values from ``source``; None where nothing says so."""
        return None

    def scale(self, blocks: Tensor, element: Element, type: ScaleType, mask: Tensor | None, top: Top) -> Tensor:
        """The stored scale of every block, by rules that are not affine.

        mask: which values survive, where the others are zero already; top: the largest magnitude of the whole tensor.
        """
        raise NotImplementedError

    def coded(self, blocks: Tensor, element: Element, type: ScaleType) -> Tensor:
        """The values that come back for ``blocks``, a new tensor, by rules that are affine."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.name


class BestReach(Rule):
    """The largest magnitude meets one of several reaches: that of least squared error in the block."""

    any_type = True

    def scale(self, blocks: Tensor, element: Element, type: ScaleType, mask: Tensor | None, top: Top) -> Tensor:
        """As ``Rule.scale``; the first of those that err alike."""
        most = largest(blocks)
        best, *others = (type.of_largest(most, reach, element, top) for reach in self.reaches(element, type))
        least = _error(blocks, element, best, mask) if others else None
        for scale in others:
            error = _error(blocks, element, scale, mask)
            wins = error < least
            best, least = torch.where(wins, scale, best), torch.where(wins, error, least)
        return best


def _error(blocks: Tensor, element: Element, scale: Tensor, mask: Tensor | None) -> Tensor:
    error = rounded(blocks, element, scale).sub_(blocks)
    if mask is not None:  # a grid without a zero has none for what is pruned, which nobody stores
        error *= mask
    return error.square_().sum(dim=1, keepdim=True)


class Absmax(BestReach):
    """The end of the grid is the only reach."""

    needs = "largest"


class LeastError(BestReach):
    """From the end of the grid on to reaches beyond it, at which the largest magnitude saturates."""

    def reaches(self, element: Element, type: ScaleType) -> tuple[float, ...]:
        """As ``Rule.reaches``."""
        # Powers of two are a factor of two apart: the scale of absmax and its neighbours hold the optimum.
        factors = (0.5, 1.0, 2.0) if isinstance(type, PowerOfTwo) else np.linspace(1.0, 0.45, 48)
        return tuple(element.reach / factor for factor in factors)


class FourSix(BestReach):
    """The two reaches of NVFP4 in Four Over Six (arXiv 2512.02010)."""

    def fits(self, element: Element, type: ScaleType) -> bool:
        """As ``Rule.fits``."""
        return element.name == "e2m1" and type.name == "e4m3"

    def reaches(self, element: Element, type: ScaleType) -> tuple[float, ...]:
        """As ``Rule.reaches``."""
        return element.reach, element.reach * 2 / 3


class SignedMax(Rule):
    """For integers with one more level below zero than above: the scale takes the sign that leads there."""

    needs = "signed largest"

    def fits(self, element: Element, type: ScaleType) -> bool:
        """As ``Rule.fits``."""
        return element.kind == "integer" and element.levels[0] < -element.levels[-1]

    def reach(self, element: Element) -> float:
        """As ``Rule.reach``: how far the lowest level is."""
        return -element.lowest

    def scale(self, blocks: Tensor, element: Element, type: ScaleType, mask: Tensor | None, top: Top) -> Tensor:
        """As ``Rule.scale``; negative where the largest is positive."""
        low, high = ends(blocks)
        return type.stored(torch.where(high > -low, high, low) / element.lowest)


class MeanMagnitude(Rule):
    """The mean over survivors."""

    def limit(self, element: Element, source: Source) -> float:
        """As ``Rule.limit``: E|X|."""
        return float(2 * source.tail_moments(0.0)[1])

    def scale(self, blocks: Tensor, element: Element, type: ScaleType, mask: Tensor | None, top: Top) -> Tensor:
        """As ``Rule.scale``."""
        return type.stored((_norm(blocks, 1) / _count(blocks, mask)).to(blocks.dtype))


class RootMeanSquare(Rule):
    """As formats without blocks have it for the whole tensor; the rule of vectors."""

    def limit(self, element: Element, source: Source) -> float:
        """As ``Rule.limit``."""
        return gaussian_scale(element, None)

    def scale(self, blocks: Tensor, element: Element, type: ScaleType, mask: Tensor | None, top: Top) -> Tensor:
        """As ``Rule.scale``."""
        scale = _norm(blocks, 2) / _count(blocks, mask) ** 0.5 * gaussian_scale(element, None)
        return type.stored(scale.to(blocks.dtype))


def _norm(blocks: Tensor, power: int) -> Tensor:
    """(Σ |x|^power)^(1/power) of every block, in float64: sums of large values."""
    return torch.linalg.vector_norm(blocks, power, dim=1, keepdim=True, dtype=torch.float64)


def _count(blocks: Tensor, mask: Tensor | None) -> Tensor | int:
    """Survivors of every block."""
    return blocks.shape[1] if mask is None else mask.sum(dim=1, keepdim=True).clamp(min=1)


class MinMax(Rule):
    """The lowest level at the least value of the block, the highest at the greatest."""

    needs = "ends"
    affine = True

    def offset_bits(self, element: Element, type: ScaleType) -> float:
        """As ``Rule.offset_bits``: the minimum, stored as the scale is."""
        return type.bits

    def coded(self, blocks: Tensor, element: Element, type: ScaleType) -> Tensor:
        """As ``Rule.coded``."""
        low, high = ends(blocks)
        scale, low = type.stored((high - low) / (element.count - 1)), type.stored(low)
        return rounded(blocks - low, element, scale).add_(low)


class ZeroPoint(Rule):
    """Zero is a level, as AWQ and GPTQ have it; the levels jump with its code, so that no smooth integral is known."""

    affine = True

    def offset_bits(self, element: Element, type: ScaleType) -> float:
        """As ``Rule.offset_bits``: a code."""
        return element.bits

    def coded(self, blocks: Tensor, element: Element, type: ScaleType) -> Tensor:
        """As ``Rule.coded``."""
        low, high = ends(blocks)
        low, high = low.clamp(max=0), high.clamp(min=0)
        scale = type.stored((high - low) / (element.count - 1))
        safe = torch.where(scale > 0, scale, 1.0)
        zero = (-low / safe).round().clamp(0, element.count - 1)
        return element.round_((blocks / safe).round_().add_(zero)).sub_(zero).mul_(scale)


ABSMAX = Absmax("absmax", "the largest magnitude meets the end of the grid")
MINMAX = MinMax("minmax", "a scale and a minimum, so that the grid spans the block")
RMS = RootMeanSquare("rms", "the optimal constant for N(0,1) times the root mean square")

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        ABSMAX,
        LeastError("mse", "the least squared error of the block, among 48 scales below absmax"),
        SignedMax("signmax", "the value of largest magnitude, with its sign, meets the lowest level (GGUF)"),
        MINMAX,
        ZeroPoint("zero", "a scale and an integer zero point, so that the grid spans the block and zero"),
        MeanMagnitude("absmean", "the mean magnitude (BitNet b1.58)"),
        RMS,
        FourSix("four-six", "the largest magnitude meets 6 or 4, whichever errs less (NVFP4, adaptive)"),
    )
}
"""Name in the grammar → rule."""


def default_rule(element: Element) -> Rule:
    """The rule of a block where the text names none."""
    return RMS if element.dim > 1 else ABSMAX if element.signed else MINMAX
