"""The additive laws give back what made their runs."""

import pytest
from synthetic_runs import HELD, QUANTISED, TRUTH, assert_gives_back, noiseless

import rholaw as rl

OWN = TRUTH | {"k": 0.7, "c": 0.8}


@pytest.mark.parametrize("law", ["additive", "additive-composed"])
def test_noiseless_runs_give_the_parameters_back(law):
    fit = rl.fit(law, noiseless(law, QUANTISED, OWN), fixed=HELD)
    assert_gives_back(fit, OWN)
    with pytest.raises(ValueError, match=f"'{law}' has no ρ"):
        fit.capacity("int4")
    with pytest.raises(ValueError, match=f"'{law}' has no ρ"):
        fit.capacity_draws("int4")


def test_dense_runs_are_refused():
    runs = noiseless("additive", QUANTISED, OWN).assign(weights="dense", activations="dense")
    with pytest.raises(ValueError, match="all of these are dense"):
        rl.fit("additive", runs)
