"""A plan: which compression pays, by how much, how sure, and when not to compress.

    import rholaw as rl
    plan = rl.plan("chapters/scenario.toml")         or a Scenario, or nested dicts as the file has them
    plan.verdict, plan.recommendation                "compress", "pilot", "measure this", "do not compress" or "cannot
                                                     tell", and why
    plan.table                                       a row per option × device × number of devices × batch; see columns
    plan.choice, plan.baseline                       rows of the table: what is recommended, what it is compared with
    plan.conclusion.surer                            the row that is surer to pay, where one clearly is
    plan.tornado, plan.assumptions, plan.warnings    what matters most; what was assumed, with dates; what to doubt
    plan.summary_en, plan.summary_ja                 a few sentences each
    plan.steps, plan.alternatives                    how to measure what is open; how training on in the format compares
    plan.verify                                      the commands that would verify what moves the result most

Uncertain columns come in three: ``x_p10``, ``x`` (the median) and ``x_p90`` over the draws.  The baseline is the
cheapest way to serve the dense model on the hardware given: the one of the least median, unless another is cheaper than
it in most draws, as one may be since medians of differences are no differences of medians.
``scenario.replace(...)`` and a second call compare.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..hardware.devices import devices
from ..laws import draws as capacities
from ..laws.draws import Draws
from ..laws.fitting import Fit
from . import (
    advice,
    alternatives,
    assumptions,
    break_even,
    cases,
    doubts,
    measuring,
    outcomes,
    rows,
    timed,
    uncertain,
    verifying,
    words,
)
from .cases import Case
from .columns import COLUMNS
from .outcomes import Outcome
from .remarks import Alternative, Conclusion, Doubt, Ground, Verdict
from .rows import Place
from .scenario import Scenario
from .uncertain import Drawn


@dataclass(frozen=True)
class Plan:
    """The answer to a Scenario; see the module.

    choice, baseline: rows of ``table``, or None; reasons: what stands against each row, by its index; tornado: a row
    an input (of ``uncertain.NAMES``): net present value of the choice, else of what is worth measuring, with that input
    at its 10 % and 90 % and all others at their medians, the widest first; compared: how training on compares, where
    the project is to round a finished model; npv: of the choice, for every draw, in the scenario's currency.
    """

    scenario: Scenario
    table: pd.DataFrame
    reasons: pd.Series
    conclusion: Conclusion
    choice: pd.Series | None
    baseline: pd.Series | None
    tornado: pd.DataFrame
    assumptions: pd.DataFrame
    doubts: tuple[Doubt, ...]
    compared: tuple[Alternative, ...]
    npv: np.ndarray = field(repr=False)

    @property
    def verdict(self) -> str:
        """ "compress", "pilot", "measure this", "do not compress" or "cannot tell"."""
        return str(self.conclusion.verdict)

    @property
    def recommendation(self) -> str:
        """The verdict and why, in English."""
        return words.recommendation(self.conclusion)

    @property
    def summary_en(self) -> str:
        """The verdict and a few sentences, for who decides."""
        return words.summary(self.conclusion)

    @property
    def summary_ja(self) -> str:
        """The same in Japanese."""
        return words.summary(self.conclusion, "ja")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to doubt, a sentence each."""
        return tuple(words.told(doubt) for doubt in self.doubts)

    @property
    def alternatives(self) -> tuple[str, ...]:
        """How training on in the format compares with rounding, a sentence for each option."""
        return tuple(words.told(remark) for remark in self.compared)

    @property
    def verify(self) -> tuple[tuple[str, str], ...]:
        """(what for, command) of each step that would verify what moves the result most: a speed, a loss, a price."""
        return words.steps(verifying.commands(self.scenario, self.conclusion))

    @property
    def steps(self) -> tuple[tuple[str, str], ...]:
        """(what for, command) of each step of the measurement that the verdict asks for, if it asks for one."""
        wanted = self.conclusion.measurement
        return words.steps(measuring.commands(wanted)) if wanted else ()


def plan(scenario: Scenario | str | Path | dict[str, Any], law: Fit | Iterable[Fit] | None = None) -> Plan:
    """The Plan of a Scenario, of a path to one, or of nested dicts.

    law: a Fit of the law "unified" or "unified-tokens" with a bootstrap, or several to be pooled; the default is that
    of ``laws.draws``.
    Raises ScenarioError for a scenario that cannot be used, ValueError for a law without a bootstrap.
    """
    if isinstance(scenario, (str, Path)):
        scenario = Scenario.read(scenario)
    elif isinstance(scenario, dict):
        scenario = Scenario.of(scenario)
    draws = capacities.draws(law)
    all_cases = timed.timed(cases.cases(scenario, devices(scenario.hardware.overrides or None)))
    drawn = uncertain.random(scenario, draws.order(scenario.options))
    places = [(j, i) for j, case in enumerate(all_cases) for i in range(len(case.batches))]
    base, monthly, cheapest = _baseline(all_cases, drawn, draws)

    def outcome(case: Case) -> Outcome:  # computed as often as it is asked for: all of them take gigabytes
        return outcomes.compared(case, outcomes.outcome(case, drawn, draws), monthly)

    origins = {option: cases.origin(scenario, option, draws) for option in scenario.options}
    parts, reasons = [], []
    for case in all_cases:
        result = outcome(case)
        spreads, unpriced = rows.Spreads(result), rows.unpriced(case)
        own = [(*against, *unpriced) for against in rows.reasons(case, spreads)]
        parts.append(rows.columns(case, result, spreads, origins[case.option], own))
        reasons += own
    table = rows.table(scenario, parts)
    table["pareto"] = rows.pareto(table)
    reasons = pd.Series(reasons, table.index)
    best = advice.choose(table)

    def of_rows(*where: int) -> Case:  # the Case of some of its rows, with their batches and no other
        case = all_cases[places[where[0]][0]]
        return replace(case, batches=case.batches[[places[row][1] for row in where]])

    for where in _open(table) if base is not None else ():
        own, beside = of_rows(where), of_rows(places.index(base))
        table.loc[where, "break_even_requests"] = break_even.requests(own, beside, drawn, draws).value
    modelled = scenario.project.kind == "post-training" and not scenario.model.shape.sparse  # else no law says how
    npv = np.empty(0) if best is None else rows.at(outcome(all_cases[places[best][0]]).npv, places[best][1])
    if modelled:
        rival = npv if best is not None and table.pays[best] >= advice.PILOT else 0.0
        tokens = np.full((len(table), 3), np.nan)
        open_ = table.index[alternatives.trainable(table, reasons)]
        for _, own in groupby(open_, key=lambda where: places[where][0]):
            case = of_rows(*(own := list(own)))
            tokens[own] = alternatives.tokens(case, outcome(case), rival)
        table[list(COLUMNS["qat_tokens"].parts)] = tokens
    choice = None if best is None else table.iloc[best]
    baseline = None if base is None else table.iloc[places.index(base)]
    about = advice.unsettled(table) if best is None else best
    tornado = _tornado(scenario, all_cases, draws, base, None if about is None else places[about])
    conclusion = _conclusion(scenario, table, reasons, tornado, choice, baseline)
    turns = break_even.OF.get(conclusion.ground)
    if turns and conclusion.baseline is not None:
        rivals = [of_rows(row.name) for row in (conclusion.choice, conclusion.baseline)]
        if conclusion.ground == Ground.LATE and (most := break_even.cost(*rivals, drawn, draws)).value > 0:
            conclusion = replace(conclusion, verdict=Verdict.CANNOT_TELL, ground=Ground.WORK, turning=most)
        else:
            conclusion = replace(conclusion, turning=turns(*rivals, drawn, draws))
    compared = tuple(alternatives.alternatives(scenario, table, reasons)) if modelled else ()
    return Plan(
        scenario=scenario,
        table=table,
        reasons=reasons,
        conclusion=conclusion,
        choice=choice,
        baseline=baseline,
        tornado=tornado,
        assumptions=assumptions.assumptions(scenario, all_cases, draws),
        doubts=tuple(doubts.doubts(scenario, all_cases, table, draws, origins, bool(compared), cheapest)),
        compared=compared,
        npv=np.broadcast_to(npv * scenario.prices.rate, 0 if best is None else scenario.run.samples),
    )


def _baseline(all_cases: list[Case], drawn: Drawn, draws: Draws) -> tuple[Place | None, np.ndarray | None, bool]:
    """The cheapest dense model that runs, fits and is fast enough, and its USD a month; None where none is.

    Whichever has the least median gives way to one that is cheaper in most draws, and that to another, until none is;
    where they go round in circles, the first of them stays, and the last that is returned is False.
    """
    least, best = (np.inf,), (None, None)
    for cost, *own in _served(all_cases, drawn, draws):
        if cost < least:
            least, best = cost, tuple(own)
    first, tried = best, {None}
    while best[0] not in tried:
        now = best[0]
        tried.add(now)
        for _, place, monthly in _served(all_cases, drawn, draws):
            if rows.quantiles(best[1] - monthly)[1] > 0:
                best = place, monthly
        if best[0] == now:
            return *best, True
    return *first, first[0] is None


def _served(all_cases: list[Case], drawn: Drawn, draws: Draws) -> Iterator[tuple[tuple[float, ...], Place, np.ndarray]]:
    """Each way to serve the dense model: its median USD a month and what decides between equals, where, USD a month."""
    for j, case in enumerate(all_cases):
        if not case.option.dense or rows.unpriced(case):
            continue
        outcome = outcomes.outcome(case, drawn, draws)
        spreads = rows.Spreads(outcome)
        for i, against in enumerate(rows.reasons(case, spreads)):
            if not against:
                cost = tuple(rows.at(spreads[name], i)[1] for name in ("usd_month", *advice.TIES[:-1]))
                yield cost, (j, i), rows.at(outcome.usd_month, i)


def _open(table: pd.DataFrame) -> pd.Index:
    """The best row of each compressed option that may be served, where it is open from which traffic on it pays."""
    best = advice.best(table[table.option != "dense"])
    return best.index[
        (best.feasible | best.unsettled | best.untried) & best.npv.notna() & best.break_even_requests.isna()
    ]


def _conclusion(
    scenario: Scenario,
    table: pd.DataFrame,
    reasons: pd.Series,
    tornado: pd.DataFrame,
    choice: pd.Series | None,
    baseline: pd.Series | None,
) -> Conclusion:
    own, beside = advice.spoken(table, choice, baseline)
    verdict, ground = advice.verdict(scenario, own, beside)
    place, measurement = advice.unsettled(table), None
    if place is not None and (instead := advice.if_good_enough(verdict, ground, table.loc[place])):
        (verdict, ground), own, beside = instead, table.loc[place], baseline
        if verdict == Verdict.MEASURE:
            option = next(one for one in scenario.formats if one.name == own.option)
            measurement = measuring.measurement(scenario, option, own, beside)
    place = advice.untried(table)
    if verdict == Verdict.REJECT and ground != Ground.TRAFFIC and place is not None:
        verdict, ground, own, beside = Verdict.CANNOT_TELL, Ground.UNTRIED, table.loc[place], baseline
    place = advice.unknown(table, reasons)
    if ground in (Ground.NONE, Ground.NOTHING) and place is not None:
        verdict, ground, own, beside = Verdict.CANNOT_TELL, Ground.UNKNOWN, table.loc[place], baseline
    surer, alike = advice.surer(table, own), advice.alike(own, beside, scenario.prices.rate)
    if alike and ground in advice.OF_MONEY and advice.undecided(own, beside, scenario):
        verdict, ground = Verdict.CANNOT_TELL, Ground.SAME
    return Conclusion(
        verdict=verdict,
        ground=ground,
        choice=own,
        baseline=beside,
        inputs=tuple(tornado.input[tornado.span > 0]),
        currency=scenario.prices.currency,
        horizon_months=scenario.project.horizon_months,
        obstacles=advice.obstacles(table, reasons),
        measurement=measurement,
        surer=None if surer is None else table.loc[surer],
        known=choice if ground == Ground.UNTRIED else None,
        alike=alike,
    )


def _tornado(
    scenario: Scenario, all_cases: list[Case], draws: Draws, base: Place | None, place: Place | None
) -> pd.DataFrame:
    names = uncertain.NAMES if base is not None and place is not None else ()
    table = pd.DataFrame({"input": pd.Series(names, dtype=str), "low": np.nan, "high": np.nan, "centre": np.nan})
    if names:
        case = all_cases[place[0]]
        drawn = uncertain.one_by_one(scenario, draws.order([case.option]))
        dense, own = (outcomes.outcome(one, drawn, draws) for one in (all_cases[base[0]], case))
        own = outcomes.compared(case, own, rows.at(dense.usd_month, base[1]))
        npv = np.broadcast_to(rows.at(own.npv, place[1]) * scenario.prices.rate, 1 + 2 * len(names))
        table[["low", "high", "centre"]] = np.column_stack([npv[1::2], npv[2::2], np.full(len(names), npv[0])])
    table["span"] = (table.high - table.low).abs()
    return table.sort_values("span", ascending=False, kind="stable", ignore_index=True)
