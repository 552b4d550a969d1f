"""Exponents of what a format costs, on synthetic runs whose exponents are known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sampling import FULL

from rholaw.laws.overtraining import rise_exponents, rises

SIZES, RATIOS, COSTS = (7e3, 3e4, 1e5), (20, 100, 500), {"int2": 0.2, "int4": 0.05, "2:4": 0.03}


def runs(gamma, alpha=0.0, noise=0.0, seeds=4, sizes=SIZES, trial=0):
    """Runs whose rise is cost · (N / 10⁴)^-alpha · (D / N / 100)^gamma, with noise in every loss, dense ones too."""
    random, rows = np.random.default_rng(trial), []
    for n in sizes:
        for ratio in RATIOS:
            for seed in range(seeds):
                for weights, cost in {"dense": 0.0, **COSTS}.items():
                    rise = cost * (n / 1e4) ** -alpha * (ratio / 100) ** gamma
                    loss = 3 + 50 * n**-0.4 + rise + noise * random.standard_normal()
                    rows.append({"n_params": n, "n_tokens": ratio * n, "weights": weights, "seed": seed, "loss": loss})
    return pd.DataFrame(rows).assign(activations="dense")


@given(st.floats(-0.5, 0.5))
def test_the_exponent_of_training_length_is_recovered_and_has_no_spread(gamma):
    fitted = rise_exponents(rises(runs(gamma, alpha=0.3))).loc["tokens_per_param"]
    assert fitted[["exponent", "low", "high"]].tolist() == pytest.approx([gamma] * 3, abs=1e-4)
    assert fitted["clusters"] == 12


def test_exponents_of_size_and_length_are_told_apart():
    table = rises(runs(0.15, alpha=0.3))
    both = rise_exponents(table, ["n_params", "tokens_per_param"], ["weights"])["exponent"]
    assert both.to_dict() == pytest.approx({"n_params": -0.3, "tokens_per_param": 0.15}, abs=1e-4)
    fixed = rise_exponents(table.assign(ratio=table.tokens_per_param), ["n_params"], ["weights", "ratio"])["exponent"]
    assert fixed["n_params"] == pytest.approx(-0.3, abs=1e-4)
    turned = rise_exponents(table, ["n_params", "n_tokens"], ["weights"])["exponent"]
    assert turned.to_dict() == pytest.approx({"n_params": -0.45, "n_tokens": 0.15}, abs=1e-4)


@pytest.mark.parametrize("sizes", [SIZES[:2], SIZES[:1]])
def test_the_interval_covers_as_often_as_it_says(sizes):
    """A dense run of its own noise stands in three rises: an interval over runs, not clusters, would be too narrow."""
    hits, trials = 0, 200 if FULL else 25
    for trial in range(trials):
        fitted = rise_exponents(rises(runs(0.15, noise=0.01, sizes=sizes, trial=trial))).iloc[0]
        hits += fitted["low"] <= 0.15 <= fitted["high"]
    assert 0.85 * trials <= hits  # .95 on average
    assert fitted["clusters"] == 4 * len(sizes)


def test_rises_below_the_noise_do_not_pull_the_exponent():
    """A logarithm would refuse the negative ones, and so take the rest for larger than they are."""
    table = rises(runs(0.15, noise=0.01, seeds=40))
    assert (table["rise"] < 0).any()
    assert rise_exponents(table).iloc[0]["exponent"] == pytest.approx(0.15, abs=0.03)


def test_noise_alone_has_no_exponent_and_one_cluster_no_interval():
    table = rises(runs(0.15, seeds=1, sizes=SIZES[:1]))
    fitted = rise_exponents(table).iloc[0]
    assert fitted["exponent"] == pytest.approx(0.15, abs=1e-4) and fitted[["stderr", "low", "high"]].isna().all()
    steep = table.assign(rise=table.tokens_per_param**9.0)
    assert rise_exponents(steep).iloc[0][["exponent", "stderr", "low", "high"]].isna().all()


def test_every_run_is_compared_with_the_dense_one_of_its_seed():
    table = runs(0.1)
    table["loss"] += 0.3 * table["seed"]
    assert rises(table)["rise"].max() == pytest.approx(0.2 * 5**0.1)
    alone = table.drop(table.index[(table.weights == "dense") & (table.seed == 3)])
    assert set(rises(alone)["seed"]) == {0, 1, 2}


def test_what_cannot_be_told_is_refused():
    table = runs(0.1)
    with pytest.raises(ValueError, match="two dense runs share n_params 7000, n_tokens 140000, seed 0"):
        rises(pd.concat([table, table]))
    with pytest.raises(ValueError, match="lack the columns seed"):
        rises(table.drop(columns="seed"))
    with pytest.raises(ValueError, match="no compressed run has a dense one"):
        rises(table[table.weights != "dense"])
    with pytest.raises(ValueError, match="do not tell the exponents"):
        rise_exponents(rises(table[table.n_tokens == 20 * table.n_params]))
    with pytest.raises(ValueError, match="along n_tokens, tokens_per_param, in cells of one weights and n_params"):
        rise_exponents(rises(table), ["n_tokens", "tokens_per_param"])
