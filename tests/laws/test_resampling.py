"""Resamples weight whole clusters, with the variance of an unbiased standard error, and refuse labels that are none."""

import numpy as np
import pytest
from synthetic_runs import LAW, dense_runs

import rholaw as rl
from rholaw.laws import resampling


def test_the_weights_give_the_unbiased_standard_error_of_a_mean():
    """Σ w x / n over six clusters: mean and variance are those of the cluster means, s²/6, not (5/6) s²/6."""
    clusters, values = np.repeat(np.arange(6), 2), np.repeat([1.0, 5.0, 2.0, 8.0, 3.0, 4.0], 2)
    weights = resampling.weights(clusters, np.zeros(12, dtype=int), 40_000, seed=0)
    assert (weights[:, ::2] == weights[:, 1::2]).all()
    assert (weights > 0).all()
    means = weights @ values / 12
    assert means.mean() == pytest.approx(values.mean(), rel=0.01)
    assert means.var() == pytest.approx(values[::2].var(ddof=1) / 6, rel=0.03)


def test_runs_by_themselves_are_weighted_within_their_formats():
    strata = np.array([0, 0, 0, 1, 1, 2])
    weights = resampling.weights(np.arange(6), strata, 50, seed=0)
    sums = np.array([weights[:, strata == stratum].sum(axis=1) for stratum in range(3)])
    np.testing.assert_allclose(sums, np.repeat([[3.0], [2.0], [1.0]], 50, axis=1))
    assert (weights[:, 5] == 1).all()
    assert weights[:, 3].std() > 0.5


def test_labels_are_a_column_a_function_or_every_run():
    runs = dense_runs(0, count=12).assign(n_params=np.repeat([1e7, 2e7, 4e7, 8e7], 3), model=list("abcabcabcabc"))
    assert resampling.labels(runs, "n_params").tolist() == np.repeat(range(4), 3).tolist()
    assert resampling.labels(runs, "model").tolist() == [0, 1, 2] * 4
    assert resampling.labels(runs, lambda table: table["n_params"] > 3e7).tolist() == [0] * 6 + [1] * 6
    assert resampling.labels(runs, None).tolist() == list(range(12))
    few = runs.assign(n_params=np.repeat([1e7, 2e7, 4e7], 4))
    assert resampling.labels(few, "n_params").tolist() == list(range(12))


@pytest.mark.parametrize(
    ("cluster", "message"),
    [("modle", "no column 'modle'; they have: n_params"), (lambda runs: [1, 2], "a label for each of 12 runs")],
)
def test_labels_that_are_none_are_refused(cluster, message):
    with pytest.raises(ValueError, match=message):
        rl.fit("chinchilla", dense_runs(0, count=12), cluster=cluster)


def test_what_moves_whole_sizes_widens_the_intervals():
    """Checkpoints of ten models, each model off by its own shift: 60 of them know little more than the ten."""
    runs = dense_runs(0, count=10, noise=0.0)
    shift = np.exp(0.01 * np.random.default_rng(1).standard_normal(10))
    frame = runs.loc[runs.index.repeat(30)].reset_index(drop=True)
    frame["n_tokens"] *= np.tile(np.geomspace(0.1, 10, 30), 10)

    frame["loss"] = LAW.loss(frame.n_params, frame.n_tokens) * np.repeat(shift, 30)
    held = {"B": 410.7, "beta": 0.28, "E": 1.69}
    clustered, single = (
        rl.fit("chinchilla", frame, fixed=held, n_bootstrap=60, cluster=cluster) for cluster in ("n_params", None)
    )
    assert clustered.samples.alpha.std() > 3 * single.samples.alpha.std()
