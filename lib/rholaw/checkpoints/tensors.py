"""Parts of a file as tensors that are read when asked, and what every reader of such files needs.

Every length and place that a file states is held against the file before it is used.
"""

import io
import math
import os
import stat
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..checked import shown

PLAIN = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "C64": torch.complex64},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "BOOL": torch.bool},
    **{"U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8},
    **{"F8_E8M0": torch.float8_e8m0fnu, "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz},
}
NAMES = {dtype: name for name, dtype in PLAIN.items()}
BITS = {name: 8 * dtype.itemsize for name, dtype in PLAIN.items()}
BITS |= {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}  # in safetensors too, packed
TENSORS, DIMENSIONS = 2**17, 64  # the most of a file, and of a tensor; numpy has as many
LENGTH = 1000  # characters of a tensor's name, at most
TEXTS = 2**25  # bytes of names and other texts in a file, at most; 256,000 tokens and 512,000 merges take 1.8e7
WINDOW = 2**16  # bytes that are read ahead
NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # pipes may wait; Windows has text


@dataclass(frozen=True)
class Tensor:
    """A tensor of a checkpoint, whose values stay in the file until they are asked for.

    dtype: as safetensors ("BF16", "I32", …) or GGUF ("Q4_1", …) calls it.  bits: that it takes in the file, per value.
    quantised: its values were rounded to at most 8 bits before.  load: (start, stop) → so many of its values in their
    order.  tied: whose values it shares, a name, or "".  note: what to know of its values, or "".  spans: how many of
    its last dimensions make a row of ``matrix``.  turned: (in, out, rest) where the file has blocks of these, which
    ``load`` gives as (out, in, rest).  beside: {"input_scale": Tensor, …}, what lies beside its codes and says how an
    engine rounds inputs and cache.  unapplied: what else lies there, changes what is computed, and is in none of its
    values.  scale: of all its codes, where these have one.  Raises ValueError for a shape that torch cannot count.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    bits: float
    quantised: bool
    load: Callable[[int, int], torch.Tensor] = field(repr=False, compare=False)
    tied: str = ""
    note: str = ""
    spans: int = 1
    turned: tuple[int, int, int] | None = None
    beside: dict[str, "Tensor"] = field(default_factory=dict, repr=False, compare=False)
    unapplied: tuple[str, ...] = ()
    scale: "Tensor | None" = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if math.prod(max(size, 1) for size in self.shape) >= 2**63:
            raise ValueError(f"{shown(self.name)}: its shape {shown(self.shape)} is more than can be counted")

    @property
    def count(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def matrix(self) -> tuple[int, int]:
        """(rows, row): the last ``spans`` dimensions make a row, the others count them; a vector is a column."""
        row = math.prod(self.shape[-self.spans :]) if len(self.shape) > 1 else 1
        return (math.prod(self.shape[: -self.spans]) if len(self.shape) > 1 else self.count, row)

    def read(self) -> torch.Tensor:
        """All values, a tensor of ``shape``: floats as the file stores them, float32 where they were quantised.

        Raises ValueError where no reader knows the dtype, or the file became shorter.
        """
        return self.load(0, self.count).reshape(self.shape)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Some rows of ``matrix``, from ``start`` to before ``stop``: a tensor (stop − start, row)."""
        row = self.matrix[1]
        return self.load(start * row, stop * row).view(stop - start, row)


class File(io.FileIO):
    """An open file with its ``path``, ``size`` and first bytes; parts of it by offset, from any thread.

    Nothing is mapped: where a file became shorter, what is read ends early, and what is mapped ends the process. Raises
    ValueError for what cannot be opened, and for a pipe, a device or a folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.lock = Path(path), threading.Lock()
        try:
            super().__init__(path, opener=lambda name, flags: os.open(name, flags | NO_WAIT))
            status = os.fstat(self.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(0, "it is no ordinary file but a pipe or a device")
            self.size, self.head = status.st_size, self.read(16)
        except OSError as error:
            self.close()
            raise ValueError(f"{self.path.name} cannot be opened: {error.strerror}") from None

    def part(self, offset: int, count: int) -> torch.Tensor:
        """``count`` bytes from ``offset`` on, a tensor of uint8 (count,). ValueError where the file became shorter."""
        buffer = torch.empty(count, dtype=torch.uint8)
        view, done = memoryview(buffer.numpy()), 0
        while done < count:
            if not (step := self._into(view[done : done + 2**30], offset + done)):
                raise ValueError(f"{self.path.name} ends at byte {offset + done}: it became shorter while it was read")
            done += step
        return buffer

    def _into(self, view: memoryview, offset: int) -> int:
        """How many bytes from ``offset`` on were read into a view."""
        if hasattr(os, "preadv"):
            return os.preadv(self.fileno(), [view], offset)
        with self.lock:  # Windows
            self.seek(offset)
            return self.readinto(view)


class Cursor:
    """Numbers and texts of a File one after another; ValueError where it ends too early."""

    def __init__(self, file: File) -> None:
        self.file, self.place, self.left = file, 0, TEXTS
        self.window, self.begin = b"", 0  # the bytes from ``begin`` on that are read already

    def skip(self, count: int) -> int:
        """Where the next ``count`` bytes begin; the cursor goes behind them."""
        start, self.place = self.place, self.place + count
        if self.place > self.file.size:
            raise ValueError(f"truncated: {count} bytes are due at byte {start}, and the file has {self.file.size}")
        return start

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        start = self.skip(count)
        if self.place > self.begin + len(self.window):
            size = min(max(count, WINDOW), self.file.size - start)
            self.window, self.begin = self.file.part(start, size).numpy().tobytes(), start
        return self.window[start - self.begin : self.place - self.begin]

    def number(self, code: str) -> int | float | bool:
        """The next number, by its letter in ``struct``, little-endian."""
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def text(self, length_code: str, errors: str = "strict") -> str:
        """The next text, which follows its length, a number of this letter in ``struct``.

        errors: as ``bytes.decode`` takes it, for what is not UTF-8; UnicodeDecodeError is a ValueError.
        """
        length = self.number(length_code)
        self._allow(length)
        return self.take(length).decode("utf-8", errors)

    def texts(self, count: int) -> list[str]:
        """The next texts, each behind its length as a "Q", with "\ufffd" for what is not UTF-8.

        As ``text`` gives them, but five times as fast.
        """
        texts, length = [], struct.Struct("<Q").unpack_from
        self._allow(8 * count)
        while len(texts) < count:
            window, place = self.file.part(self.place, min(2**20, self.file.size - self.place)).numpy().tobytes(), 0
            before = len(texts)
            while len(texts) < count and place + 8 <= len(window):
                end = place + 8 + length(window, place)[0]
                if end > len(window):
                    break
                texts.append(window[place + 8 : end].decode("utf-8", "replace"))
                place = end
            self.skip(place)
            self._allow(place - 8 * (len(texts) - before))
            if not place:  # it is longer than the window, or the file ends
                texts.append(self.text("Q", "replace"))
        return texts

    def _allow(self, count: int) -> None:
        """ValueError where ``count`` bytes of text more are too many for a file."""
        self.left -= count
        if self.left < 0:
            raise ValueError(f"its names and texts take more than {TEXTS:,} bytes")


def plain(file: File, name: str, shape: tuple[int, ...], dtype: str, offset: int) -> Tensor:
    """A Tensor whose bytes lie in the file as memory holds them."""
    if dtype not in PLAIN:
        load = unreadable(f"packed {dtype} values, which cannot be read")
        return Tensor(name, shape, dtype, BITS[dtype], True, load)
    size = PLAIN[dtype].itemsize

    def load(start: int, stop: int) -> torch.Tensor:
        return file.part(offset + start * size, (stop - start) * size).view(PLAIN[dtype])

    return Tensor(name, shape, dtype, BITS[dtype], dtype.startswith("F8"), load)


def strange(name: str, shape: tuple[int, ...], dtype: str, nbytes: int) -> Tensor:
    """A Tensor of ``nbytes`` bytes whose type no reader here knows: it is there, and cannot be read."""
    bits = 8 * nbytes / max(math.prod(shape), 1)
    return Tensor(name, shape, dtype, bits, True, unreadable(f"values of the type {dtype}, which cannot be read"))


def unreadable(reason: str) -> Callable[[int, int], torch.Tensor]:
    """The ``load`` of a Tensor that cannot be read: ValueError with the reason."""

    def load(start: int, stop: int) -> torch.Tensor:
        raise ValueError(reason)

    return load


def apart(extents: list[tuple[int, int, str]], size: int) -> None:
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
