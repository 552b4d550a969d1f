"""Capacity without a parametric law: a ladder of dense models turns a loss into the size that would have reached it.

At one fixed number of tokens and over some range of sizes, ln N is a smooth function of the dense loss.  A compressed
model of N parameters that reaches the loss of a dense one of N_eq has ρ = N_eq(its loss) / N_eq(the dense loss at N).
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .intervals import mean_interval

KIND = ("weights", "activations", "method", "backward", "schedule")


@dataclass(frozen=True)
class Ladder:
    """ln N as a quadratic of ln loss, between the lowest and the highest loss of the dense models.

    Of a power law with an irreducible loss it takes ρ within 1 % where the losses span less than a quarter.
    """

    coefficients: tuple[float, float, float]  # of x², x and 1, x = ln loss − centre
    centre: float
    low: float
    high: float
    rmse: float  # of ln N

    def equivalent(self, loss: ArrayLike) -> np.ndarray:
        """The dense size of that loss, a number or an array; NaN outside the ladder."""
        loss = np.asarray(loss, dtype=float)
        inside = (loss >= self.low) & (loss <= self.high)
        return np.where(inside, np.exp(np.polyval(self.coefficients, np.log(loss) - self.centre)), np.nan)


def fit_ladder(n_params: ArrayLike, loss: ArrayLike) -> Ladder:
    """The Ladder through dense models.  ValueError for fewer than five sizes, or a loss that does not fall with N."""
    n_params, loss = np.asarray(n_params, dtype=float), np.asarray(loss, dtype=float)
    if (sizes := len(np.unique(n_params))) < 5:
        raise ValueError(f"a ladder needs five dense sizes or more, got {sizes}: fewer cannot show a curve")
    means = np.array([loss[n_params == size].mean() for size in np.unique(n_params)])
    if not (np.diff(means) < 0).all():
        worst = int(np.argmax(np.diff(means)))
        raise ValueError(
            f"the dense loss does not fall from N = {np.unique(n_params)[worst]:,.0f} to the next size: "
            "these runs are not limited by size, or too noisy"
        )
    centre = float(np.log(loss).mean())
    coefficients = np.polyfit(np.log(loss) - centre, np.log(n_params), 2)
    residuals = np.polyval(coefficients, np.log(loss) - centre) - np.log(n_params)
    return Ladder(
        tuple(coefficients.tolist()),
        centre,
        float(means.min()),
        float(means.max()),
        float(np.sqrt(np.mean(residuals**2))),
    )


def capacities(runs: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """ρ of every kind of compressed run in a table, with its interval: a DataFrame, a row per size and kind.

    runs: rows of `rholaw.runs`, of one n_tokens, with a seed; the dense ones of at least five sizes.  Each seed is the
    whole experiment once, ladder included: rho is the geometric mean over the seeds, low and high its interval by
    Student's t on ln ρ (NaN for one seed), sd the standard deviation of ln ρ between seeds.  A run is compared with the
    dense one of its size and seed; note counts the runs without one, which are left out, and the losses outside the
    ladder, which leave no rho.  ValueError for several n_tokens, no seed, a run that is there twice, or no run but
    dense ones.
    """
    if missing := [name for name in ("n_params", "n_tokens", "loss", "seed", "weights") if name not in runs]:
        raise ValueError(f"the runs lack the columns {', '.join(missing)}")
    if runs["n_tokens"].nunique() != 1:
        raise ValueError("a ladder compares runs of one number of tokens: select one n_tokens first")
    runs = runs.assign(**{name: runs.get(name, pd.Series("", index=runs.index)) for name in KIND})
    dense = (runs["weights"] == "dense") & (runs["activations"].isin(["dense", ""]))
    keys = ["n_params", *KIND, "seed"]
    if (twice := runs.assign(**{"method": runs["method"].where(~dense, "")}).duplicated(keys)).any():
        raise ValueError(f"the run in row {runs.index[twice][0]} is there twice; average or select first")
    if dense.all():
        raise ValueError("all of these runs are dense: there is no capacity to find")
    parts = []
    for _, of_seed in runs.groupby("seed"):
        own = of_seed[dense[of_seed.index]].set_index("n_params")["loss"]
        others = of_seed[~dense[of_seed.index]]
        counterpart = others["n_params"].map(own)
        parts.append(others.assign(ln_rho=_log_capacity(own, others["loss"], counterpart), paired=counterpart.notna()))
    groups = pd.concat(parts).groupby(["n_params", *KIND], sort=False, dropna=False)
    return pd.DataFrame([_summary(key, group, level) for key, group in groups])


def _log_capacity(dense: pd.Series, loss: pd.Series, counterpart: pd.Series) -> np.ndarray | float:
    """ln ρ by the ladder of the dense losses, indexed by size; nan outside it, and without a dense counterpart."""
    if dense.empty:
        return math.nan
    ladder = fit_ladder(dense.index, dense)
    return np.log(ladder.equivalent(loss) / ladder.equivalent(counterpart))


def _summary(key: tuple, group: pd.DataFrame, level: float) -> dict:
    """A row of ``capacities``."""
    values = group.loc[group["paired"], "ln_rho"].to_numpy()
    count, alone, outside = len(values), len(group) - len(values), int(np.isnan(values).sum())
    notes = [f"{alone} of {len(group)} have no dense run of their size and seed"] if alone else []
    notes += [f"{outside} of {count} losses lie outside the ladder"] if outside else []
    rho, low, high = (math.exp(end) for end in mean_interval(values, level))
    return {
        **dict(zip(["n_params", *KIND], key, strict=True)),
        "rho": rho,
        "low": low,
        "high": high,
        "loss": group["loss"].mean(),
        "sd": values.std(ddof=1) if count > 1 else math.nan,
        "seeds": count,
        "note": "; ".join(notes),
    }
