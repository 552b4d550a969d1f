"""A plan: which compression pays, by how much, how sure, and when not to compress.

    import rholaw as rl
    plan = rl.plan("chapters/scenario.toml")         or a Scenario, or nested dicts as the file has them
    plan.verdict, plan.recommendation                "compress", "pilot", "do not compress" or "cannot tell", and why
    plan.table                                       a row per option × device × number of devices × batch; rows.COLUMNS
    plan.choice, plan.baseline                       rows of the table: what is recommended, what it is compared with
    plan.tornado, plan.assumptions, plan.warnings    what matters most; what was assumed, with dates; what to doubt
    plan.summary_en, plan.summary_ja                 three sentences each

Uncertain columns come in three: ``x_p10``, ``x`` (the median) and ``x_p90`` over the draws.  The baseline is the
cheapest way to serve the dense model on the hardware given.  ``scenario.replace(...)`` and a second call compare.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..hardware.devices import devices
from ..laws import draws as capacities
from . import advice, doubts, outcomes, rows, uncertain, wording
from .scenario import Scenario


@dataclass(frozen=True)
class Plan:
    """The answer to a Scenario; see the module.

    choice, baseline: rows of ``table``, or None; tornado: a row an input (a key of ``doubts.INPUTS``): net present
    value of the choice with that input at its 10 % and 90 % and all others at their medians, the widest first;
    npv: of the choice, for every draw, in the scenario's currency.
    """

    scenario: Scenario
    table: pd.DataFrame
    verdict: str
    recommendation: str
    summary_en: str
    summary_ja: str
    choice: pd.Series | None
    baseline: pd.Series | None
    tornado: pd.DataFrame
    assumptions: pd.DataFrame
    warnings: tuple
    npv: np.ndarray = field(repr=False)


def plan(scenario, law=None):
    """The Plan of a Scenario, of a path to one, or of nested dicts.

    law: a Fit of the law "unified" with a bootstrap, or several to be pooled; the default is ``capacities``'s.
    Raises ScenarioError for a scenario that cannot be used, ValueError for a law without a bootstrap.
    """
    if isinstance(scenario, (str, Path)):
        scenario = Scenario.read(scenario)
    elif isinstance(scenario, dict):
        scenario = Scenario.of(scenario)
    draws = capacities.draws(law)
    cases = outcomes.cases(scenario, devices(scenario.hardware.overrides or None))
    drawn = uncertain.random(scenario, draws.order(scenario.options))
    results = [outcomes.outcome(case, drawn, draws) for case in cases]
    base = _baseline(cases, results)
    monthly = None if base is None else rows.at(results[base[0]]["usd_month"], base[1])
    results = [result | rows.against(case, result, monthly) for case, result in zip(cases, results, strict=True)]
    sources = {option: outcomes.source(scenario, option, draws) for option in scenario.options}
    places = [(j, i) for j in range(len(cases)) for i in range(len(scenario.hardware.batches))]
    table = pd.DataFrame([rows.row(cases[j], results[j], i, sources[cases[j].option]) for j, i in places])
    table["pareto"] = rows.pareto(table)
    place = advice.choose(table)
    choice = None if place is None else table.iloc[place]
    baseline = None if base is None else table.iloc[places.index(base)]
    tornado = _tornado(scenario, cases, draws, base, None if place is None else places[place])
    spoken = advice.spoken(table, choice, baseline)
    verdict, reason = advice.verdict(scenario, *spoken)
    told = (scenario, verdict, reason, *spoken, tornado)
    return Plan(
        scenario=scenario,
        table=table,
        verdict=verdict,
        recommendation=advice.recommendation(table, *told),
        summary_en=wording.summary(*told, "en"),
        summary_ja=wording.summary(*told, "ja"),
        choice=choice,
        baseline=baseline,
        tornado=tornado,
        assumptions=doubts.assumptions(scenario, cases, draws),
        warnings=tuple(doubts.warnings(scenario, cases, table, draws, sources)),
        npv=_npv(scenario, results, None if place is None else places[place]),
    )


def _baseline(cases, results):
    """(case, batch) of the cheapest dense model that runs, fits and is fast enough; None where none is."""
    costs = {
        (j, i): rows.median(rows.at(results[j]["usd_month"], i))
        for j, case in enumerate(cases)
        for i in range(len(case.batches))
        if case.option.dense and not (rows.unpriced(case) or any(rows.problems(case, results[j], i)))
    }
    return min(costs, key=costs.get) if costs else None


def _npv(scenario, results, place):
    if place is None:
        return np.empty(0)
    npv = rows.at(results[place[0]]["npv"], place[1]) * scenario.prices.rate
    return np.broadcast_to(npv, int(scenario.run.samples))


def _tornado(scenario, cases, draws, base, place):
    names = uncertain.NAMES if base is not None and place is not None else ()
    table = pd.DataFrame({"input": pd.Series(names, dtype=str), "low": np.nan, "high": np.nan, "centre": np.nan})
    if names:
        case = cases[place[0]]
        drawn = uncertain.one_by_one(scenario, draws.order([case.option]))
        dense, own = (outcomes.outcome(each, drawn, draws) for each in (cases[base[0]], case))
        compared = rows.against(case, own, rows.at(dense["usd_month"], base[1]))
        npv = np.broadcast_to(rows.at(compared["npv"], place[1]) * scenario.prices.rate, 1 + 2 * len(names))
        table[["low", "high", "centre"]] = np.column_stack([npv[1::2], npv[2::2], np.full(len(names), npv[0])])
    table["span"] = (table.high - table.low).abs()
    return table.sort_values("span", ascending=False, kind="stable", ignore_index=True)
