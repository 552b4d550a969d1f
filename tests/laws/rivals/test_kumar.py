"""Kumar's law gives back what made its runs, and its optimal precision follows from its constants."""

import pytest
from synthetic_runs import HELD, QUANTISED, TRUTH, assert_gives_back, constants, noiseless

import rholaw as rl
from rholaw.laws.rivals.kumar import optimal_bits

OWN = TRUTH | {"gamma_w": 2.7, "gamma_a": 2.2}
OFFSET = OWN | {"n_w": 0.3, "n_a": 0.5}


@pytest.fixture(scope="module")
def runs():
    return noiseless("kumar", QUANTISED, OWN)


def test_noiseless_runs_give_the_parameters_back(runs):
    fit = rl.fit("kumar", runs, fixed=HELD)
    assert_gives_back(fit, OWN)
    with pytest.raises(ValueError, match="'kumar' has no curve"):
        fit.curve()


def test_so_do_those_with_offsets():
    assert_gives_back(rl.fit("kumar-offset", noiseless("kumar-offset", QUANTISED, OFFSET), fixed=HELD), OFFSET)


@pytest.mark.parametrize(
    ("weights", "message"),
    [("2:4+int4", "cannot express the sparsity or the outliers of 2:4"), ("dense", "all of these are dense")],
)
def test_what_it_cannot_express_is_refused(runs, weights, message):
    with pytest.raises(ValueError, match=message):
        rl.fit("kumar", runs.assign(weights=weights, activations="dense"))


def test_a_side_that_no_run_compresses_is_refused(runs):
    fit = rl.fit("kumar", runs[runs.activations == "dense"], fixed=HELD)
    assert "gamma_a" not in fit.params
    with pytest.raises(ValueError, match="saw no compressed activations"):
        fit.predict(runs)


def test_the_optimal_precision_needs_the_offsets():
    c = constants("kumar2024")
    gammas, offsets = ([c[f"{name}_{side}"] for side in ("w", "a", "kv")] for name in ("gamma", "n"))
    assert optimal_bits(gammas, offsets) == pytest.approx(c["P_star"], abs=0.01)
    assert optimal_bits(gammas) == pytest.approx(3.47, abs=0.01)
