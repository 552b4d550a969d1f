"""How well the law after training predicts what it did not see: formats, models, families and sources left out."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from ..checked import listed, separated, unknown
from . import evidence, posterior
from .population import METHODS, design, fit_population
from .sensitivity import COARSE, fit_sensitivity

SERIES = ["source", "model", "metric", "method", "corpus", "context", "reference"]


def series(rows: pd.DataFrame, least: int = 4) -> Iterator[pd.DataFrame]:
    """The rows of each model, source, method and text with so many positive rises, formats once each."""
    for _, group in rows[rows["rise"] > 0].groupby(SERIES, dropna=False):
        group = group.drop_duplicates("format")
        if len(group) >= least:
            yield group


def together(text: str, rows: pd.DataFrame, model: str) -> list[str]:
    """The formats that commas separate in ``text``; ValueError unless ``model`` and others have them."""
    names = separated(text.lower(), "q5_0, q3_k")
    formats = rows["format"].value_counts()
    if strange := [name for name in names if name not in formats]:
        raise ValueError(f"{unknown(strange[0], formats.index, 'measured format')}")
    having = {group["model"].iloc[0] for group in series(rows, len(names) + 1) if set(names) <= set(group["format"])}
    if model not in having or len(having) < 2:
        raise ValueError(
            f"of {model}, these were not measured together with others; {listed(formats.index[:8])} are common"
        )
    return names


def from_measured(rows: pd.DataFrame, formats: list[str], level: float = 0.8) -> pd.DataFrame:
    """Each series' other formats, from ``formats`` alone: model, format, gmse, rise, predicted, low, high, status."""
    results = []
    for group in series(rows, len(formats) + 1):
        known = group["format"].isin(formats)
        if known.sum() == len(formats):
            fit = fit_sensitivity(group.loc[known, ["gmse", "rise"]])
            low, high = fit.predict_interval(group.loc[~known, "gmse"], level)
            columns = group.loc[~known, ["source", "model", "format", "gmse", "rise"]]
            results.append(
                columns.assign(predicted=fit.predict(columns["gmse"]), low=low, high=high, status=fit.status)
            )
    return pd.concat(results, ignore_index=True) if results else pd.DataFrame()


def from_nothing(rows: pd.DataFrame, left_out: str = "model", level: float = 0.95) -> pd.DataFrame:
    """Every row, predicted from rows that differ in the column ``left_out``: columns as of `from_measured`, no status.

    Left out with them: rows of a method, or of a kind of model, that only the rows left out had.
    """
    costs = evidence.costs(rows)
    spread = np.array(fit_population(costs).spread)
    rows = rows[(rows["rise"] > 0) & (rows["gmse"] >= COARSE) & rows["method"].isin(METHODS)]
    results = []
    for value, group in rows.groupby(left_out):
        law = fit_population(costs[costs[left_out] != value], spread)
        known = design(group)
        covered = law.covers(known)
        group = group[covered]
        prints = [
            posterior.one_measurement(posterior.from_prior(prior), np.array([error]))
            for prior, error in zip(law.priors(known[covered]), group["gmse"], strict=True)
        ]
        low, middle, high = np.quantile(prints, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=1)[..., 0]
        columns = group[["source", "model", "family", "format", "method", "gmse", "rise"]]
        results.append(columns.assign(predicted=middle, low=low, high=high))
    return pd.concat(results, ignore_index=True)


def _relative(trial: pd.DataFrame) -> pd.Series:
    return np.abs(trial["predicted"] / trial["rise"] - 1)


def _factor(trial: pd.DataFrame) -> pd.Series:
    return np.exp(np.abs(np.log(trial["predicted"] / trial["rise"])))


NUMBERS: dict[str, Callable[[pd.DataFrame], float]] = {
    "models": lambda trial: trial["model"].nunique(),
    "rows": len,
    "median": lambda trial: float(_relative(trial).median()),
    "p90": lambda trial: float(_relative(trial).quantile(0.9)),
    "factor_median": lambda trial: float(_factor(trial).median()),
    "factor_p90": lambda trial: float(_factor(trial).quantile(0.9)),
    "inside": lambda trial: float(((trial["low"] <= trial["rise"]) & (trial["rise"] <= trial["high"])).mean()),
}
"""A trial in numbers: models, rows, median and p90 of the relative error and of its factor, share inside."""


def summary(trial: pd.DataFrame) -> dict[str, float]:
    """All NUMBERS of a trial."""
    return {name: number(trial) for name, number in NUMBERS.items()}
