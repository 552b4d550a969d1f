"""The files that hold tensors: safetensors, GGUF, CTranslate2 and PyTorch archives. Headers first, values when asked.

Every length and place that a file states is held against the file before it is used, and nothing in a file is run.
"""

import io
import json
import math
import mmap
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

HEADER_LIMIT = 100_000_000  # bytes; the limit of the safetensors package
PLAIN = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "BOOL": torch.bool},
    **{"U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8, "C64": torch.complex64},
}
BITS = {name: 8 * dtype.itemsize for name, dtype in PLAIN.items()}
BITS |= {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8}  # safetensors has them, torch not


@dataclass(frozen=True)
class Tensor:
    """A tensor of a checkpoint, whose values stay in the file until they are asked for.

    dtype: as safetensors ("BF16", "I32", …) or GGUF ("Q4_1", …) calls it.  quantised: its values were rounded to at
    most 8 bits before.  tied: the name of the tensor whose values it shares, or "".
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantised: bool
    load: Callable = field(repr=False, compare=False)
    tied: str = ""

    @property
    def count(self):
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def matrix(self):
        """(rows, row): the shape with all but the last dimension taken together."""
        return math.prod(self.shape[:-1]), self.shape[-1] if self.shape else 1

    def read(self):
        """All values, a tensor of ``shape``: floats as the file stores them, float32 where they were quantised.

        Raises ValueError where the file has changed or no reader knows the dtype.
        """
        return self.rows(0, self.matrix[0]).reshape(self.shape)

    def rows(self, start, stop):
        """The rows from ``start`` to before ``stop`` of ``matrix``, a tensor (stop − start, row)."""
        return self.load(start, stop).reshape(stop - start, self.matrix[1])


class File(io.FileIO):
    """An open file with its ``path``, ``size`` and first bytes; parts of it by offset, from any thread."""

    def __init__(self, path):
        super().__init__(path)
        self.path, self.size, self.head = Path(path), os.fstat(self.fileno()).st_size, self.read(16)

    def part(self, offset, count):
        """``count`` bytes from ``offset`` on, a tensor of uint8."""
        buffer = torch.empty(count, dtype=torch.uint8)
        view, done = memoryview(buffer.numpy()), 0
        while done < count:
            if not (step := os.preadv(self.fileno(), [view[done : done + 2**30]], offset + done)):
                raise ValueError(f"{self.path.name} ends at byte {offset + done}: it became shorter while it was read")
            done += step
        return buffer


class Cursor:
    """Numbers and texts of a File one after another; ValueError where it ends too early."""

    def __init__(self, file):
        self.bytes, self.place = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), 0

    def skip(self, count):
        """Where the next ``count`` bytes begin."""
        start, self.place = self.place, self.place + count
        if self.place > len(self.bytes):
            raise ValueError(f"truncated: {count} bytes are due at byte {start}, and the file has {len(self.bytes)}")
        return start

    def take(self, count):
        """The next ``count`` bytes."""
        return self.bytes[self.skip(count) : self.place]

    def number(self, code):
        """The next number, by its letter in ``struct``, little-endian."""
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def text(self, length_code):
        """The next text, behind its length."""
        return self.take(self.number(length_code)).decode("utf-8")  # UnicodeDecodeError is a ValueError


def contents(file):
    """(metadata, [Tensor]) of a File. Raises ValueError that says what is wrong and what to do."""
    for begins, reader in READERS.items():
        if re.match(begins, file.head, re.DOTALL) or (reader is _safetensors and file.path.suffix == ".safetensors"):
            try:
                return reader(file)
            except (ValueError, OverflowError, RecursionError) as error:
                raise ValueError(f"{file.path.name}: {error}") from None
    if not file.size:
        raise ValueError(f"{file.path.name} is empty")
    raise ValueError(
        f"{file.path.name} begins with {file.head[:8]!r}, as neither safetensors, GGUF, PyTorch nor CTranslate2 does: "
        f"it is encrypted, damaged, or no checkpoint"
    )


def _plain(file, name, shape, dtype, offset, tied=""):
    """A Tensor whose bytes lie in the file as memory holds them."""
    if dtype not in PLAIN:
        return Tensor(name, shape, dtype, True, _unreadable(f"packed {dtype} values, which no reader here knows"), tied)
    row = PLAIN[dtype].itemsize * (shape[-1] if shape else 1)

    def load(start, stop):
        return file.part(offset + start * row, (stop - start) * row).view(PLAIN[dtype])

    return Tensor(name, shape, dtype, dtype.startswith("F8"), load, tied)


def _unreadable(reason):
    def load(start, stop):
        raise ValueError(reason)

    return load


def _apart(extents, size):
    """ValueError unless the (begin, end, name) lie in a file of ``size`` bytes and do not overlap."""
    end, before = 0, ""
    for begin, stop, name in sorted(extents):
        if stop > size:
            raise ValueError(
                f"truncated: {name} ends at byte {stop} and the file has {size}; complete the download or copy it anew"
            )
        if begin < end:
            raise ValueError(f"{before} and {name} overlap: the file is damaged")
        end, before = max(end, stop), name


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
        header = json.loads(file.part(8, length).numpy().tobytes(), object_pairs_hook=_once)
    except ValueError as error:
        raise ValueError(f"its header is no JSON: {error}") from None
    if not isinstance(header, dict):
        raise ValueError(f"its header is a JSON {type(header).__name__}, not an object")
    metadata = header.pop("__metadata__", {})
    tensors, extents, start = [], [], 8 + length
    for name, entry in header.items():
        shape, dtype, begin, end = _entry(name, entry)
        if 8 * (end - begin) != (needed := math.prod(shape) * BITS[dtype]):
            raise ValueError(f"{name}: {dtype} of shape {list(shape)} takes {needed // 8} bytes, not {end - begin}")
        if begin < end:
            extents.append((start + begin, start + end, name))
        tensors.append(_plain(file, name, shape, dtype, start + begin))
    _apart(extents, file.size)
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
    cursor.take(4)
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
            tensors.append(_plain(file, name, shape, kind.name, start + offset))
        else:
            row = (shape[-1] if shape else 1) // block * size
            load = _gguf_load(file, start + offset, row, kind, quants.dequantize)
            tensors.append(Tensor(name, shape, kind.name, True, load))
    _apart(extents, file.size)
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


def _gguf_load(file, offset, row, kind, dequantize):
    def load(start, stop):
        raw = file.part(offset + start * row, (stop - start) * row).numpy().reshape(stop - start, row)
        try:
            with np.errstate(all="ignore"):  # damaged scales are infinite; the survey finds that out
                return torch.from_numpy(dequantize(raw, kind))
        except NotImplementedError:
            raise ValueError(f"the gguf package cannot dequantise {kind.name}") from None

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
        tensors[name] = _plain(file, name, shape, CT2_TYPES[code], offset)
    for _ in range(cursor.number("I")):
        alias, name = (cursor.text("H").rstrip("\0") for _ in range(2))
        if name not in tensors:
            raise ValueError(f"{alias} stands for {name}, which is not there")
        of = tensors[name]
        tensors[alias] = Tensor(alias, of.shape, of.dtype, of.quantised, of.load, tied=name)
    return metadata, list(tensors.values())


def _torch(file):
    """``torch.load`` with weights_only, which builds tensors and plain containers and refuses everything else."""
    try:
        loaded = torch.load(file.path, map_location="cpu", weights_only=True, mmap=file.head.startswith(b"PK") or None)
    except Exception as error:  # whatever a damaged archive makes of itself
        asks = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {asks[1]}, which is no tensor" if asks else str(error).splitlines()[0]
        raise ValueError(
            f"PyTorch refuses to load it as weights only: {reason}. Nothing in it was run; "
            f"whoever trusts it may save its tensors as safetensors"
        ) from None
    while isinstance(loaded, dict) and (inner := [loaded[k] for k in STATE_KEYS if isinstance(loaded.get(k), dict)]):
        loaded = inner[0]
    found, owners = dict(_named(loaded, "")), {}
    if not found:
        raise ValueError("it holds no tensors by name")
    tensors = []
    for name, value in found.items():
        value, dtype = value.detach(), {v: k for k, v in PLAIN.items()}.get(value.dtype, str(value.dtype))
        whole = value.layout is torch.strided and dtype in PLAIN and value.device.type == "cpu"
        whole = whole and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
        key = (value.data_ptr(), value.shape, value.stride()) if whole and value.numel() else name
        tied = owners.setdefault(key, name)
        load = _torch_load(value) if whole else _unreadable(f"a tensor that is no plain array, {dtype}")
        tensors.append(
            Tensor(name, tuple(value.shape), dtype, dtype.startswith("F8"), load, tied if tied != name else "")
        )
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
    flat = value.reshape(math.prod(value.shape[:-1]), value.shape[-1] if value.ndim else 1)
    return lambda start, stop: flat[start:stop].clone()


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
