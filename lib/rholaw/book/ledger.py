"""The ledger of the running example as a chapter shows it: lines up to its own, each linked to where it comes from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
from IPython.display import Markdown

from ..planning import ledger, names, words
from ..planning.advice import PILOT
from .languages import JAPANESE
from .plain import plain


@dataclass(frozen=True)
class Telling:
    """How the cells of a ledger are written in a language; rate: its currency for a USD."""

    language: str
    rate: float

    @property
    def said(self) -> Mapping[str, str]:
        """Its words."""
        return words.texts(self.language)["ledger"]

    def span(self, row: pd.Series, column: str, show: Callable[[float], str]) -> str:
        """Median and P10 to P90 of a column, each as ``show`` prints it."""
        low, middle, high = (show(row[column + part]) for part in ledger.SPREAD)
        return self.said["span"].format(low=low, middle=middle, high=high)

    def money(self, usd: float) -> str:
        """An amount without its currency, which the line names."""
        whole = round(self.rate * usd)
        return self.said["money"].format(amount=whole, large=words.large(whole, self.language, 3))

    def verdict(self, row: pd.Series) -> str:
        """What stands against an option, in few words, or else what the plan advises, and how likely it pays.

        Nothing is worth measuring that would not pay.
        """
        codes = [code for code in row.against.split() if code != "loss_unsettled" or row.pays >= PILOT]
        against = [self.said.get(code, self.said["refused"]) for code in codes]
        advised = row.verdict if row.pays >= PILOT else "do not compress"
        short = against[0] if against else self.said[advised]
        return self.said["pays"].format(verdict=short, pays=words.share(row.pays, self.language))


LINES: dict[str, Callable[[pd.Series, Telling], str]] = {
    "01_numbers": lambda row, tell: f"{row.bits:.4g}",
    "02_blocks": lambda row, tell: plain(row.gmse),
    "06_capacity": lambda row, tell: tell.span(row, "rho", "{:.3f}".format),
    "14_law_after_training": lambda row, tell: tell.span(row, "dloss", plain),
    "17_hardware": lambda row, tell: tell.span(row, "speedup_decode", "{:.2f}".format),
    "18_plan": lambda row, tell: tell.span(row, "saving_month", tell.money),
    "verdict": lambda row, tell: tell.verdict(row),
}
"""What a chapter adds to each option; how the line is called stands with the words of a plan."""


def upto(chapter: str, language: str = "en", rate: float = 1.0) -> Markdown:
    """The ledger up to the line of a chapter, which is bold, as a table; "18_plan" and "index" have the whole of it.

    Brackets hold P10 and P90.  rate: of the currency of the language for a USD.  ValueError for a chapter without a
    line.
    """
    options, tell, lines = ledger.recorded(), Telling(language, rate), list(LINES)
    shown = lines if chapter in ("index", lines[-2]) else lines[: lines.index(chapter) + 1]
    heads = [
        tell.said["head"].format(option=names.option(row, language), count=f"{row.devices_paid:.3g}", device=row.device)
        for row in options.assign(kv="dense").itertuples()
    ]
    rows = ["| " + " | ".join(["Llama-3.1-8B", *heads]) + " |", "|---" * (1 + len(heads)) + "|"]
    for name in shown:
        title, cells = tell.said[name].format(rate=rate), [LINES[name](row, tell) for _, row in options.iterrows()]
        if name in (chapter, "verdict"):
            title, cells = f"**{title}**", [f"**{cell}**" for cell in cells]
        elif name != chapter:
            title = f"[{title}]({_place(name, language)})"
        rows.append("| " + " | ".join([title, *cells]) + " |")
    return Markdown("\n".join([tell.said["lead"], "", *rows]))


def _place(chapter: str, language: str) -> str:
    """Where a page of a language finds a chapter: in its own language, if it is there."""
    return chapter if language == "en" else JAPANESE.get(chapter, f"../{chapter}").removeprefix("ja/")
