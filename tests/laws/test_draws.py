"""Draws of the law: capacities that fall with training, the cheapest model, and the default law."""

import dataclasses

import numpy as np
import pytest
from sampling import FULL
from synthetic_runs import CURVE, HELD, QUANTISED, TRUTH, noiseless

import rholaw as rl
from rholaw import tables
from rholaw.laws.draws import DEFAULT, RECORDED, default_fit, default_runs, draws, recipe

OWN = {"gamma": 0.1, "F": 0.41, "C": 1.39, "L": 1.0}


@pytest.fixture(scope="module")
def longer():
    """Of noiseless runs whose extra loss grows with training: all draws are alike."""
    runs = noiseless("unified-tokens", QUANTISED, TRUTH | OWN)
    return draws(rl.fit("unified-tokens", runs, fixed=HELD, n_bootstrap=3))


def test_a_capacity_after_longer_training_explains_the_grown_extra_loss(longer):
    rho, source = longer.capacity("int3")
    assert source == "law"
    np.testing.assert_allclose(rho, CURVE(rl.gmse("int3").value), rtol=1e-3)
    extra = longer.longer(rho, 1000) ** -longer.alpha - 1
    np.testing.assert_allclose(extra, (rho**-longer.alpha - 1) * 10**longer.gamma, rtol=1e-9)
    np.testing.assert_allclose(longer.longer(longer.longer(rho, 1000), 100, since=1000), rho, rtol=1e-9)
    assert (longer.longer(1.0, 1000) == 1).all() and (longer.longer(0.0, 1000) == 0).all()


@pytest.mark.parametrize("text", ["int2", "dense"])
def test_the_cheapest_model_reaches_the_loss_and_its_neighbours_pay_more(longer, text):
    rho, loss = longer.capacity(text)[0], 2.6
    N, D = longer.cheapest(loss, rho)
    np.testing.assert_allclose(longer.loss(N, D, longer.longer(rho, D / N)), loss, rtol=1e-9)
    for other in (0.9 * N, 1.1 * N):
        low, high = D / 10, D * 10
        for _ in range(60):
            middle = np.sqrt(low * high)
            worse = longer.loss(other, middle, longer.longer(rho, middle / other)) > loss
            low, high = np.where(worse, middle, low), np.where(worse, high, middle)
        assert (other * high > N * D).all()


def test_where_nothing_reaches_the_loss_the_cheapest_is_infinite(longer):
    assert np.isinf(longer.cheapest(1.0, 0.5)).all()
    assert np.isinf(longer.cheapest(2.6, 0.0)[0]).all()


def test_the_default_law_is_fitted_to_both_series():
    runs = default_runs()
    assert set(runs.series) == {"quest2025", "quartet2025"} and len(runs) == 107
    default = draws(default_fit(16))
    assert default.gamma.max() > 0 and len(default.A) == 16
    low, high = np.quantile(default.capacity("int4")[0], [0.025, 0.975])
    assert 0.75 < low < high < 0.87
    after = np.median(default.longer(default.capacity("int4")[0], 800))
    assert after < np.median(default.capacity("int4")[0])


def test_the_recorded_default_law_is_a_fit_of_todays_runs():
    runs = default_runs()
    assert recipe(runs) in tables.manifest(RECORDED).source, "the runs changed: python bench/default_law.py"
    count = 400 if FULL else 6
    again, kept = rl.fit(DEFAULT, runs, n_bootstrap=count), default_fit(count)
    assert again.status == kept.status == "converged"
    for one, other in ((again.params, kept.params), (again.standard_errors, kept.standard_errors)):
        assert one == pytest.approx(other, rel=1e-4)
    np.testing.assert_allclose(again.samples, kept.samples, rtol=1e-4)


def test_a_default_law_that_was_not_recorded_is_fitted(monkeypatch):
    kept, fewer = default_fit(3), default_runs().iloc[:-1]
    monkeypatch.setattr("rholaw.laws.draws.default_runs", lambda: fewer)
    assert default_fit.__wrapped__(3).params != kept.params


def test_a_law_of_runs_of_one_size_is_refused():
    quest = rl.runs.one_estimator(rl.runs.load("quest2025"))
    alone = rl.fit("unified", quest[quest.n_params == quest.n_params.min()], fixed={"E": 1.0}, n_bootstrap=10)
    with pytest.raises(ValueError, match="leave ρ open, as those of one size do: add runs of other sizes"):
        draws(alone)


def test_a_law_whose_runs_leave_capacities_open_is_refused():
    fit = dataclasses.replace(default_fit(20), confounded=True)
    with pytest.raises(ValueError, match="the runs of the law leave ρ open, as D goes with N: add runs"):
        draws(fit)
