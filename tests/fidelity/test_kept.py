"""Two laws compared: a law of known constants stands for the fitted one, so that every number has a closed form."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from rholaw.error.measure import gmse
from rholaw.fidelity import kept
from rholaw.laws.curves import Curve
from rholaw.laws.law import Law

S, N = 7, 1e9
LAW, CURVE = Law(A=12.0, alpha=0.1, B=60.0, beta=0.2, E=0.5), Curve(F=0.42, C=1.6)
KNOWN = SimpleNamespace(
    A=np.full(S, LAW.A),
    alpha=np.full(S, LAW.alpha),
    capacity=lambda name: (np.full(S, float(CURVE(gmse(name).value))), "law"),
    fits=(SimpleNamespace(curves=lambda family: [CURVE] * S),),
)


def trained(error):
    return LAW.loss(N, 1e10, CURVE(error)) - LAW.loss(N, 1e10)


def test_both_laws_by_hand():
    row = kept.two_laws(["nvfp4", "q4_k"], N, 5.0, KNOWN).loc["nvfp4"]
    error = gmse("nvfp4").value
    assert row.gmse == error and row.after == row.after_low == row.after_high == pytest.approx(5 * error)
    assert row.trained == pytest.approx(trained(error)) and row.times == pytest.approx(5 * error / trained(error))


def test_the_kept_capacity_is_that_of_the_dense_model_with_the_loss_of_the_rounded_one():
    row = kept.two_laws(["int3"], N, 5.0, KNOWN).iloc[0]
    assert LAW.loss(N * row.kept, 1e10) == pytest.approx(LAW.loss(N, 1e10) + row.after)
    same = row.trained / row.gmse  # the κ at which both laws say the same
    assert kept.two_laws(["int3"], N, same, KNOWN).kept.iloc[0] == pytest.approx(row.rho)


def test_intervals_are_those_of_kappa_where_nothing_else_is_unsure():
    draws = np.linspace(1, 7, S)
    row = kept.two_laws(["nvfp4"], N, draws, KNOWN, level=0.5).iloc[0]
    assert row.after_low / row.gmse == pytest.approx(2.5) and row.after_high / row.gmse == pytest.approx(5.5)
    assert row.kept_low < row.kept < row.kept_high and row.trained_low == row.trained_high


def test_below_the_break_even_rounding_costs_less():
    (error,) = set(kept.break_even(N, 5.0, KNOWN))
    assert 5 * error == pytest.approx(trained(error), rel=0.05)
    assert 5 * error / 2 < trained(error / 2) and 5 * error * 2 > trained(error * 2)
    (higher,) = set(kept.break_even(N, 2.5, KNOWN))
    assert higher > error and np.isnan(kept.break_even(N, 1e-3, KNOWN)).all()


@pytest.mark.parametrize("kappa", [0, -1.0, math.nan, [3.0, math.inf]])
def test_a_kappa_that_cannot_be(kappa):
    with pytest.raises(ValueError, match="kappa must be positive and finite, got"):
        kept.two_laws(["nvfp4"], N, kappa, KNOWN)


SIZE = {"n_params": 1000, "n_tokens": 9000}
RUNS = pd.DataFrame(
    [
        SIZE | {"weights": weights, "loss": loss}
        for weights, losses in {"dense": (3.0, 3.2), "e2m1/g16:e4m3": (3.3, 3.5), "int2": (4.1, 3.9)}.items()
        for loss in losses
    ]
)
ROUNDED = pd.DataFrame(
    [SIZE | {"format": name, "rise": rise, "rise_stderr": 0.03} for name, rise in {"nvfp4": 0.1, "int3": 0.2}.items()]
)


def test_pairs_meet_whatever_their_spelling():
    (pair,) = kept.paired(RUNS, ROUNDED).reset_index().itertuples()
    assert (pair.n_params, pair.n_tokens, pair.format, pair.seeds) == (1000, 9000, "e2m1/g16:e4m3", 2)
    assert (pair.after, pair.gmse) == (0.1, gmse("nvfp4").value)
    assert pair.trained == pytest.approx(0.3) and pair.difference == pytest.approx(-0.2)
    stderr = math.hypot(0.03, math.sqrt(0.02))  # the seeds of all three scatter by √.02, and two means are compared
    assert pair.stderr == pytest.approx(stderr)
    assert pair.high - pair.low == pytest.approx(2 * 3.18245 * stderr, rel=1e-5)  # Student's t with three degrees


def test_several_rounded_models_share_the_text_and_add_their_scatter():
    twice = kept.paired(RUNS, pd.concat([ROUNDED, ROUNDED.assign(rise=0.3)])).iloc[0]
    assert twice.after == pytest.approx(0.2) and twice.stderr == pytest.approx(math.sqrt(0.03**2 + 0.02 / 2 + 0.02))


def test_single_seeds_have_no_interval():
    with pytest.raises(ValueError, match="no format has two seeds at n_params 1000 and n_tokens 9000"):
        kept.paired(RUNS.drop_duplicates("weights"), ROUNDED)


def rows(factors):
    return pd.DataFrame(
        [
            {"model": model, "n_params": N, "format": name, "rise": factor * trained(gmse(name).value)}
            for model, factor in factors.items()
            for name in ("nvfp4", "int3", "int2")
        ]
    )


def test_a_model_three_times_the_law_is_found_so():
    factors = kept.underestimates(rows({"one": 3, "two": 0.5}), KNOWN)
    assert np.allclose(factors["one"], 3) and np.allclose(factors["two"], 0.5) and len(factors) == S


def test_over_models():
    same = kept.underestimates(rows(dict.fromkeys("abc", 2.0)), KNOWN)
    assert kept.over_models(same) == pytest.approx((2, 2, 2))
    middle, low, high = kept.over_models(kept.underestimates(rows({"a": 1, "b": 2, "c": 9}), KNOWN))
    assert middle == pytest.approx(2) and low < 2 < high


def test_a_rise_that_is_no_loss_is_refused():
    with pytest.raises(ValueError, match="rise must be positive"):
        kept.underestimates(rows({"a": -1}), KNOWN)
