"""The descents keep what can be proved about them."""

import numpy as np
import pytest

from rholaw.lessons.descent import LogCosh, Quadratic, descend, exponent, nearest, unbiased


@pytest.mark.parametrize("f", [Quadratic(0.7), Quadratic(np.array([0.5, 2.0, 3.0])), LogCosh(2.0, 0.3)])
def test_a_gradient_is_the_derivative_of_the_value(f):
    away = np.array([-1.5, 0.01, 0.8])
    numeric = (f.value(away + 1e-6) - f.value(away - 1e-6)) / 2e-6
    assert f.gradient(away) == pytest.approx(numeric, rel=1e-5)
    assert np.all(f.value(np.zeros(3)) == 0)


def test_compressions():
    generator = np.random.default_rng(0)
    theta = np.full(10**5, 0.3)
    drawn = unbiased(theta, 0.5, generator)
    assert set(drawn.tolist()) == {0.0, 0.5} and drawn.mean() == pytest.approx(0.3, abs=0.003)
    assert nearest(np.array([0.3, 0.2, -0.3]), 0.5, None).tolist() == [0.5, 0.0, -0.5]


@pytest.mark.parametrize("adam", [False, True])
def test_without_compression_there_is_no_floor(adam):
    floor = descend(Quadratic(), nearest, 0.0, n=16, seeds=2, steps=2000, rate=0.02, adam=adam)
    assert (floor.gradient < 1e-6).all() and (floor.square == 0).all()


def test_the_identity_for_unbiased_compression_and_its_failure_for_the_nearest_point():
    floor = descend(Quadratic(), unbiased, 0.3, n=200, seeds=4)
    assert floor.gradient == pytest.approx(floor.dense + floor.error, rel=0.02)
    assert floor.gradient == pytest.approx(200 * 0.3**2 / 6, rel=0.1)
    floor = descend(Quadratic(), nearest, 0.3, n=200, seeds=4)
    assert (floor.gradient < 0.7 * (floor.dense + floor.error)).all()


def test_descents_repeat_and_depend_on_the_seed():
    one, same, other = (descend(Quadratic(), unbiased, 0.3, n=8, seeds=2, steps=20, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.steps, same.steps) and not np.array_equal(one.steps, other.steps)


def test_exponent_and_interval():
    x = np.array([1.0, 2, 4])
    k, low, high = exponent(x, np.stack([3 * x**1.9, x**2.0, 5 * x**2.1], axis=1))
    assert k == pytest.approx(2) and low < 1.9 < 2.1 < high
