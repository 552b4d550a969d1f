"""Intervals: percentiles of a bootstrap, and Student's interval of a mean."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def percentiles(samples: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high): the middle ``level`` of the samples, along their first axis."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of independent values by Student's t; low and high are nan for one value, all for none."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return (float(values[0]) if len(values) else math.nan), math.nan, math.nan
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)
