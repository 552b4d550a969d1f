"""The capacity of four bits as every source has it: the recorded table, its spread, and what its rows differ by.

A row is a ρ of 4-bit weights, with dense or 4-bit activations: of a series of runs and a trainer, by a definition.

    curve       the unified law, fitted to the series; ρ read off the error of the format
    free        the law "decoupled": a ρ of its own for each pair of formats
    paired      each run against the dense run of its N and D, by the dense part of a law (`Law.capacity`)
    ladder      each run against dense runs of other sizes and the same tokens (`ladder`)
    figure, constant    printed: the one in a figure, the other among the constants of a fit

`four_bits` computes it; `bench/four_bits.py` records it.
"""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from .. import tables
from ..formats.format import Format
from ..formats.grammar import parse
from .intervals import mean_interval

NAMES = {str(parse(name)): name for name in ("int4", "e2m1", "mxfp4", "nvfp4")}
BANDS = {"below 80": (0, 80), "80 to 120": (80, 120), "above 120": (120, math.inf)}  # of tokens per parameter
LEVEL = 0.8
"""Share of further sources that a ``spread`` is meant to hold."""
FACTORS = ("trainer", "tokens", "counting", "definition", "E", "weights")


def recorded() -> pd.DataFrame:
    """What `four_bits.computed` gave, its columns and ``tokens``: the name in BANDS of all its D/N, or "several"."""
    table = tables.read("measured/four_bits")
    table["tokens"] = [_band(low, high) for low, high in zip(table["d_low"], table["d_high"], strict=True)]
    return table


def spread(
    weights: str | Format, activations: str | Format = "dense", level: float = LEVEL
) -> tuple[float, float, float]:
    """(ρ, low, high) over sources at about 100 tokens a parameter: where another source's ρ would lie, by Student's t.

    A source is a series and a trainer; it counts once, by the median of its rows.  N without embeddings, E not held.
    Raises ValueError for formats of which fewer than three sources speak.
    """
    of_source = by_source(weights, activations)["rho"]
    if len(of_source) < 3:
        raise ValueError(f"{weights} with activations {activations}: {len(of_source)} sources, too few for a spread")
    mean, low, high = mean_interval(np.log(of_source), level)
    widened = math.sqrt(len(of_source) + 1)  # from the mean of sources to one more of them
    return math.exp(mean), math.exp(mean + (low - mean) * widened), math.exp(mean + (high - mean) * widened)


def by_source(weights: str | Format, activations: str | Format = "dense") -> pd.DataFrame:
    """What `spread` is made of, a row for each series and trainer: the median, least and largest rho, and its rows."""
    names = [NAMES.get(str(parse(name)), str(parse(name))) for name in (weights, activations)]
    table = recorded()
    here = (table["weights"] == names[0]) & (table["activations"] == names[1]) & (table["E"] != "held")
    here &= (table["counting"] == "without embeddings") & (table["d_low"] <= 120) & (table["d_high"] >= 80)
    groups = table[here].groupby(["series", "trainer"])["rho"]
    return groups.agg(rho="median", least="min", largest="max", rows="size").reset_index()


def explained(table: pd.DataFrame, factors: Iterable[str] = FACTORS) -> pd.DataFrame:
    """How much of the variance of ln ρ each factor explains, a row each, and all together: least squares, dummies.

    alone: of the variance, with no other factor; beyond: what all explain more than all but this one; ratio: the
    largest ratio of ρ between two rows that differ in this factor only, nan where no two do.
    """
    factors = list(factors)
    whole = _share(table, factors)
    rows = {
        factor: {
            "levels": table[factor].nunique(),
            "alone": _share(table, [factor]),
            "beyond": whole - _share(table, [other for other in factors if other != factor]),
            "ratio": _ratio(table, factor, [other for other in ("series", "activations", *factors) if other != factor]),
        }
        for factor in factors
    }
    return pd.DataFrame.from_dict(rows | {"all": {"alone": whole}}, orient="index")


def _share(table: pd.DataFrame, factors: list[str]) -> float:
    """R² of ln ρ on dummies of the factors."""
    y = np.log(table["rho"].to_numpy())
    dummies = pd.get_dummies(table[factors].astype(str)).to_numpy(float) if factors else np.empty((len(y), 0))
    X = np.column_stack([np.ones(len(y)), dummies])
    left = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    return float(1 - left.var() / y.var())


def _ratio(table: pd.DataFrame, factor: str, others: list[str]) -> float:
    """The largest ratio of ρ between rows that agree in ``others``, each level of the factor by its mean of ln ρ."""
    means = np.log(table["rho"]).groupby([table[name] for name in [*others, factor]]).mean()
    groups = means.groupby(level=others)
    ranges = (groups.max() - groups.min())[groups.size() > 1]
    return float(np.exp(ranges.max())) if len(ranges) else math.nan


def _band(low: float, high: float) -> str:
    """The name in BANDS of what lies within one, else "several"."""
    return next((name for name, (least, most) in BANDS.items() if least <= low and high <= most), "several")
