"""Capacity from a ladder of dense models."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sampling import FULL

from rholaw.laws.ladder import capacities, fit_ladder

SIZES = [400, 1_700, 3_800, 6_700, 10_500, 15_000, 26_800, 41_000]


def table(law, rhos, noise=0.0, seeds=4):
    """Runs whose loss is law(N ρ), with a shift for each seed that all its runs share, and noise."""
    random, rows = np.random.default_rng(0), []
    for seed in range(seeds):
        shift = 0.01 * random.standard_normal()
        for weights, rho in {"dense": 1.0, **rhos}.items():
            for n in SIZES if weights == "dense" else [6_700, 26_800]:
                loss = law(n * rho) + shift + noise * random.standard_normal()
                rows.append({"n_params": n, "n_tokens": 3_000_000, "weights": weights, "seed": seed, "loss": loss})
    runs = pd.DataFrame(rows)
    return runs.assign(activations="dense", method="trust", backward="fw", schedule="magnitude")


@given(st.floats(0.05, 0.12), st.floats(0.25, 1.0), st.floats(0.0, 2.0))
def test_the_capacity_of_an_exact_law_is_recovered(alpha, rho, floor):
    scale = (4.2 - floor) * 400**alpha
    rhos = capacities(table(lambda n: scale * n**-alpha + floor, {"int2": rho}))
    assert rhos["rho"].tolist() == pytest.approx([rho, rho], rel=0.015)
    assert (rhos["sd"] < 1e-3).all() and rhos["seeds"].tolist() == [4, 4]


def test_the_interval_covers_as_often_as_it_says():
    def law(n):
        return 8 * n**-0.12 + 1

    hits, trials = 0, 60 if FULL else 20
    for trial in range(trials):
        runs = table(law, {"int2": 0.5})
        runs["loss"] += 0.004 * np.random.default_rng(trial).standard_normal(len(runs))
        first = capacities(runs).iloc[0]
        hits += first["low"] <= 0.5 <= first["high"]
    assert hits >= 0.85 * trials  # .95 on average


def test_a_loss_outside_the_ladder_gives_no_number():
    """At ρ = .05 the smaller size lies below the ladder's end, 335 < 400, and the larger one, 1340, within it."""
    rhos = capacities(table(lambda n: 5 * n**-0.2, {"int1": 0.05})).set_index("n_params")
    assert rhos[["rho", "low", "high", "sd"]].loc[6_700].isna().all()
    assert rhos["rho"][26_800] == pytest.approx(0.05, rel=0.01)
    assert rhos["note"].to_dict() == {6_700: "4 of 4 losses lie outside the ladder", 26_800: ""}


def test_some_losses_outside_the_ladder_leave_no_number_either():
    runs = table(lambda n: 5 * n**-0.2, {"int1": 0.5})
    runs.loc[(runs["seed"] == 2) & (runs["weights"] == "int1"), "loss"] = 9.0
    rhos = capacities(runs)
    assert rhos["rho"].isna().all() and rhos["seeds"].tolist() == [4, 4]
    assert rhos["note"].tolist() == ["1 of 4 losses lie outside the ladder"] * 2


def test_a_run_without_its_dense_counterpart_is_not_passed_over():
    runs = table(lambda n: 5 * n**-0.2, {"int2": 0.5})
    dense, small = runs["weights"] == "dense", runs["n_params"] == 6_700
    rhos = capacities(runs[~(dense & small)].assign(backward=None)).set_index("n_params")
    assert rhos["rho"][26_800] == pytest.approx(0.5, rel=1e-4) and np.isnan(rhos["rho"][6_700])
    assert rhos["note"].tolist() == ["4 of 4 have no dense run of their size and seed", ""]
    rhos = capacities(runs[~(dense & (runs["seed"] == 3))])
    assert rhos["note"].tolist() == ["1 of 4 have no dense run of their size and seed"] * 2
    assert rhos["seeds"].tolist() == [3, 3] and rhos["rho"].tolist() == pytest.approx([0.5, 0.5], rel=1e-4)
    with pytest.raises(ValueError, match="all of these runs are dense"):
        capacities(runs[dense])


def test_a_ladder_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match="five dense sizes"):
        fit_ladder([1, 2, 3, 4], [4, 3, 2, 1])
    with pytest.raises(ValueError, match="does not fall from N = 2"):
        fit_ladder([1, 2, 3, 4, 5], [5, 3, 4, 2, 1])
    runs = table(lambda n: 5 * n**-0.2, {"int2": 0.5})
    with pytest.raises(ValueError, match="one n_tokens"):
        capacities(runs.assign(n_tokens=range(len(runs))))
    with pytest.raises(ValueError, match="lack the columns seed"):
        capacities(runs.drop(columns="seed"))
    with pytest.raises(ValueError, match="twice"):
        capacities(pd.concat([runs, runs.tail(1)], ignore_index=True))
