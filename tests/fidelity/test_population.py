"""The law after training over models: found again where it is known, and refused where nothing is."""

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.fidelity import mixed, posterior
from rholaw.fidelity.population import METHODS, TERMS, design, fit_population, per_row_scale, recorded


def population_rows(models=60, seed=0):
    """Rows of models whose log κ is 2 − 0.3 log(N / 7e9) + 0.2 log(D / 15e12), and 1 less for gptq; sd 0.3, 0.1."""
    random = np.random.default_rng(seed)
    rows = []
    for model in range(models):
        size, tokens = np.exp(random.uniform(np.log(1e8), np.log(1e12))), np.exp(random.uniform(25, 31))
        own = 0.3 * random.standard_normal()
        for method, formats in (("rtn", ["q4_0", "q3_k"]), ("gptq", ["q4_0", "q2_k"])):
            for name in formats:
                log_kappa = 2 - 0.3 * np.log(size / 7e9) + 0.2 * np.log(tokens / 15e12) - (method == "gptq") + own
                error = float(rl.gmse(name))
                cost = error * np.exp(log_kappa + 0.1 * random.standard_normal())
                rows.append((f"m{model}", "here", method, name, size, tokens, size, error, cost))
    names = ["model", "source", "method", "format", "n_params", "n_tokens", "n_active", "gmse", "cost"]
    return pd.DataFrame(rows, columns=names)


def test_effects_that_made_the_rows_are_found_again():
    law = fit_population(population_rows())
    terms, errors = dict(zip(TERMS, law.beta, strict=True)), np.sqrt(np.diag(law.covariance))
    for name, truth in {"constant": 2.0, "tokens": 0.2, "gptq": -1.0, "size": -0.3, "size_beyond": 0.0}.items():
        assert abs(terms[name] - truth) < 4 * errors[TERMS.index(name)], name
    assert law.spread[0] == pytest.approx(0.3, rel=0.3)
    assert law.spread[2] == pytest.approx(0.1, rel=0.3)
    assert np.isnan(terms["awq"])  # no row had it


def test_a_method_that_no_row_had_is_refused():
    law = fit_population(population_rows())
    row = pd.DataFrame(
        {"n_params": [1e9], "n_tokens": [1e12], "n_active": [1e9], "method": ["awq"], "format": ["q4_0"]}
    )
    with pytest.raises(ValueError, match="no row of the fit had"):
        law.log_kappa(design(row))


def test_effects_that_the_rows_do_not_tell_apart_are_not_guessed():
    rows = population_rows(20).assign(n_tokens=1e12)  # a constant, then
    law = fit_population(rows)
    assert np.isnan(law.beta[TERMS.index("tokens")])
    assert not law.covers(design(rows.head(1))).any()
    assert law.covers(design(rows.head(1).assign(n_tokens=15e12))).all()


def test_a_regression_without_groups_is_least_squares():
    random = np.random.default_rng(1)
    x = np.column_stack([np.ones(50), random.standard_normal(50)])
    y = x @ [1.0, -2.0] + 0.5 * random.standard_normal(50)
    alone = mixed.fit(y, x, np.arange(50).astype(str), np.arange(50), spread=np.array([0.02, 0.02, 0.5]))
    np.testing.assert_allclose(alone.beta, np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-8)


def test_spreads_of_balanced_groups_are_those_of_an_analysis_of_variance():
    random = np.random.default_rng(2)
    values = 0.8 * random.standard_normal(40)[:, None] + 0.3 * random.standard_normal((40, 6))
    within = values.var(axis=1, ddof=1).mean()
    between = values.mean(axis=1).var(ddof=1) - within / 6
    models = np.repeat(np.arange(40), 6)
    result = mixed.fit(values.ravel(), np.ones((240, 1)), models.astype(str), np.arange(240))
    assert result.spread[0] == pytest.approx(np.sqrt(between), rel=0.02)
    assert np.hypot(*result.spread[1:]) == pytest.approx(np.sqrt(within), rel=0.02)


def test_effects_that_no_row_can_tell_apart_are_refused():
    with pytest.raises(ValueError, match="depend on each other"):
        mixed.fit(np.zeros(3), np.ones((3, 2)), np.array(["a", "b", "c"]), np.arange(3))


def test_a_scale_a_row_is_told_by_the_name():
    assert list(per_row_scale(pd.Series(["uint4/row:zero", "q4_0", "sint4/g128"]))) == [True, False, False]


# --- what is recorded ---------------------------------------------------------------------------------------------


def test_the_recorded_law_has_every_effect_and_a_covariance():
    law = recorded()
    assert np.isfinite(law.beta).all() and np.isfinite(law.covariance).all()
    assert (np.linalg.eigvalsh(law.covariance) > 0).all()
    assert all(0.02 <= spread < 1 for spread in law.spread)
    assert {f"log_{name}" for name in posterior.NAMES} <= posterior.population().keys()


def test_larger_models_and_calibrated_methods_pay_less_and_longer_training_more():
    small, large = rl.prior_sensitivity(1e9), rl.prior_sensitivity(70e9)
    assert large.kappa < small.kappa
    assert rl.prior_sensitivity(7e9, 2e12).kappa < rl.prior_sensitivity(7e9, 30e12).kappa
    assert {
        name: rl.prior_sensitivity(7e9, method=name).kappa < rl.prior_sensitivity(7e9).kappa for name in METHODS
    } == {name: name != "rtn" for name in METHODS}


def test_a_prior_predicts_with_an_interval_and_charges_for_scales_of_whole_rows():
    fit = rl.prior_sensitivity(8e9, 15e12, "imatrix")
    low, high = fit.predict_interval(["q4_k"])
    assert low < fit.predict(["q4_k"]) < high and fit.status == "prior"
    rows, blocks = (
        fit.rise(["sint4/row"]) / rl.gmse("sint4/row").value,
        fit.rise(["sint4/g128"]) / rl.gmse("sint4/g128").value,
    )
    assert rows > 1.5 * blocks
    assert fit.rise_interval("q8_0")[0] < fit.kappa * rl.gmse("q8_0").value < fit.predict("q8_0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_params": 7}, "n_params must lie between"),
        ({"n_params": None}, "n_params must lie between .* not None"),
        ({"n_params": "7e9"}, "n_params must be positive and finite, got '7e9'"),
        ({"n_params": 7e9, "n_tokens": 0}, "n_tokens must lie between"),
        ({"n_params": 7e9, "n_active": 8e9}, "is a part of n_params"),
        ({"n_params": 7e9, "method": "gtpq"}, "did you mean gptq"),
    ],
)
def test_models_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        rl.prior_sensitivity(**arguments)
