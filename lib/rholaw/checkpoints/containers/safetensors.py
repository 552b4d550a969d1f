"""safetensors: a header in JSON with the place of each tensor, then their bytes.

Held to the format's own rules: https://github.com/huggingface/safetensors, section "Format".
"""

import json
import math
import struct

from ..tensors import BITS, File, Tensor, apart, plain

NAME = "safetensors"
BEGINS = rb"(?!GGUF).{5}\0\0\0\{"  # the length of the header, which is less than 2^40, and its bracket
ENDING = ".safetensors"
HEADER_LIMIT = 100_000_000  # bytes; the limit of the safetensors package


def read(file: File) -> tuple[dict, list[Tensor]]:
    """(the file's ``__metadata__``, its tensors). ValueError says what in the header cannot be."""
    if file.size < 8:
        raise ValueError(f"truncated: it has {file.size} bytes, a header alone needs 8")
    length = struct.unpack("<Q", file.head[:8])[0]
    if length > file.size - 8:
        raise ValueError(
            f"its header of {length} bytes is longer than the file of {file.size}: truncated, or no safetensors file"
        )
    if length > HEADER_LIMIT:
        raise ValueError(f"its header of {length} bytes exceeds the format's limit of {HEADER_LIMIT}")
    try:
        header = json.loads(file.part(8, length).numpy().tobytes().decode("utf-8"), object_pairs_hook=_once)
    except ValueError as error:
        raise ValueError(f"its header is no JSON: {error}") from None
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        raise ValueError("its header, or the __metadata__ in it, is no JSON object")
    tensors, extents, start = [], [], 8 + length
    for name, entry in header.items():
        shape, dtype, begin, end = _entry(name, entry)
        if 8 * (end - begin) != (needed := math.prod(shape) * BITS[dtype]):
            raise ValueError(f"{name}: {dtype} of shape {list(shape)} takes {needed // 8} bytes, not {end - begin}")
        if begin < end:
            extents.append((start + begin, start + end, name))
        tensors.append(plain(file, name, shape, dtype, start + begin))
    apart(extents, file.size)
    used = sum(end - begin for begin, end, _ in extents)
    if start + used != file.size:
        raise ValueError(f"{file.size - start - used} of its bytes belong to no tensor: the file is damaged")
    return metadata, tensors


def _once(pairs: list[tuple]) -> dict:
    if len(named := dict(pairs)) < len(pairs):
        raise ValueError("a name stands there twice")
    return named


def _entry(name: str, entry: object) -> tuple[tuple[int, ...], str, int, int]:
    """(shape, dtype, begin, end) of a tensor in the header of a safetensors file."""
    try:
        shape, dtype, (begin, end) = entry["shape"], entry["dtype"], entry["data_offsets"]
        numbers = [*shape, begin, end]
        name.encode()  # refuses halves of characters, which no output could hold
        sound = dtype in BITS and all(type(n) is int and 0 <= n < 2**63 for n in numbers) and isinstance(shape, list)
    except (TypeError, KeyError, ValueError):
        sound = False
    if not sound:
        raise ValueError(f"the header's entry for {name!r} is not a dtype, a shape and two offsets: {str(entry)[:120]}")
    return tuple(shape), dtype, begin, end
