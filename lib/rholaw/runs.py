"""Training runs: the series in data/runs as tidy tables, and the check that any table of runs must pass."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from . import tables

TEXT = ("architecture", "corpus", "weights", "activations", "method")
POSITIVE = ("n_params", "n_tokens", "loss")
SETTINGS = ("lr", "seq_len", "batch_tokens")  # recorded by some series only; positive where they are


def series() -> list[str]:
    """The names that `load` knows."""
    return [name.removeprefix("runs/") for name in tables.names() if name.startswith("runs/")]


def load(names: str | Iterable[str], mix: bool = False) -> pd.DataFrame:
    """The runs of one or several series, a run a row: n_params (non-embedding), n_tokens, loss (nats per token), ….

    `weights` and `activations` are format strings, "dense" where uncompressed; `attrs["provenance"]` lists the tables.
    ValueError for an unknown series, a table that does not match its manifest, a run that cannot be, and for
    synthetic series beside real ones unless `mix`.
    """
    chosen = [names] if isinstance(names, str) else list(names)
    known = series()
    if wrong := [name for name in chosen if name not in known]:
        raise ValueError(f"there is no series {wrong[0]!r}; there are: {', '.join(known)}")
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


def check(frame: pd.DataFrame, columns: Iterable[str] = POSITIVE) -> None:
    """Refuse a table unless each of these columns holds positive finite numbers and there is a row.

    ValueError names all missing columns, or the first column that is no number, or its first bad entry and row.
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


def _series(name: str) -> pd.DataFrame:
    """One series, with its name as the first column."""
    frame = tables.read(f"runs/{name}")
    try:
        check(frame, [*POSITIVE, *(column for column in SETTINGS if column in frame)])
        for column in TEXT:
            if column not in frame or not all(isinstance(value, str) for value in frame[column]):
                raise ValueError(f"the column {column} must be there and hold text in every row")
        for column in ("n_params", "n_tokens"):
            if not pd.api.types.is_integer_dtype(frame[column]):
                raise ValueError(f"the column {column} must hold whole numbers")
        # Two runs may share everything but what came out only if a column, such as the seed, tells them apart.
        if (twice := frame.duplicated(frame.columns.drop("loss").tolist())).any():
            raise ValueError(f"the run in row {int(twice.argmax())} is there twice")
    except ValueError as error:
        raise ValueError(f"series {name}: {error}") from error
    frame.insert(0, "series", name)
    return frame
