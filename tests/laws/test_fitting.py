"""Fits find the truth they are given, say what they cannot know, and agree with scipy."""

import dataclasses

import numpy as np
import pytest
from sampling import FULL
from scipy.optimize import minimize
from scipy.special import huber as scipy_huber
from synthetic_runs import LAW, TRUTH, compressed_runs, dense_runs

import rholaw as rl
from rholaw.laws import curvature
from rholaw.laws.optimise import huber, jacobian, minimise
from rholaw.laws.parameters import Parameters


def test_the_truth_lies_inside_the_intervals():
    """Joint over the five parameters, for at least four of five seeds."""
    seeds, n_bootstrap = (20, 400) if FULL else (5, 80)
    inside = 0
    for seed in range(seeds):
        fit = rl.fit("chinchilla", dense_runs(seed, count=200 if FULL else 80), n_bootstrap=n_bootstrap, seed=seed)
        assert fit.status == "converged"
        assert all(fit.identified.values())
        inside += all(low <= TRUTH[name] <= high for name, (low, high) in fit.intervals.items())
    assert inside >= 0.8 * seeds


def test_noiseless_runs_give_the_parameters_back():
    fit = rl.fit("chinchilla", dense_runs(0, count=40, noise=0.0))
    assert fit.params == pytest.approx(TRUTH, rel=1e-6)


def test_the_optimum_is_scipys():
    """The same objective by L-BFGS-B from our optimum's neighbourhood and from afar is never lower."""
    runs = dense_runs(3)
    fit = rl.fit("chinchilla", runs)
    n, d, y = (np.log(runs[name].to_numpy()) for name in ("n_params", "n_tokens", "loss"))

    def objective(u):
        a, alpha, b, beta, e = u
        return scipy_huber(1e-3, np.logaddexp.reduce([a - alpha * n, b - beta * d, np.full_like(n, e)]) - y).sum()

    found = [
        np.log(fit.params["A"]),
        fit.params["alpha"],
        np.log(fit.params["B"]),
        fit.params["beta"],
        np.log(fit.params["E"]),
    ]
    assert objective(found) == pytest.approx(fit.objective, rel=1e-10)
    generator = np.random.default_rng(0)
    for _ in range(5):
        start = np.array(found) * generator.uniform(0.8, 1.2, 5)
        other = minimize(objective, start, method="L-BFGS-B", options={"ftol": 1e-15, "maxiter": 5000})
        assert fit.objective <= other.fun * (1 + 1e-8)


def test_outliers_hardly_matter():
    runs = dense_runs(5)
    spoiled = runs.assign(loss=runs.loss.where(runs.index % 20 != 0, runs.loss * 1.3))
    assert rl.fit("chinchilla", spoiled).params["alpha"] == pytest.approx(
        rl.fit("chinchilla", runs).params["alpha"], rel=0.03
    )


def test_one_token_budget_does_not_identify_the_data_term():
    runs = dense_runs(0).assign(n_tokens=1e10)
    runs["loss"] = LAW.loss(runs.n_params, runs.n_tokens)
    fit = rl.fit("chinchilla", runs)
    assert not any(fit.identified[name] for name in ("B", "beta", "E"))
    assert fit.table().loc[["B", "beta", "E"], "value"].isna().all()
    assert fit.table().why["B"] == "other parameters can make up for it: these runs leave it free"
    held = rl.fit("chinchilla", runs, fixed={"B": 410.7, "beta": 0.28})
    assert held.identified["E"]
    assert held.table().identified.to_dict() == {"A": "yes", "alpha": "yes", "B": "held", "beta": "held", "E": "yes"}
    assert held.table().value["B"] == pytest.approx(410.7)
    told = ["given, not fitted", "by the curvature alone: a bootstrap would tell better"]
    assert held.table().why[["B", "E"]].tolist() == told


def test_what_runs_leave_open_does_not_move_the_errors_of_the_rest(monkeypatch):
    """One format tells one combination of F and C: where a fit stops on it depends on the last bits of a processor."""
    curved, jackknife = [], curvature.jackknife
    monkeypatch.setattr(curvature, "jackknife", lambda *given: curved.append(jackknife(*given)) or curved[-1])
    runs = compressed_runs(noise=0.003, formats=("dense", "int3"), sizes=(3e7, 1e8, 3e8, 1e9))
    fits = [rl.fit("unified", runs, fixed=fixed) for fixed in ({}, {"C": 0.6}, {"C": 1.5})]
    free, *held = ({name: error for name, error in zip(fit.standard_errors, errors, strict=True) if name not in "FC"}
                   for fit, errors in zip(fits, curved, strict=True))  # fmt: skip
    assert np.isinf([fits[0].standard_errors[name] for name in "FC"]).all() and all(np.isfinite([*free.values()]))
    assert held == [pytest.approx(free, rel=0.02)] * 2


def test_a_fit_without_a_bootstrap_has_no_standard_errors():
    runs = dense_runs(0, count=40)
    alone, drawn = (rl.fit("chinchilla", runs, n_bootstrap=count).standard_errors for count in (0, 20))
    assert alone.keys() == drawn.keys() and np.isnan([*alone.values()]).all() and np.isfinite([*drawn.values()]).all()


def test_runs_on_a_line_of_tokens_per_parameter_are_remarked_upon():
    runs = dense_runs(0, count=40)
    assert rl.fit("chinchilla", runs).remarks == ()
    assert rl.fit("chinchilla", runs.assign(n_tokens=1e10)).remarks == ()
    (remark,) = rl.fit("chinchilla", runs.assign(n_tokens=100 * runs.n_params)).remarks
    assert remark.startswith("log N and log D of the runs correlate at 1.000")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"huber_delta": 0}, "0 must be above 0 .huber_delta"),
        ({"n_bootstrap": 1.5}, "n_bootstrap: resamples must be a whole number, not 1.5"),
        ({"seed": -1}, "-1 must be at least 0 .* .seed."),
        ({"fixed": ["E"]}, "fixed names parameters with their values"),
        ({"fixed": {"E": "one"}}, "E must be positive and finite, got 'one'"),
        ({"cluster": 3}, "cluster must be a column, a function of the runs, or None, not 3"),
    ],
)
def test_a_wrong_setting_is_refused_before_the_search(settings, message):
    with pytest.raises(ValueError, match=message):
        rl.fit("chinchilla", dense_runs(0, count=8), **settings)


def test_a_format_that_is_no_text_is_refused_with_its_row():
    runs = compressed_runs(noise=0.003)
    for wrong in (None, 4):
        spoiled = runs.assign(weights=runs.weights.astype(object).where(runs.index != 2, wrong))
        with pytest.raises(ValueError, match="runs, column weights, row 2: a format is text"):
            rl.fit("unified", spoiled)


def test_a_profile_wants_several_values():
    with pytest.raises(ValueError, match="values are those at which E is held, as in"):
        rl.profile("chinchilla", dense_runs(0, count=8), "E", 1.5)


def test_a_bound_is_reported():
    runs = dense_runs(0)
    runs["loss"] = rl.Law(A=20, alpha=0.1, B=50, beta=0.2, E=0).loss(runs.n_params, runs.n_tokens)
    fit = rl.fit("chinchilla", runs)
    assert fit.status == "bound hit: E"
    assert not fit.identified["E"] and fit.table().why["E"] == "it ended on its bound"
    assert rl.fit("chinchilla", runs, fixed={"E": 0}).params == pytest.approx(
        {"A": 20, "alpha": 0.1, "B": 50, "beta": 0.2, "E": 0}, rel=1e-4, abs=1e-9
    )


def test_profile_is_lowest_at_the_truth():
    profile = rl.profile("chinchilla", dense_runs(1), "E", [1.4, 1.69, 1.9])
    assert profile.objective.idxmin() == 1
    assert profile.E.tolist() == pytest.approx([1.4, 1.69, 1.9])


HELD = {"alpha": 0.34}  # a fit has fewer starts


@pytest.fixture(scope="module")
def noisy():
    """Runs of the unified law with noise."""
    return compressed_runs(noise=0.005, formats=("dense", "int2", "int3", "int4"))


@pytest.fixture(scope="module")
def unified(noisy):
    return rl.fit("unified", noisy, fixed=HELD, n_bootstrap=60, seed=1)


def test_a_bootstrap_is_seeded_and_bands_widen_away_from_the_data(noisy, unified):
    again, other = (rl.fit("unified", noisy, fixed=HELD, n_bootstrap=60, seed=seed) for seed in (1, 2))
    for name, interval in unified.intervals.items():
        assert again.intervals[name] == pytest.approx(interval, rel=1e-9)
    assert other.intervals["F"] != pytest.approx(unified.intervals["F"], rel=1e-4)
    near = noisy.iloc[:1]
    far = near.assign(n_params=1e12, n_tokens=1e9)
    (low_far, high_far), (low_near, high_near) = unified.predict_interval(far), unified.predict_interval(near)
    assert high_far / low_far > high_near / low_near > 1


def test_capacities_come_from_the_curves_of_the_resamples(unified):
    rho, low, high = unified.capacity("int3")
    draws = unified.capacity_draws("int3")
    assert low < rho < high
    assert (low, high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))
    error = rl.gmse("int3").value
    np.testing.assert_allclose([float(curve(error)) for curve in unified.curves()], draws)
    np.testing.assert_allclose(unified.capacity_draws("int3", "int3"), draws**2)
    assert unified.curve() == rl.Curve(*(unified.params[name] for name in "FCL"))
    assert [curve.F for curve in unified.curves()] == unified.samples["F"].tolist()
    assert (unified.capacity_draws("dense") == 1).all()


def test_the_score_of_runs_is_that_of_its_predictions(noisy, unified):
    runs = noisy.iloc[3::7]
    errors = np.log(unified.predict(runs) / runs.loss)
    score = unified.score(runs)
    assert score["log_rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert score["bias"] == pytest.approx(errors.mean())
    assert score["worst"] == pytest.approx(np.abs(errors).max())
    assert 0 < score["low"] < score["high"]
    unseen = unified.score(noisy)
    assert unseen["log_rmse"] == pytest.approx(unified.rmse)


def test_a_fit_knows_the_formats_and_families_of_its_runs(noisy, unified):
    pairs = noisy[["weights", "activations"]].drop_duplicates()
    formats = {(rl.parse(weights), rl.parse(activations)) for weights, activations in pairs.itertuples(index=False)}
    assert set(unified.pairs) == formats - {(rl.parse("dense"), rl.parse("dense"))}
    assert unified.families == ("quantised",)
    plain = rl.fit("chinchilla", noisy)
    assert plain.pairs == plain.families == ()
    with pytest.raises(ValueError, match="'chinchilla' has no curve"):
        plain.curves()


@pytest.mark.parametrize(
    ("law", "change", "message"),
    [
        ("chinchila", {}, "chinchila: there is no such law; did you mean chinchilla"),
        ("unified", {"drop": "weights"}, "lack the columns weights"),
        ("chinchilla", {"drop": "loss"}, "lack the columns loss"),
        ("unified", {"weights": "int9"}, "column weights, row 0: format 'int9'"),
        ("unified", {"weights": "dense", "activations": "dense"}, "all of these are dense"),
        ("chinchilla", {"loss": -1.0}, "loss must"),
        ("chinchilla", {"rows": 4}, "5 free parameters here, and there are only 4 runs"),
    ],
)
def test_bad_runs_are_refused(law, change, message):
    runs = compressed_runs()
    if "rows" in change:
        runs = runs.head(change["rows"])
    elif "drop" in change:
        runs = runs.drop(columns=change["drop"])
    else:
        runs = runs.assign(**change)
    with pytest.raises(ValueError, match=message):
        rl.fit(law, runs)


@pytest.mark.parametrize(
    ("fixed", "message"), [({"gamma": 1}, "no parameter 'gamma'"), ({"E": -1}, "cannot be held at -1")]
)
def test_bad_fixed_parameters_are_refused(fixed, message):
    with pytest.raises(ValueError, match=message):
        rl.fit("chinchilla", dense_runs(0), fixed=fixed)


def test_intervals_need_a_bootstrap():
    runs = compressed_runs(formats=("dense", "int2", "int3"))
    fit = rl.fit("unified", runs)
    assert np.isnan(fit.capacity("int4")[1:]).all()
    assert len(fit.capacity_draws("int4")) == len(fit.curves()) == 0
    assert np.isnan([fit.score(runs)[end] for end in ("low", "high")]).all()
    with pytest.raises(ValueError, match="no bootstrap"):
        fit.predict_interval(runs)


def test_an_unknown_target_is_refused():
    with pytest.raises(ValueError, match="target is 'los', it must be 'log' or 'loss'"):
        rl.fit("chinchilla", dense_runs(0), target="los")


def test_huber_is_scipys_and_the_jacobian_is_exact():
    r = np.linspace(-3, 3, 61)
    np.testing.assert_allclose(huber(r, 0.7), scipy_huber(0.7, r), rtol=1e-14)

    def residuals(u):
        return np.exp(u[..., :1] * np.arange(3.0)) + u[..., 1:] ** 2

    u = np.array([[0.3, 2.0]])
    value, J = jacobian(residuals, u)
    np.testing.assert_allclose(value[0], np.exp(0.3 * np.arange(3)) + 4)
    np.testing.assert_allclose(J[0], [np.arange(3) * np.exp(0.3 * np.arange(3)), [4, 4, 4]], rtol=1e-14)
    for free in ([False, True], [True, False], [False, False]):
        value, some = jacobian(residuals, u, free)
        np.testing.assert_allclose(value, residuals(u), rtol=1e-14)
        np.testing.assert_array_equal(some, np.where(np.array(free)[:, None], J, 0))


def test_minimise_finds_a_median_when_delta_is_small():
    data = np.array([0.0, 1.0, 2.0, 10.0, 50.0])
    u, _, converged = minimise(
        lambda u: u[..., :1] - data, np.full((1, 1), 30.0), np.array([-99.0]), np.array([99.0]), np.ones(5), 1e-3
    )
    assert converged.all()
    assert u[0, 0] == pytest.approx(2, abs=2e-3)


def test_refits_come_to_their_end_in_the_long_valley_of_a_free_floor():
    """As of QuEST's runs, whose E may take over from A and B for little: steps that do not bend give up on the way."""
    runs = rl.runs.one_estimator(rl.runs.load("quest2025"))
    fit = rl.fit("unified", runs, n_bootstrap=0)
    model, loss = fit.model, np.log(runs.loss.to_numpy())
    columns, u = model.columns(runs), np.log([list(fit.params.values())])
    lower, upper = np.log([model.bounds[name] for name in model.names]).T
    weights = np.random.default_rng(0).multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=20)
    held = np.array([name in model.held for name in model.names])
    lower, upper = np.where(held, u[0], lower), np.where(held, u[0], upper)
    search = (lambda v: model.log_loss(Parameters(model.names, v), columns) - loss, np.repeat(u, 20, axis=0))
    _, objective, converged = minimise(*search, lower, upper, weights, 1e-3)
    _, longest, _ = minimise(*search, lower, upper, weights, 1e-3, max_iterations=3000)
    assert converged.sum() >= 19
    np.testing.assert_allclose(objective, longest, rtol=1e-4)


def test_a_table_says_how_far_a_parameter_is_known_where_that_says_anything():
    fit = rl.fit("chinchilla", dense_runs(0))
    errors = {"A": np.nan, "alpha": 1e6, "B": np.inf}
    wide = dataclasses.replace(fit, standard_errors=errors, identified=dict.fromkeys(fit.params, False))
    free = "other parameters can make up for it: these runs leave it free"
    assert wide.table().why[list(errors)].tolist() == ["hardly known: a bootstrap would say how far", free, free]
    drawn = dataclasses.replace(wide, standard_errors=errors | {"A": 1.0})
    assert drawn.table().why[list(errors)].tolist() == ["known to a factor of 7.1 only", free, free]
    agreed = dataclasses.replace(drawn, standard_errors=errors | {"A": 0.01})
    assert agreed.table().why["A"] == "its resamples agree, but other values of it fit these runs nearly as well"


def test_a_table_says_whether_a_bootstrap_stands_behind_it():
    """Of QuEST's six dense runs the resamples tell E to 2 %, though almost any E fits them: it is not identified."""
    runs = dense_runs(0, count=40)
    alone, drawn = (rl.fit("chinchilla", runs, n_bootstrap=count).table().why for count in (0, 20))
    assert {*alone} == {"by the curvature alone: a bootstrap would tell better"} and {*drawn} == {""}
    quest = rl.runs.load("quest2025").query("weights == 'dense' and activations == 'dense'")
    fit = rl.fit("chinchilla", quest, n_bootstrap=100)
    assert fit.standard_errors["E"] < 0.1 and not fit.identified["E"]
    assert fit.table().why["E"].startswith("its resamples agree")
