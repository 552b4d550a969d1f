"""Two laws, one GMSE: what rounding a finished model costs, beside what training it in the format would have cost.

After training the loss rises by κ · GMSE; in training by A N^-α (ρ^-α − 1), with ρ read off the same GMSE.  Draws of
both laws give the intervals.  The capacity that a rounded model keeps, ``laws.law.capacity_explaining`` of its rise, is
that of the model which, trained in a format, would be as good.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from ..error.measure import gmse
from ..formats.format import Format
from ..formats.grammar import parse
from ..laws.draws import Draws
from ..laws.intervals import percentiles
from ..laws.law import capacity_explaining, rise_in_training
from ..runs import check

ERRORS = np.geomspace(1e-6, 0.5, 400)
"""The GMSE among which ``break_even`` looks."""


def two_laws(
    formats: Iterable[str | Format], n_params: float, kappa: ArrayLike, law: Draws, level: float = 0.95
) -> pd.DataFrame:
    """What each format costs a model of ``n_params`` by either law, nats per token: medians with their intervals.

    kappa: of the model, one number or draws.  A row per format: gmse; after, κ · GMSE; trained; times, after over
    trained; rho, the capacity when trained in it; kept, the capacity that is left after rounding; and the ends of the
    intervals of ``level``, such as after_low and after_high.
    """
    kappas, rows = _draws(kappa, law), {}
    for name in formats:
        error, (rho, _) = gmse(name).value, law.capacity(name)
        after, inside = kappas * error, rise_in_training(law, n_params, rho)
        kept = capacity_explaining(law, n_params, after)
        values = {"after": after, "trained": inside, "times": after / inside, "rho": rho, "kept": kept}
        rows[str(name)] = {"gmse": error} | _summary(values, level)
    return pd.DataFrame.from_dict(rows, orient="index")


def trained(n_params: float, law: Draws, errors: ArrayLike, family: str = "quantised") -> np.ndarray:
    """What training at each GMSE costs a model of ``n_params``, nats per token: (S, number of errors) draws."""
    rho = np.array([curve(errors) for fit in law.fits for curve in fit.curves(family)])
    return np.transpose([rise_in_training(law, n_params, of_error) for of_error in rho.T])


def break_even(n_params: float, kappa: ArrayLike, law: Draws) -> np.ndarray:
    """The GMSE at which a model of ``n_params`` loses as much by rounding as by training in the format, (S,) draws.

    Below it rounding costs less: its cost falls as GMSE does, that of training more slowly.  nan for a draw in which
    rounding costs less at every error.
    """
    dearer = _draws(kappa, law)[:, None] * ERRORS > trained(n_params, law, ERRORS)
    return np.where(dearer.any(axis=1), ERRORS[dearer.argmax(axis=1)], np.nan)


def paired(runs: pd.DataFrame, rounded: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Dense models that were rounded, beside models of the same N and D that were trained in the format.

    runs: of one way to train, dense ones too, with n_params, n_tokens, weights and loss, a row a seed.  rounded:
    n_params, n_tokens, format, rise and rise_stderr of dense models.  A row per (n_params, n_tokens, format) that both
    have: gmse; after and trained, their rises in nats per token; seeds; difference, after less trained; its stderr,
    from text and scatter of the rounded models and from the scatter of the seeds, pooled over the formats of one N and
    D; low and high by Student's t.  Raises ValueError where no format has two seeds.
    """
    check(runs, ["n_params", "n_tokens", "loss"])
    size = ["n_params", "n_tokens"]
    losses = runs.assign(format=runs["weights"].map(_spelt)).groupby([*size, "format"])["loss"]
    losses = losses.agg(["mean", "var", "count"])
    freedom = (losses["count"] - 1).groupby(size).sum()
    if (freedom == 0).any():
        N, D = freedom.index[freedom == 0][0]
        raise ValueError(f"no format has two seeds at n_params {N} and n_tokens {D}: give runs of several seeds")
    scatter = (losses["var"] * (losses["count"] - 1)).groupby(size).sum() / freedom
    table = rounded.assign(format=rounded["format"].map(_spelt), square=rounded["rise_stderr"] ** 2)
    table = table.groupby([*size, "format"]).agg(
        after=("rise", "mean"), models=("rise", "sem"), text=("square", "mean")
    )
    table = table.join(losses, how="inner").drop(index="dense", level="format", errors="ignore")
    places = table.index.droplevel("format")
    dense, scatter, freedom = losses.xs("dense", level="format").loc[places], scatter[places], freedom[places]
    table.insert(0, "gmse", [gmse(name).value for name in table.index.get_level_values("format")])
    table["trained"] = table["mean"] - dense["mean"].to_numpy()
    table["seeds"], table["difference"] = table["count"], table["after"] - table["trained"]
    shares = 1 / table["count"] + 1 / dense["count"].to_numpy()
    table["stderr"] = np.sqrt(table["text"] + table["models"].fillna(0) ** 2 + scatter.to_numpy() * shares)
    half = stdtrit(freedom.to_numpy(), (1 + level) / 2) * table["stderr"]
    table["low"], table["high"] = table["difference"] - half, table["difference"] + half
    return table[["gmse", "after", "trained", "seeds", "difference", "stderr", "low", "high"]]


def underestimates(rows: pd.DataFrame, law: Draws, seed: int = 0) -> pd.DataFrame:
    """By how much the law of training underestimates what rounding cost: draws of a factor per model, (S, models).

    rows: model, n_params, format and rise > 0 of finished models.  A model's factor is the median over its rows of
    rise over A N^-α (ρ^-α − 1); each draw takes a draw of the law, the same for all models, and resamples the rows.
    """
    check(rows, ["n_params", "rise"])
    generator = np.random.default_rng(seed)
    capacity = {name: law.capacity(name)[0] for name in rows["format"].unique()}
    factors = {}
    for model, part in rows.groupby("model"):
        inside = [rise_in_training(law, row.n_params, capacity[row.format]) for row in part.itertuples()]
        logs = np.log(part["rise"].to_numpy() / np.transpose(inside))
        picks = generator.integers(len(part), size=logs.shape)
        factors[model] = np.exp(np.median(np.take_along_axis(logs, picks, axis=1), axis=1))
    return pd.DataFrame(factors)


def over_models(factors: pd.DataFrame, share: float = 0.5, level: float = 0.95, seed: int = 0) -> tuple[float, ...]:
    """(value, low, high) of the ``share`` quantile over models: each draw of ``factors`` resamples the models."""
    generator = np.random.default_rng(seed)
    values = factors.to_numpy()
    picks = generator.integers(values.shape[1], size=values.shape)
    low, high = percentiles(np.quantile(np.take_along_axis(values, picks, axis=1), share, axis=1), level)
    return float(np.quantile(np.median(values, axis=0), share)), float(low), float(high)


def _spelt(name: str) -> str:
    """A format's one spelling, so that names of one format meet."""
    return str(parse(name))


def _draws(kappa: ArrayLike, law: Draws) -> np.ndarray:
    """κ for each draw of the law, (S,): its own draws meet those of the law by chance, as neither knows the other.

    Raises ValueError for a κ that is not positive and finite.
    """
    values = np.atleast_1d(np.asarray(kappa, dtype=float))
    if not ((values > 0) & np.isfinite(values)).all():
        raise ValueError(f"kappa must be positive and finite, got {values[~((values > 0) & np.isfinite(values))][0]}")
    return np.resize(np.random.default_rng(0).permutation(values), law.A.shape)


def _summary(values: dict[str, np.ndarray], level: float) -> dict[str, float]:
    """The median of each array, by its name, and the ends of its interval: NAME_low and NAME_high."""
    ends = {name: percentiles(array, level) for name, array in values.items()}
    return {
        key: float(value)
        for name, array in values.items()
        for key, value in ((name, np.median(array)), (f"{name}_low", ends[name][0]), (f"{name}_high", ends[name][1]))
    }
