"""Fits a law to runs: Huber loss on log-loss, many starts, a status, and what the data do and do not identify."""

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special
from tqdm import tqdm

from ..checked import limited, shown
from . import registry, resampling
from .chinchilla import Chinchilla
from .curvature import curvature
from .fitted import Fit
from .intervals import percentiles
from .law import numbers
from .optimise import Residuals, huber, minimise
from .parameters import Parameters
from .reach import reach_of

COLLINEAR = 0.95
"""Correlation of log N and log D beyond which their terms are hardly told apart."""
DATA = ("B", "beta", "a_D", "b_D")
"""The parameters of a law's term in D."""


def fit(
    law: str,
    runs: pd.DataFrame,
    *,
    fixed: Mapping[str, float | None] | None = None,
    huber_delta: float = 1e-3,
    target: str = "log",
    n_bootstrap: int = 0,
    cluster: resampling.Cluster = "n_params",
    seed: int = 0,
    progress: bool = False,
    known: pd.DataFrame | None = None,
) -> Fit:
    """The Fit of ``law`` (a name in ``registry.LAWS``: "chinchilla", "unified", "decoupled", …) to ``runs``.

    runs: a DataFrame with n_params, n_tokens, loss, and weights and activations (format strings) where the law reads
    them.  fixed: {parameter: value} held; the unified law holds every L at 1 unless ``fixed`` names it None.
    target: "log" compares logarithms of losses, "loss" the losses themselves; huber_delta is in its unit.
    n_bootstrap: resamples of the runs, each refitted from the optimum; at most 100,000.  cluster: what is resampled
    as a whole, a column or a function of the runs that gives labels: sizes, since what was tuned or went wrong at one
    size did so for all of its runs; with fewer than four sizes, or None, single runs within each pair of formats.
    known: the parameters, where they were recorded: a row of those of this fit, and one of each resample; nothing is
    searched for then.
    Raises ValueError for bad runs, fewer runs than free parameters, or an unknown law, parameter or column.
    """
    if target not in ("log", "loss"):
        raise ValueError(f"target is {target!r}, it must be 'log' or 'loss'")
    limited(huber_delta, "huber_delta, where Huber's loss turns linear", above=True)
    _whole("n_bootstrap: resamples", n_bootstrap, 100_000)
    _whole("seed", seed, 2**63)
    model = registry.find(law)(runs)
    names = model.names
    lower, upper = _bounds(model, fixed)
    free = lower < upper
    if len(runs) < free.sum():
        raise ValueError(f"the law {law!r} has {free.sum()} free parameters here, and there are only {len(runs)} runs")
    columns, log_loss = model.columns(runs), np.log(runs["loss"].to_numpy(float))

    def log_residuals(u: np.ndarray) -> np.ndarray:
        return model.log_loss(Parameters(names, u), columns) - log_loss

    def loss_residuals(u: np.ndarray) -> np.ndarray:
        return np.exp(model.log_loss(Parameters(names, u), columns)) - np.exp(log_loss)

    residuals = log_residuals if target == "log" else loss_residuals
    clusters = resampling.labels(runs, cluster)
    if known is None:
        u, converged = _optimum(residuals, model.starts(columns, log_loss), lower, upper, huber_delta)
        resamples = resampling.weights(clusters, resampling.strata(runs), n_bootstrap, seed)
        samples = _refits(residuals, u, resamples, lower, upper, huber_delta, progress)
    else:
        (first, *samples), converged = known[list(names)].to_numpy(float), True
        u, samples = np.log(first), np.reshape(samples, (-1, len(names)))
    objective = float(huber(residuals(u), huber_delta).sum())
    at_bound = [name for name, on in zip(names, (lower < upper) & ((u == lower) | (u == upper)), strict=True) if on]
    status = "bound hit: " + ", ".join(at_bound) if at_bound else "converged"
    told, together = curvature(residuals, u, lower, upper, names, clusters, huber_delta, samples), _together(runs)
    confounded = together > COLLINEAR and model.has_capacity and any(name in told["standard_errors"] for name in DATA)
    if confounded:
        told["identified"] |= {name: False for name in model.capacity_names if name in told["standard_errors"]}
    return Fit(
        name=law,
        params=dict(zip(names, np.exp(u).tolist(), strict=True)),
        status=status if converged else "not converged",
        objective=objective,
        intervals=_intervals(names, samples, told["exact"]),
        residuals=log_residuals(u),
        samples=pd.DataFrame(samples, columns=list(names)),
        model=model,
        aic=_aic(objective, len(runs), int(free.sum()), huber_delta),
        confounded=confounded,
        remarks=_remarks(together),
        reach=reach_of(runs, resampling.cell(runs, cluster)),
        clusters=int(clusters.max()) + 1,
        **told,
    )


def profile(
    law: str,
    runs: pd.DataFrame,
    parameter: str,
    values: Iterable[float],
    *,
    fixed: Mapping[str, float | None] | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Fits with ``parameter`` held at each of ``values``: a row each, with objective, rmse, status and parameters.

    settings: of ``fit``, which says what is refused.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"values are those at which {parameter} is held, as in [1.0, 1.5], not {shown(values)}")
    fits = [fit(law, runs, fixed={**(fixed or {}), parameter: value}, **settings) for value in values]
    return pd.DataFrame([{"objective": f.objective, "rmse": f.rmse, "status": f.status} | f.params for f in fits])


def _whole(name: str, value: object, most: int) -> None:
    """ValueError for what is no whole number from 0 to ``most``."""
    limited(value, name, 0, most)
    if not isinstance(value, Integral):
        raise ValueError(f"{name} must be a whole number, not {shown(value)}")


def _intervals(names: tuple[str, ...], samples: np.ndarray, exact: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """{name: (low, high)} over the resamples, of what moves in them and is not exactly determined."""
    if not len(samples):
        return {}
    ends = zip(names, *(bound.tolist() for bound in percentiles(samples)), strict=True)
    return {name: (low, high) for name, low, high in ends if low < high and name not in exact}


def _bounds(model: Chinchilla, fixed: Mapping[str, float | None] | None) -> np.ndarray:
    """(lower, upper) of the logarithms of the parameters, each (P,); equal where one is held."""
    if not isinstance(fixed or {}, Mapping):
        raise ValueError(f"fixed names parameters with their values, as in {{'E': 1.5}}, not {shown(fixed)}")
    fixed = model.held | dict(fixed or {})
    if unknown := [name for name in fixed if name not in model.names]:
        raise ValueError(f"there is no parameter {unknown[0]!r} to hold; there are {', '.join(model.names)}")
    bounds = dict(model.bounds)
    for name, value in fixed.items():
        if value is not None:
            value = numbers(name, value)
            least = 0.0 if name.partition("[")[0] in ("E", "gamma") else 1e-300
            if value.ndim or not least <= value < np.inf:
                raise ValueError(f"{name} cannot be held at {value}: it must be positive and finite")
            bounds[name] = (max(float(value), 1e-300),) * 2  # E = 0: log E is as good as −∞
    return np.log(np.array([bounds[name] for name in model.names])).T


def _together(runs: pd.DataFrame) -> float:
    """How log N and log D of the runs correlate, 0 where one of them is the same in all."""
    if runs["n_params"].nunique() == 1 or runs["n_tokens"].nunique() == 1:
        return 0.0
    return float(np.corrcoef(np.log(runs[["n_params", "n_tokens"]].to_numpy(float)).T)[0, 1])


def _remarks(together: float) -> tuple[str, ...]:
    """What runs in which N and D correlate so cannot tell apart, whatever law is fitted."""
    if together <= COLLINEAR:
        return ()
    return (f"log N and log D of the runs correlate at {together:.3f}: their terms, and E, are hardly told apart",)


def _aic(objective: float, count: int, free: int, delta: float) -> float:
    """2 k − 2 log likelihood at the best s, for residuals of density exp(−huber(r) / s) / Z(s)."""

    def minus_log_likelihood(log_s: float) -> float:
        s = np.exp(log_s)
        core = np.sqrt(2 * np.pi * s) * special.erf(delta / np.sqrt(2 * s))
        tails = 2 * s / delta * np.exp(-(delta**2) / (2 * s))
        return objective / s + count * np.log(core + tails)

    best = optimize.minimize_scalar(minus_log_likelihood, bounds=(-80, 5), method="bounded", options={"xatol": 1e-9})
    return float(2 * (free + 1) + 2 * best.fun)


def _optimum(
    residuals: Residuals, starts: np.ndarray, lower: np.ndarray, upper: np.ndarray, delta: float
) -> tuple[np.ndarray, bool]:
    """(P,), the best parameters that any of the starts leads to, and whether the search came to its end."""
    starts = np.unique(np.clip(starts, lower, upper), axis=0)  # held ones make many alike
    weights = np.ones(residuals(starts[:1]).shape[-1])
    rough, objective, _ = minimise(residuals, starts, lower, upper, weights, delta, max_iterations=30)
    best = rough[np.argsort(objective)[:5]]
    polished, objective, converged = minimise(residuals, best, lower, upper, weights, delta, max_iterations=1000)
    winner = int(np.argmin(objective))
    return polished[winner], bool(converged[winner])


def _refits(
    residuals: Residuals,
    u: np.ndarray,
    weights: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    delta: float,
    progress: bool,
    batch: int = 250,
) -> np.ndarray:
    """(count, P): the parameters refitted, from ``u``, with each row of ``weights`` (count, n)."""
    samples = [np.empty((0, len(u)))]
    batches = range(0, len(weights), batch)
    for first in tqdm(batches, desc="bootstrap", unit="batch", disable=not (progress and batches)):
        part = weights[first : first + batch]
        start = np.repeat(u[None], len(part), axis=0)
        samples.append(minimise(residuals, start, lower, upper, part, delta)[0])
    return np.exp(np.concatenate(samples))
