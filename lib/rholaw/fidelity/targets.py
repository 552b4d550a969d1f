"""What the law after training was meant to reach on models left out: each target with its number, met or missed."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from . import trials
from .evidence import SATURATED

Value = Callable[[pd.DataFrame], float]

PAIRS = (("q5_0", "q3_k"), ("q4_0", "q3_k"), ("q4_k", "q2_k"))
"""Two formats from which the others of a model are predicted. The first was chosen after a look at several."""


def flagged(trial: pd.DataFrame) -> float:
    """Of the rows that broke their model, the share whose interval had reached that far."""
    broken = trial["rise"] > SATURATED
    return float((trial["high"] > SATURATED)[broken].mean())


def false_alarms(trial: pd.DataFrame) -> float:
    """Of the rows that did not break it, the share whose interval had."""
    broken = trial["rise"] > SATURATED
    return float((trial["high"] > SATURATED)[~broken].mean())


BROKEN = {"broken models flagged": (0.8, 1.0, flagged), "false alarms": (0.0, 0.05, false_alarms)}
MEASURED = {
    "median error": (0.0, 0.10, trials.NUMBERS["median"]),
    "ninth decile of the error": (0.0, 0.45, trials.NUMBERS["p90"]),
    "share within 80 % intervals": (0.75, 0.88, trials.NUMBERS["inside"]),
}
"""{target: (from, to, what of a trial)} where two formats of a model were measured, with intervals of 80 %."""
BLIND = {
    "median factor": (1.0, 1.35, trials.NUMBERS["factor_median"]),
    "ninth decile of the factor": (1.0, 2.3, trials.NUMBERS["factor_p90"]),
    "share within 95 % intervals": (0.90, 0.98, trials.NUMBERS["inside"]),
}
"""The same where nothing was measured, with intervals of 95 %."""


def table(
    rows: pd.DataFrame, every: pd.DataFrame, pairs: Sequence[tuple[str, str]] = PAIRS, resamples: int = 200
) -> pd.DataFrame:
    """Each target: known, models, target, at_least, at_most, value, its 95 % interval over models low and high, met.

    rows: as ``evidence.usable`` gives them.  every: the same with the types whose error is inferred, which break models
    more often; for what is flagged.  known: what was measured of a model, two formats or nothing.
    """
    cases = []
    for pair in pairs:
        cases.append((" and ".join(pair), trials.from_measured(rows, list(pair)), MEASURED))
        cases.append((" and ".join(pair), trials.from_measured(every, list(pair)), BROKEN))
    cases.append(("nothing", trials.from_nothing(rows), BLIND))
    cases.append(("nothing", trials.from_nothing(every, level=0.8), BROKEN))
    results = []
    for known, trial, targets in cases:
        numbers = over_models(trial, [value for *_, value in targets.values()], resamples)
        for (target, (least, most, _)), (number, low, high) in zip(targets.items(), numbers, strict=True):
            row = {"known": known, "models": trial["model"].nunique(), "target": target, "at_least": least}
            row |= {"at_most": most, "value": number, "low": low, "high": high}
            results.append(row | {"met": least <= number <= most})
    return pd.DataFrame(results)


def over_models(
    trial: pd.DataFrame, values: Sequence[Value], resamples: int = 200, seed: int = 0
) -> list[tuple[float, float, float]]:
    """(value, low, high) of each number of a trial, with its 95 % interval when the models are drawn again."""
    generator = np.random.default_rng(seed)
    places = list(trial.reset_index(drop=True).groupby("model").indices.values())
    draws = np.empty((resamples, len(values)))
    for row in draws:
        again = trial.iloc[np.concatenate([places[i] for i in generator.integers(len(places), size=len(places))])]
        row[:] = [value(again) for value in values]
    told = [column[~np.isnan(column)] for column in draws.T]  # a draw, or all, may have no broken model
    ends = [np.quantile(column, [0.025, 0.975]) if column.size else (np.nan, np.nan) for column in told]
    return [(value(trial), float(low), float(high)) for value, (low, high) in zip(values, ends, strict=True)]
