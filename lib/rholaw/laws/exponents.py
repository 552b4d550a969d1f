"""Exponents of a product of powers, with no law assumed: y = c · x₁^b₁ · x₂^b₂ …"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats


def exponents(y: ArrayLike, factors: pd.DataFrame, clusters: ArrayLike, level: float = 0.95) -> pd.DataFrame:
    """A row for each column of ``factors``: its exponent (value), low and high, by least squares of the logarithms.

    y: (n,), positive.  clusters: a label for each row, (n,), such as its model size; rows of one cluster may share an
    error.  The interval is that of the jackknife, which leaves out a cluster at a time, by Student's t; nan where too
    few clusters are left to find an exponent.  attrs["factor"]: the rms distance of y from the fit, as a factor.
    """
    design = np.column_stack([np.ones(len(factors)), np.log(factors.to_numpy(dtype=float))])
    log_y, clusters = np.log(np.asarray(y, dtype=float)), np.asarray(clusters)

    def solve(rows: np.ndarray) -> np.ndarray:
        solution, _, rank, _ = np.linalg.lstsq(design[rows], log_y[rows])
        return solution if rank == design.shape[1] else np.full(design.shape[1], np.nan)

    whole = solve(np.full(len(log_y), True))
    labels = np.unique(clusters)
    without = np.array([solve(clusters != label) for label in labels])
    spread = np.sqrt((len(labels) - 1) * without.var(axis=0))
    half = stats.t.ppf((1 + level) / 2, len(labels) - 1) * spread if len(labels) > 1 else np.nan * spread
    table = pd.DataFrame({"value": whole, "low": whole - half, "high": whole + half})[1:].set_axis(factors.columns)
    table.attrs["factor"] = float(np.exp(np.sqrt(np.mean((log_y - design @ whole) ** 2))))
    return table
