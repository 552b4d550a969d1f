"""CTranslate2's model.bin: names, shapes, types and values one after another, then aliases (its model_spec.py)."""

import math
from dataclasses import replace

from ...checked import shown
from ..tensors import BITS, DIMENSIONS, TENSORS, Cursor, File, Tensor, plain, strange

NAME = "CTranslate2"
BEGINS = rb"[\x04-\x06]\0\0\0..[A-Z]"
TYPES = ("F32", "I8", "I16", "I32", "F16", "BF16")  # DataType of ctranslate2/types.h


def read(file: File) -> tuple[dict, list[Tensor]]:
    """(version, specification and its revision; the tensors) of binary versions 4 to 6. ValueError: what cannot be."""
    cursor, tensors = Cursor(file), {}
    version, spec, revision = cursor.number("I"), cursor.text("H").rstrip("\0"), cursor.number("I")
    for _ in range(_count(cursor, "tensors")):
        name = _new(cursor, tensors)
        shape = tuple(cursor.number("I") for _ in range(cursor.number("B")))
        code, nbytes = cursor.number("B"), cursor.number("I")
        offset = cursor.skip(nbytes)
        known = code < len(TYPES)
        if len(shape) > DIMENSIONS or (known and math.prod(shape) * BITS[TYPES[code]] != 8 * nbytes):
            raise ValueError(f"{shown(name)}: type {code} of shape {shown(list(shape))} does not take {nbytes} bytes")
        if known:
            tensors[name] = plain(file, name, shape, TYPES[code], offset)
        else:  # of a later version
            tensors[name] = strange(name, shape, f"CTranslate2 {code}", nbytes)
    for _ in range(_count(cursor, "aliases")):
        alias, name = _new(cursor, tensors), cursor.text("H").rstrip("\0")
        if name not in tensors:
            raise ValueError(f"{shown(alias)} stands for {shown(name)}, which is not there")
        tensors[alias] = replace(tensors[name], name=alias, tied=name)
    if cursor.place != file.size:
        raise ValueError(f"{file.size - cursor.place} of its bytes belong to no tensor: the file is damaged")
    return {"binary_version": version, "spec": spec, "revision": revision}, list(tensors.values())


def _count(cursor: Cursor, what: str) -> int:
    if (count := cursor.number("I")) > TENSORS:
        raise ValueError(f"it says that it has {count:,} {what}; at most {TENSORS:,} are read")
    return count


def _new(cursor: Cursor, tensors: dict[str, Tensor]) -> str:
    """The next text, as the name of a tensor that is not there yet."""
    if (name := cursor.text("H").rstrip("\0")) in tensors:
        raise ValueError(f"two tensors are called {shown(name)}")
    return name
