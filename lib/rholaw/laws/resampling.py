"""Resamples of runs: random weights for whole clusters, such as all runs of one model size."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..checked import shown

FEWEST = 4
"""Clusters from which an interval can be drawn; three or fewer give a handful of resamples, not a distribution."""

Cluster = str | Callable[[pd.DataFrame], ArrayLike] | None
"""A column of the runs, a function of them that gives a label for each run, or None: every run by itself."""


def labels(runs: pd.DataFrame, cluster: Cluster) -> np.ndarray:
    """The cluster of each run, numbered from 0: (n,).

    Every run is its own with None, and where the column ``n_params`` has fewer than FEWEST sizes.
    Raises ValueError for a column that is not there, or labels that are missing or not one for each run.
    """
    if cluster is None or (cluster == "n_params" and runs["n_params"].nunique() < FEWEST):
        return np.arange(len(runs))
    if isinstance(cluster, str) and cluster not in runs.columns:
        raise ValueError(
            f"cluster: the runs have no column {cluster!r}; they have: {', '.join(map(str, runs.columns))}"
        )
    if not (isinstance(cluster, str) or callable(cluster)):
        raise ValueError(f"cluster must be a column, a function of the runs, or None, not {shown(cluster)}")
    values = runs[cluster] if isinstance(cluster, str) else pd.Series(np.asarray(cluster(runs)))
    if len(values) != len(runs) or values.isna().any():
        raise ValueError(f"cluster must give a label for each of {len(runs)} runs")
    return pd.factorize(values)[0]


def cell(runs: pd.DataFrame, cluster: Cluster) -> tuple[str, ...]:
    """The columns whose values say which cluster and stratum a run is of; none where no column names the clusters."""
    if not isinstance(cluster, str) or len(np.unique(labels(runs, cluster))) == len(runs):
        return ()
    return (cluster, *_strata(runs))


def _strata(runs: pd.DataFrame) -> list[str]:
    return [name for name in ("weights", "activations", "forward", "backward") if name in runs.columns]


def strata(runs: pd.DataFrame) -> np.ndarray:
    """The pair of formats, and of passes, of each run, numbered from 0: (n,)."""
    names = _strata(runs)
    if not names:
        return np.zeros(len(runs), dtype=int)
    return runs.groupby(names, sort=False, dropna=False).ngroup().to_numpy()


def weights(clusters: np.ndarray, strata: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(count, n): random weights of mean 1, the same for all runs of a cluster.

    Clusters that hold several runs are weighted together over all strata (the pairs of formats of the runs), since what
    moves the runs of one size moves them in every format; runs by themselves within their stratum.  G weights are
    G · Dirichlet(1 − 2/G): of variance 1, as an unbiased standard error asks for, and never 0, so that no format loses
    all its runs (the Bayesian bootstrap of Rubin 1981 has Dirichlet(1), and too little variance where G is small).
    """
    generator = np.random.default_rng(seed)
    alone = len(np.unique(clusters)) == len(clusters)
    result = np.ones((count, len(clusters)))
    for stratum in np.unique(strata) if alone else [None]:
        rows = np.flatnonzero(strata == stratum) if alone else np.arange(len(clusters))
        members, which = np.unique(clusters[rows], return_inverse=True)
        groups = len(members)
        if groups > 1:
            concentration = np.full(groups, max(1 - 2 / groups, 1e-3))  # of two, one has all the weight
            result[:, rows] = groups * generator.dirichlet(concentration, size=count)[:, which]
    return result
