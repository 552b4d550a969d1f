"""safetensors: a header in JSON with the place of each tensor, then their bytes.

Held to the format's own rules: https://github.com/huggingface/safetensors, section "Format". But a tensor of a type
that came later is there, unreadable, and the others are served.
"""

import math
import re
import struct

from ...checked import shown
from ...untrusted import LARGEST, json_object
from ..tensors import BITS, DIMENSIONS, TENSORS, File, Tensor, apart, plain, strange

NAME = "safetensors"
BEGINS = rb"(?!GGUF).{5}\0\0\0\{"  # the length of the header, which is less than 2^40, and its bracket
ENDING = ".safetensors"
TYPE = "[A-Z][A-Z0-9_]{0,30}"  # of a tensor, also one that came after this was written


def read(file: File) -> tuple[dict, list[Tensor]]:
    """(the file's ``__metadata__``, its tensors). ValueError says what in the header cannot be."""
    if file.size < 8:
        raise ValueError(f"truncated: it has {file.size} bytes, a header alone needs 8")
    length = struct.unpack("<Q", file.head[:8])[0]
    if length > file.size - 8:
        raise ValueError(
            f"its header of {length} bytes is longer than the file of {file.size}: truncated, or no safetensors file"
        )
    if length > LARGEST:
        raise ValueError(f"its header of {length} bytes exceeds the format's limit of {LARGEST}")
    header = json_object(file.part(8, length).numpy().tobytes(), "its header")
    try:
        metadata = header.pop("__metadata__", {})
        "".join(metadata.values())
    except (AttributeError, TypeError):
        raise ValueError("the __metadata__ in its header is no JSON object of texts") from None
    if len(header) > TENSORS:
        raise ValueError(f"its header has {len(header):,} tensors, at most {TENSORS:,} are read")
    tensors, extents, start = [], [], 8 + length
    for name, entry in header.items():
        shape, dtype, begin, end = _entry(name, entry)
        known, nbytes = dtype in BITS, end - begin
        if known and 8 * nbytes != (needed := math.prod(shape) * BITS[dtype]):
            raise ValueError(
                f"{shown(name)}: {dtype} of shape {shown(list(shape))} takes {needed // 8} bytes, not {nbytes}"
            )
        if begin < end:
            extents.append((start + begin, start + end, name))
        place = start + begin
        tensors.append(plain(file, name, shape, dtype, place) if known else strange(name, shape, dtype, nbytes))
    apart(extents, file.size)
    used = sum(end - begin for begin, end, _ in extents)
    if start + used != file.size:
        raise ValueError(f"{file.size - start - used} of its bytes belong to no tensor: the file is damaged")
    return metadata, tensors


def _entry(name: str, entry: object) -> tuple[tuple[int, ...], str, int, int]:
    """(shape, dtype, begin, end) of a tensor in the header of a safetensors file."""
    try:
        shape, dtype, (begin, end) = entry["shape"], entry["dtype"], entry["data_offsets"]
        numbers = [*shape, begin, end]
        sound = isinstance(shape, list) and len(shape) <= DIMENSIONS and bool(re.fullmatch(TYPE, dtype))
        sound = sound and all(type(n) is int and 0 <= n < 2**63 for n in numbers) and begin <= end
    except (TypeError, KeyError, ValueError):
        sound = False
    if not sound:
        raise ValueError(f"the header's entry for {shown(name)} is not a dtype, a shape, offsets: {shown(entry)}")
    return tuple(shape), dtype, begin, end
