"""The ledger of the running example as a chapter shows it: lines up to its own, each linked to where it comes from."""

from collections.abc import Callable

import pandas as pd
from IPython.display import Markdown

from ..planning import ledger, names, words
from ..planning.advice import PILOT

SHORT = {"loss_unsettled": "measure its loss first", "loss_too_high": "no, it loses too much"}
"""What stands against an option, in few words; for anything else it does not meet the scenario."""


LEAD = "**The ledger**, one model through the book: a chapter adds a line, and [the plan](18_plan) has the verdict."


def _span(column: str, show: str) -> Callable[[pd.Series], str]:
    """Median and P10 to P90 of a column, each as ``show`` prints it."""

    def text(row: pd.Series) -> str:
        low, middle, high = (show.format(row[column + part]) for part in ledger.SPREAD)
        return f"{middle} [{low}, {high}]"

    return text


def _verdict(row: pd.Series) -> str:
    against = [SHORT.get(code, "no, it does not meet the scenario") for code in row.against.split()]
    if row.pays < PILOT and set(row.against.split()) <= {"loss_unsettled"}:
        against = ["do not compress"]  # whatever its loss is
    return f"{against[0] if against else row.verdict}; it pays in {words.share(row.pays)} of the draws"


LINES: dict[str, tuple[str, Callable[[pd.Series], str]]] = {
    "01_numbers": ("bits a weight, scales included", lambda row: f"{row.bits:.4g}"),
    "02_blocks": ("error of the weights, of variance 1", lambda row: f"{row.gmse:.2g}"),
    "06_capacity": ("capacity, if it were trained so", _span("rho", "{:.3f}")),
    "14_law_after_training": ("rise of the loss when rounded, nats", _span("dloss", "{:.2g}")),
    "17_hardware": ("times the speed of 16 bits, writing", _span("speedup_decode", "{:.2f}")),
    "18_plan": ("saved a month, USD", _span("saving_month", "{:z,.0f}")),
    "verdict": ("verdict", _verdict),
}
"""What a chapter adds: how the line is called, and what it says of an option."""


def upto(chapter: str) -> Markdown:
    """The ledger up to the line of a chapter, which is bold, as a table; "18_plan" and "index" have the whole of it.

    Brackets hold P10 and P90.  ValueError for a chapter without a line.
    """
    options = ledger.recorded()
    lines = list(LINES)
    shown = lines if chapter in ("index", lines[-2]) else lines[: lines.index(chapter) + 1]
    heads = [
        f"{names.option(row)} on {row.devices_paid:.3g} × {row.device}"
        for row in options.assign(kv="dense").itertuples()
    ]
    rows = ["| " + " | ".join(["Llama-3.1-8B", *heads]) + " |", "|---" * (1 + len(heads)) + "|"]
    for name in shown:
        title, says = LINES[name]
        cells = [says(row) for _, row in options.iterrows()]
        if name in (chapter, "verdict"):
            title, cells = f"**{title}**", [f"**{cell}**" for cell in cells]
        elif name != chapter:
            title = f"[{title}]({name})"
        rows.append("| " + " | ".join([title, *cells]) + " |")
    return Markdown("\n".join([LEAD, "", *rows]))
