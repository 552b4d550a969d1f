"""Tables of a plan for a page: each column with the digits that its unit asks for."""

from collections.abc import Iterable, Mapping

import pandas as pd
from pandas.io.formats.style import Styler

from ..planning.columns import COLUMNS, MONEY, PER_MILLION
from ..planning.decide import Plan
from .webtable import WebTable

UNITS = {
    "bits a weight": "{:.3g}",
    "share of N": "{:.3f}",
    "parameters": "{:.2e}",
    "nats a token": "{:.4f}",
    "GB": "{:,.1f}",
    "tokens/s": "{:,.0f}",
    "tokens": "{:,.0f}",
    "ms": "{:,.1f}",
    "times": "{:.2f}",
    "share": "{:.2f}",
    "share of draws": "{:.0%}",
    MONEY: "{:,.0f}",
    f"{MONEY} {PER_MILLION}": "{:,.3f}",
    f"kWh {PER_MILLION}": "{:,.3f}",
    "kWh": "{:,.0f}",
    "hours": "{:,.0f}",
    "copies": "{:,.2f}",
    "months": "{:.1f}",
    "requests a month": "{:,.0f}",
}
"""How a number of each unit is written."""
DIGITS = {part: UNITS[column.unit] for column in COLUMNS.values() for part in column.parts if column.unit in UNITS}


def styled(frame: pd.DataFrame, index: bool = True, **digits: str) -> Styler:
    """Columns of a plan, or others; digits: how to write those that are not, or otherwise."""
    table = frame.style.format(_digits(frame, digits), na_rep="–")
    return table if index else table.hide(axis="index")


def sortable(frame: pd.DataFrame, **digits: str) -> WebTable:
    """The same as a table that the reader sorts and filters."""
    return WebTable(frame, _digits(frame, digits))


def _digits(frame: pd.DataFrame, digits: Mapping[str, str]) -> dict[str, str]:
    """How to write the numbers of a table; its texts stay."""
    numbers = frame.select_dtypes("number").columns
    return {name: text for name, text in (DIGITS | digits).items() if name in numbers}


def speeds(observed: pd.DataFrame) -> WebTable:
    """Observed and predicted speeds of whole engines, case by case; observed: of ``hardware.observed.speeds``."""
    columns = ["engine", "device", "model", "weights", "activations", "phase", "tokens_in", "tokens_out", "sequences"]
    whole = dict.fromkeys(("tokens_in", "tokens_out", "sequences"), "{:.0f}")
    whole |= dict.fromkeys(("tokens_per_second", "low", "predicted", "high"), "{:,.0f}")
    columns += ["tokens_per_second", "low", "predicted", "high", "error", "inside", "rung", "role", "source"]
    return sortable(observed[columns].rename_axis("case"), **whole, error="{:+.0%}")


def losses(plans: Mapping[str, Plan]) -> Styler:
    """What each option adds to the loss, median [P10, P90], and whether it is good enough, by what is measured.

    plans: {what is measured: Plan}, of the same options.
    """
    table = {}
    for known, plan in plans.items():
        rows = plan.table[plan.table.option != "dense"].drop_duplicates("option").set_index("option")
        table[f"{known} measured"] = spreads(rows, ["dloss"]).dloss
        table[f"good enough, {known}"] = rows.good_enough.map("{:.0%}".format)
    return styled(pd.DataFrame(table))


def said(plans: Mapping[str, Plan]) -> Styler:
    """The verdict of each plan, and why."""
    rows = {name: {"verdict": plan.verdict, "because": plan.recommendation} for name, plan in plans.items()}
    return pd.DataFrame.from_dict(rows, orient="index").style


def spreads(rows: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Texts "median [P10, P90]" of uncertain columns."""
    texts = {}
    for name in columns:
        ends = zip(rows[name], rows[name + "_p10"], rows[name + "_p90"], strict=True)
        shape = "{0} [{0}, {0}]".format(DIGITS[name])
        texts[name] = ["–" if pd.isna(spread[0]) else shape.format(*spread) for spread in ends]
    return pd.DataFrame(texts, index=rows.index)
