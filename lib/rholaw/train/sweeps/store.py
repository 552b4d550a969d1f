"""A store keeps the record of every run, a JSON line each, that no crash can halve and no two processes can double."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from ... import files, runs

STATUSES = ("finished", "diverged", "failed")
SETTLED = ("finished", "diverged")  # never run again; a failed run may be, when asked
TORN = "torn.txt"


class Store:
    """A folder with runs.jsonl, checkpoints of what is under way, and claims on it.

    Locks are flock's: the kernel drops them with the process that holds them, however it dies.  A folder that several
    machines share must be on a file system that carries them over, as NFS 4 does.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.file = self.folder / runs.STORE

    def append(self, *records: dict) -> list[dict]:
        """Add records in a single write, and give back those added: an id that is settled in the store stays as it is.

        A NaN or an infinity is stored as null, and a run whose loss is one as diverged.  ValueError for a record
        without id or with an unknown status; OSError, and no half line, when the disk is full.
        """
        records = [_clean(record) for record in records]
        for name in ("claims", "checkpoints"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        with files.naming(self.file), files.locked(self.file) as file:
            self._mend(file)
            settled, added = self.settled(since=math.inf), []
            for record in records:
                if record["id"] not in settled:
                    added.append(record)
                    settled |= {record["id"]} if record["status"] in SETTLED else set()
            lines = b"".join(runs.line(record) + b"\n" for record in added)
            end = os.lseek(file, 0, os.SEEK_END)
            try:
                if os.write(file, lines) < len(lines):
                    raise OSError(errno.ENOSPC, "the disk took only a part of a record, which was taken back")
                os.fsync(file)
                if not end:  # the name of a new file is its folder's to keep
                    files.settle(self.folder)
            except OSError:
                os.ftruncate(file, end)
                raise
        return added

    def records(self) -> list[dict]:
        """Every record, in the order in which they came; a run that failed and was tried again is there twice."""
        return runs.stored(self.folder)

    def frame(self) -> pd.DataFrame:
        """The last record of every run, a row each, whatever its status (`runs.tidy`)."""
        return runs.tidy(self.records())

    def finished_ids(self) -> set[str]:
        """The ids of the runs that have finished."""
        return {record["id"] for record in self.records() if record["status"] == "finished"}

    def settled(self, since: float = 0) -> set[str]:
        """The ids that need no run: finished, diverged, or failed in record number `since` or later."""
        return {
            record["id"]
            for number, record in enumerate(self.records())
            if record["status"] in SETTLED or number >= since
        }

    @contextlib.contextmanager
    def claim(self, ids: Iterable[str]) -> Iterator[bool]:
        """Within the block these runs are this process's alone; False, at once, where another holds one of them."""
        folder = self.folder / "claims"
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as held:
            try:
                for name in sorted(ids):  # the files stay: to remove one would let two processes lock two of a name
                    held.enter_context(files.locked(folder / name, wait=False))
            except BlockingIOError:
                held.close()
                yield False
            else:
                yield True

    def checkpoint(self, ids: Iterable[str]) -> Path:
        """Where runs that train side by side keep their state until they have records."""
        (self.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        return self.folder / "checkpoints" / f"{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:16]}.pt"

    def forget(self, checkpoint: Path) -> None:
        """Remove a checkpoint, and drafts of it that a crash left."""
        for path in checkpoint.parent.glob(f"{checkpoint.stem}*"):
            path.unlink(missing_ok=True)

    def _mend(self, file: int) -> None:
        """Set a line that a crash cut short aside, in torn.txt."""
        raw = self.file.read_bytes()
        torn = raw.rpartition(b"\n")[2]
        if torn:
            with open(self.folder / TORN, "ab") as aside:
                aside.write(torn + b"\n")
            os.ftruncate(file, len(raw) - len(torn))


def export(store: Store, file: str | Path, title: str) -> Path:
    """Write a store as a table for data/runs: a CSV, and beside it a manifest, unless there is one already.

    Columns that are the same in all runs, and that no series must have, go into the manifest's source.  What the
    manifest says of what is unknown is a beginning; a person completes it.  ValueError when there is no record.
    """
    frame = store.frame().drop(columns="error", errors="ignore").convert_dtypes()
    if frame.empty:
        raise ValueError(f"there is no record in {store.file}")
    constant = {
        name: frame[name][0] for name in frame if name not in ("id", *runs.LEADING) and frame[name].nunique() == 1
    }
    columns = [name for name in frame if name not in constant]
    rows = [columns, *([_cell(value) for value in row] for row in frame[columns].itertuples(index=False))]
    csv.writer(text := io.StringIO(newline=""), lineterminator="\n").writerows(rows)
    raw = text.getvalue().encode("ascii", "backslashreplace")
    path = Path(file)
    files.write(path, raw)
    if not (about := path.with_suffix(".toml")).exists():
        files.write(about, _manifest(frame, constant, columns, raw, title))
    return path


def _cell(value) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _manifest(frame: pd.DataFrame, constant: dict, columns: list[str], raw: bytes, title: str) -> str:
    """As `tables` reads it."""
    same = ", ".join(f"{name} {_cell(value)}" for name, value in constant.items() if _cell(value))
    lost = frame.loc[frame["status"] != "finished", "status"].value_counts()
    unknown = [f"{number} runs {status}: what their loss would have been" for status, number in lost.items()]
    unknown.append("what other learning rates, texts and lengths of training would give")
    entries = {
        "title": title,
        "class": "measured",
        "source": f"recorded by python -m rholaw.train sweep; the same in all runs: {same}",
        "licence": "MIT (the records); no text of the corpus is in them",
        "date": max(frame["started"].dropna())[:10] if "started" in frame else "",
        "columns": columns,
        "rows": len(frame),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "unknown": unknown,
    }
    units = {"n_params": "non-embedding parameters", "n_tokens": "training tokens", "loss": "nats per held-out token"}
    lines = [f"{name} = {json.dumps(value)}" for name, value in entries.items()]
    return "\n".join([*lines, "[units]", *(f"{name} = {json.dumps(unit)}" for name, unit in units.items())]) + "\n"


def _clean(record: dict) -> dict:
    """The record as JSON can hold it."""
    if not isinstance(record.get("id"), str) or record.get("status") not in STATUSES:
        given = f"id {record.get('id')!r} and status {record.get('status')!r}"
        raise ValueError(f"a record needs an id and a status among {', '.join(STATUSES)}, not {given}")
    clean = _finite(record)
    if clean["status"] == "finished" and clean.get("loss") is None:
        clean["status"] = "diverged"
    return clean


def _finite(value):
    """Plain JSON: NaN and infinities as None, numbers of numpy and torch as Python's."""
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
