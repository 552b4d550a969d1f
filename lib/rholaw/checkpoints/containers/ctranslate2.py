"""CTranslate2's model.bin: names, shapes, types and values one after another, then aliases (its model_spec.py)."""

import math
from dataclasses import replace

from ..tensors import BITS, Cursor, File, Tensor, plain

NAME = "CTranslate2"
BEGINS = rb"[\x04-\x06]\0\0\0..[A-Z]"
TYPES = ("F32", "I8", "I16", "I32", "F16", "BF16")  # DataType of ctranslate2/types.h


def read(file: File) -> tuple[dict, list[Tensor]]:
    """(version, specification and its revision; the tensors) of binary versions 4 to 6. ValueError: what cannot be."""
    cursor = Cursor(file)
    version = cursor.number("I")
    metadata = {"binary_version": version, "spec": cursor.text("H").rstrip("\0"), "revision": cursor.number("I")}
    tensors = {}
    for _ in range(cursor.number("I")):
        name = cursor.text("H").rstrip("\0")
        shape = tuple(cursor.number("I") for _ in range(cursor.number("B")))
        code, nbytes = cursor.number("B"), cursor.number("I")
        offset = cursor.skip(nbytes)
        if code >= len(TYPES) or math.prod(shape) * BITS[TYPES[code]] != 8 * nbytes:
            raise ValueError(f"{name}: type {code} of shape {list(shape)} does not take {nbytes} bytes")
        tensors[name] = plain(file, name, shape, TYPES[code], offset)
    for _ in range(cursor.number("I")):
        alias, name = (cursor.text("H").rstrip("\0") for _ in range(2))
        if name not in tensors:
            raise ValueError(f"{alias} stands for {name}, which is not there")
        tensors[alias] = replace(tensors[name], name=alias, tied=name)
    return metadata, list(tensors.values())
