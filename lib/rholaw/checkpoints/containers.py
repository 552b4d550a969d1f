"""The files that checkpoints come in: safetensors, GGUF, CTranslate2 and PyTorch archives → metadata and tensors.

Only headers are read, and nothing in a file is run.
"""

import json
import math
import re
import struct
from dataclasses import replace

import numpy as np
import torch

from .tensors import BITS, NAMES, PLAIN, Cursor, Tensor, apart, plain, unreadable

HEADER_LIMIT = 100_000_000  # bytes; the limit of the safetensors package


def contents(file):
    """(metadata, [Tensor]) of a File. Raises ValueError that says what is wrong and what to do."""
    known = [reader for begins, reader in READERS.items() if re.match(begins, file.head, re.DOTALL)]
    known += [_safetensors] * (file.path.suffix == ".safetensors")
    if not known:
        raise ValueError(
            f"{file.path.name} begins with {file.head[:8]!r}, as neither safetensors, GGUF, PyTorch nor CTranslate2 "
            f"files do: it is empty, encrypted, damaged, or no checkpoint"
        )
    try:
        return known[0](file)
    except (ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{file.path.name}: {error}") from None


def _safetensors(file):
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


def _once(pairs):
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _entry(name, entry):
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


GGUF_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
GGUF_TEXT, GGUF_ARRAY = 8, 9


def _gguf(file):
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
        metadata[key] = _gguf_value(cursor, cursor.number("I"))
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
            load = _gguf_load(file, start + offset, kind, block, size, quants.dequantize)
            tensors.append(Tensor(name, shape, kind.name, 8 * size / block, True, load))
    apart(extents, file.size)
    return metadata, tensors


def _gguf_value(cursor, kind):
    if kind in GGUF_SCALARS:
        return cursor.number(GGUF_SCALARS[kind])
    if kind == GGUF_TEXT:
        return cursor.text("Q")
    if kind != GGUF_ARRAY:
        raise ValueError(f"a value of unknown type {kind}")
    item, count = cursor.number("I"), cursor.number("Q")
    if item == GGUF_TEXT:
        return [cursor.text("Q") for _ in range(count)]
    if item not in GGUF_SCALARS:
        raise ValueError(f"an array of values of type {item}, which cannot be read")
    raw = cursor.take(count * struct.calcsize("<" + GGUF_SCALARS[item]))
    return np.frombuffer(raw, dtype="<" + GGUF_SCALARS[item]).tolist()


def _gguf_load(file, offset, kind, block, size, dequantize):
    def load(start, stop):
        first, last = start // block, -(-stop // block)
        raw = file.part(offset + first * size, (last - first) * size).numpy().reshape(1, -1)
        try:
            with np.errstate(all="ignore"):  # damaged scales are infinite, which whoever reads finds out
                values = torch.from_numpy(dequantize(raw, kind))
        except NotImplementedError:
            raise ValueError(f"the gguf package cannot dequantise {kind.name}") from None
        return values.view(-1)[start - first * block : stop - first * block]

    return load


CT2_TYPES = ("F32", "I8", "I16", "I32", "F16", "BF16")  # DataType of ctranslate2/types.h


def _ctranslate2(file):
    """Binary versions 4 to 6: names, shapes, types and values one after another, then aliases (model_spec.py)."""
    cursor = Cursor(file)
    version = cursor.number("I")
    metadata = {"binary_version": version, "spec": cursor.text("H").rstrip("\0"), "revision": cursor.number("I")}
    tensors = {}
    for _ in range(cursor.number("I")):
        name = cursor.text("H").rstrip("\0")
        shape = tuple(cursor.number("I") for _ in range(cursor.number("B")))
        code, nbytes = cursor.number("B"), cursor.number("I")
        offset = cursor.skip(nbytes)
        if code >= len(CT2_TYPES) or math.prod(shape) * BITS[CT2_TYPES[code]] != 8 * nbytes:
            raise ValueError(f"{name}: type {code} of shape {list(shape)} does not take {nbytes} bytes")
        tensors[name] = plain(file, name, shape, CT2_TYPES[code], offset)
    for _ in range(cursor.number("I")):
        alias, name = (cursor.text("H").rstrip("\0") for _ in range(2))
        if name not in tensors:
            raise ValueError(f"{alias} stands for {name}, which is not there")
        tensors[alias] = replace(tensors[name], name=alias, tied=name)
    return metadata, list(tensors.values())


def _torch(file):
    """``torch.load`` with weights_only, which builds tensors and plain containers and refuses everything else."""
    try:
        loaded = torch.load(file.path, map_location="cpu", weights_only=True, mmap=file.head.startswith(b"PK") or None)
    except Exception as error:  # whatever a damaged archive makes of itself
        asks = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {asks[1]}, which is no tensor" if asks else f"{error!s:.200}" or type(error).__name__
        raise ValueError(
            f"PyTorch refuses to load it as weights only: {reason}. Nothing in it was run; "
            f"whoever trusts it may save its tensors as safetensors"
        ) from None
    states = [loaded[key] for key in STATE_KEYS if isinstance(loaded, dict) and isinstance(loaded.get(key), dict)]
    found, owners = dict(_named(states[0] if states else loaded, "")), {}
    if not found:
        raise ValueError("it holds no tensors by name")
    tensors = []
    for name, value in found.items():
        value, dtype = value.detach(), NAMES.get(value.dtype, str(value.dtype))
        # Sparse, quantised and meta tensors are none, nor is one that repeats its storage, as large as it likes.
        whole = value.layout is torch.strided and dtype in PLAIN and value.device.type == "cpu"
        whole = whole and value.nbytes <= value.untyped_storage().nbytes()
        place = (value.data_ptr(), value.shape, value.stride()) if whole and value.numel() else name
        tied = owners.setdefault(place, name)
        load = _torch_load(value) if whole else unreadable(f"{dtype} in a layout that cannot be read")
        bits, few = 8 * value.element_size(), dtype.startswith("F8") or not whole
        tensors.append(Tensor(name, tuple(value.shape), dtype, bits, few, load, tied if tied != name else ""))
    return {}, tensors


STATE_KEYS = ("state_dict", "model_state_dict", "model", "module")  # where trainers keep the weights, beside the rest


def _named(value, name):
    """(name, tensor) for each tensor in nested dictionaries."""
    if torch.is_tensor(value):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _named(inner, f"{name}.{key}" if name else str(key))


def _torch_load(value):
    if value.is_contiguous():
        return lambda start, stop: value.view(-1)[start:stop].clone()
    return lambda start, stop: value.reshape(-1)[start:stop]  # a transposed matrix is copied as a whole


def _pointer(file):
    raise ValueError("a pointer of Git LFS in place of the file: fetch it by git lfs pull")


READERS = {
    rb"GGUF": _gguf,
    rb".{5}\0\0\0\{": _safetensors,
    rb"PK\x03\x04|\x80[\x02-\x05]": _torch,
    rb"version https:": _pointer,
    rb"[\x04-\x06]\0\0\0..[A-Z]": _ctranslate2,
}
"""What a file begins with → its reader, in the order in which they are asked."""
