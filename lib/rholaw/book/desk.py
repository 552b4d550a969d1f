"""A plan on one A4 sheet for each language: the verdict, its numbers, and what to say of them in a meeting."""

from collections.abc import Iterable, Iterator
from html import escape
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from ..planning import decide, words
from ..planning.decide import Plan
from ..planning.glance import CURRENCIES
from ..planning.remarks import Verdict
from . import plan_tables
from .printed import paper
from .signs import typeset
from .workplace import ROOT, workplace

PARTS = ("", "_p10", "_p90")
SHOWN = 3  # inputs, of those that move the result
STYLE = """@font-face { font-family: Japanese; src: url("%s"); unicode-range: U+3000-30FF, U+3400-9FFF, U+FF00-FFEF; }
body { font: 10pt/1.45 "Liberation Sans", Arial, Japanese, sans-serif; }
h1 { font-size: 18pt; margin: 0; } h2 { font-size: 12pt; margin: 12pt 0 2pt; }
section + section { break-before: page; } .premise { color: #555; font-size: 9pt; } ul, ol { margin: 4pt 0; }
.verdict { font-size: 11pt; border-left: 3pt solid #0072B2; padding-left: 8pt; }
table { border-collapse: collapse; width: 100%%; } td { border-bottom: 0.5pt solid #bbb; }
td, th { padding: 2.5pt 6pt 2.5pt 0; text-align: right; font-weight: normal; } td:first-child { text-align: left; }"""


def desk(plan: Plan, root: Path = ROOT) -> Path:
    """Print the sheets of a plan, English and Japanese, into `_build/desk.pdf`, and return that. Raises BuildError."""
    target = root / "_build" / "desk.pdf"
    font = Path(find_spec("matplotlib_fontja").origin).parent / "fonts" / "ipaexg.ttf"
    sheets = "".join(typeset(sheet(own, name), name) for own, name in ((plan, "en"), (in_yen(plan), "ja")))
    head = f'<meta charset="utf-8"><title>{escape(plan.verdict)}</title><style>{STYLE % font.as_uri()}</style>'
    with workplace(root) as work:
        paper(f'<html lang="en">{head}{sheets}', target, work)
    return target


def in_yen(plan: Plan) -> Plan:
    """The plan as Japanese readers expect its money: made again in yen where its scenario leaves results in USD."""
    if plan.conclusion.currency != "USD":
        return plan
    return decide.plan(plan.scenario.in_currency("JPY", CURRENCIES["JPY"]))


def sheet(plan: Plan, language: str) -> str:
    """The sheet of a plan, as HTML; what has no number is left out."""
    said, about = words.texts(language)["desk"], plan.scenario
    told = words.texts(language)["phrases"]["between_sentences"].join(words.sentences(plan.conclusion, language))
    model, traffic = about.model, about.traffic
    named = isinstance(model.geometry, str)
    premise = said["premise"].format(
        model=model.geometry if named else words.large(model.shape.non_embedding, language),
        requests=words.large(traffic.requests_per_month, language),
        tokens_in=f"{traffic.tokens_in:,.0f}",
        tokens_out=f"{traffic.tokens_out:,.0f}",
        devices=words.texts(language)["phrases"]["between_listed"].join(about.hardware.devices),
        samples=f"{about.run.samples:,}",
        date=about.run.date,
    )
    if about.prices.rate != 1:
        currency = words.unit(about.prices.currency, language)
        premise += said["rate"].format(rate=about.prices.rate, currency=currency)
    inputs = [words.texts(language)["inputs"][key] for key in plan.conclusion.inputs[:SHOWN]]
    rows = [("", said["median"], said["interval"]), *plan_tables.amounts(plan, language)]
    return f"""<section lang="{language}"><h1>{said["title"]}</h1><p class="premise">{escape(premise)}</p>
<p class="verdict"><strong>{words.texts(language)["verdicts"][plan.verdict]}</strong><br>{escape(told)}</p>
<h2>{said["numbers"]}</h2><table>{"".join(f"<tr>{_tags('td', row)}</tr>" for row in rows)}</table>
<h2>{said["decides"]}</h2><ol>{_tags("li", inputs)}</ol>
<h2>{said["say"]}</h2><ul>{_tags("li", _phrases(plan, language))}</ul></section>"""


def _tags(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _phrases(plan: Plan, language: str) -> Iterator[str]:
    """What to say in a meeting, as far as the plan has numbers for it; what is left needs no gate and no haste."""
    said, row, leave = words.texts(language)["desk"], plan.choice, plan.verdict == Verdict.REJECT
    currency = plan.conclusion.currency
    known = row is not None and pd.notna(row.saving_month)
    if leave:
        yield said["leave"]
    elif known:
        saving = {f"saving{part}": words.money(row[f"saving_month{part}"], currency, language) for part in PARTS}
        yield said["saves"].format(**saving)
    if known:
        less = words.texts(language)["phrases"]["once_less" if row.cost_once < 0 else "once"]
        once = less.format(amount=words.money(abs(row.cost_once), currency, language))
        horizon = f"{plan.conclusion.horizon_months:g}"
        pays = round(row.pays, 2)  # so that both shares make a whole
        odds = {"pays": words.share(pays, language), "loses": words.share(1 - pays, language)}
        yield said["odds"].format(once=once, horizon=horizon, **odds)
    if plan.conclusion.inputs and not leave:
        inputs = [words.texts(language)["inputs"][key] for key in plan.conclusion.inputs[:2]]
        yield said["first"].format(inputs=said["and"].join(inputs))
    if not leave:
        yield said["gate"].format(tolerance=f"{plan.scenario.project.tolerance:g}")
    if not plan.scenario.hardware.measured:
        yield said["own"]
