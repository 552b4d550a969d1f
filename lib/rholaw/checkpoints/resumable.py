"""A table that takes long: rows kept as they come, so that an interruption costs little, and a file written at once."""

import hashlib
import importlib.util
import json
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .. import files


def destination(out: str | Path | None) -> Path | None:
    """``out`` as a Path, or None. Raises ValueError unless it ends in .parquet or .csv and can be written."""
    if out is None:
        return None
    out = Path(out)
    if out.suffix not in (".parquet", ".csv"):
        raise ValueError(f"out is {out.name!r}, it must end in .parquet or .csv")
    if out.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError(f"{out.name} needs the package pyarrow: install it, or choose a .csv")
    return files.writable(out)


def write(table: pd.DataFrame, out: Path) -> None:
    """``table`` as the Parquet or CSV file ``out``, all of it or nothing."""
    with files.replacing(out) as draft:
        if out.suffix == ".csv":
            table.to_csv(draft, index=False, lineterminator="\n")
        else:
            table.to_parquet(draft, index=False)


DIGITS = 16  # of the sum at the beginning of a line


class Finished:
    """``rows``, {name: what was measured}, kept in OUT.partial: a line with the key, then a line for each name.

    key: what must be the same for the rows of an interrupted run to be of use; the code of this package and the version
    of torch are added to it.  Every line begins with its sum, and one that is torn or damaged is passed over.  out:
    None keeps the rows in memory only.  OSError, before any work, where OUT.partial cannot be written.
    """

    def __init__(self, out: Path | None, key: object) -> None:
        self.path, self.rows = out and out.with_name(out.name + ".partial"), {}
        if out is None:
            return
        first = _line([_code(), torch.__version__, key])
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        if lines and lines[0] == first:
            self.rows = dict(json.loads(line[DIGITS:]) for line in lines[1:] if line == _summed(line[DIGITS:]))
        files.write(self.path, b"".join([first, *map(_line, self.rows.items())]))

    def add(self, name: str, rows: list | tuple) -> None:
        """The rows of one name, kept from now on."""
        self.rows[name] = rows
        if self.path:
            with files.naming(self.path), open(self.path, "ab") as file:
                file.write(_line([name, rows]))

    def remove(self) -> None:
        """Delete the partial file, once the table is written."""
        self.path.unlink(missing_ok=True)  # another run of the same may have been faster


class Stage:
    """``state``, {name: tensor} after ``done`` steps of many, kept in OUT.partial: nothing, after 0, at the beginning.

    key, out and OSError: as for ``Finished``; a step that was interrupted leaves what the one before it kept.
    """

    def __init__(self, out: Path | None, key: object) -> None:
        self.path, self.state, self.done = out and out.with_name(out.name + ".partial"), {}, 0
        self.key = hashlib.sha256(json.dumps([_code(), torch.__version__, key]).encode()).hexdigest()
        if self.path and self.path.exists():
            with suppress(SafetensorError), safe_open(self.path, "pt") as file:
                about, names = file.metadata() or {}, file.keys()
                if about.get("key") == self.key:
                    self.state, self.done = {name: file.get_tensor(name) for name in names}, int(about["done"])
        self._write()

    def keep(self, done: int, state: dict[str, torch.Tensor]) -> None:
        """The state after ``done`` steps, kept from now on."""
        self.state, self.done = state, done
        self._write()

    def remove(self) -> None:
        """Delete the partial file, once the table is written."""
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        if self.path:
            with files.replacing(self.path) as draft:
                state = {name: tensor.cpu().contiguous() for name, tensor in self.state.items()}
                save_file(state, draft, {"key": self.key, "done": str(self.done)})


def stamps(paths: Iterable[Path]) -> list[list]:
    """[name, size, times of change] of files: what tells them from others; the last cannot be set as one likes."""
    stats = [(path.name, path.stat()) for path in paths]
    return [[name, about.st_size, about.st_mtime_ns, about.st_ctime_ns] for name, about in stats]


def _line(content: object) -> bytes:
    return _summed(json.dumps(content).encode() + b"\n")


def _summed(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:DIGITS].encode() + text


@cache
def _code() -> str:
    """Changes with every module of this package."""
    package = Path(__file__).parents[1]
    sources = sorted(package.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
