"""Minimises a sum of Huber losses from many starts, or for many bootstrap weights, all in one batch of arrays."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

Residuals = Callable[[np.ndarray], np.ndarray]  # parameters (…, P) → residuals (…, n), analytic
_STEP = 1e-30  # of the complex step: exact to rounding, since nothing is subtracted
_SHORT = 0.1  # of a step, along which its bend is measured


def huber(residuals: ArrayLike, delta: float) -> np.ndarray:
    """½ r² up to ``delta``, then linear."""
    size = np.abs(residuals)
    return np.where(size <= delta, size * size / 2, delta * (size - delta / 2))


def jacobian(residuals: Residuals, u: np.ndarray, free: ArrayLike = True) -> tuple[np.ndarray, np.ndarray]:
    """(r, J) of an analytic function: u (rows, P) → r (rows, n) and J (rows, P, n), by complex steps.

    free: (P,), which parameters move; J is 0 for the others, which are not computed.
    """
    free = np.broadcast_to(free, u.shape[1:])
    values = residuals(u[:, None, :] + 1j * _STEP * np.eye(u.shape[1])[free])
    J = np.zeros((len(u), u.shape[1], values.shape[-1]))
    J[:, free] = values.imag / _STEP
    return values[:, 0].real if free.any() else residuals(u), J


def minimise(
    residuals: Residuals,
    start: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    weights: np.ndarray,
    delta: float,
    max_iterations: int = 300,
    tolerance: float = 1e-12,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each row of ``start`` (rows, P) taken to a minimum of Σ wᵢ huber(rᵢ) within [lower, upper].

    residuals: u (…, P) → (…, n), analytic, the same function for each row; weights: (n,) or (rows, n).
    Returns u (rows, P), the objectives (rows,) and whether each row converged.  Damped Newton steps on Huber's own
    curvature; the damping is the curvature of iteratively reweighted least squares, which always leads downhill.  Sums
    of powers have long bent valleys: a step may bend with its valley (Transtrum and Sethna 2012, arXiv 1201.5885).
    """
    u = np.clip(start, lower, upper)
    weights = np.broadcast_to(weights, (len(u), np.shape(weights)[-1]))
    free = lower < upper
    r, J = jacobian(residuals, u, free)
    objective = (weights * huber(r, delta)).sum(axis=1)
    damping, quiet = np.full(len(u), 0.1), np.zeros(len(u), dtype=int)
    active = np.ones(len(u), dtype=bool)
    for _ in range(max_iterations):
        rows = np.flatnonzero(active)
        if len(rows) == 0:
            break
        ways = _steps(residuals, r[rows], J[rows], u[rows], weights[rows], delta, damping[rows], lower, upper)
        trials = np.clip(u[rows] + ways, lower, upper)
        values = (weights[rows] * huber(residuals(trials), delta)).sum(axis=2)
        bends, value = values[1] < values[0], values.min(axis=0)
        trial = np.where(bends[:, None], trials[1], trials[0])
        better = value < objective[rows]
        gain = (objective[rows] - value) / np.maximum(objective[rows], 1e-300)
        moved = rows[better]
        u[moved], objective[moved] = trial[better], value[better]
        damping[rows] = np.clip(np.where(better, damping[rows] / 4, damping[rows] * 4), 1e-9, None)
        quiet[rows] = np.where(better & (gain > tolerance), 0, quiet[rows] + better)
        # Done: three steps that gain nothing more, or no step however short that leads down.
        active[rows] = (quiet[rows] < 3) & (damping[rows] < 1e10)
        moved = moved[active[moved]]
        r[moved], J[moved] = jacobian(residuals, u[moved], free)
    return u, objective, ~active


def _steps(
    residuals: Residuals,
    r: np.ndarray,
    J: np.ndarray,
    u: np.ndarray,
    weights: np.ndarray,
    delta: float,
    damping: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> np.ndarray:
    """(2, rows, P): a damped Newton step for each row of ``u``, and the same bent; none against a bound."""
    size = np.maximum(np.abs(r), 1e-300)
    gradient = np.einsum("spn,sn->sp", J, weights * np.clip(r, -delta, delta))
    stuck = ((u <= lower) & (gradient >= 0)) | ((u >= upper) & (gradient <= 0))
    J = np.where(stuck[:, :, None], 0.0, J)
    inner, outer = weights * (size <= delta), weights * np.minimum(1, delta / size)
    reweighted = (J * outer[:, None, :]) @ J.swapaxes(1, 2)
    identity = np.eye(u.shape[1])
    diagonal = np.einsum("spp->sp", reweighted)
    reweighted = reweighted + identity * diagonal[:, None, :]
    floor = 1e-14 * diagonal.max(axis=1, initial=1e-30)
    newton = (J * inner[:, None, :]) @ J.swapaxes(1, 2)
    curvature = newton + damping[:, None, None] * reweighted + identity * (floor[:, None] + stuck)[:, None, :]

    def answer(force: np.ndarray) -> np.ndarray:
        return np.clip(-np.linalg.solve(curvature, np.where(stuck, 0.0, force)[:, :, None])[:, :, 0], -2, 2)

    step = answer(gradient)
    within = np.clip(u + _SHORT * step, lower, upper) - u
    # How far the residuals leave their tangent: half of the second derivative along the step.
    bend = (residuals(u + within) - r - np.einsum("spn,sp->sn", J, within)) / _SHORT**2
    pull = np.einsum("spn,sn->sp", J, (inner + damping[:, None] * outer) * bend)
    return np.array([step, np.clip(step + answer(pull), -2, 2)])
