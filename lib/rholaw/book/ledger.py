"""The ledger of the running example as a chapter shows it: lines up to its own, each linked to where it comes from."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
from IPython.display import Markdown

from ..fidelity.predicted import UNSAFE
from ..fidelity.sensitivity import SensitivityFit
from ..planning import advice, ledger, names, words
from ..planning.advice import PILOT
from ..planning.decide import Plan
from ..planning.scenario import Scenario
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
        """An amount without its currency, which the line names; "–" if it is not finite."""
        if not math.isfinite(usd):
            return "–"
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


def _nats(rise: float) -> str:
    """A rise of the loss, as far as there is a law."""
    return plain(rise) if rise <= UNSAFE else f"above {UNSAFE:g}"


LINES: dict[str, Callable[[pd.Series, Telling], str]] = {
    "01_numbers": lambda row, tell: f"{row.bits:.4g}",
    "02_blocks": lambda row, tell: plain(row.gmse),
    "06_capacity": lambda row, tell: tell.span(row, "rho", "{:.3f}".format),
    "14_law_after_training": lambda row, tell: tell.span(row, "dloss", _nats),
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


def of(plan: Plan, language: str, most: int = 2) -> Markdown:
    """The end of a ledger of a plan's own options, the best first: what each saves a month, and what is advised of it.

    most: as many options.  Amounts are in the currency of the plan.
    """
    tell = Telling(language, 1.0)
    best = advice.best(plan.table[plan.table.option != "dense"]).head(most)
    rows = [f"| | {tell.said['own_saving']} | {tell.said['verdict']} |", "|---|---|---|"]
    for where, row in best.assign(verdict=plan.verdict).iterrows():
        row["against"] = " ".join(reason.code for reason in plan.reasons[where])
        cells = (LINES[name](row, tell) for name in ("18_plan", "verdict"))
        rows.append("| " + " | ".join([names.option(row, language), *cells]) + " |")
    return Markdown("\n".join([tell.said["own"], "", *rows]))


def beside(*options: str) -> Markdown:
    """Options that no plan of the ledger has, next to its INT4 weights: its lines up to the rise of the loss.

    options: formats of weights, or of weights and activations with " x " between them.  ValueError for others.
    """
    roles = [dict(zip(("weights", "activations"), option.split(" x "), strict=False)) for option in options]
    model = {"geometry": "Llama-3.1-8B", "tokens": 15e12}
    case = Scenario.of({"model": model, "formats": roles, "project": {"kind": "post-training"}})
    known = ledger.recorded()
    rows = pd.concat([known[known.weights == "sint4/g128"], ledger.unplanned(case)])
    heads = [
        names.grid(row.weights) if row.activations == "dense" else names.option(row)
        for row in rows.assign(kv="dense").itertuples()
    ]
    tell = Telling("en", 1.0)
    lines = ["| " + " | ".join(["Llama-3.1-8B", *heads]) + " |", "|---" * (1 + len(heads)) + "|"]
    for name in list(LINES)[:4]:
        cells = ["–" if row.isna()["dloss"] and "14" in name else LINES[name](row, tell) for _, row in rows.iterrows()]
        lines.append("| " + " | ".join([f"[{tell.said[name]}]({name})", *cells]) + " |")
    lead = "**Beside [the ledger](index)** and its INT4, what formats of this chapter would do."
    return Markdown("\n".join([lead, "", *lines]))


def narrowed(fit: SensitivityFit) -> str:
    """A sentence: what a ``fit`` to a model like the ledger's says of its INT4 weights, beside what the ledger says."""
    known = ledger.recorded().set_index("weights").loc["sint4/g128"]
    rise, (low, high) = fit.rise(["sint4/g128"])[0], (float(end[0]) for end in fit.rise_interval(["sint4/g128"]))
    return (
        f"INT4, which [the ledger](index) follows, should cost it {rise:.2g} nats [{low:.2g}, {high:.2g}]. "
        f"The ledger has {known.dloss:.2g} [{known.dloss_p10:.2g}, {known.dloss_p90:.2g}] for Llama-3.1-8B, "
        "of which nothing was measured."
    )


def _place(chapter: str, language: str) -> str:
    """Where a page of a language finds a chapter: in its own language, if it is there."""
    return chapter if language == "en" else JAPANESE.get(chapter, f"../{chapter}").removeprefix("ja/")
