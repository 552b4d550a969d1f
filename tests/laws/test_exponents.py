"""Exponents of a product of powers: exact where the data are, and intervals by whole clusters."""

import numpy as np
import pandas as pd
import pytest

from rholaw.laws.exponents import exponents

GENERATOR = np.random.default_rng(0)
FACTORS = pd.DataFrame({"a": np.geomspace(1, 100, 24), "b": GENERATOR.uniform(1, 9, 24)})
CLUSTERS = np.repeat(np.arange(6), 4)


def test_a_product_of_powers_gives_its_exponents_back():
    table = exponents(3 * FACTORS.a**0.2 * FACTORS.b**-0.7, FACTORS, CLUSTERS)
    np.testing.assert_allclose(table.to_numpy().T, [[0.2, -0.7]] * 3, atol=1e-12)
    assert table.attrs["factor"] == pytest.approx(1)


def test_an_error_that_a_cluster_shares_widens_the_interval():
    """Copies of a run add nothing where they are known as one cluster, and seem to where they are not."""
    y = np.exp(GENERATOR.normal(size=24)) * FACTORS.a**0.2
    once = exponents(y, FACTORS[["a"]], np.arange(24))
    twice = exponents(np.tile(y, 2), pd.concat([FACTORS[["a"]]] * 2), np.tile(np.arange(24), 2))
    pd.testing.assert_frame_equal(once, twice)
    apart = exponents(np.tile(y, 2), pd.concat([FACTORS[["a"]]] * 2), np.arange(48))
    assert apart.loc["a", "high"] - apart.loc["a", "low"] < 0.8 * (once.loc["a", "high"] - once.loc["a", "low"])


def test_the_intervals_hold_the_truth_at_least_as_often_as_they_say():
    """The jackknife of six clusters is a little too wide, never too narrow."""
    rows = []
    for _ in range(300):
        shared = np.repeat(GENERATOR.normal(size=6), 4) * 0.3
        rows.append(exponents(FACTORS.b**0.5 * np.exp(shared), FACTORS[["b"]], CLUSTERS).loc["b"])
    table = pd.DataFrame(rows)
    assert ((table.low < 0.5) & (table.high > 0.5)).mean() > 0.93
    assert 1 < np.sqrt((((table.high - table.low) / 2 / 2.57) ** 2).mean()) / table.value.std() < 1.6


def test_too_few_clusters_give_no_interval():
    for rows, clusters in ((24, np.zeros(24)), (2, [0, 1])):  # one cluster; or two of which each is needed
        table = exponents(FACTORS.a[:rows] ** 0.2, FACTORS[["a"]][:rows], clusters)
        assert table.loc["a", "value"] == pytest.approx(0.2)
        assert np.isnan(table.loc["a", ["low", "high"]].astype(float)).all()
