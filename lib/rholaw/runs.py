"""Training runs: series in data/runs and stores of one's own as tidy tables, and the check that any table must pass."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from . import tables
from .checked import LARGEST, shortened, shown, unknown

TEXT = ("architecture", "corpus", "weights", "activations", "method")
POSITIVE = ("n_params", "n_tokens", "loss")
SETTINGS = ("lr", "seq_len", "batch_tokens")  # recorded by some series only; positive where they are
STORE = "runs.jsonl"  # the file in the folder of a store: a run a line
LEADING = (*("n_params", "n_tokens", "weights", "activations", "method", "loss", "loss_stderr", "seed", "lr"),
           *("seq_len", "batch_tokens", "architecture", "corpus", "status"))  # fmt: skip


def series() -> list[str]:
    """The names that `load` knows."""
    return [name.removeprefix("runs/") for name in tables.names() if name.startswith("runs/")]


def load(names: str | Path | Iterable[str | Path], mix: bool = False) -> pd.DataFrame:
    """The runs of one or several series, a run a row: n_params (non-embedding), n_tokens, loss (nats per token), ….

    Every series counts N without embeddings and output head; `with_embeddings` counts them too, where they are known.
    A name is that of a series, or the path of a folder that `rholaw.train` keeps records in.  `weights` and
    `activations` are format strings, "dense" where uncompressed; `attrs["provenance"]` lists the tables.  Where the
    runs have a status only the finished ones are given, and the provenance counts the rest under "left_out".
    ValueError for an unknown series, a table that does not match its manifest, a run that cannot be, and for
    synthetic series beside real ones unless `mix`.
    """
    chosen = [str(name) for name in ([names] if isinstance(names, str | Path) else names)]
    known = series()
    if wrong := [name for name in chosen if name not in known and not (Path(name) / STORE).is_file()]:
        raise ValueError(f"{unknown(wrong[0], known, 'series')} (a folder with {STORE} is a series too)")
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"name each series once and at least one, not {chosen!r}; there are: {', '.join(known)}")
    frames = [_series(name) for name in chosen]
    provenance = [record for frame in frames for record in frame.attrs["provenance"]]
    synthetic = [record["class"] == "synthetic" for record in provenance]
    if any(synthetic) and not all(synthetic) and not mix:
        invented = [name for name, flag in zip(chosen, synthetic, strict=True) if flag]
        raise ValueError(f"{', '.join(invented)} is synthetic, the rest is not: mix=True puts them in one table anyway")
    runs = pd.concat(frames, ignore_index=True)
    runs.attrs["provenance"] = provenance  # pandas drops attrs that differ
    return runs


def one_estimator(runs: pd.DataFrame) -> pd.DataFrame:
    """QuEST's runs with one way of training: dense, or quantised with a Hadamard rotation; none is sparse as well."""
    dense = (runs["weights"] == "dense") & (runs["activations"] == "dense")
    return runs[(runs["rotated"] | dense) & ~runs["weights"].str.contains(":")]


def with_embeddings(runs: pd.DataFrame) -> pd.DataFrame:
    """The same runs with N counted with the embedding and the output head, which no format of theirs compresses.

    Read off n_embedding and n_head, or off the shape of one of Quartet's and QuEST's models.  ValueError for others.
    """
    if {"n_embedding", "n_head"} <= set(runs.columns):
        more = runs["n_embedding"] + runs["n_head"]
    else:
        shapes = tables.read("published/quartet2025_shapes").set_index("n_params")
        more = runs["n_params"].map(2 * shapes["vocabulary"] * shapes["width"])
    if more.isna().any():
        raise ValueError(
            f"embeddings of a model of {runs.loc[more.isna(), 'n_params'].iloc[0]:,} parameters are not known: "
            "the runs need the columns n_embedding and n_head"
        )
    return runs.assign(n_params=runs["n_params"] + more.astype("int64"))


def check(frame: pd.DataFrame, columns: Iterable[str] = POSITIVE) -> None:
    """Refuse a table unless each of these columns holds positive finite numbers and there is a row.

    ValueError names all missing columns, or the first column that holds no numbers, or its first bad entry and row.
    """
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"runs must be a pandas DataFrame, not {type(frame).__name__}")
    columns = list(columns)
    if missing := [name for name in columns if name not in frame.columns]:
        has = ", ".join(map(str, frame.columns))
        raise ValueError(f"the runs lack the columns {', '.join(missing)}; they have: {has or 'none'}")
    if frame.empty:
        raise ValueError("the table of runs is empty: it has columns but no row")
    for name in columns:
        column = frame[name]
        if isinstance(column, pd.DataFrame):
            raise ValueError(f"the column {name} is there {column.shape[1]} times")
        if not pd.api.types.is_any_real_numeric_dtype(column):  # neither booleans nor complex numbers
            beyond = column.map(lambda value: isinstance(value, int) and abs(value) > LARGEST)  # where pandas fails
            if (wrong := pd.to_numeric(column.mask(beyond), errors="coerce").isna()).any():
                row = int(np.flatnonzero(wrong)[0])
                raise ValueError(
                    f"{name} must be a number, but is {shown(column.iloc[row])} in the row with index "
                    f"{frame.index[row]}; such rows: {wrong.sum()} of {len(frame)}"
                )
            raise ValueError(
                f"the column {name} does not hold numbers but {column.dtype}, such as {column.iloc[0]!r}; "
                f"pandas.to_numeric may convert it"
            )
        values = column.to_numpy(dtype=float, na_value=np.nan)
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if bad.size:
            raise ValueError(
                f"{name} must be positive and finite, but is {values[bad[0]]} in the row with index "
                f"{frame.index[bad[0]]}; such rows: {bad.size} of {len(frame)}"
            )


def stored(folder: str | Path) -> list[dict]:
    """The records in a store, in order; a last line that a crash cut short is none.

    ValueError for a line that is no record, or not as it was written.
    """
    file, records = Path(folder) / STORE, []
    whole = file.read_bytes().rpartition(b"\n")[0] if file.is_file() else b""
    for number, text in enumerate(whole.splitlines(), start=1):
        try:
            record = json.loads(text)
            if not isinstance(record["id"], str) or not isinstance(record["status"], str):
                raise TypeError("id and status must be text")
            if "sum" in record and line({key: record[key] for key in record if key != "sum"}) != text:
                raise TypeError("it was changed after it was written")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            why = f"{type(error).__name__}: {shortened(str(error), 200)}"
            raise ValueError(f"{file}, line {number} is no record of a run: {why}") from None
        record.pop("sum", None)  # records had none before
        records.append(record)
    return records


def line(record: dict) -> bytes:
    """A record as a line of a store, without its end: JSON, with the sum of itself."""
    text = json.dumps(record, allow_nan=False)
    return json.dumps(record | {"sum": hashlib.sha256(text.encode()).hexdigest()[:16]}).encode()


def tidy(records: Iterable[dict]) -> pd.DataFrame:
    """Records as a table, the last record of each id a row: LEADING, then all other plain entries and settings.

    A group of parameters becomes n_GROUP; `realised` is the relative error of the weights at the end; no curves.
    """
    rows = [_row(record) for record in {record["id"]: record for record in records}.values()]
    names = list(dict.fromkeys([*LEADING, *(name for row in rows for name in row)]))
    return pd.DataFrame({name: [row.get(name) for row in rows] for name in names})


def _row(record: dict) -> dict:
    config = {name: value for name, value in record.get("config", {}).items() if name not in ("tokens", "context")}
    groups = {f"n_{group}": count for group, count in record.get("parameters", {}).items()}
    plain = {name: value for name, value in record.items() if not isinstance(value, list | dict)}
    row = {"architecture": "llama", "seq_len": record.get("config", {}).get("context"), **config, **groups, **plain}
    row |= record.get("environment", {})
    row["realised"] = record["realised"][-1][-1] if record.get("realised") else None
    return row


def _read(name: str) -> pd.DataFrame:
    """The rows of a series, or those of a store."""
    if name in series():
        return tables.read(f"runs/{name}")
    frame = tidy(stored(name))
    about = {"table": name, "class": "measured", "source": f"runs recorded in {name}", "licence": "as the corpora"}
    frame.attrs["provenance"] = [about]
    return frame


def _series(name: str) -> pd.DataFrame:
    """One series, with its name as the first column."""
    frame = _read(name)
    if "status" in frame:
        finished = frame["status"] == "finished"
        frame.attrs["provenance"][0]["left_out"] = frame.loc[~finished, "status"].value_counts().to_dict()
        frame = frame[finished].reset_index(drop=True)
        for column in {"n_params", "n_tokens"} & set(frame.columns):  # missing in a run that failed: read as floats
            if len(frame) and (frame[column] % 1 == 0).all():
                frame[column] = frame[column].astype("int64")
    try:
        check(frame, [*POSITIVE, *(column for column in SETTINGS if column in frame)])
        for column in TEXT:
            if column not in frame or not all(isinstance(value, str) for value in frame[column]):
                raise ValueError(f"the column {column} must be there and hold text in every row")
        for column in ("n_params", "n_tokens"):
            if not pd.api.types.is_integer_dtype(frame[column]):
                raise ValueError(f"the column {column} must hold whole numbers")
        # Two runs may share everything but what came out only if a column, such as the seed, tells them apart.
        same = ["id"] if "id" in frame else frame.columns.drop("loss").tolist()
        if (twice := frame.duplicated(same)).any():
            raise ValueError(f"the run in row {int(twice.argmax())} is there twice")
    except ValueError as error:
        raise ValueError(f"series {name}: {error}") from error
    frame.insert(0, "series", name)
    return frame
