"""The tables in data/: a CSV beside a manifest of at most 20 lines, read only when the two agree.

`python -m rholaw check` holds every table against its manifest; `update NAME` records a change that is meant.
"""

import csv
import hashlib
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from . import files, toml
from .checked import KINDS, listed, shortened, shown, typed, unknown

PACKED = Path(__file__).with_name("data")  # where a wheel has them
DATA = PACKED if PACKED.is_dir() else Path(__file__).parents[2] / "data"
CLASSES = ("published", "measured", "synthetic")
NAME = re.compile(r"[\w-]+(/[\w-]+)*")  # a path that stays below data/
MOST_LINES = 20  # a manifest that nobody reads is worth nothing
KEYS = {
    "title": str,
    "class": str,
    "source": str,
    "licence": str,
    "date": str,
    "columns": list,
    "rows": int,
    "sha256": str,
    "unknown": list,
    "units": dict,
}


@dataclass(frozen=True)
class Manifest:
    """What is known about one table, and what is not."""

    name: str  # the path below data/ without its ending, "runs/quest2025"
    title: str
    kind: str  # `class` in the file: "published", "measured" or "synthetic"
    source: str
    licence: str
    date: str  # as precise as it is known: "2025-06-02", "2025-02" or "2025"
    columns: tuple[str, ...]  # in the order of the file
    rows: int  # without the header
    sha256: str  # of the bytes of the CSV
    unknown: tuple[str, ...]  # never empty: silence is not a status
    units: dict[str, str]  # only for columns whose name does not say it

    @property
    def provenance(self) -> dict[str, str]:
        """What travels with the rows in `DataFrame.attrs["provenance"]`, a list with one such record per table."""
        return {"table": self.name, "class": self.kind, "source": self.source, "licence": self.licence}


def names() -> list[str]:
    """Every table in data/, also one that lacks its CSV or its manifest."""
    if not DATA.is_dir():
        raise ValueError(f"there is no folder {DATA}: the tables are a part of rholaw, install it again")
    paths = set()
    for folder, _, entries in os.walk(DATA):  # ten times as fast as DATA.rglob, and every reader of a table asks
        place = Path(folder).relative_to(DATA)
        stems = [os.path.splitext(entry)[0] for entry in entries if entry.endswith((".csv", ".toml"))]
        paths.update(stem if place == Path() else f"{place.as_posix()}/{stem}" for stem in stems)
    return sorted(paths)


def manifest(name: str) -> Manifest:
    """The manifest of a table; ValueError when there is none or when it does not follow the rules."""
    return _parse(name, _text(name))


def read(name: str) -> pd.DataFrame:
    """A table whose bytes agree with its manifest; otherwise ValueError says what differs and what to do."""
    about, raw = manifest(name), _bytes(name, ".csv")
    if wrong := _differences(about, raw):
        raise ValueError(
            f"table {name} does not match its manifest: {'; '.join(wrong)}. To go back to the recorded table: "
            f"git checkout data/{name}.csv data/{name}.toml. "
            f"If the change is meant: python -m rholaw update {name}"
        )
    header, *rows = records(raw)[0]
    frame = pd.DataFrame({column: _typed(cells) for column, cells in zip(header, zip(*rows, strict=True), strict=True)})
    frame.attrs["provenance"] = [about.provenance]
    return frame


def update(name: str) -> Manifest:
    """Record the CSV's present row count and sha256 in its manifest, in one step; all other lines stay as they are.

    ValueError, and no change, when the columns differ: their names and units are for a person to enter.
    """
    raw, text = _bytes(name, ".csv"), _text(name)
    text = re.sub(r"^rows\s*=.*$", f"rows = {len(records(raw)[0]) - 1}", text, count=1, flags=re.M)
    text = re.sub(r"^sha256\s*=.*$", f'sha256 = "{hashlib.sha256(raw).hexdigest()}"', text, count=1, flags=re.M)
    about = _parse(name, text)
    if wrong := _differences(about, raw):
        raise ValueError(f"table {name}: {'; '.join(wrong)}; mend the table, or its manifest data/{name}.toml, by hand")
    files.write(DATA / f"{name}.toml", text)
    return about


def records(raw: bytes, delimiter: str = ",") -> tuple[list[list[str]], list[str]]:
    """(the records of a CSV, []), or ([], [what is wrong with it]): no CSV, not UTF-8, cut short in its last line."""
    try:
        if raw and not raw.endswith((b"\n", b"\r")):
            raise ValueError("its last line has no end, and may be cut short; end it with a line break if it is whole")
        return list(csv.reader(io.StringIO(raw.decode(), newline=""), strict=True, delimiter=delimiter)), []
    except UnicodeDecodeError as error:
        return [], [f"its line {raw[: error.start].count(10) + 1} is not UTF-8"]
    except (csv.Error, ValueError) as error:
        return [], [str(error)]


def _bytes(name: str, ending: str) -> bytes:
    return _file(name, ending).read_bytes()


def _text(name: str) -> str:
    """Of a manifest."""
    file = _file(name, ".toml")
    try:
        return toml.text(file)
    except ValueError as error:
        raise ValueError(f"manifest data/{name}.toml: {error}") from None


def _file(name: str, ending: str) -> Path:
    file = DATA / f"{name}{ending}"
    if not (NAME.fullmatch(name) and file.is_file()):
        if name not in (known := names()):
            raise ValueError(f"data/{unknown(name, known, 'table')}")
        raise ValueError(f"table {name} has no file data/{name}{ending}: a table is a .csv beside a .toml")
    return file


def _parse(name: str, text: str) -> Manifest:
    where = f"manifest data/{name}.toml"
    if (lines := len(text.splitlines())) > MOST_LINES:
        raise ValueError(f"{where} has {lines} lines, at most {MOST_LINES} are allowed: shorten it")
    try:
        content = toml.parsed(text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if wrong := sorted(KEYS.keys() ^ content.keys()):
        raise ValueError(f"{where} has missing or unknown keys: {listed(wrong)}; it needs exactly {', '.join(KEYS)}")
    for key, kind in KEYS.items():
        try:
            if typed(content[key], kind) in ("", []):
                raise ValueError(f"must be {KINDS[kind]} with content")
        except ValueError as error:
            raise ValueError(f"{where}: {key} {error}") from None
    for key in ("columns", "unknown"):
        if not all(isinstance(text, str) for text in content[key]) or len({*content[key]}) < len(content[key]):
            raise ValueError(f"{where}: {key} must be a list of texts, each once, not {shown(content[key])}")
    if content["class"] not in CLASSES:
        raise ValueError(f"{where}: class is {shown(content['class'])}, it must be one of {', '.join(CLASSES)}")
    if strays := sorted(content["units"].keys() - set(content["columns"])):
        raise ValueError(f"{where} gives units for columns that it does not list: {listed(strays)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    return Manifest(name=name, kind=values.pop("class"), **values)


def _typed(cells: tuple[str, ...]) -> list:
    """A column as truth values, whole numbers, floats or text, the first that fits all its cells; "" is missing.

    Not pandas.read_csv, for which "none" is missing too, and the last digit of a float a matter of its version.
    """
    if set(cells) <= {"true", "false"}:
        return [cell == "true" for cell in cells]
    for kind in (int, lambda cell: float(cell or "nan")):
        try:
            return [kind(cell) for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]


def _differences(about: Manifest, raw: bytes) -> list[str]:
    lines, wrong = records(raw)
    header, *rows = lines or [[]]
    if not wrong and header != list(about.columns):
        wrong.append(f"its columns are {listed(header, 100)}, the manifest lists {listed(about.columns, 100)}")
    if not wrong and (len(rows) != about.rows or not rows):
        wrong.append(f"it has {len(rows)} rows, the manifest says {about.rows}")
    if ragged := [number for number, row in enumerate(rows, start=2) if len(row) != len(header)]:
        wrong.append(f"record {ragged[0]} does not have {len(header)} cells")
    if (digest := hashlib.sha256(raw).hexdigest()) != about.sha256:
        wrong.append(f"its bytes have sha256 {digest[:12]}…, the manifest says {shortened(about.sha256, 13)}")
    return wrong
