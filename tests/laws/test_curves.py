"""Capacity curves: the ends, the inverses, and fits that find the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rholaw as rl

positive = st.floats(0.05, 5)
CURVES = st.one_of(
    st.builds(rl.Curve, F=positive, C=positive, L=st.floats(0.2, 1)),
    st.builds(rl.Logistic, A=positive, B=positive),
    st.builds(rl.BoundedLogistic, A=positive, B=positive),
)


def test_effective_bits_are_shannons():
    np.testing.assert_allclose(rl.effective_bits([1, 0.25, 4.0**-3, 0]), [0, 1, 3, np.inf])


def test_the_papers_formula_by_hand():
    assert rl.Curve(F=0.41, C=1.39)(4.0**-2) == pytest.approx(np.tanh(0.82) ** 1.39, rel=1e-12)
    assert rl.Logistic(A=0.5, B=3.0)(0.25) == pytest.approx(1 / 2.5)
    assert rl.BoundedLogistic(A=0.5, B=3.0)(0.25) == pytest.approx(0.5 / 2.5)


@given(CURVES)
def test_ends(curve):
    assert curve(0.0) == getattr(curve, "L", 1.0)
    if not isinstance(curve, rl.Logistic):
        assert curve(1.0) == curve(2.0) == 0


@given(CURVES, st.floats(1e-6, 0.98))
def test_inverse_inverts_and_the_curve_falls(curve, gmse):
    rho = curve(gmse)
    if 1e-12 < rho < getattr(curve, "L", 1.0) * (1 - 1e-9):  # where floating point still tells ρ from its ends
        assert curve(curve.inverse(rho)) == pytest.approx(float(rho), rel=1e-6)
    assert curve(gmse * 1.01) <= rho


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rl.Curve(F=0, C=1), "F must be positive"),
        (lambda: rl.Curve(F=1, C=float("nan")), "C must be positive"),
        (lambda: rl.Logistic(A=1, B=-1), "Logistic: B must be positive"),
        (lambda: rl.Curve(F=1, C=1)(-0.1), "must not be negative"),
        (lambda: rl.Logistic(A=1, B=1)([0.1, float("nan")]), "must not be negative"),
        (lambda: rl.Curve(F=1, C=1, L=0.8).inverse(0.9), "between 0 and 0.8"),
        (lambda: rl.BoundedLogistic(A=1, B=1).inverse(1.1), "between 0 and 1"),
        (lambda: rl.fit_curve(rl.Curve, [0.1, 0.1, 0.2], [0.5, 0.5, 0.4]), "three different values"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "truth", [rl.Curve(F=0.41, C=1.39), rl.Logistic(A=0.9, B=8.0), rl.BoundedLogistic(A=0.9, B=6.0)], ids=str
)
def test_fit_curve_finds_the_curve(truth):
    gmse = np.geomspace(1e-4, 0.6, 20)
    found = rl.fit_curve(type(truth), gmse, truth(gmse))
    assert found.rmse < 1e-6
    np.testing.assert_allclose(found.curve(gmse), truth(gmse), atol=1e-6)


def test_the_band_covers_the_truth():
    truth, gmse = rl.Curve(F=0.41, C=1.39), np.geomspace(1e-3, 0.6, 30)
    covered = []
    for seed in range(10):
        noise = 0.01 * np.random.default_rng(seed).standard_normal(30)
        found = rl.fit_curve(rl.Curve, gmse, truth(gmse) + noise, n_bootstrap=100, seed=seed)
        low, high = found.interval("F")
        covered.append(low <= 0.41 <= high)
        assert np.ptp(found.band(0.1)) > 0
    assert sum(covered) >= 8


def test_families_share_what_they_are_told_to():
    gmse = np.geomspace(1e-4, 0.6, 15)
    truth = {"a": rl.Curve(F=0.4, C=1.2), "b": rl.Curve(F=0.4, C=0.6)}
    family = np.repeat(["a", "b"], 15)
    rho = np.concatenate([curve(gmse) for curve in truth.values()])
    for shared, exact in [((), True), (("F",), True), (("C",), False), (("F", "C"), False)]:
        curves, rmse = rl.fit_families(np.tile(gmse, 2), rho, family, shared)
        assert (rmse < 1e-6) == exact
        assert all(len({getattr(curve, name) for curve in curves.values()}) == 1 for name in shared)
        if exact:
            assert pytest.approx(0.6, rel=1e-5) == curves["b"].C
