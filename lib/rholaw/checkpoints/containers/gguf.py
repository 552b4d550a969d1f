"""GGUF: typed keys and values, the place of each tensor, then blocks of quantised or plain values.

After https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and as strict as llama.cpp (ggml/src/gguf.cpp): no key
or tensor twice, tensors one after another. The gguf package dequantises. A tensor of a type that it does not know is
there, unreadable; texts that are not UTF-8, as pieces of tokens, are read with replacement.
"""

import math
from collections.abc import Callable

import numpy as np
import torch

from ...checked import shown
from ..tensors import PLAIN, TENSORS, Cursor, File, Tensor, plain, strange

NAME = "GGUF"
BEGINS = rb"GGUF"
SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9
"""Types of values: scalars by their letter in ``struct``, texts, and arrays of either."""
KEYS, DIMENSIONS = 2**16, 4  # at most; usual files have fifty keys


def read(file: File) -> tuple[dict, list[Tensor]]:
    """(the keys, the tensors); arrays of numbers are numpy's, those of texts are lists.

    ValueError: another version, a value of unknown type, and what does not fit into the file.
    """
    from gguf import constants, quants  # late: it takes a third of a second

    cursor = Cursor(file)
    cursor.skip(4)
    version = cursor.number("I")
    if version in (2 << 24, 3 << 24):
        raise ValueError("a GGUF file for big-endian machines: convert the model anew, without --bigendian")
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version}; versions 2 and 3, little-endian, can be read")
    n_tensors, n_keys = cursor.number("Q"), cursor.number("Q")
    if n_tensors > TENSORS or n_keys > KEYS:
        raise ValueError(
            f"it says {n_tensors:,} tensors and {n_keys:,} keys; at most {TENSORS:,} and {KEYS:,} are read"
        )
    metadata, entries = {}, {}
    for _ in range(n_keys):
        key = _new(cursor, metadata)
        metadata[key] = _value(cursor, cursor.number("I"))
    for _ in range(n_tensors):
        name, dims = _new(cursor, entries), cursor.number("I")
        if dims > DIMENSIONS:
            raise ValueError(f"{shown(name)} has {dims} dimensions, at most {DIMENSIONS} are allowed")
        shape = tuple(cursor.number("Q") for _ in range(dims))[::-1]
        entries[name] = shape, cursor.number("I"), cursor.number("Q")
    align = metadata.get("general.alignment", constants.GGUF_DEFAULT_ALIGNMENT)
    if type(align) is not int or not 0 < align < 2**32 or align & (align - 1):
        raise ValueError(f"general.alignment is {shown(align)}, not a power of two below 2^32")
    start, end, tensors = _aligned(cursor.place, align), 0, []
    known = {int(kind): kind for kind in constants.GGMLQuantizationType}
    ends = [*(offset for _, _, offset in entries.values()), file.size - start][1:]
    for (name, (shape, code, offset)), behind in zip(entries.items(), ends, strict=True):
        kind = known.get(code)
        block, size = constants.GGML_QUANT_SIZES[kind] if kind is not None else (1, 0)
        row = shape[-1] if shape else 1
        if row % block:
            raise ValueError(f"{shown(name)}: rows of {row} weights are no multiple of {kind.name}'s block of {block}")
        if offset != _aligned(end, align):
            raise ValueError(f"{shown(name)} begins at {offset}, not at {_aligned(end, align)}: the file is damaged")
        # Of an unknown type all that is said of the size is where the next tensor begins.
        nbytes = math.prod(shape) // block * size if kind is not None else max(behind - offset, 0)
        end = offset + nbytes
        if nbytes and start + end > file.size:
            raise ValueError(
                f"truncated: {shown(name)} ends at byte {start + end} and the file has {file.size}; "
                f"complete the download or copy it anew"
            )
        if kind is None:
            tensors.append(strange(name, shape, f"GGML {code}", nbytes))
        elif kind.name in PLAIN:
            tensors.append(plain(file, name, shape, kind.name, start + offset))
        else:
            load = _load(file, start + offset, kind, block, size, quants.dequantize)
            tensors.append(Tensor(name, shape, kind.name, 8 * size / block, True, load))
    return metadata, tensors


def _aligned(place: int, align: int) -> int:
    """The least multiple of ``align`` from ``place`` on."""
    return -(-place // align) * align


def _new(cursor: Cursor, known: dict[str, object]) -> str:
    """The next text, as a name that is not there yet."""
    if (name := cursor.text("Q")) in known:
        raise ValueError(f"{shown(name)} stands there twice")
    return name


def _value(cursor: Cursor, kind: int) -> object:
    """The next value, of the type ``kind``."""
    if kind in SCALARS:
        return cursor.number(SCALARS[kind])
    if kind == TEXT:
        return cursor.text("Q", "replace")
    if kind != ARRAY:
        raise ValueError(f"a value of unknown type {kind}")
    item, count = cursor.number("I"), cursor.number("Q")
    if item == TEXT:
        return cursor.texts(count)
    if item not in SCALARS:
        raise ValueError(f"an array of values of type {item}, which cannot be read")
    dtype = np.dtype("<" + SCALARS[item].replace("?", "B"))
    values = np.frombuffer(cursor.take(count * dtype.itemsize), dtype)
    return values != 0 if SCALARS[item] == "?" else values


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
