"""Fits a law to runs: Huber loss on log-loss, many starts, a status, and what the data do and do not identify."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import optimize, special, stats
from tqdm import tqdm

from .law import Law
from .optimise import jacobian, minimise
from .rivals import MODELS

IDENTIFIED_SE = 0.5
"""A parameter is identified where the standard error of its logarithm stays below this: a factor of 2.7 at 95 %."""


@dataclass(frozen=True)
class Fit:
    """A law fitted to runs.

    params: {name: value}; one that the data do not identify still has the value that minimises the objective, and
    ``identified`` says not to quote it.  status: "converged", "bound hit: …" or "not converged".  objective: Σ Huber of
    the log-loss residuals.  intervals: {name: (low, high)}, 95 % bootstrap percentiles, empty without a bootstrap, and
    conditional on a bound where one is hit.  residuals: log predicted − log observed.  samples: (bootstraps, params).
    standard_errors: of the logarithms of the free parameters, from the curvature.  condition: largest over smallest
    singular value of the Jacobian by the logarithms of the free parameters; 1e6 and more says that some combination of
    them is free.  aic: 2 k − 2 log likelihood, for residuals that are independent with the density exp(−huber(r) / s),
    of which this fit is the maximum; its s counts as a parameter.
    """

    name: str
    params: dict
    status: str
    objective: float
    intervals: dict
    identified: dict
    residuals: np.ndarray = field(repr=False)
    samples: np.ndarray = field(repr=False)
    model: object = field(repr=False)
    standard_errors: dict = field(repr=False)
    condition: float = field(repr=False)
    aic: float = field(repr=False)

    @property
    def rmse(self):
        """Root mean square of the log residuals: a relative error of the loss."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    def predict(self, runs):
        """Loss of each run. Raises ValueError for a format that the law cannot predict."""
        return self._losses(np.log(list(self.params.values())), runs)

    def predict_interval(self, runs, level=0.95):
        """(low, high) arrays: the bootstrap's spread of the predicted loss, without the noise of a single run."""
        self._needs_samples()
        losses = self._losses(np.log(self.samples), runs)
        return tuple(np.quantile(losses, [(1 - level) / 2, (1 + level) / 2], axis=0))

    def _losses(self, u, runs):
        return np.exp(self.model.log_loss(u, self.model.columns(runs)))

    def capacity(self, weights, activations="dense", level=0.95):
        """(ρ, low, high) of a pair of formats; low and high are nan without a bootstrap.

        Raises ValueError for a law in which a format is no factor on N.
        """
        if not self.model.has_capacity:
            raise ValueError(f"the law {self.name!r} has no ρ: in it a format is no factor on N")
        pair = pd.DataFrame({"n_params": [1.0], "n_tokens": [1.0], "weights": [weights], "activations": [activations]})
        columns = self.model.columns(pair)

        def rho(values):
            log_rho = np.asarray(self.model.log_rho(np.log(values), columns))
            return np.exp(np.broadcast_to(log_rho, (*values.shape[:-1], 1))[..., 0])

        value = float(rho(np.array(list(self.params.values()))))
        if not len(self.samples):
            return value, np.nan, np.nan
        return value, *(float(q) for q in np.quantile(rho(self.samples), [(1 - level) / 2, (1 + level) / 2]))

    def law(self):
        """The part that all formats share, as a Law. Raises ValueError where it is not A N^-α + B D^-β + E."""
        if self.name in ("frantar", "quartet"):
            raise ValueError(f"the dense part of the law {self.name!r} is not A N^-α + B D^-β + E")
        return Law(**{name: self.params[name] for name in ("A", "alpha", "B", "beta", "E")})

    def curve(self, family="quantised"):
        """The capacity curve of a family (the laws "unified…" only; the family of a composed error is "composed")."""
        if not hasattr(self.model, "curve"):
            raise ValueError(f"the law {self.name!r} has no curve of ρ over GMSE")
        return self.model.curve(family, list(self.params.values()))

    def table(self):
        """A row per parameter: value, interval, and whether the data identify it; missing values where they do not."""
        rows = {}
        for name, value in self.params.items():
            low, high = self.intervals.get(name, (np.nan, np.nan))
            known = self.identified[name]
            rows[name] = (*((value, low, high) if known else (np.nan,) * 3), known)
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "identified"])

    def _needs_samples(self):
        if not len(self.samples):
            raise ValueError("this fit has no bootstrap: fit with n_bootstrap of 100 or more for intervals")


def fit(law, runs, *, fixed=None, huber_delta=1e-3, target="log", n_bootstrap=0, seed=0, progress=False):
    """The Fit of ``law`` (a name in ``rivals.MODELS``: "chinchilla", "unified", "decoupled", …) to ``runs``.

    runs: a DataFrame with n_params, n_tokens, loss, and weights and activations (format strings) where the law reads
    them.  fixed: {parameter: value} held; the unified law holds every L at 1 unless ``fixed`` names it None.
    target: "log" compares logarithms of losses, "loss" the losses themselves; huber_delta is in its unit.
    n_bootstrap: resamples of the runs, within each pair of formats, each refitted from the optimum.
    Raises ValueError for bad runs, fewer runs than free parameters, or an unknown law or parameter.
    """
    if law not in MODELS:
        raise ValueError(f"unknown law {law!r}; there are {', '.join(MODELS)}")
    model = MODELS[law](runs)
    names = model.names
    lower, upper = _bounds(model, fixed)
    free = lower < upper
    if len(runs) < free.sum():
        raise ValueError(f"the law {law!r} has {free.sum()} free parameters here, and there are only {len(runs)} runs")
    columns, log_loss = model.columns(runs), np.log(runs["loss"].to_numpy(float))

    def log_residuals(u):
        return model.log_loss(u, columns) - log_loss

    def loss_residuals(u):
        return np.exp(model.log_loss(u, columns)) - np.exp(log_loss)

    if target not in ("log", "loss"):
        raise ValueError(f"target is {target!r}, it must be 'log' or 'loss'")
    residuals = log_residuals if target == "log" else loss_residuals
    weights = np.ones(len(runs))
    starts = np.clip(model.starts(columns, log_loss), lower, upper)
    rough, objective, _ = minimise(residuals, starts, lower, upper, weights, huber_delta, max_iterations=30)
    best = rough[np.argsort(objective)[:5]]
    polished, objective, converged = minimise(residuals, best, lower, upper, weights, huber_delta, max_iterations=1000)
    winner = int(np.argmin(objective))
    u = polished[winner]

    samples = _bootstrap(residuals, u, runs, lower, upper, huber_delta, n_bootstrap, seed, progress)
    at_bound = [
        name
        for name, value, low, high in zip(names, u, lower, upper, strict=True)
        if low < high and value in (low, high)
    ]
    status = (
        "not converged" if not converged[winner] else "bound hit: " + ", ".join(at_bound) if at_bound else "converged"
    )
    intervals = np.quantile(samples, [0.025, 0.975], axis=0).T if n_bootstrap else []
    return Fit(
        name=law,
        params=dict(zip(names, np.exp(u).tolist(), strict=True)),
        status=status,
        objective=float(objective[winner]),
        intervals={name: tuple(pair) for name, pair in zip(names, np.asarray(intervals).tolist(), strict=False)},
        residuals=log_residuals(u),
        samples=samples,
        model=model,
        aic=_aic(float(objective[winner]), len(runs), int(free.sum()), huber_delta),
        **_curvature(residuals, u, lower, upper, names),
    )


def profile(law, runs, parameter, values, *, fixed=None, **settings):
    """Fits with ``parameter`` held at each of ``values``: a row each, with objective, rmse, status and parameters."""
    fits = [fit(law, runs, fixed={**(fixed or {}), parameter: value}, **settings) for value in values]
    return pd.DataFrame([{"objective": f.objective, "rmse": f.rmse, "status": f.status} | f.params for f in fits])


def _bounds(model, fixed):
    fixed = {name: 1.0 for name in model.names if name.partition("[")[0] == "L"} | (fixed or {})
    if unknown := [name for name in fixed if name not in model.names]:
        raise ValueError(f"there is no parameter {unknown[0]!r} to hold; there are {', '.join(model.names)}")
    bounds = dict(model.bounds)
    for name, value in fixed.items():
        if value is not None:
            if not (np.isfinite(value) and (value > 0 or (value == 0 and name == "E"))):
                raise ValueError(f"{name} cannot be held at {value}: it must be positive and finite")
            bounds[name] = (max(value, 1e-300),) * 2  # E = 0: log E is as good as −∞
    return np.log(np.array([bounds[name] for name in model.names])).T


def _curvature(residuals, u, lower, upper, names):
    """Standard errors, condition number and {name: identified} from the curvature at the optimum.

    Identified is what stands off its bounds with a small enough standard error.  The noise is the robust spread of the
    residuals that a fit of so many parameters cannot bring to zero, widened by Student's t where few are left.
    Directions in which the residuals hardly change have no error at all: what takes part in one is unidentified, even
    without noise.  A parameter on its bound still blurs the others: it enters in its own unit, not as a logarithm.
    """
    r, J = jacobian(residuals, u[None])
    free = lower < upper
    on_bound = ((u <= lower) | (u >= upper))[free]
    J = J[0][free].T
    spread = np.linalg.svd(J, compute_uv=False)
    J = J / np.where(on_bound, np.exp(u[free]), 1.0)
    left = max(len(J) - int(free.sum()), 1)
    noise = 1.4826 * np.median(np.sort(np.abs(r[0]))[-left:]) * stats.t.ppf(0.975, left) / stats.norm.ppf(0.975)
    _, singular, directions = np.linalg.svd(J, full_matrices=False)
    flat = singular <= 1e-7 * singular.max(initial=0)
    variance = (directions**2 / np.where(flat, np.inf, singular)[:, None] ** 2).sum(axis=0) * noise**2
    in_flat = (directions[flat] ** 2 > 1e-6).any(axis=0)
    errors = np.where(in_flat | on_bound, np.inf, np.sqrt(variance))
    known = dict(zip(np.array(names)[free].tolist(), (errors < IDENTIFIED_SE).tolist(), strict=True))
    return {
        "standard_errors": dict(zip(known, errors.tolist(), strict=True)),
        "condition": float(spread[0] / max(spread[-1], 1e-300)) if len(spread) else 1.0,
        "identified": dict.fromkeys(names, True) | known,
    }


def _aic(objective, count, free, delta):
    """2 k − 2 log likelihood at the best s, for residuals of density exp(−huber(r) / s) / Z(s)."""

    def minus_log_likelihood(log_s):
        s = np.exp(log_s)
        core = np.sqrt(2 * np.pi * s) * special.erf(delta / np.sqrt(2 * s))
        tails = 2 * s / delta * np.exp(-(delta**2) / (2 * s))
        return objective / s + count * np.log(core + tails)

    best = optimize.minimize_scalar(minus_log_likelihood, bounds=(-80, 5), method="bounded", options={"xatol": 1e-9})
    return float(2 * (free + 1) + 2 * best.fun)


def _bootstrap(residuals, u, runs, lower, upper, delta, count, seed, progress, batch=250):
    """(count, P): the parameters refitted to resamples of the runs, drawn within each pair of formats, from ``u``."""
    if not count:
        return np.empty((0, len(u)))
    keys = [name for name in ("weights", "activations", "forward", "backward") if name in runs.columns]
    strata = list(runs.groupby(keys, sort=False).indices.values()) if keys else [np.arange(len(runs))]
    generator = np.random.default_rng(seed)
    weights = np.zeros((count, len(runs)))
    for rows in strata:
        weights[:, rows] = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=count)
    samples = []
    for first in tqdm(range(0, count, batch), desc="bootstrap", unit="batch", disable=not progress):
        part = weights[first : first + batch]
        start = np.repeat(u[None], len(part), axis=0)
        samples.append(minimise(residuals, start, lower, upper, part, delta)[0])
    return np.exp(np.concatenate(samples))
