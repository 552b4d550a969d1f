"""Fits find the truth they are given, say what they cannot know, and agree with scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import huber as scipy_huber

import rholaw as rl
from rholaw.laws.optimise import huber, jacobian, minimise

TRUTH = {"A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28, "E": 1.69}
LAW = rl.Law(**TRUTH)
CURVE = rl.Curve(F=0.41, C=1.39)


def dense_runs(seed, count=200, noise=0.005):
    """Synthetic runs of the law that Hoffmann et al. print."""
    generator = np.random.default_rng(seed)
    runs = pd.DataFrame(
        {"n_params": 10 ** generator.uniform(7, 10, count), "n_tokens": 10 ** generator.uniform(8.5, 11.5, count)}
    )
    runs["loss"] = LAW.loss(runs.n_params, runs.n_tokens) * np.exp(noise * generator.standard_normal(count))
    return runs


def compressed_runs(noise=0.0, formats=("dense", "int2", "int3", "int4", "int8", "e2m1"), seed=0):
    """Synthetic runs of the unified law: weights in each format, activations dense or the same."""
    rows = [
        (n, ratio * n, weights, activations)
        for n in (3e7, 1e8, 3e8, 1e9)
        for ratio in (20, 100)
        for weights in formats
        for activations in {"dense", weights if "+" not in weights and ":" not in weights else "dense"}
    ]
    runs = pd.DataFrame(rows, columns=["n_params", "n_tokens", "weights", "activations"]).sort_values(
        ["weights", "activations", "n_params", "n_tokens"], ignore_index=True
    )
    rho = [
        np.prod([CURVE(rl.gmse(part).value) for text in pair for part in rl.parse(text).parts])
        for pair in zip(runs.weights, runs.activations, strict=True)
    ]
    scatter = np.exp(noise * np.random.default_rng(seed).standard_normal(len(runs)))
    return runs.assign(rho=rho, loss=LAW.loss(runs.n_params, runs.n_tokens, rho) * scatter)


def test_the_truth_lies_inside_the_intervals():
    """Joint over the five parameters, for at least 18 of 20 seeds."""
    inside = 0
    for seed in range(20):
        fit = rl.fit("chinchilla", dense_runs(seed), n_bootstrap=400, seed=seed)
        assert fit.status == "converged"
        assert all(fit.identified.values())
        inside += all(low <= TRUTH[name] <= high for name, (low, high) in fit.intervals.items())
    assert inside >= 18


def test_noiseless_runs_give_the_parameters_back():
    fit = rl.fit("chinchilla", dense_runs(0, count=40, noise=0.0))
    assert fit.params == pytest.approx(TRUTH, rel=1e-6)
    fit = rl.fit("unified", compressed_runs())
    assert fit.params == pytest.approx(TRUTH | {"F": 0.41, "C": 1.39, "L": 1.0}, rel=1e-5)
    runs = compressed_runs()
    fit = rl.fit("decoupled", runs)
    for weights, activations, rho in runs[["weights", "activations", "rho"]].drop_duplicates().itertuples(index=False):
        assert fit.capacity(weights, activations)[0] == pytest.approx(rho, rel=1e-5)


def test_two_families_have_two_curves():
    runs = compressed_runs(formats=("dense", "int2", "int3", "int4", "s0.25", "s0.5", "s0.75", "2:4+int4"))
    fit = rl.fit("unified", runs)
    assert {"F[quantised]", "C[sparse]"} < set(fit.params)
    for family in ("quantised", "sparse"):
        assert pytest.approx(0.41, rel=1e-4) == fit.curve(family).F
    assert fit.law().alpha == pytest.approx(0.34, rel=1e-4)


def test_a_free_saturation_level_is_found():
    runs = compressed_runs()
    compressed = (runs.weights != "dense").astype(int) + (runs.activations != "dense")
    runs["loss"] = LAW.loss(runs.n_params, runs.n_tokens, runs.rho * 0.8**compressed)
    fit = rl.fit("unified", runs, fixed={"L": None})
    assert fit.params["L"] == pytest.approx(0.8, rel=1e-4)


def test_it_predicts_formats_it_never_saw_only_if_the_law_can():
    runs = compressed_runs()
    seen, unseen = runs[runs.weights != "int3"], runs[runs.weights == "int3"]
    np.testing.assert_allclose(rl.fit("unified", seen).predict(unseen), unseen.loss, rtol=1e-6)
    with pytest.raises(ValueError, match=r"no ρ for weights int3 with activations dense.*rho\[int2\|int2\]"):
        rl.fit("decoupled", seen).predict(unseen)
    with pytest.raises(ValueError, match="no run had a sparse part"):
        rl.fit("unified", seen).capacity("2:4")


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
    assert rl.fit("chinchilla", runs, fixed={"B": 410.7, "beta": 0.28}).identified["E"]


def test_a_bound_is_reported():
    runs = dense_runs(0)
    runs["loss"] = rl.Law(A=20, alpha=0.1, B=50, beta=0.2, E=0).loss(runs.n_params, runs.n_tokens)
    fit = rl.fit("chinchilla", runs)
    assert fit.status == "bound hit: E"
    assert not fit.identified["E"]
    assert rl.fit("chinchilla", runs, fixed={"E": 0}).params == pytest.approx(
        {"A": 20, "alpha": 0.1, "B": 50, "beta": 0.2, "E": 0}, rel=1e-4, abs=1e-9
    )


def test_profile_is_lowest_at_the_truth():
    profile = rl.profile("chinchilla", dense_runs(1), "E", [1.4, 1.69, 1.9])
    assert profile.objective.idxmin() == 1
    assert profile.E.tolist() == pytest.approx([1.4, 1.69, 1.9])


def test_bootstrap_is_seeded_and_bands_widen_away_from_the_data():
    runs = compressed_runs(noise=0.005)
    first, again, other = (rl.fit("unified", runs, n_bootstrap=100, seed=seed) for seed in (1, 1, 2))
    assert first.intervals == again.intervals != other.intervals
    rho, low, high = first.capacity("int3")
    assert low < rho < high
    far = runs.iloc[:1].assign(n_params=1e12, n_tokens=1e9)
    near = runs.iloc[:1]
    (low_far, high_far), (low_near, high_near) = first.predict_interval(far), first.predict_interval(near)
    assert high_far - low_far > high_near - low_near > 0


@pytest.mark.parametrize(
    ("law", "change", "message"),
    [
        ("chinchila", {}, "unknown law 'chinchila'; there are chinchilla, unified, decoupled"),
        ("unified", {"drop": "weights"}, "lack the columns weights"),
        ("chinchilla", {"drop": "loss"}, "lack the columns loss"),
        ("unified", {"weights": "int9"}, "column weights, row 0: format 'int9'"),
        ("unified", {"weights": "dense", "activations": "dense"}, "all of these are dense"),
        ("decoupled", {"weights": "int4"}, "needs dense runs"),
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
    fit = rl.fit("unified", compressed_runs())
    assert np.isnan(fit.capacity("int4")[1])
    with pytest.raises(ValueError, match="no bootstrap"):
        fit.predict_interval(compressed_runs())


def test_huber_is_scipys_and_the_jacobian_is_exact():
    r = np.linspace(-3, 3, 61)
    np.testing.assert_allclose(huber(r, 0.7), scipy_huber(0.7, r), rtol=1e-14)
    value, J = jacobian(lambda u: np.exp(u[..., :1] * np.arange(3.0)) + u[..., 1:] ** 2, np.array([[0.3, 2.0]]))
    np.testing.assert_allclose(value[0], np.exp(0.3 * np.arange(3)) + 4)
    np.testing.assert_allclose(J[0], [np.arange(3) * np.exp(0.3 * np.arange(3)), [4, 4, 4]], rtol=1e-14)


def test_minimise_finds_a_median_when_delta_is_small():
    data = np.array([0.0, 1.0, 2.0, 10.0, 50.0])
    u, _, converged = minimise(
        lambda u: u[..., :1] - data, np.full((1, 1), 30.0), np.array([-99.0]), np.array([99.0]), np.ones(5), 1e-3
    )
    assert converged.all()
    assert u[0, 0] == pytest.approx(2, abs=2e-3)
