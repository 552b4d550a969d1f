"""Sun's law gives back what made its runs, and its printed layouts and data sizes follow from its constants."""

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import HELD, TRUTH, assert_gives_back, constants, noiseless

import rholaw as rl
from rholaw import tables
from rholaw.laws.rivals.sun import LOG2_CHANNEL, critical_tokens, layout

FLOATS = ("e2m1", "e3m1", "e1m2", "e2m3", "e4m3", "e3m2/g32", "e2m2/g128")
PAIRS = [("dense", "dense"), *((f, f) for f in FLOATS)]
OWN = TRUTH | {"gamma": 50.0, "delta": 3.2, "nu": 2.95}


@pytest.fixture(scope="module")
def runs():
    return noiseless("sun", PAIRS, OWN)


def test_noiseless_runs_give_the_parameters_back(runs):
    fit = rl.fit("sun", runs, fixed=HELD)
    assert_gives_back(fit, OWN)
    turn = critical_tokens(1e8, 2, 1, LOG2_CHANNEL, fit.params)
    around = pd.DataFrame({"n_params": 1e8, "n_tokens": turn * np.array([0.5, 1, 2])})
    low, middle, high = fit.predict(around.assign(weights="e2m1", activations="e2m1"))
    assert middle < low and middle < high, "beyond the critical size more tokens hurt"


@pytest.mark.parametrize(
    ("activations", "message"),
    [("int4", "bits of exponent and mantissa, which int4 does not have"), ("dense", "one format a run")],
)
def test_what_it_cannot_express_is_refused(runs, activations, message):
    with pytest.raises(ValueError, match=message):
        rl.fit("sun", runs.assign(weights="int4", activations=activations))


def printed():
    c = constants("sun2025")
    return {"A": c["n"], "B": c["d"], "E": c["epsilon"]} | {k: c[k] for k in ("alpha", "beta", "gamma", "delta", "nu")}


def test_the_printed_layouts():
    c, layouts = printed(), tables.read("published/sun2025_optimal_layouts")
    assert len(layouts) == 16
    for bits, exponent, mantissa in layouts.itertuples(index=False):
        assert layout(bits, c["delta"], c["nu"]) == (exponent, mantissa)


def test_the_critical_data_sizes_are_those_of_blocks_of_128():
    sizes = tables.read("published/sun2025_critical_data")
    assert len(sizes) == 3
    for row in sizes.itertuples():
        model = (row.n_params, row.exponent_bits, row.mantissa_bits)
        assert critical_tokens(*model, 7, printed()) == pytest.approx(row.value, rel=0.02)
        channel = constants("sun2025")["log2_B_channel_equiv"]
        assert critical_tokens(*model, channel, printed()) == pytest.approx(0.54 * row.value, rel=0.03)
