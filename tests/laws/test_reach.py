"""Intervals of runs hold the noise of a run, and widen and say so outside the fitted runs; what is exact has none."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import LAW, TRUTH, compressed_runs, dense_runs

import rholaw as rl
from rholaw.laws.curvature import curvature, jackknife
from rholaw.laws.reach import outside, reach_of

HELD = {"beta": 0.28, "E": 1.69}


@pytest.fixture(scope="module")
def fit():
    return rl.fit("chinchilla", dense_runs(0, count=80), fixed=HELD, n_bootstrap=60)


def test_noise_covers_runs_that_were_not_seen(fit):
    unseen = dense_runs(7, count=400)
    unseen = unseen[fit.reach.distances(unseen).max(axis=1) == 0]
    shares = []
    for noise in (True, False):
        low, high = fit.predict_interval(unseen, noise=noise)
        shares.append(((low <= unseen.loss) & (unseen.loss <= high)).mean())
    assert shares[0] > 0.9
    assert shares[1] < 0.6


def test_an_interval_widens_by_itself_for_each_e_fold_outside(fit):
    inside = dense_runs(0, count=80).iloc[:1]
    far = inside.assign(n_params=np.exp(fit.reach.largest[0] + 1), n_tokens=inside.n_tokens)
    here, there = fit.predict_interval(inside), fit.predict_interval(far)
    assert here.outside.tolist() == [""]
    assert there.outside[0].startswith("N")
    distance = fit.reach.distances(far).max()
    assert distance >= 1
    assert np.log(there.high / fit.predict(far)) >= (1 + distance) * fit.noise() * 0.999


def test_few_sizes_widen_the_spread_of_the_bootstrap_but_not_the_noise(fit):
    """The same fit, had its resamples come of four sizes: 3.182 standard errors where many would have 1.96."""
    inside = dense_runs(0, count=80).iloc[:1]
    ends = {}
    for count, noise in ((4, True), (4, False), (10**6, False)):
        of_few = dataclasses.replace(fit, clusters=count)
        ends[count, noise] = np.log(np.array([*of_few.predict_interval(inside, noise=noise)]))
    middle = np.log(fit.predict(inside))
    few, many = (np.abs(ends[count, False] - middle) for count in (4, 10**6))
    np.testing.assert_allclose(few / many, 3.1824 / 1.96, rtol=1e-3)
    np.testing.assert_allclose(np.abs(ends[4, True] - middle), np.hypot(few, fit.noise()))
    assert fit.clusters == 80  # of this fit each run is one


def test_a_run_of_fitted_size_and_formats_is_held_by_the_spread_or_the_residuals_alone():
    runs = compressed_runs(noise=0.003, formats=("dense", "int2", "int4")).assign(model="one", forward=np.nan)
    held = {"alpha": 0.34, "beta": 0.28, "E": 1.69}
    fit = rl.fit("unified", runs, fixed=held, n_bootstrap=30)
    some = runs[runs.weights == "int2"].iloc[:2]
    others = {
        "size": some.assign(n_params=some.n_params * 1.01, n_tokens=some.n_tokens * 1.01),
        "formats": some.assign(weights="int3", activations="dense"),
        "pass": some.assign(forward="other"),
    }
    freedom = np.sqrt(len(runs) / (len(runs) - len(fit.standard_errors)))

    def halves(fit, runs, noise=True):
        return np.log(fit.predict_interval(runs, noise=noise).high / fit.predict(runs))

    spread, scatter = halves(fit, some, noise=False), fit.noise()
    assert fit.reach.among(runs).all()
    np.testing.assert_allclose(halves(fit, some), np.maximum(spread, scatter * freedom))
    for what, other in others.items():
        assert not fit.reach.among(other).any(), what
        np.testing.assert_allclose(halves(fit, other), np.hypot(halves(fit, other, noise=False), scatter))
    assert (halves(fit, runs) >= halves(fit, runs, noise=False)).all()  # of a run no more is known than of the mean

    by_model = rl.fit("unified", runs, fixed=held, n_bootstrap=2, cluster=lambda table: table["n_params"])
    alone = rl.fit("unified", runs, fixed=held, n_bootstrap=2, cluster=None)
    assert not by_model.reach.among(runs).any() and not alone.reach.among(runs).any()
    named = rl.fit("unified", runs.assign(name=runs.n_params // 1), fixed=held, n_bootstrap=2, cluster="name")
    assert named.reach.among(runs.assign(name=runs.n_params // 1)).all() and not named.reach.among(runs).any()


@pytest.mark.slow
def test_shifts_of_sizes_are_counted_once():
    """Sizes off by 2 % each, runs of them by 0.5 %: 95 % of further runs of these sizes; twice would hold 99 %."""
    sizes, ratios = np.geomspace(2e7, 1e9, 10).repeat(6), np.tile([10, 20, 40, 80, 160, 320], 10)
    shares = []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        runs = pd.DataFrame({"n_params": sizes, "n_tokens": sizes * ratios})
        shift = np.exp(generator.normal(0, 0.02, 10)).repeat(6)
        first, again = (
            LAW.loss(runs.n_params, runs.n_tokens) * shift * np.exp(generator.normal(0, 0.005, 60)) for _ in "ab"
        )
        fit = rl.fit("chinchilla", runs.assign(loss=first), fixed=HELD, n_bootstrap=40)
        twice = dataclasses.replace(fit, reach=dataclasses.replace(fit.reach, cells=frozenset()))
        ends = [[*one.predict_interval(runs)] for one in (fit, twice)]
        shares.append([((low <= again) & (again <= high)).mean() for low, high in ends])
    once, twice = np.mean(shares, axis=0)
    assert 0.93 < once < 0.98 < twice


def test_distances_are_in_e_folds_and_named():
    runs = dense_runs(0, count=3).assign(n_params=[1e8, 1e8, 1e9], n_tokens=[1e9, 1e10, 1e11])
    other = runs.head(2).assign(n_params=[1e8, 1e8 / np.e], n_tokens=[1e9 / np.e, 1e10])
    distances = reach_of(runs).distances(other)
    np.testing.assert_allclose(distances, [[0, 1, 1], [1, 0, 1]], atol=1e-9)
    assert outside(distances).tolist() == ["D, D/N", "N, D/N"]
    assert outside(np.zeros((1, 3))).tolist() == [""]


def test_three_sizes_determine_a_capacity_exactly():
    """Runs of four formats at six sizes, but int8 at three: its ρ has a value and no interval, the others have one."""
    runs = rl.runs.one_estimator(rl.runs.load("quest2025"))
    fit = rl.fit("decoupled", runs, fixed={"E": 1.3, "alpha": 0.13, "beta": 0.5}, n_bootstrap=30)
    (name,) = fit.exact
    assert "int8" in name and name not in fit.intervals
    rho, *ends = fit.capacity("int8", "int8")
    assert rho > 0.9 and np.isnan(ends).all()
    rho, low, high = fit.capacity("int4", "int4")
    assert low < rho < high
    assert np.isnan(fit.standard_errors[name])
    assert np.isnan(fit.capacity("dense")[1:]).all()


@pytest.mark.slow
def test_runs_that_leave_a_capacity_open_give_none():
    """At one size a loss is no size, and where D goes with N its term may stand for ρ: of twelve such sets of runs the
    intervals of resamples would hold the true capacity in four and in two."""
    one = compressed_runs(0.002, ("dense", "int2", "int4"), sizes=(1e8,))
    one = pd.concat([one, one.assign(n_tokens=5 * one.n_tokens, loss=LAW.loss(1e8, 5 * one.n_tokens, one.rho))])
    line = compressed_runs(0.002, ("dense", "int2", "int4"), sizes=(1e7, 3e7, 1e8, 3e8, 1e9)).assign(
        n_tokens=lambda runs: 100 * runs.n_params, loss=lambda runs: LAW.loss(runs.n_params, runs.n_tokens, runs.rho)
    )
    term = {name: TRUTH[name] for name in ("B", "beta")}
    for runs, held in ((one, {name: TRUTH[name] for name in ("A", "alpha")}), (line, term)):
        for law in ("unified", "decoupled"):
            open_, told = (rl.fit(law, runs, fixed=fixed, n_bootstrap=20) for fixed in ({}, held))
            assert np.isnan(open_.capacity("int2")).all()
            rho, low, high = told.capacity("int2")
            assert low <= rho <= high and rho == pytest.approx(runs.rho[runs.weights == "int2"].max(), rel=0.05)
            assert not all(open_.identified[name] for name in open_.model.capacity_names)
    assert open_.confounded and open_.table().why.iloc[-1].startswith("ρ and the term of D are not told apart")


def test_as_many_runs_as_parameters_have_no_interval():
    runs = dense_runs(0, count=3)
    fit = rl.fit("chinchilla", runs, fixed=HELD, n_bootstrap=20)
    assert fit.exact == ("A", "alpha", "B") and not fit.intervals
    low, high = fit.predict_interval(runs)
    assert (low == 0).all() and np.isinf(high).all()


def test_the_error_of_a_mean_is_its_jackknife():
    """Residuals u − x of six clusters, all within Huber's quadratic part: the jackknife is s / √6."""
    x, clusters = np.repeat([0.1, 0.5, 0.2, 0.8, 0.3, 0.4], 2), np.repeat(np.arange(6), 2)
    u, bounds = np.array([x.mean()]), (np.array([-9.0]), np.array([9.0]))
    unit = np.full((12, 1), 12**-0.5)
    error = jackknife(u - x, unit, np.array([[12**-0.5]]), clusters, 10.0)
    assert error == pytest.approx(x[::2].std(ddof=1) / np.sqrt(6))
    known = curvature(lambda u: u[..., :1] - x, u, *bounds, ("m",), clusters, 10.0, np.empty((0, 1)))
    assert known["identified"]["m"] and not known["exact"] and np.isnan(known["standard_errors"]["m"])


@pytest.mark.slow
def test_random_folds_of_a_real_set_are_covered():
    """A quarter of Frantar's vision runs left out, four times: .90 to .98 of them, at a nominal 95 %."""
    runs = rl.runs.load("frantar2023_vit")
    fold, covered = np.random.default_rng(0).integers(0, 4, len(runs)), []
    for number in range(4):
        part = rl.fit("unified", runs[fold != number], fixed={"alpha": 0.2, "beta": 0.4}, n_bootstrap=30)
        low, high = part.predict_interval(runs[fold == number])
        covered += ((low <= runs.loss[fold == number]) & (runs.loss[fold == number] <= high)).tolist()
    assert 0.9 <= np.mean(covered) <= 0.98
