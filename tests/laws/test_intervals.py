"""Intervals, by hand."""

import math

import numpy as np
import pytest

from rholaw.laws.intervals import few_clusters, holm, mean_interval, percentiles, widened


def test_a_mean_has_students_interval():
    half = 4.3026527 / math.sqrt(3)
    assert mean_interval([1, 2, 3]) == pytest.approx((2, 2 - half, 2 + half))
    assert mean_interval([1, 2, 3], level=0.5)[2] == pytest.approx(2 + 0.8164966 / math.sqrt(3))


def test_one_value_has_no_interval_and_none_no_mean():
    mean, *ends = mean_interval([5.0])
    assert mean == 5 and np.isnan(ends).all()
    assert np.isnan(mean_interval([])).all()


def test_percentiles_are_the_middle_share():
    low, high = percentiles(np.arange(101.0)[:, None] * [1, 2], level=0.8)
    np.testing.assert_allclose(low, [10, 20])
    np.testing.assert_allclose(high, [90, 180])


@pytest.mark.parametrize("level", [0, 95, -0.5, math.nan, "95%", None])
def test_a_level_that_is_no_share_is_refused(level):
    for interval in (percentiles, mean_interval, lambda values, level: few_clusters(3, level)):
        with pytest.raises(ValueError, match="level is the share within the interval, above 0 and below 1, not"):
            interval([1.0, 2.0, 3.0], level)
    assert percentiles([1.0, 2.0, 3.0], 1) == (1, 3)


def test_scatter_widens_in_quadrature_on_the_side_that_the_samples_are_on():
    samples = np.linspace(-4.0, 0.0, 101)[:, None] * [1, 1]
    low, high = widened(np.zeros(2), samples, np.array([0.0, 3.0]), level=1.0)
    np.testing.assert_allclose(low, [-4, -5])
    np.testing.assert_allclose(high, [0, 3])


def test_few_clusters_widen_as_students_table_has_it():
    assert [few_clusters(count) * 1.959964 for count in (3, 6, 11)] == pytest.approx([4.303, 2.571, 2.228], abs=1e-3)
    assert few_clusters(10**6) == pytest.approx(1, abs=1e-5) and few_clusters(1) == few_clusters(2)
    samples = np.linspace(-1.0, 1.0, 101)[:, None]
    assert widened(np.zeros(1), samples, 3.0, 1.0, wider=4.0)[1] == pytest.approx(5)


def test_holm_multiplies_by_what_is_left_and_keeps_the_order():
    corrected = holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.9})
    assert list(corrected) == ["a", "b", "c", "d"]
    assert corrected == pytest.approx({"b": 0.04, "c": 0.09, "a": 0.09, "d": 0.9})  # a alone would have .08
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0} and holm({}) == {}
