"""Frantar's law gives back what made its runs, and meets its printed constants, one of which is no optimum."""

import numpy as np
import pytest
from sampling import FULL
from synthetic_runs import assert_gives_back, constants, noiseless

import rholaw as rl
from rholaw.laws.optimise import huber
from rholaw.laws.parameters import Parameters

PAIRS = [(f, "dense") for f in ("dense", "s0.25", "s0.5", "s0.75", "s0.9")]
OWN = {"a_S": 1.3, "b_S": 0.82, "c_S": 2.1, "b_N": 0.39, "a_D": 0.24, "b_D": 0.6, "E": 1.5}


@pytest.fixture(scope="module")
def runs():
    return noiseless("frantar", PAIRS, OWN)


def test_noiseless_runs_give_the_parameters_back(runs):
    held = {} if FULL else {"b_D": OWN["b_D"]}
    fit, half = rl.fit("frantar", runs, fixed=held), runs[runs.weights == "s0.5"]
    assert_gives_back(fit, OWN)
    smaller = half.assign(weights="dense", n_params=half.n_params * fit.capacity("s0.5")[0])
    np.testing.assert_allclose(fit.predict(smaller), half.loss, rtol=1e-9)
    with pytest.raises(ValueError, match="dense part of the law 'frantar'"):
        fit.law()


@pytest.mark.parametrize(
    ("weights", "activations", "message"),
    [("int4", "dense", "cannot express weights int4"), ("s0.5", "s0.5", "with activations s0.5")],
)
def test_what_it_cannot_express_is_refused(runs, weights, activations, message):
    with pytest.raises(ValueError, match=message):
        rl.fit("frantar", runs.assign(weights=weights, activations=activations))


def printed_frantar(fit, tokens):
    """The printed constants in the order and the units of the law: a_D D^-b_D with D in ``tokens`` → (a_D / D)^b_D."""
    c = constants("frantar2023", fit=fit)
    a_D = c["a_D"] ** (1 / c["b_D"]) * tokens / 1e9
    return {name: c[name] for name in ("a_S", "b_S", "c_S", "b_N")} | {"a_D": a_D, "b_D": c["b_D"], "E": c["c"]}


def test_the_constants_for_vit_are_the_optimum():
    runs = rl.runs.load("frantar2023_vit")
    fit = rl.fit("frantar", runs, target="loss", huber_delta=1e-2)
    assert len(runs) == 112
    assert fit.status == "converged"
    assert fit.params == pytest.approx(printed_frantar("vit", 1e9), rel=1e-3)
    assert fit.objective / 112 == pytest.approx(constants("frantar2023", fit="vit")["objective"], rel=1e-4)


def test_the_constants_for_t5_are_no_optimum():
    """The print has the objective that is printed with it, and on the same runs another point has 36 % less."""
    runs = rl.runs.load("frantar2023_t5")
    printed = printed_frantar("t5", 1e5 * 65536)
    fit = rl.fit("frantar", runs)
    p = Parameters(tuple(printed), np.log([*printed.values()]))
    residuals = fit.model.log_loss(p, fit.model.columns(runs)) - np.log(runs.loss)
    objective = constants("frantar2023", fit="t5")["objective"]
    assert len(runs) == 48
    assert huber(residuals, 1e-3).mean() == pytest.approx(objective, rel=1e-5)
    assert fit.status == "converged"
    assert fit.objective / 48 == pytest.approx(0.642 * objective, rel=1e-2)
    assert fit.params["b_S"] == pytest.approx(1.345, rel=1e-2)
    assert printed["b_S"] == pytest.approx(0.722, rel=1e-2)
    held = rl.fit("frantar", runs, fixed={name: printed[name] for name in ("b_S", "b_D", "E")})
    assert held.params == pytest.approx(printed, rel=0.015)
