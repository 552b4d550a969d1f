"""Chen's law gives back what made its runs, and its constants compose as it says."""

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import HELD, TRUTH, assert_gives_back, noiseless

import rholaw as rl
from rholaw import tables

PAIRS = [("dense", "dense"), *((f"sint4/g{g}",) * 2 for g in (32, 128, 512)), ("sint3/g64", "dense")]
OWN = TRUTH | {"gamma_D": 0.075, "gamma_N": 0.22, "gamma_G": 0.78, "k[sint4|sint4]": 0.16, "k[sint3|dense]": 0.25}


@pytest.fixture(scope="module")
def runs():
    return noiseless("chen", PAIRS, OWN)


def test_noiseless_runs_give_the_parameters_back(runs):
    fit = rl.fit("chen", runs, fixed=HELD)
    assert_gives_back(fit, OWN)
    with pytest.raises(ValueError, match=r"no k for int4\|int4"):
        fit.predict(runs.assign(weights="int4/g32", activations="int4/g32"))


def test_without_several_block_sizes_there_is_no_exponent_for_them(runs):
    own = {name: value for name, value in OWN.items() if name not in ("gamma_G", "k[sint3|dense]")}
    one_size = runs[runs.weights.isin(["dense", "sint4/g128"])]
    fit = rl.fit("chen", one_size, fixed=HELD)
    own["k[sint4|sint4]"] *= 7 ** OWN["gamma_G"]  # log2 of the block size
    assert fit.params == pytest.approx(own, rel=2e-4)
    with pytest.raises(ValueError, match=r"saw block sizes \{128\} and cannot predict 32"):
        fit.predict(runs[runs.weights == "sint4/g32"])


@pytest.mark.parametrize(
    ("weights", "activations", "message"),
    [
        ("s0.5+int4", "dense", "cannot express the sparsity"),
        ("int4/g32", "int4/g64", "one block size a run"),
    ],
)
def test_what_it_cannot_express_is_refused(runs, weights, activations, message):
    with pytest.raises(ValueError, match=message):
        rl.fit("chen", runs.assign(weights=weights, activations=activations))


def test_block_sizes_in_some_formats_only_are_refused(runs):
    without = runs.assign(weights="int4", activations="int4")
    with pytest.raises(ValueError, match="needs a block size in every format or in none"):
        rl.fit("chen", pd.concat([runs, without]))


def test_its_constants_compose_as_it_says():
    """δ(W4A4) ≈ .906 (δ(W4A16) + δ(W16A4)), in its own words; the constants, SECONDARY, hold it within 8 %."""
    c = tables.read("published/chen2025_constants").set_index("setting")
    N, D, G = 6e8, 1e11, 128
    added = c.k * D**c.gamma_D * np.log2(G) ** c.gamma_G / N**c.gamma_N
    assert added["W4A4"] == pytest.approx(0.906 * (added["W4A16"] + added["W16A4"]), rel=0.08)
