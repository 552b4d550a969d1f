"""What ``torch.save`` writes, zip archives and the older pickles: tensors in dictionaries.

Neither torch nor pickle opens them: the pickle is read as data, and the values of tensors stay in the file.
"""

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from ...checked import shown
from .. import foreign, pickles, states
from ..tensors import NAMES, File, Tensor, apart, plain, unreadable
from ..views import KNOWN, View, reach, storage

NAME = "PyTorch"
BEGINS = rb"PK\x03\x04(?!.\0\0\0\{)|\x80[\x02-\x05](?!.{3}\0\0\0\{)"  # no safetensors header of that length
PICKLE, DIRECTORY = 2**25, 2**23  # bytes at most; of 30,000 tensors the one takes 3 MB, the directory of a zip 2 MB
ZIPPED = {".npy": foreign.NUMPY, ".h5": foreign.KERAS, ".safetensors": foreign.PACKED, "config.json": foreign.PACKED}
BEGIN = [0x1950A86A20F9469CFC6C, 1001]  # the first two pickles of the older files


def read(file: File) -> tuple[dict, list[Tensor]]:
    """({"remarks": on what is left out}, the weights by their keys, joined by dots).

    Raises ValueError for whatever ``torch.load`` with weights_only refuses, for compressed members and for damage, and
    where no tensor is a weight with a name, or two have the same.
    """
    loaded, places = (_archive if file.head.startswith(b"PK") else _legacy)(file)
    weights, remarks = states.named(loaded)
    owners, tensors = {}, []
    for name, view in weights.items():
        tensor = _tensor(file, name, view, places)
        tied = owners.setdefault(view if view.storage and tensor.count else name, name)
        tensors.append(replace(tensor, tied=tied) if tied != name else tensor)
    return {"remarks": tuple(remarks)} if remarks else {}, tensors


# --- files: (what the pickle describes, {key of a storage: the byte where it begins}) --------------------------------


def _archive(file: File) -> tuple[object, dict[str, int]]:
    """Of a zip archive: a pickle, the storages, and a few words about both."""
    members, storages, places, extents = _members(file), {}, {}, []
    pickled = [name for name in members if name.endswith("/data.pkl")]
    if kind := next((kind for ending, kind in ZIPPED.items() if any(name.endswith(ending) for name in members)), ""):
        raise ValueError(f"it is a zip archive: {kind}")
    if len(pickled) != 1:
        raise ValueError(f"it is a zip archive with {len(pickled)} members data.pkl; torch.save writes one")
    folder = pickled[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in members:
        raise ValueError("it holds a program, TorchScript: save the state_dict of the module that torch.jit.load gives")
    order = members.get(f"{folder}byteorder")
    if order and _content(file, order) != b"little":
        raise ValueError("its numbers are big-endian, which cannot be read")
    content = io.BytesIO(_content(file, members[pickled[0]]))
    loaded = pickles.load(content, KNOWN, partial(storage, storages))
    for key, held in storages.items():
        member, size = members.get(f"{folder}data/{key}"), held.count * held.dtype.itemsize
        if not member or member.file_size != size:
            raise ValueError(f"its member data/{key[:50]} is missing, or has not the {size} bytes that are due")
        places[key] = _begin(file, member)
        extents.append((member.header_offset, places[key] + size, f"data/{key}"))
    apart(extents, file.size)
    return loaded, places


def _members(file: File) -> dict[str, zipfile.ZipInfo]:
    """The directory of an archive, which stands at its end."""
    start = max(0, file.size - DIRECTORY)
    try:
        with zipfile.ZipFile(io.BytesIO(file.part(start, file.size - start).numpy().tobytes())) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, EOFError) as error:
        raise ValueError(f"truncated, damaged, or its directory is longer than {DIRECTORY} bytes ({error})") from None
    members = {entry.filename: entry for entry in entries}
    if len(members) < len(entries):
        raise ValueError("a member stands twice in its directory")
    for member in entries:
        member.header_offset += start
    return members


def _begin(file: File, member: zipfile.ZipInfo) -> int:
    """The byte where a member's content begins. ValueError where it is no plain copy."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise ValueError(f"{shown(member.filename)} is compressed or encrypted: unzip it, and zip it by zip -0")
    place, header = member.header_offset, b""
    if 0 <= place <= file.size - 30:
        header = file.part(place, 30).numpy().tobytes()
    if not header.startswith(b"PK\3\4"):
        raise ValueError(f"{shown(member.filename)} is not where the directory says")
    return place + 30 + sum(struct.unpack("<HH", header[26:]))  # the name and the extra fields


def _content(file: File, member: zipfile.ZipInfo) -> bytes:
    """All bytes of a small member."""
    begin, name = _begin(file, member), shown(member.filename)
    if member.file_size > PICKLE or begin + member.file_size > file.size:
        raise ValueError(f"{name} has {member.file_size} bytes, more than the file, or than {PICKLE}")
    content = file.part(begin, member.file_size).numpy().tobytes()
    if member.CRC not in (0, zlib.crc32(content)):  # 0: torch can save without
        raise ValueError(f"{name} is damaged: its check sum is another")
    return content


def _legacy(file: File) -> tuple[object, dict[str, int]]:
    """Of a file as torch wrote until 1.5: five pickles, then each storage behind its length."""
    stream, storages, places = io.BytesIO(file.part(0, min(file.size, PICKLE)).numpy().tobytes()), {}, {}
    read = partial(pickles.load, stream, KNOWN, partial(storage, storages))
    if [read(1000), read(1000)] != BEGIN:
        raise ValueError("it is a pickle, but not of torch.save")
    _, loaded, keys, place = read(1000), read(), read(), stream.tell()
    if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(storages):
        raise ValueError("its list of storages is not that of its tensors")
    for key in keys:
        held, count = storages[key], struct.unpack("<q", file.part(place, 8).numpy())[0]
        places[key] = place + 8
        place += 8 + held.count * held.dtype.itemsize
        if count != held.count or place > file.size:
            raise ValueError(f"truncated, or storage {shown(key)} has {count} values, not {held.count}")
    return loaded, places


# --- values ---------------------------------------------------------------------------------------------------------


def _tensor(file: File, name: str, view: View, places: dict[str, int]) -> Tensor:
    """The Tensor, whose values stay in the file."""
    dtype, shape, held = NAMES.get(view.dtype, str(view.dtype)), view.shape, view.storage
    if held is None:
        load = unreadable(f"{dtype} in a layout that cannot be read")
        return Tensor(name, shape, dtype, 8 * view.dtype.itemsize, True, load)
    begin = places[held.key] + held.start * held.dtype.itemsize + view.offset * view.dtype.itemsize
    tensor, step, dense = plain(file, name, shape, dtype, begin), 1, True
    for size, stride in zip(reversed(shape), reversed(view.strides), strict=True):
        dense, step = dense and (size == 1 or stride == step), step * size
    return tensor if dense or not tensor.count else replace(tensor, load=_strided(file, view, begin))


def _strided(file: File, view: View, begin: int) -> Callable[[int, int], torch.Tensor]:
    """The ``load`` of a transposed or cut tensor: of the file it takes what its first dimension needs of it."""
    one, size = math.prod(view.shape[1:]), view.dtype.itemsize

    def load(start: int, stop: int) -> torch.Tensor:
        if start == stop:
            return torch.empty(0, dtype=view.dtype)
        first, last = start // one, -(-stop // one)
        shape = (last - first, *view.shape[1:])
        part = file.part(begin + first * view.strides[0] * size, reach(shape, view.strides) * size)
        values = part.view(view.dtype).as_strided(shape, view.strides).reshape(-1)
        return values[start - first * one : stop - first * one]

    return load
