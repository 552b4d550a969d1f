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


@pytest.mark.parametrize(
    ("form", "own", "name"),
    [(rl.Curve, (0.41, 1.39, 0.9), "L"), (rl.Logistic, (0.9, 8.0), "gain"), (rl.BoundedLogistic, (0.9, 6.0), "slope")],
)
def test_a_form_says_what_a_law_needs_to_fit_it(form, own, name):
    """Names, limits and guesses of one length, and log ρ as an analytic function of the parameters."""
    assert name in form.limits and all(len(guess) == len(form.limits) == len(own) for guess in form.guesses)
    low, high = np.transpose(list(form.limits.values()))
    assert (low < form.guesses).all() and (form.guesses < high).all()
    bits = rl.effective_bits([0.3, 0.01])
    np.testing.assert_allclose(np.exp(form.log_rho(bits, *own)), form(*own)([0.3, 0.01]))
    for place in range(len(own)):
        step = np.eye(len(own))[place]
        exact = form.log_rho(bits, *(own + 1e-30j * step)).imag / 1e-30
        numeric = (form.log_rho(bits, *(own + 1e-6 * step)) - form.log_rho(bits, *(own - 1e-6 * step))) / 2e-6
        np.testing.assert_allclose(exact, numeric, rtol=1e-6)


@given(CURVES)
def test_ends(curve):
    assert curve(0.0) == pytest.approx(getattr(curve, "L", 1.0))
    if not isinstance(curve, rl.Logistic):
        assert curve(1.0) == curve(2.0) == 0  # exp(−∞)


@given(CURVES, st.floats(1e-6, 0.98))
def test_inverse_inverts_and_the_curve_falls(curve, gmse):
    rho = curve(gmse)
    if 1e-12 < rho < getattr(curve, "L", 1.0) * (1 - 1e-9):  # where floating point still tells ρ from its ends
        assert curve(curve.inverse(rho)) == pytest.approx(float(rho), rel=1e-6)
    assert curve(gmse * 1.01) <= rho * (1 + 1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rl.Curve(F=0, C=1), "F must be positive"),
        (lambda: rl.Curve(F=1, C=10**400), "C must be positive"),
        (lambda: rl.Curve(F="1", C=1), "F must be positive"),
        (lambda: rl.Curve(F=1, C=1)("0.1"), "GMSE must be positive"),
        (lambda: rl.Curve(F=1, C=1).inverse(10**400), "rho must be positive"),
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
    fit = rl.fit_curve(type(truth), gmse, truth(gmse))
    assert fit.rmse < 1e-6
    np.testing.assert_allclose(fit.curve(gmse), truth(gmse), atol=1e-6)


def test_the_band_covers_the_truth():
    truth, gmse = rl.Curve(F=0.41, C=1.39), np.geomspace(1e-3, 0.6, 30)
    covered = []
    for seed in range(5):
        noise = 0.01 * np.random.default_rng(seed).standard_normal(30)
        fit = rl.fit_curve(rl.Curve, gmse, truth(gmse) + noise, n_bootstrap=40, seed=seed)
        low, high = fit.interval("F")
        covered.append(low <= 0.41 <= high)
        assert np.ptp(fit.band(0.1)) > 0
    assert sum(covered) >= 4


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
