"""bitsandbytes' 4 bits: nf4 and fp4 in blocks of a flattened matrix, whose scales may be codes themselves.

Two codes in a byte, the upper one first; quant_state is JSON that says the shape (bitsandbytes/functional.py).
"""

import math

import torch

from ... import untrusted
from ...checked import shown
from ..tensors import Tensor
from .grouping import Group
from .settings import Settings
from .unpacking import expect

STATE = "quant_state.bitsandbytes__"
LARGEST = 10_000  # bytes of a quant_state
BLOCK = 2**16  # values that share a scale, at most


def bitsandbytes(group: Group, settings: Settings) -> Tensor | None:
    """Values of quant_map times the absmax of their block, which with double quantisation are codes with scales."""
    said = next((part for part in group.parts if part.startswith(STATE)), None)
    if said is None:
        return None
    codes, unit = group.codes, int(group.codes.bits) // 8  # training keeps the bytes as floats of 16 bits, too
    nested = ["nested_absmax", "nested_quant_map"] if "nested_absmax" in group.parts else []
    group.only("absmax", "quant_map", said, *nested)
    try:
        state = _state(group.parts[said])
        shape, block, second, offset = (
            state[key] for key in ("shape", "blocksize", "nested_blocksize", "nested_offset")
        )
        if -(-math.prod(shape) // 2) != codes.count * unit:
            raise ValueError(f"its shape is {shown(shape)}, and there are {codes.count * unit} bytes of two codes")
    except ValueError as error:
        return group.unread(f"the quant_state beside them cannot be: {error}", (2 * codes.count * unit, 1))
    largest, table = group.parts["absmax"], group.parts["quant_map"]
    blocks = -(-math.prod(shape) // block)
    expect(largest, (blocks,), "absmax")
    expect(table, (16,), "quant_map")
    if nested:
        expect(group.parts["nested_absmax"], (-(-blocks // second),), "nested_absmax")
        expect(group.parts["nested_quant_map"], (256,), "nested_quant_map")
    if bool(nested) != (largest.dtype == "U8"):
        raise ValueError(f"their absmax is {largest.dtype}, {'with' if nested else 'without'} a nested_absmax")

    def scales(first: int, last: int) -> torch.Tensor:
        values = largest.load(first, last)
        if not nested:
            return values.float()
        begin = first // second
        coarse = group.parts["nested_absmax"].load(begin, -(-last // second)).float().repeat_interleave(second)
        fine = group.parts["nested_quant_map"].read().float()[values.long()]
        return fine * coarse[first - begin * second :][: last - first] + offset

    def load(start: int, stop: int) -> torch.Tensor:
        begin = start // (2 * unit)  # of what the bytes are kept as
        stored = codes.load(begin, -(-stop // (2 * unit))).view(torch.uint8)
        values = table.read().float()[torch.stack([stored >> 4, stored & 15], 1).view(-1).long()]
        first = start // block
        factors = scales(first, -(-stop // block)).repeat_interleave(block)[start - first * block :]
        return values[start - 2 * unit * begin :][: stop - start] * factors[: stop - start]

    return group.flat(shape, f"bnb {said.removeprefix(STATE)}/g{block}{' twice' if nested else ''}", load)


def _state(tensor: Tensor) -> dict:
    """What a quant_state says, its numbers checked."""
    if tensor.dtype != "U8" or tensor.count > LARGEST:
        raise ValueError(f"{tensor.count} values of {tensor.dtype}")
    said = {"nested_blocksize": 1, "nested_offset": 0.0}
    said |= untrusted.json_object(tensor.read().numpy().tobytes(), "it")
    shape = said["shape"] = tuple(said["shape"]) if isinstance(said.get("shape"), list) else ()
    numbers = [*shape, said.get("blocksize"), said["nested_blocksize"]]
    if len(shape) < 2 or not all(type(n) is int and 0 < n < 2**31 for n in numbers) or max(numbers[-2:]) > BLOCK:
        raise ValueError(f"its shape is {shown(list(shape))}, its blocks are of {shown(numbers[-2:])}")
    if type(said["nested_offset"]) not in (int, float) or not abs(said["nested_offset"]) < 1e30:
        raise ValueError(f"its nested_offset is {shown(said['nested_offset'])}")
    return said
