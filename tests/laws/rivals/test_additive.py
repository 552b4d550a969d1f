"""The additive laws give back what made their runs."""

import numpy as np
import pytest
from synthetic_runs import HELD, QUANTISED, TRUTH, assert_gives_back, noiseless

import rholaw as rl
from rholaw.laws import registry

BY_ERROR = TRUTH | {"k": 0.7, "c": 0.8, "r": 0.06, "s": 1.2}
OWN = TRUTH | {"k": 0.7, "c": 0.8}


@pytest.mark.parametrize("law", ["additive", "additive-composed"])
def test_noiseless_runs_give_the_parameters_back(law):
    fit = rl.fit(law, noiseless(law, QUANTISED, OWN), fixed=HELD)
    assert_gives_back(fit, OWN)
    with pytest.raises(ValueError, match=f"'{law}' has no ρ"):
        fit.capacity("int4")
    with pytest.raises(ValueError, match=f"'{law}' has no ρ"):
        fit.capacity_draws("int4")


@pytest.mark.parametrize("pair", [("int3", "dense"), ("int2", "int2")])
def test_with_exponents_a_cost_falls_with_size_as_its_error_says(pair):
    law = registry.find("additive-exponents")
    runs = noiseless("additive-exponents", [("dense", "dense"), pair], BY_ERROR).query("n_tokens == 5 * n_params")
    loss = runs.set_index(["n_params", "weights"]).loss.unstack()
    error, parts = rl.gmse(pair[0]).value, 1 + (pair[1] != "dense")
    a = BY_ERROR["r"] * (-np.log(error) / np.log(4)) ** BY_ERROR["s"]
    expected = parts * BY_ERROR["k"] * error ** BY_ERROR["c"] * (loss.index / 1e8) ** -a
    assert (loss[pair[0]] - loss.dense).to_numpy() == pytest.approx(expected, rel=1e-9)
    assert law(runs).names == tuple(BY_ERROR)


def test_exponents_by_error_come_back_from_noiseless_runs():
    fit = rl.fit("additive-exponents", noiseless("additive-exponents", QUANTISED, BY_ERROR), fixed=HELD)
    assert_gives_back(fit, BY_ERROR)


def test_dense_runs_are_refused():
    runs = noiseless("additive", QUANTISED, OWN).assign(weights="dense", activations="dense")
    with pytest.raises(ValueError, match="all of these are dense"):
        rl.fit("additive", runs)
