"""Intervals: percentiles of a bootstrap, and Student's interval of a mean."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from ..checked import shown

T = TypeVar("T")


def percentiles(samples: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high): the middle ``level`` of the samples, along their first axis; 1 for all of them.

    Raises ValueError for a level that is no share.
    """
    upper = 1.0 if level == 1 else _upper(level)
    low, high = np.quantile(samples, [1 - upper, upper], axis=0)
    return low, high


def _upper(level: float) -> float:
    """The share below the upper end. Raises ValueError for a level that is no share."""
    if not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level is the share within the interval, above 0 and below 1, not {shown(level)}")
    return (1 + level) / 2


def few_clusters(clusters: int, level: float = 0.95) -> float:
    """By what a normal interval is widened whose standard error comes of so many independent clusters.

    It is Student's t over the normal's quantile: G clusters tell a variance with G − 1 degrees of freedom.  1 for many;
    one counts as two.
    """
    share = _upper(level)
    return float(stdtrit(max(clusters, 2) - 1, share) / ndtri(share))


def widened(
    middle: np.ndarray,
    samples: np.ndarray,
    scatter: ArrayLike,
    level: float,
    wider: float = 1.0,
    shared: ArrayLike = False,
) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), each (n,), about predictions: the percentiles of their samples and the scatter, in quadrature.

    middle: (n,), what is predicted; samples: (S, n), the same by resamples, whose percentiles are taken ``wider`` times
    as far away; scatter: within which the ``level`` of what is predicted lies about its own mean, one or (n,).
    shared: where what moves the samples is in the scatter already, so that the larger of the two counts.
    """
    low, high = percentiles(samples, level)
    reaches = (wider * np.maximum(reach, 0) for reach in (middle - low, high - middle))
    down, up = (np.where(shared, np.maximum(reach, scatter), np.hypot(reach, scatter)) for reach in reaches)
    return middle - down, middle + up


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of independent values by Student's t; low and high are nan for one value, all for none."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return (float(values[0]) if len(values) else math.nan), math.nan, math.nan
    half = stdtrit(len(values) - 1, _upper(level)) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def holm(p_values: Mapping[T, float]) -> dict[T, float]:
    """{name: p corrected for the number of comparisons} by Holm's method (1979), in the order given.

    p_values: {name: p of its test alone}.  A comparison whose corrected p is below a level is beyond chance at that
    level, with all the comparisons taken together.
    """
    corrected, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * float(p_values[name])))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}
