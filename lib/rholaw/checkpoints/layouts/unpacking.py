"""What all layouts share: whole numbers out of words of bits, 4-bit floats, and scales spread over what they scale."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from ...checked import shown
from ..tensors import Tensor

E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
"""The values of OCP's FP4 by code."""
BLOCKS = (128, 64, 32, 16)  # sizes of blocks, tried in this order where a matrix ends within one
Rows = Callable[[int, int], torch.Tensor]


def unpacked(words: torch.Tensor, bits: int) -> torch.Tensor:
    """Words (n, m) as the numbers (n, k) of ``bits`` that lie in them end to end, the lowest bits first."""
    stored = words.contiguous().view(torch.uint8)
    unit = bits // math.gcd(bits, 8)  # bytes, after which numbers begin at a byte again
    if unit > 1:
        stored = F.pad(stored, (0, -stored.shape[1] % unit))
        places = torch.arange(0, 8 * unit, 8)
        stored = (stored.view(len(stored), -1, unit).long() << places).sum(-1)
    shifts = torch.arange(0, 8 * unit, bits, dtype=stored.dtype)
    return ((stored[..., None] >> shifts) & (2**bits - 1)).view(len(stored), -1)


def code_rows(codes: Tensor, first: int, last: int) -> torch.Tensor:
    """Rows of a matrix of codes, as the file has them, (last − first, columns)."""
    width = codes.shape[-1]
    return codes.load(first * width, last * width).view(last - first, width)


def expect(tensor: Tensor, shape: tuple[int, ...], what: str, *dtypes: str) -> None:
    """ValueError unless the tensor has this shape, and one of these types where there are any."""
    if dtypes and tensor.dtype not in dtypes:
        raise ValueError(f"their {what} is of {tensor.dtype}, not of {' or '.join(dtypes)}")
    if tensor.shape != shape:
        raise ValueError(f"their {what} has the shape {shown(tensor.shape)}, not {shown(shape)}")


def scale(tensor: Tensor, shape: tuple[int, ...], said: tuple[int, ...] = ()) -> tuple[Rows, str]:
    """(rows, name): what rows of a matrix of ``shape`` are multiplied with, (n, columns or 1), and what shares one.

    said: the (rows, columns) of a block, where a file says them.  Raises ValueError where the scales do not fit.
    """
    if len(shape) < 2:
        raise ValueError("they are no matrix")
    *lead, height, width = shape
    sizes = _aligned(tensor.shape, shape)
    if sizes is None or sizes[:-2] not in (lead, [1] * len(lead)):
        raise ValueError(f"their scale has the shape {shown(tensor.shape)}, which does not fit {shown(shape)}")
    tall, wide = (_block(*pair) for pair in zip((height, width), sizes[-2:], said or (0, 0), strict=True))
    down, across = sizes[-2:]
    stacked = math.prod(sizes[:-2]) > 1

    def rows(first: int, last: int) -> torch.Tensor:
        row = torch.arange(first, last)
        place = row % height // tall + (row // height * down if stacked else 0)
        begin, end = (int(place[0]), int(place[-1]) + 1) if stacked or last - first <= height else (0, down)
        values = _real(tensor.load(begin * across, end * across)).view(-1, across)[place - begin]
        return values if across == 1 else values.repeat_interleave(wide, 1)[:, :width]

    if across == 1 and not said and BLOCKS[0] < tall < height:
        raise ValueError(f"{down} scales of {tall} rows each may be of parts that were joined, of other sizes")
    if across == 1:
        return rows, "row" if down == height else "tensor" if down == 1 else f"{tall} rows"
    if down == 1 and wide == 1 and width > 1:
        if stacked:  # experts in one tensor may lie in × out
            return rows, "column"
        raise ValueError("they have a scale for each column, as matrices of inputs × outputs")
    if down == 1 < height and not said and (across == height or wide < BLOCKS[-1]):
        raise ValueError(f"{across} scales in a row may be of their outputs, or of blocks of {wide} inputs")
    return rows, f"g{wide}" if tall == 1 else f"{tall}x{wide}"


def refuse_wiped(values: torch.Tensor, factors: torch.Tensor) -> None:
    """ValueError where codes that are not 0 have a scale that is; factors: (n, columns or 1), as ``scale`` gives."""
    dead = factors == 0
    if dead.any() and (dead & (values != 0)).any():
        raise ValueError("codes, not measured: some that are not 0 have a scale of 0, which leaves nothing of them")


def _real(values: torch.Tensor) -> torch.Tensor:
    """Scales in float32: bytes are exponents, as in OCP's E8M0, where 255 is NaN."""
    return (values.view(torch.float8_e8m0fnu) if values.dtype == torch.uint8 else values).float()


def _aligned(sizes: tuple[int, ...], shape: tuple[int, ...]) -> list[int] | None:
    """The sizes of a tensor of scales, as many as ``shape`` has; None where it has others."""
    if math.prod(sizes) == 1:
        return [1] * len(shape)
    if len(sizes) == 1 and sizes[0] == shape[0]:
        return [sizes[0]] + [1] * (len(shape) - 1)
    return list(sizes) if len(sizes) == len(shape) else None


def _block(size: int, count: int, said: int) -> int:
    """How many of ``size`` share one of ``count`` scales: as said, or else a power of two."""
    if count in (1, size):
        return max(size, 1) if count == 1 else 1
    known = [block for block in ((said,) if said else BLOCKS) if -(-size // block) == count]
    even = size // count if count and not (said or size % count) else 0
    if not known and (not even or even & (even - 1)):
        raise ValueError(f"{count} scales do not fit {size} weights" + (f" in blocks of {said}" if said else ""))
    return known[0] if known else even
