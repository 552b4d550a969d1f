"""Predictions of measurements that nobody had made yet: dated, chained by hashes, and scored when facts arrive.

score(load("2026-11"), rholaw.fidelity.load())      a row for each forecast that a later measurement decides
"""

import hashlib

import numpy as np
import pandas as pd

from .. import tables
from .sensitivity import SensitivityFit

LEVELS = (0.5, 0.8, 0.95)
ENDS = tuple(f"{end}{round(100 * level)}" for level in LEVELS for end in ("low", "high"))
COLUMNS = (
    *("date", "model", "n_params", "format", "method", "metric", "reference", "corpus", "context", "engine"),
    *("basis", "law", "rise", *ENDS, "sha256"),
)
MATCH = ["model", "format", "metric"]  # what a measurement must share with the forecast that it decides


def names() -> list[str]:
    """The series of forecasts, by the month in which they were made."""
    return [name.removeprefix("forecasts/") for name in tables.names() if name.startswith("forecasts/")]


def load(name: str) -> pd.DataFrame:
    """The forecasts of a series, a row each, with COLUMNS.

    rise: the median, nats per token, of what the measurement will print; low and high: intervals of 50, 80 and 95 %.
    Raises ValueError for an unknown series and where a row is not what it was when it was made.
    """
    table = tables.read(f"forecasts/{name}")
    stored = list(table.sha256)
    for number, (is_now, was) in enumerate(zip(chain(table), stored, strict=True), 1):
        if is_now != was:
            raise ValueError(
                f"forecasts/{name}: row {number} ({table.model[number - 1]}, {table.format[number - 1]}), or one "
                "before it, was altered, removed or added after it was made"
            )
    return table


def chain(table: pd.DataFrame) -> list[str]:
    """The sha256 of each row's values and of the row before it: a change shows in all that follow."""
    digests, last = [], ""
    for row in table[[name for name in COLUMNS if name != "sha256"]].itertuples(index=False):
        cells = [f"{cell:.10g}" if isinstance(cell, float) else str(cell) for cell in row]
        last = hashlib.sha256("\n".join([last, *cells]).encode()).hexdigest()
        digests.append(last)
    return digests


def made(fit: SensitivityFit, formats: list[str], about: dict) -> pd.DataFrame:
    """Forecasts of what ``formats`` will cost one model: COLUMNS but the hash; ``about`` fills all but the numbers.

    Numbers have four digits.
    """
    rows = pd.DataFrame({**about, "format": formats, "rise": fit.predict(formats)})
    for level in LEVELS:
        rows[f"low{round(100 * level)}"], rows[f"high{round(100 * level)}"] = fit.predict_interval(formats, level)
    numbers = ["rise", *ENDS]
    rows[numbers] = rows[numbers].map(lambda value: float(f"{value:.4g}"))
    return rows[[name for name in COLUMNS if name != "sha256"]]


def score(forecasts: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """The forecasts that measurements of a later date decide: a row a measurement, in the order of the forecasts.

    facts: rows of the atlas (`rholaw.fidelity.load`); those with a rise and without doubt count.  Columns: those of the
    forecast; measured, nats per token; source and dated of the measurement; log_error, ln(measured / forecast);
    in50, in80 and in95, whether the interval holds it.
    """
    told = facts[facts.rise.notna() & facts.doubt.isna() & facts.format.notna()]
    told = told[[*MATCH, "rise", "source", "date"]].rename(columns={"rise": "measured", "date": "dated"})
    table = forecasts.drop(columns="sha256", errors="ignore").merge(told, on=MATCH)
    table = table[table.dated.astype(str) > table.date.astype(str)].reset_index(drop=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        table["log_error"] = np.log(table.measured.where(table.measured > 0) / table.rise)
    for level in (round(100 * level) for level in LEVELS):
        table[f"in{level}"] = table.measured.between(table[f"low{level}"], table[f"high{level}"])
    return table


def coverage(scored: pd.DataFrame) -> pd.DataFrame:
    """Of `score`: by level, how many measurements there are and which share the interval holds; nan of none.

    attrs["factor"]: by which factor the forecasts are off in the median, either way.
    """
    shares = [scored[f"in{round(100 * level)}"].mean() for level in LEVELS]
    table = pd.DataFrame({"measurements": len(scored), "share": shares}, index=pd.Index(LEVELS, name="level"))
    table.attrs["factor"] = float(np.exp(scored.log_error.abs().median()))
    return table
