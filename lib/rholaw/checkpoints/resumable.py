"""A table that takes long: rows kept as they come, so that an interruption costs little, and a file written at once."""

import importlib.util
import json
from pathlib import Path

import pandas as pd

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
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent} to write {out.name} to")
    return out


def write(table: pd.DataFrame, out: Path) -> None:
    """``table`` as the Parquet or CSV file ``out``, all of it or nothing."""
    with files.replacing(out) as draft:
        if out.suffix == ".csv":
            table.to_csv(draft, index=False, lineterminator="\n")
        else:
            table.to_parquet(draft, index=False)


class Finished:
    """``rows``, {name: what was found}, kept in OUT.partial: a line with the key, then a line for each name.

    key: what must be the same for the rows of an interrupted run to be of use.  out: None keeps them in memory only.
    """

    def __init__(self, out: Path | None, key: object) -> None:
        self.path, self.rows = out and out.with_name(out.name + ".partial"), {}
        if out is None:
            return
        lines = self.path.read_text().split("\n")[:-1] if self.path.exists() else []  # the last may be half a line
        if lines and lines[0] == json.dumps(key):
            self.rows = dict(map(json.loads, lines[1:]))
        files.write(self.path, "\n".join([json.dumps(key), *map(json.dumps, self.rows.items()), ""]))

    def add(self, name: str, rows: list[dict]) -> None:
        """The rows of one name, kept from now on."""
        self.rows[name] = rows
        if self.path:
            with open(self.path, "a") as file:
                file.write(json.dumps([name, rows]) + "\n")

    def remove(self) -> None:
        """Delete the partial file, once the table is written."""
        self.path.unlink()
