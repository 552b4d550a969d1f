"""Tables of a plan for a page: each column with the digits that its unit asks for."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import pandas as pd
from pandas.io.formats.style import Styler

from ..planning import names, words
from ..planning.columns import COLUMNS, MONEY, PER_MILLION
from ..planning.decide import Plan
from ..planning.words import recommendation, share, texts
from .webtable import HEADINGS, Named, WebTable

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
    "share of draws": share,
    MONEY: "{:,.0f}",
    f"{MONEY} {PER_MILLION}": "{:,.3f}",
    f"kWh {PER_MILLION}": "{:,.3f}",
    "kWh": "{:,.0f}",
    "hours": "{:,.0f}",
    "copies": "{:,.2f}",
    "months": "{:.1f}",
    "devices": "{:,.1f}",
    "sequences": "{:,.1f}",
    "requests a month": "{:,.0f}",
}
"""How a number of each unit is written."""
FIRST = ("option", "saving_month", "pays", "why_not", "device", "npv")
"""What decides, of a table of options: a narrow page has room for these."""
CALLED = {"option": names.called} | dict.fromkeys(("weights", "activations", "format"), names.format)
"""What calls the cells of a column by name."""
AMOUNTS = ("cost_month", "saving_month", "cost_once", "npv")
"""What a plan comes to in money."""
LABELS = texts("en")["labels"]
PARTS = [(column.name, part) for column in COLUMNS.values() for part in column.parts]
DIGITS = {part: UNITS[column.unit] for column in COLUMNS.values() for part in column.parts if column.unit in UNITS}


def styled(frame: pd.DataFrame, index: bool = True, currency: str = "", **digits: str) -> WebTable:
    """Columns of a plan, or others: what decides first, headings and options by name; for readers who sort and filter.

    index: whether its index is shown; currency: what headings of money name; digits: how to write those that are no
    columns of a plan, or otherwise.
    """
    frame = frame.reset_index() if index else frame
    first = [name for name in FIRST if name in frame] if "option" in frame else []
    frame = frame[[*first, *frame.columns.difference(first, sort=False)]]
    named = {name: [Named(call(code), code) for code in frame[name]] for name, call in CALLED.items() if name in frame}
    if {"option", "why_not"} <= set(frame):
        barred = zip(named["option"], frame.why_not, strict=True)
        named["option"] = [Named(f"{name} (with an objection)", name.code) if why else name for name, why in barred]
    headed = {name: _headed(name, currency) for name in frame}
    formats = {headed[name]: text for name, text in _digits(frame, digits).items()}
    return WebTable(frame.assign(**named).rename(columns=headed).set_index(headed[frame.columns[0]]), formats)


def _headed(name: str, currency: str) -> Named:
    """A column of a plan in words, with the currency where it is money; an option by its name, any other as it is."""
    column = next((column for column, part in PARTS if part == name), "")
    ends = {f"{column}_p10": ", P10", f"{column}_p90": ", P90"}
    if not column:
        return Named(HEADINGS.get(name, names.called(name)), name)
    unit = f", {currency}" if currency and COLUMNS[column].money else ""
    return Named(LABELS[column] + unit + ends.get(name, ""), name)


def _digits(frame: pd.DataFrame, digits: Mapping[str, str]) -> dict[str, str | Callable[[float], str]]:
    """How to write the numbers of a table; its texts stay, and whole numbers of things."""
    numbers = frame.select_dtypes("number")
    whole = [name for name in numbers.select_dtypes("integer") if name in DIGITS]
    return {name: text for name, text in (DIGITS | digits).items() if name in numbers and name not in whole}


def amounts(plan: Plan, language: str) -> Iterator[tuple[str, str, str]]:
    """(what, median, P10 to P90) of a plan's money, 16 bits first and then its choice; what is unknown is left out."""
    row, currency, said = plan.choice, plan.conclusion.currency, texts(language)["desk"]
    labels = dict(texts(language)["labels"])
    shown = dict.fromkeys(AMOUNTS, lambda value: words.money(value, currency, language))
    shown |= {
        "payback_months": lambda value: words.months(value, language),
        "pays": lambda value: words.share(value, language),
    }
    if plan.baseline is not None and pd.notna(plan.baseline.cost_month):
        show = shown["cost_month"]
        dense = said["cost_dense"].format(label=labels["cost_month"])
        yield dense, show(plan.baseline.cost_month), _span(plan.baseline, "cost_month", show, said["to"])
        labels["cost_month"] = said["cost_chosen"].format(label=labels["cost_month"])
    for column, show in shown.items():
        if row is not None and pd.notna(row[column]):
            yield labels[column], show(row[column]), _span(row, column, show, said["to"])


def _span(row: pd.Series, column: str, show: Callable[[float], str], to: str) -> str:
    """P10 and P90 of a column, where it has them."""
    ends = [row.get(column + part) for part in ("_p10", "_p90")]
    return "" if pd.isna(ends).any() else to.format(low=show(ends[0]), high=show(ends[1]))


def money(plan: Plan) -> WebTable:
    """The money of a plan, a row an amount."""
    columns = ["amount", "median", "P10 to P90"]
    return WebTable(pd.DataFrame(amounts(plan, "en"), columns=columns).set_index("amount"), {})


def speeds(observed: pd.DataFrame) -> WebTable:
    """Observed and predicted speeds of whole engines, case by case; observed: of ``hardware.residuals.held_out``."""
    columns = ["engine", "device", "model", "weights", "activations", "phase", "tokens_in", "tokens_out", "sequences"]
    whole = dict.fromkeys(("tokens_in", "tokens_out", "sequences"), "{:.0f}")
    whole |= dict.fromkeys(("tokens_per_second", "low", "predicted", "high"), "{:,.0f}")
    columns += ["tokens_per_second", "low", "predicted", "high", "error", "inside", "rung", "source"]
    return styled(observed[columns].rename_axis("case"), **whole, error="{:+.0%}")


def losses(plans: Mapping[str, Plan]) -> WebTable:
    """What each option adds to the loss, median [P10, P90], and whether it is good enough, by what is measured.

    plans: {what is measured: Plan}, of the same options.
    """
    table = {}
    for known, plan in plans.items():
        rows = plan.table[plan.table.option != "dense"].drop_duplicates("option").set_index("option")
        table[f"{known} measured"] = spreads(rows, ["dloss"]).dloss
        table[f"good enough, {known}"] = rows.good_enough.map(share)
    return styled(pd.DataFrame(table))


def assumptions(plan: Plan) -> WebTable:
    """What a plan assumes, with sources and dates; options by name."""
    items = plan.assumptions["item"]
    for option in plan.table.option.unique():
        of = items.str.startswith((f"{option} on ", f"{option}: "))
        items = items.where(~of, names.called(option) + items.str.removeprefix(option))
    return styled(plan.assumptions.assign(item=items).set_index("item"))


def said(plans: Mapping[str, Plan]) -> Styler:
    """The verdict of each plan, and why."""
    because = {name: recommendation(plan.conclusion, called=names.called) for name, plan in plans.items()}
    rows = {name: {"verdict": plan.verdict, "because": because[name]} for name, plan in plans.items()}
    return pd.DataFrame.from_dict(rows, orient="index").style


def cases(plans: Mapping[str, Plan]) -> WebTable:
    """The verdict of each plan, on which option and machine, what that saves and how surely, and why.

    plans: {name of a case: Plan}, each with an option that it speaks of.
    """
    told = []
    for plan in plans.values():
        row, currency = plan.conclusion.choice, plan.scenario.prices.currency
        because = recommendation(plan.conclusion, called=names.called)
        option, saved = Named(names.called(row.option), row.option), words.money(row.saving_month, currency)
        told.append((plan.verdict, option, row.device, saved, share(row.pays), because))
    columns = ["verdict", *(_headed(name, "") for name in ("option", "device", "saving_month", "pays")), "because"]
    return WebTable(pd.DataFrame(told, columns=columns, index=pd.Index(plans, name="case")), {})


def spreads(rows: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Texts "median [P10, P90]" of uncertain columns."""
    texts = {}
    for name in columns:
        ends = zip(rows[name], rows[name + "_p10"], rows[name + "_p90"], strict=True)
        shape = "{0} [{0}, {0}]".format(DIGITS[name])
        texts[name] = ["–" if pd.isna(spread[0]) else shape.format(*spread).replace("inf", "never") for spread in ends]
    return pd.DataFrame(texts, index=rows.index)
