"""How the scales of blocks are stored. A new type is one class here, entered in ``TYPES``."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from .element import Element, Needs

Top = Tensor | float | None
"""The largest magnitude of a whole tensor, where some of its rows are rounded."""

E4M3_LARGEST = 448.0


@dataclass(frozen=True)
class ScaleType:
    """A way to store scales, ``bits`` for each.

    ``needs``: what of a tensor its scales share.  ``any_scale``: whether it stores numbers of either sign, rather than
    a scale that it chooses for a largest magnitude.  ``smooth``: whether so finely that integrals need not see steps.
    """

    name: str
    bits: float
    needs: ClassVar[Needs] = "nothing"
    any_scale: ClassVar[bool] = False
    smooth: ClassVar[bool] = False

    def of_largest(self, largest: Tensor, reach: float, element: Element, top: Top = None) -> Tensor:
        """Stored scales of blocks whose largest magnitudes are ``largest`` (n, 1), so that ``reach`` meets these.

        top: the largest magnitude of the whole tensor, for types that need it (default: that of these blocks); blocks
        of several tensors have one each, (n, 1).
        """
        raise NotImplementedError

    def jumps(self, reach: float, element: Element, top: float | None, low: float, high: float) -> np.ndarray:
        """The largest magnitudes, ``low`` to ``high`` and perhaps beyond, at which ``of_largest`` jumps; increasing."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class FloatScale(ScaleType):
    """A number of torch's type ``dtype``, saturated at its largest value."""

    dtype: torch.dtype
    any_scale: ClassVar[bool] = True

    @property
    def smooth(self) -> bool:
        """As fine as the weights themselves."""
        return self.dtype == torch.float32

    def stored(self, scale: Tensor) -> Tensor:
        """The number that comes back for ``scale``, in the type of that."""
        if scale.dtype == self.dtype:
            return scale
        limit = torch.finfo(self.dtype).max
        return scale.clamp(-limit, limit).to(self.dtype).to(scale.dtype)

    def of_largest(self, largest: Tensor, reach: float, element: Element, top: Top = None) -> Tensor:
        """As ``ScaleType.of_largest``."""
        return self.stored(largest / reach)

    def jumps(self, reach: float, element: Element, top: float | None, low: float, high: float) -> np.ndarray:
        """As ``ScaleType.jumps``: at the midpoints of neighbouring numbers of the type."""
        if self.smooth:
            return np.empty(0)
        info = torch.finfo(self.dtype)
        octaves = np.arange(np.floor(np.log2(low / reach)), np.ceil(np.log2(high / reach)) + 1)
        steps = np.maximum(2.0**octaves, info.smallest_normal) * info.eps
        return (2.0 ** octaves[:, None] + (np.arange(round(1 / info.eps)) + 0.5) * steps[:, None]).ravel() * reach


@dataclass(frozen=True)
class PowerOfTwo(ScaleType):
    """2^−127 … 2^127 in 8 bits.  ``rounding`` says how it is found from the largest magnitude of a block.

    "down": ⌊log2 largest⌋ less the exponent of the grid's top (OCP MX v1.0, section 6.3).  "even": the same after
    rounding the largest to the grid's mantissa.  "up": ⌈log2 largest⌉ less the exponent of the grid's top.
    "saturate nothing": the least at which the grid reaches the largest.
    """

    rounding: Literal["down", "even", "up", "saturate nothing"]

    def of_largest(self, largest: Tensor, reach: float, element: Element, top: Top = None) -> Tensor:
        """As ``ScaleType.of_largest``; 2^−127 for blocks of zeros."""
        exponent_of_top = np.floor(np.log2(reach))
        if self.rounding == "saturate nothing":
            exponent = _ceil_log2(largest / reach)
        elif self.rounding == "up":
            exponent = _ceil_log2(largest) - exponent_of_top
        else:
            fraction, power = torch.frexp(largest)
            if self.rounding == "even":
                power = power + (fraction >= self._first_even(element) / 2).to(power.dtype)
            exponent = (power - 1).to(largest.dtype) - exponent_of_top
        exponent = torch.where(largest > 0, exponent, -127.0)
        return torch.exp2(exponent.clamp(-127, 127))

    def jumps(self, reach: float, element: Element, top: float | None, low: float, high: float) -> np.ndarray:
        """As ``ScaleType.jumps``: once an octave."""
        first = {"even": self._first_even(element), "saturate nothing": reach}.get(self.rounding, 1.0)
        return first * 2.0 ** np.arange(-80, 80)

    @staticmethod
    def _first_even(element: Element) -> float:
        """Where in [1, 2) numbers of the grid's mantissa begin to round up to 2."""
        return 2 - 2.0 ** -((element.mantissa if element.kind == "float" else 0) + 1)


def _ceil_log2(x: Tensor) -> Tensor:
    """⌈log2 x⌉; exactly, where a logarithm may round to the next integer."""
    fraction, power = torch.frexp(x)
    return (power - (fraction == 0.5).to(power.dtype)).to(x.dtype)


@dataclass(frozen=True)
class E4M3(ScaleType):
    """An FP8 number E4M3, times one fp32 factor a tensor, chosen so that its largest scale is 448."""

    needs: ClassVar[Needs] = "largest"

    def of_largest(self, largest: Tensor, reach: float, element: Element, top: Top = None) -> Tensor:
        """As ``ScaleType.of_largest``."""
        top = largest.max() if top is None else torch.as_tensor(top, dtype=largest.dtype, device=largest.device)
        factor = FP32.stored(top / (E4M3_LARGEST * reach))
        scale = (largest / reach / factor).clamp(max=E4M3_LARGEST)
        return torch.where(factor > 0, scale.to(torch.float8_e4m3fn).to(largest.dtype) * factor, 0.0)

    def jumps(self, reach: float, element: Element, top: float | None, low: float, high: float) -> np.ndarray:
        """As ``ScaleType.jumps``: at the midpoints of neighbouring E4M3 numbers."""
        values = torch.arange(127, dtype=torch.uint8).view(torch.float8_e4m3fn).double().numpy()
        return (values[1:] + values[:-1]) / 2 * top / E4M3_LARGEST


@dataclass(frozen=True)
class DoubleQuantised(ScaleType):
    """Less their mean, in 8 bits that share an fp32 factor per 256 scales (QLoRA, arXiv 2305.14314, section 3)."""

    needs: ClassVar[Needs] = "everything"

    def of_largest(self, largest: Tensor, reach: float, element: Element, top: Top = None) -> Tensor:
        """As ``ScaleType.of_largest``, of all the blocks of a tensor."""
        scale = FP32.stored(largest / reach)
        offset = FP32.stored(scale.mean())
        groups = torch.nn.functional.pad((scale - offset).view(-1), (0, -len(scale) % 256)).view(-1, 256)
        factor = FP32.stored(groups.abs().amax(dim=1, keepdim=True))
        levels = _dynamic_levels().to(groups)
        middle = (levels[1:] + levels[:-1]) / 2
        codes = torch.bucketize(torch.where(factor > 0, groups / factor, 0.0), middle)
        return (levels[codes] * factor).view(-1)[: len(scale)].view_as(scale) + offset


@lru_cache
def _dynamic_levels() -> Tensor:
    """bitsandbytes' 8-bit dynamic map: seven decades, each with twice as many levels as the one below."""
    decades = [
        10.0 ** (i - 6) * (np.linspace(0.1, 1, 2**i + 1)[1:] + np.linspace(0.1, 1, 2**i + 1)[:-1]) / 2 for i in range(7)
    ]
    positive = np.concatenate(decades)
    return torch.from_numpy(np.concatenate([-positive[::-1], [0.0], positive, [1.0]]))


FP32 = FloatScale("fp32", 32, torch.float32)
FP16 = FloatScale("fp16", 16, torch.float16)

TYPES: dict[str, ScaleType] = {
    type.name: type
    for type in (
        FP32,
        FP16,
        FloatScale("bf16", 16, torch.bfloat16),
        PowerOfTwo("e8m0", 8, "down"),
        PowerOfTwo("e8m0-even", 8, "even"),
        PowerOfTwo("e8m0-ceil", 8, "up"),
        PowerOfTwo("e8m0-rceil", 8, "saturate nothing"),
        DoubleQuantised("dq8", 8 + 32 / 256),
        E4M3("e4m3", 8),
    )
}
"""Name in the grammar → type."""
