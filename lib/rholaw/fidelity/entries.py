"""New measurements for the atlas: a CSV in its columns, checked row by row, then appended to the table.

add("mine.csv")      every problem is told with its line and what would be right, and then nothing is written
"""

import hashlib
import math
import re
from pathlib import Path

import pandas as pd

from .. import files, tables
from ..checked import few, unknown
from ..formats.grammar import parse
from . import atlas

NEEDED = (*("source", "model", "family", "given", "purity", "method", "activations", "metric", "value"),
          *("reference", "corpus", "engine", "place", "licence", "date", "credit"))  # fmt: skip
NUMBERS = {  # column → smallest, largest, whether whole
    **{"n_params": (1e5, 1e14, True), "n_active": (1e5, 1e14, True), "n_tokens": (1e5, 1e15, True)},
    **{"bits": (0.5, 32, False), "value": (0, 1e12, False), "stderr": (0, 1e12, False), "base": (0, 1e12, False)},
    "context": (1, 1e8, True),
}
LARGEST_RISE = 30.0  # nats per token: more than twice the surprise of a uniform guess over a vocabulary
BETTER = -0.05  # nats per token by which a compressed model may read better than its reference
SAME_BITS = 0.6  # by which the bits of a pure file may differ from those of its format: tensors kept higher


def add(path: str | Path) -> int:
    """Append the measurements of a CSV to the atlas and its manifest; the number of rows.

    ValueError, and no change, with all that is wrong with the file.  Where a call was killed between the table and its
    manifest, the same call again records the table.
    """
    raw = Path(path).read_bytes()
    if not raw.isascii():
        line = next(number for number, text in enumerate(raw.split(b"\n"), 1) if not text.isascii())
        raise ValueError(f"{path}, line {line}: tables are plain ASCII; write ASCII letters there")
    records, wrong = tables.records(raw)
    header, *rows = records or [[]]
    if wrong := "; ".join(wrong) or _header(header):
        raise ValueError(f"{path}: {wrong}")
    if ragged := [number for number, row in enumerate(rows, 2) if len(row) != len(header)]:
        raise ValueError(f"{path}, line {ragged[0]}: it does not have {len(header)} cells")
    frame = pd.DataFrame(rows, columns=header, dtype=str)[list(atlas.COLUMNS)].apply(lambda cells: cells.str.strip())
    table = tables.DATA / f"{atlas.TABLE}.csv"
    lines = frame.to_csv(index=False, header=False, lineterminator="\n").encode()
    with files.locked(table.parent):  # or of two who add at once the second would undo what the first did
        before = table.read_bytes()
        if not _added(before, lines):
            if problems := check(frame):
                raise ValueError("\n  ".join([f"{path} is not added:", *few(problems)]))
            files.write(table, before + lines)
        tables.update(atlas.TABLE)
    return len(frame)


def _added(table: bytes, lines: bytes) -> bool:
    """Whether the table has these last lines, and its manifest is of the table without them."""
    before = table.removesuffix(lines)
    return before != table and hashlib.sha256(before).hexdigest() == tables.manifest(atlas.TABLE).sha256


def check(frame: pd.DataFrame) -> list[str]:
    """All that is wrong with new rows, a line each with the line of the file (its header is line 1); [] if nothing.

    frame: the columns of the atlas, every cell text and "" where nothing is known.
    """
    if frame.empty:
        return ["there is no row below the header"]
    rows = dict(enumerate(frame.to_dict("records"), start=2))
    if wrong := [f"line {line}: {text}" for line, row in rows.items() for text in [*_words(row), *_numbers(row)]]:
        return wrong
    there = atlas.load()
    known = dict(tuple(there.groupby("model")))
    rises = atlas.derived(frame.replace("", None))["rise"]
    problems = []
    for (line, row), rise in zip(rows.items(), rises, strict=True):
        wrong = [*_plausible(row, rise), *_known_model(row, known.get(row["model"], there.head(0)))]
        problems += [f"line {line}: {text}" for text in wrong]
    return problems or _twice(frame, there)


def _header(header: list[str]) -> str:
    """What is wrong with the names of the columns, or ""."""
    if strangers := [name for name in header if name not in atlas.COLUMNS]:
        return unknown(strangers[0], atlas.COLUMNS, "column of the atlas")
    if missing := [name for name in atlas.COLUMNS if name not in header]:
        return f"it lacks the columns {', '.join(missing)}; a cell may be empty where nothing is known"
    return "" if len(set(header)) == len(header) else "a column is there twice"


def _words(row: dict[str, str]) -> list[str]:
    wrong = [f"{name} is empty: tell it, or write unknown" for name in NEEDED if not row[name]]
    choices = {"metric": atlas.METRICS, "purity": atlas.PURITIES, "method": atlas.METHODS}
    if not row["activations"].startswith("KV "):
        choices["activations"] = atlas.ACTIVATIONS
    for name, known in choices.items():
        if row[name] and row[name] not in known:
            wrong.append(f"{name} {unknown(row[name], known, name)}")
    if row["date"] and not re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", row["date"]):
        wrong.append(f"date {row['date']!r} must be a year, a month or a day: 2026, 2026-08 or 2026-08-31")
    if row["format"] and row["format"] not in atlas.INFERRED:
        try:
            parse(row["format"])
        except ValueError as error:
            wrong.append(f"{error}; leave it empty where the grammar cannot say it, and tell its name in given")
    return wrong


def _numbers(row: dict[str, str]) -> list[str]:
    wrong = []
    for name, (low, high, whole) in NUMBERS.items():
        if not row[name]:
            continue
        try:
            value = float(row[name])
        except ValueError:
            value = math.nan
        if not low <= value <= high or (whole and value != int(value)):
            wrong.append(f"{name} {row[name]!r} must be a {'whole ' if whole else ''}number from {low:g} to {high:g}")
    return wrong


def _plausible(row: dict[str, str], rise: float) -> list[str]:
    """Numbers that cannot be, given the others of the row."""
    wrong, metric, value = [], row["metric"], float(row["value"])
    base = float(row["base"] or "nan")
    if metric == "kl" and value in (0, 404):
        wrong.append(f"value {row['value']}: a divergence of 0 or 404 is how programmes write that it is missing")
    if metric == "kl" and row["base"]:
        wrong.append("base must be empty for a divergence: it has no value of the reference")
    if metric != "kl" and not row["base"] and not row["doubt"]:
        wrong.append("base, the value of the reference, is missing; without it say so in doubt")
    if metric in ("ppl", "word_ppl") and min(value, base if row["base"] else value) < 1:
        wrong.append("a perplexity is 1 or more; is it a cross-entropy (metric ce)?")
    if metric == "task" and row["base"] and (value > 1) != (base > 1):
        wrong.append(f"value {row['value']} and base {row['base']}: one seems a share, the other per cent")
    if rise > LARGEST_RISE or (rise < BETTER and not row["doubt"]):
        wrong.append(f"a rise of {rise:.3g} nats per token cannot be, from value {row['value']} and base {row['base']}")
    if row["n_active"] and float(row["n_active"]) > float(row["n_params"] or "inf"):
        wrong.append(f"n_active {row['n_active']} is more than n_params {row['n_params']}")
    if row["purity"] == "pure" and row["bits"] and row["format"] and row["format"] not in atlas.INFERRED:
        bits = parse(row["format"]).bits
        if abs(bits - float(row["bits"])) > SAME_BITS:
            wrong.append(f"bits {row['bits']}, but {row['format']} has {bits:g}: mend one of them, or say purity mixed")
    return wrong


def _known_model(row: dict[str, str], known: pd.DataFrame) -> list[str]:
    """What a row says otherwise than the rows of the same model do, or of its reference."""
    wrong = []
    for name in ("n_params", "n_active", "n_tokens"):
        before = known[name].dropna()
        if len(before) and row[name] and not math.isclose(float(row[name]), before.iloc[0], rel_tol=0.01):
            wrong.append(f"{name} {row[name]}: {row['model']} has {before.iloc[0]:.0f} in the atlas")
    if len(known) and row["family"] != known["family"].iloc[0]:
        wrong.append(f"family {row['family']}: {row['model']} is of {known['family'].iloc[0]} in the atlas")
    for name in ("source", "metric", "corpus", "engine"):
        known = known[known[name] == row[name]]
    bases = known.loc[known["context"].fillna(0) == float(row["context"] or 0), "base"].dropna()
    if len(bases) and row["base"] and not math.isclose(float(row["base"]), bases.iloc[0], rel_tol=0.01):
        wrong.append(f"base {row['base']}: the same source has {bases.iloc[0]:g} for this model, text and engine")
    return wrong


def _twice(frame: pd.DataFrame, there: pd.DataFrame) -> list[str]:
    """Rows that are in the atlas already, or twice in the file."""
    places = dict.fromkeys(_keys(there), "in the atlas")
    problems = []
    for line, key in enumerate(_keys(frame), start=2):
        if key in places:
            problems.append(f"line {line}: there already, {places[key]}: {', '.join(atlas.KEY)} agree")
        places.setdefault(key, f"in line {line}")
    return problems


def _keys(frame: pd.DataFrame) -> list[tuple[str, ...]]:
    context = [f"{float(value or 'nan'):.0f}" for value in frame["context"]]
    columns = [context if name == "context" else frame[name].fillna("").astype(str) for name in atlas.KEY]
    return list(zip(*columns, strict=True))
