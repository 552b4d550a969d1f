"""GGUF: typed keys and values, the place of each tensor, then blocks of quantised or plain values.

After https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the gguf package dequantises.
"""

import math
import struct
from collections.abc import Callable

import numpy as np
import torch

from ..tensors import PLAIN, Cursor, File, Tensor, apart, plain

NAME = "GGUF"
BEGINS = rb"GGUF"
SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9
"""Types of values: scalars by their letter in ``struct``, texts, and arrays of either."""


def read(file: File) -> tuple[dict, list[Tensor]]:
    """(the keys, the tensors). ValueError: another version, an unknown type, and what does not fit into the file."""
    from gguf import constants, quants  # late: it takes a third of a second

    cursor = Cursor(file)
    cursor.skip(4)
    version = cursor.number("I")
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version}; versions 2 and 3, little-endian, can be read")
    n_tensors, n_keys = cursor.number("Q"), cursor.number("Q")
    metadata = {}
    for _ in range(n_keys):
        key = cursor.text("Q")
        metadata[key] = _value(cursor, cursor.number("I"))
    entries = {}
    for _ in range(n_tensors):
        name, dims = cursor.text("Q"), cursor.number("I")
        if name in entries or dims > 4:
            raise ValueError(f"tensor {name!r} stands there twice or has {dims} dimensions, at most 4 are allowed")
        shape = tuple(cursor.number("Q") for _ in range(dims))[::-1]
        entries[name] = shape, cursor.number("I"), cursor.number("Q")
    align = metadata.get("general.alignment", 32)
    if type(align) is not int or align < 1:
        raise ValueError(f"general.alignment is {align!r}, not a positive number")
    start = -(-cursor.place // align) * align

    tensors, extents = [], []
    for name, (shape, code, offset) in entries.items():
        try:
            kind = constants.GGMLQuantizationType(code)
        except ValueError:
            raise ValueError(f"{name} has the type {code}, which the gguf package does not know") from None
        block, size = constants.GGML_QUANT_SIZES[kind]
        if (shape[-1] if shape else 1) % block:
            raise ValueError(f"{name}: rows of {shape[-1]} weights are no multiple of {kind.name}'s block of {block}")
        if nbytes := math.prod(shape) // block * size:
            extents.append((start + offset, start + offset + nbytes, name))
        if kind.name in PLAIN:
            tensors.append(plain(file, name, shape, kind.name, start + offset))
        else:
            load = _load(file, start + offset, kind, block, size, quants.dequantize)
            tensors.append(Tensor(name, shape, kind.name, 8 * size / block, True, load))
    apart(extents, file.size)
    return metadata, tensors


def _value(cursor: Cursor, kind: int) -> object:
    """The next value, of the type ``kind``; an array is a list."""
    if kind in SCALARS:
        return cursor.number(SCALARS[kind])
    if kind == TEXT:
        return cursor.text("Q")
    if kind != ARRAY:
        raise ValueError(f"a value of unknown type {kind}")
    item, count = cursor.number("I"), cursor.number("Q")
    if item == TEXT:
        return [cursor.text("Q") for _ in range(count)]
    if item not in SCALARS:
        raise ValueError(f"an array of values of type {item}, which cannot be read")
    raw = cursor.take(count * struct.calcsize("<" + SCALARS[item]))
    return np.frombuffer(raw, dtype="<" + SCALARS[item]).tolist()


def _load(file: File, offset: int, kind: int, block: int, size: int, dequantize: Callable) -> Callable:
    """Of a Tensor whose blocks of ``block`` values take ``size`` bytes each."""

    def load(start: int, stop: int) -> torch.Tensor:
        first, last = start // block, -(-stop // block)
        raw = file.part(offset + first * size, (last - first) * size).numpy().reshape(1, -1)
        try:
            with np.errstate(all="ignore"):  # damaged scales are infinite, which whoever reads finds out
                values = torch.from_numpy(dequantize(raw, kind))
        except NotImplementedError:
            raise ValueError(f"the gguf package cannot dequantise {kind.name}") from None
        return values.view(-1)[start - first * block : stop - first * block]

    return load
