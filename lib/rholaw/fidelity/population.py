"""The law after training over models: κ of a model of which nothing was measured, from what is known of it.

    log κ = log κ₀ + a log(N / 7e9) + b log(D / 15e12) + c log(N / N active) + method + what only measuring tells

above 7e9 parameters with a slope of its own in N.  N: parameters, D: tokens of training.  Fitted to the atlas, a row
a measurement, with models and series as groups.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..checked import shown, unknown
from ..laws.law import numbers
from . import mixed, posterior
from .posterior import Prior
from .sensitivity import SensitivityFit, guess, per_row_scale

SIZE, TOKENS = 7e9, 15e12  # of the model that the constant is for; the tokens also of models that tell none
LIMITS = (1e5, 1e14)  # parameters and tokens: outside, a number is a mistake of units
METHODS = {  # beside rounding to nearest, which the constant is for
    "rtn": "rounding to nearest, scales by the largest magnitude",
    "ggml": "ggml's search for scales, without an importance matrix",
    "imatrix": "ggml's types with an importance matrix",
    "gptq": "GPTQ, arXiv 2210.17323",
    "awq": "AWQ, arXiv 2306.00978",
    "omniquant": "OmniQuant, arXiv 2308.13137",
}
ROWS = "one_scale_a_row"  # costs more than its GMSE says: outliers
ROWS_CALIBRATED = "one_scale_a_row_calibrated"
TERMS = (
    "constant",
    "size",
    "size_beyond",
    "tokens",
    "sparse",
    *[name for name in METHODS if name != "rtn"],
    ROWS,
    ROWS_CALIBRATED,
)
CERTAIN = 1e-6  # a spread of logarithms that is none
CALIBRATED = ("gptq", "awq", "omniquant")


def design(rows: pd.DataFrame) -> np.ndarray:
    """What is known of each row, by TERMS: (n, P). rows: n_params, n_tokens, n_active, method, format."""
    per_row = per_row_scale(rows["format"])
    size, active = rows["n_params"].to_numpy(float), rows["n_active"].to_numpy(float)
    method = rows["method"].to_numpy(str)
    known = {
        "constant": np.ones(len(rows)),
        "size": np.log(size / SIZE),
        "size_beyond": np.maximum(np.log(size / SIZE), 0.0),
        "tokens": np.log(rows["n_tokens"].astype(float).fillna(TOKENS).to_numpy() / TOKENS),
        "sparse": np.log(size / active),
        **{name: (method == name).astype(float) for name in METHODS},
        ROWS: per_row.astype(float),
        ROWS_CALIBRATED: per_row * np.isin(method, CALIBRATED),
    }
    return np.column_stack([known[name] for name in TERMS])


@dataclass(frozen=True)
class Population:
    """The law over models.

    beta: by TERMS, nan for an effect that no row had, or none by itself.  covariance: of beta.  spread: deviations of
    log κ between models of one kind, between series of one model, and between single measurements.
    """

    beta: np.ndarray
    covariance: np.ndarray
    spread: tuple[float, float, float]

    def covers(self, known: np.ndarray) -> np.ndarray:
        """Whether the fit had all that is known of each model, (n,)."""
        return ~(known[:, np.isnan(self.beta)] != 0).any(axis=1)

    def log_kappa(self, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre and standard deviation of log κ of models that are not in the fit, each (n,); known: (n, P)."""
        used = ~np.isnan(self.beta)
        if not self.covers(known).all():
            raise ValueError("an effect is asked for that no row of the fit had, or none by itself")
        known = known[:, used]
        error = np.einsum("np,pq,nq->n", known, self.covariance[np.ix_(used, used)], known)
        return known @ self.beta[used], np.sqrt(error + self.spread[0] ** 2 + self.spread[1] ** 2)

    def priors(self, known: np.ndarray) -> list[Prior]:
        """What is known of κ, floor and scatter of each such model before it is measured."""
        scatter = (float(np.log(self.spread[2])), CERTAIN)
        return [
            Prior((centre, spread), posterior.any_model().floor, scatter)
            for centre, spread in zip(*self.log_kappa(known), strict=True)
        ]


def fit_population(costs: pd.DataFrame, spread: np.ndarray | None = None) -> Population:
    """The law over the models of these rows (`evidence.costs`); spread: the three deviations, if they are known."""
    costs = costs[costs["method"].isin(METHODS)]
    known = design(costs)
    used = _independent(known)
    per_error = np.log(costs["cost"].to_numpy() / costs["gmse"].to_numpy())
    result = mixed.fit(per_error, known[:, used], costs["model"].to_numpy(str), series(costs), spread)
    beta, covariance = np.full(len(TERMS), np.nan), np.full((len(TERMS), len(TERMS)), np.nan)
    beta[used], covariance[np.ix_(used, used)] = result.beta, result.covariance
    return Population(beta, covariance, result.spread)


def series(costs: pd.DataFrame) -> np.ndarray:
    """The number of the series that each row belongs to, (n,): one model, source and method."""
    return costs.groupby(["model", "source", "method"], sort=False).ngroup().to_numpy()


def _independent(known: np.ndarray) -> np.ndarray:
    """Which columns no sum of those before them makes, (P,)."""
    beside = np.abs(np.diag(np.linalg.qr(known, mode="r")))  # what of each is not along those before it
    return beside > 1e-9 * np.linalg.norm(known, axis=0)


def recorded() -> Population:
    """The law over all models of the atlas, as data/fidelity/population records it."""
    known = posterior.population()
    covariance = [[known[f"covariance_{min(i, j)}_{max(i, j)}"] for j in range(len(TERMS))] for i in range(len(TERMS))]
    spread = tuple(known[f"spread_{name}"] for name in ("models", "series", "rows"))
    return Population(np.array([known[name] for name in TERMS]), np.array(covariance), spread)


def prior_sensitivity(
    n_params: float, n_tokens: float | None = None, method: str = "rtn", n_active: float | None = None
) -> SensitivityFit:
    """κ of a model of which nothing was measured: the median and the spread over models of its size.

    n_params, n_active: all parameters, and those that a token meets, if fewer.  n_tokens: of training, if known.
    method: how the weights will be rounded, one of METHODS.  The floor is that of other measurements.
    Raises ValueError for numbers that no model has, and for an unknown method.
    """
    for name, value in (("n_params", n_params), ("n_tokens", n_tokens), ("n_active", n_active)):
        if value is None and name != "n_params":
            continue
        array = numbers(name, value)
        if array.ndim or not LIMITS[0] <= array <= LIMITS[1]:
            raise ValueError(f"{name} must lie between {LIMITS[0]:g} and {LIMITS[1]:g}, not {shown(value)}")
    if n_active is not None and n_active > n_params:
        raise ValueError(f"n_active, {n_active:g}, is a part of n_params, {n_params:g}")
    if method not in METHODS:
        raise ValueError(unknown(method, METHODS, "method"))
    law = recorded()
    model = pd.DataFrame({"n_params": [n_params], "n_tokens": [n_tokens], "n_active": [n_active or n_params],
                          "method": [method], "format": [""]})  # fmt: skip
    return replace(guess(law.priors(design(model))[0]), per_row=_per_row(law, method))


def _per_row(law: Population, method: str) -> float:
    """What one scale a row costs beyond its GMSE, as a factor."""
    terms = dict(zip(TERMS, law.beta, strict=True))
    return float(np.exp(terms[ROWS] + (terms[ROWS_CALIBRATED] if method in CALIBRATED else 0.0)))
