"""The Japanese edition: amounts, names of options and tables as its readers expect them.

The sentences of a plan stand in planning/words/ja.toml, with the words of its figures, inputs and columns.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from ..hardware.devices import rates
from ..planning import damage, measuring, names, plausible, verifying, words
from ..planning.decide import Plan
from ..planning.remarks import Reason
from ..planning.scenario import Scenario
from .escaped import text
from .parameters import between
from .plain import plain
from .workplace import ROOT

LANGUAGE = "ja"
INPUTS = words.texts(LANGUAGE)["inputs"]
"""What the uncertain inputs of a plan are called."""
LABELS = words.texts(LANGUAGE)["labels"]
"""What the columns of a plan's table are called."""
LOWEST, HIGHEST = rates()["JPY"][:2]
RATES = between(LOWEST / plausible.WIDE, HIGHEST * plausible.WIDE, "yen a USD")
"""What ``book.parameters`` takes as a rate."""


def amount(value: float, unit: str = "円") -> str:
    """A number to three significant digits with 万, 億 or 兆; ▲ marks a negative one, as in Japanese accounts.

    Yen are whole.
    """
    value = float(np.round(value)) if unit == "円" else value
    return f"{words.large(value, LANGUAGE, 3)}{unit}" if math.isfinite(value) else "–"


def scenario(name: str, yen_per_usd: float = math.nan, quick: bool = False) -> Scenario:
    """A Scenario in yen, or as it stands where no rate is given: a worked case by its name, or a file.

    One that is in yen keeps its own rate.  quick: with 200 draws.  Raises ScenarioError.
    """
    path = ROOT / "chapters" / "scenarios" / f"{name}.toml"
    read = Scenario.read(path if path.is_file() else name)
    if not math.isnan(yen_per_usd) and read.prices.currency != "JPY":
        read = read.in_currency("JPY", yen_per_usd)
    return read.replace(run={"samples": 200}) if quick else read


def model(scenario: Scenario) -> str:
    """The model of a Scenario: its name, else how large it is."""
    named = scenario.model.geometry
    return (
        named if named and isinstance(named, str) else amount(scenario.model.shape.non_embedding, "パラメータのモデル")
    )


def devices(row: pd.Series) -> str:
    """All devices that a row of a plan's table pays, as "H100 計約9基（4基×平均2.2組）"."""
    mean = "" if float(row.replicas).is_integer() else "平均"
    return f"{row.device} 計{paid(row)}（{row.gpus}基×{mean}{plain(row.replicas)}組）"


def paid(row: pd.Series) -> str:
    """How many devices a row of a plan's table pays, as 約9.6基 where replicas come and go, else as 8基."""
    whole = float(row.replicas).is_integer()
    return f"{row.devices_paid:,.0f}基" if whole else f"約{plain(row.devices_paid)}基"


def payback(value: float) -> str:
    """A time to pay back, in months."""
    return words.months(value, LANGUAGE)


def share(value: float) -> str:
    """A share of draws, in whole percent."""
    return words.share(value, LANGUAGE)


def times(value: float) -> str:
    """A ratio, as 8.1倍."""
    return f"{'▲' if value < 0 else ''}{abs(value):.1f}倍" if math.isfinite(value) else "–"


def verdict(plan: Plan) -> str:
    """What a plan advises."""
    return words.texts(LANGUAGE)["verdicts"][plan.verdict]


def summary(plan: Plan) -> str:
    """The summary of a plan without its verdict."""
    return "".join(words.sentences(plan.conclusion, LANGUAGE))


def surer(plan: Plan) -> str:
    """The option that is surer to pay than the one that a plan recommends; "" where none is."""
    return words.surer(plan.conclusion, LANGUAGE)


def reasons(against: Iterable[Reason]) -> str:
    """What stands against an option, of ``Plan.reasons``."""
    return words.reasons(against, LANGUAGE)


def sources(scenario: Scenario) -> str:
    """Where the losses of the options of a Scenario come from, each source once."""
    origins = dict.fromkeys(damage.origin(scenario, option) for option in scenario.formats)
    return "、".join(words.source(origin, len(scenario.model.measured), LANGUAGE) for origin in origins)


def within(row: pd.Series, against: Iterable[Reason], tolerance: float) -> str:
    """Whether the loss of a row of a plan's table is within the tolerance, nats per token, or is to be measured."""
    if any(reason.code == "loss_unsettled" for reason in against):
        return "要実測"
    return "内" if row.dloss_p90 <= tolerance else "外"


def steps(plan: Plan) -> str:
    """The steps of the measurement that a plan asks for, as Markdown; "" where it asks for none."""
    wanted = plan.conclusion.measurement
    return _listed(measuring.commands(wanted) if wanted else ())


def verify(plan: Plan) -> str:
    """The steps that would verify what moves the result of a plan most, as ``Plan.verify`` has them, as Markdown."""
    told = _listed(verifying.commands(plan.scenario, plan.conclusion))
    head = words.texts(LANGUAGE)["printed"]["verify"].format(
        first=INPUTS[next(iter(plan.conclusion.inputs), "kernels")]
    )
    return told and f"\n{head}\n{told}"


def _listed(commands: Iterable[tuple[str, str]]) -> str:
    told = words.steps(tuple(commands), LANGUAGE)
    return "".join(f"\n{text(why)}\n\n```bash\n{command}\n```\n" for why, command in told)


def interval(row: pd.Series, column: str, show: Callable[[float], str] = amount) -> str:
    """The median of a column of a plan's row, with its P10 and P90: "219万円（P10～P90：68万円～352万円）"."""
    return _span(row, column, show, "（P10～P90：", "–")


def span(row: pd.Series, column: str, show: Callable[[float], str], unknown: str = "–") -> str:
    """The same without naming P10 and P90; unknown: what to say where there is no number."""
    return _span(row, column, show, "（", unknown)


def _span(row: pd.Series, column: str, show: Callable[[float], str], opening: str, unknown: str) -> str:
    middle, low, high = (show(row[column + part]) for part in ("", "_p10", "_p90"))
    spread = "" if low == high else f"{opening}{low}～{high}）"  # which would say the same thrice
    return unknown if math.isnan(row[column]) else f"{middle}{spread}"


def option(row: names.Roles) -> str:
    """The option of a row of a plan's table, or an Option: FP8 weights and activations are "FP8（重み・活性化）"."""
    return names.option(row, LANGUAGE)
