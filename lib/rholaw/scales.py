"""How a grid is fitted to the data: so far one MSE-optimal scale a tensor, a constant times the survivors' RMS."""

from functools import lru_cache

import numpy as np
from scipy.optimize import minimize_scalar

from .integrals import squared_error
from .sources import source


def best_scale(levels, sparsity=None, data=None):
    """(scale, error): the scale that minimises the mean squared error on ``data`` (a Source; default N(0,1)).

    The error of a float grid has a local minimum in every octave, so that log-MSE is first scanned over log-scale and
    the three best hollows are then polished by Brent's method.
    """
    data = data or source("normal")

    def log_error(log_scale):
        return np.log(squared_error(levels * np.exp(log_scale), sparsity, data))

    outer = np.log(max(levels[-1], -levels[0]))
    grid = np.log(np.geomspace(0.25, 64, 65)) - outer
    values = np.array([log_error(s) for s in grid])
    hollows = [i for i in range(1, 64) if values[i] <= min(values[i - 1], values[i + 1])]
    fits = [
        minimize_scalar(log_error, bounds=(grid[i - 1], grid[i + 1]), method="bounded", options={"xatol": 1e-11})
        for i in sorted(hollows, key=values.__getitem__)[:3]
    ]
    best = min(fits, key=lambda fit: fit.fun)
    return float(np.exp(best.x)), float(np.exp(best.fun))


@lru_cache
def gaussian_scale(grid, sparsity):
    """The MSE-optimal scale of ``grid`` for N(0,1) data after ``sparsity``, in units of the survivors' RMS."""
    survivors = 1 - squared_error(None, sparsity, source("normal")) if sparsity else 1.0
    density = sparsity.density if sparsity else 1.0
    return best_scale(grid.levels, sparsity)[0] / np.sqrt(survivors / density)
