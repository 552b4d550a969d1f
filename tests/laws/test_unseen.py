"""Runs of others against frozen laws: extra losses, intervals, comparisons, verdicts."""

import numpy as np
import pandas as pd
import pytest

from rholaw import runs, tables
from rholaw.laws import frozen, unseen


@pytest.fixture(scope="module")
def laws():
    known = frozen.load("frozen2026")
    return {name: known[name] for name in ("unified", "decoupled", "unified-sparse")}


def runs_of(law, formats=("int4", "int3", "int2"), dense_loss=3.1):
    """Runs of one model that are just what the law says."""
    runs = pd.DataFrame({"n_params": 1e8, "n_tokens": 1e10, "weights": ["dense", *formats], "activations": "dense"})
    extra = np.median(law.extra(runs), axis=0)
    return runs.assign(loss=dense_loss + extra)


def test_what_a_law_says_is_inside_its_interval_and_its_verdict_is_good(laws):
    runs = runs_of(laws["unified"], ("int4", "int3", "int2", "int1", "lm2"))
    table = unseen.predicted(runs, laws)
    own = table[table.law == "unified"]
    np.testing.assert_allclose(own.extra, own.predicted)
    assert own.inside.all() and list(own.row) == [1, 2, 3, 4, 5]
    assert table[table.law == "unified-sparse"].predicted.isna().all()
    assert "no run had a quantised part" in table[table.law == "unified-sparse"].reason.iloc[0]
    told = unseen.verdicts(runs, table, laws).set_index("law")
    assert told.loc["unified", ["coverage", "pairs", "right", "clear"]].tolist() == [1, 10, 1, 8]
    assert told.factor["unified"] == pytest.approx(1) and told.off["unified"] == pytest.approx(1)
    assert told.verdict["unified"] == "sizes hold, order holds"
    assert told.verdict["unified-sparse"] == "says nothing of these formats"


def test_losses_turned_about_fail_in_order_and_size(laws):
    runs = runs_of(laws["unified"], ("int4", "int3", "int2", "int1"))
    runs["loss"] = runs.loss[[0, 4, 3, 2, 1]].to_numpy()
    told = unseen.verdicts(runs, unseen.predicted(runs, laws), laws).set_index("law")
    assert told.verdict["unified"] == "sizes fail, order fails" and told.right["unified"] == 0


def test_the_dense_loss_may_stand_in_a_column_or_be_unknown(laws):
    runs = runs_of(laws["unified"])
    given = runs[1:].assign(dense_loss=runs.loss[0])
    for table in (given, runs):
        np.testing.assert_allclose(unseen.with_dense(table).dense_loss, runs.loss[0])
    table = unseen.predicted(runs[1:], laws)
    assert table.extra.isna().all() and table.inside.isna().all()
    told = unseen.verdicts(runs[1:], table, laws).set_index("law")
    assert told.verdict["unified"] == "too few pairs for order" and np.isnan(told.coverage["unified"])


def test_a_seed_that_nobody_told_is_one_seed(laws):
    runs = runs_of(laws["unified"]).assign(seed=np.nan)
    np.testing.assert_allclose(unseen.with_dense(runs).dense_loss, runs.loss[0])


def test_a_dense_run_of_another_model_or_seed_is_no_twin(laws):
    runs = runs_of(laws["unified"]).assign(seed=[0, 0, 1, 0])
    assert unseen.with_dense(runs).dense_loss.isna().tolist() == [False, True, False]
    pairs = unseen.compared(runs, unseen.predicted(runs, {"unified": laws["unified"]}))
    assert pairs[["first", "second"]].to_numpy().tolist() == [[1, 3]]


def test_noise_of_the_runs_widens_the_interval(laws):
    runs = runs_of(laws["unified"]).assign(loss_stderr=0.1)
    law = {"unified": laws["unified"]}
    wide, narrow = (unseen.predicted(table, law) for table in (runs, runs.drop(columns="loss_stderr")))
    assert ((wide.high - wide.low) > 2 * (narrow.high - narrow.low)).all()
    assert (wide.high > wide.predicted + 1.96 * 0.1).all()


def test_few_runs_hold_nothing_and_one_outside_fails_nothing(laws):
    runs = runs_of(laws["unified"], ("int4",))
    runs.loc[1, "loss"] += 1
    table = unseen.predicted(runs, laws)
    assert not table.inside[table.law == "unified"].any()
    assert unseen.verdicts(runs, table, laws).verdict[0] == "too few runs for sizes"
    three = pd.concat([runs, runs[1:].assign(n_params=2e8, dense_loss=3.1)], ignore_index=True)
    assert unseen.verdicts(three, unseen.predicted(three, laws), laws).verdict[0] == "sizes fail"


def test_runs_of_one_format_in_one_model_are_compared_once(laws):
    runs = runs_of(laws["unified"], ("int4", "int2", "int2", "int2"))
    runs["loss"] += [0, 0, 0.03, -0.03, 0.06]
    [pair] = unseen.compared(runs, unseen.predicted(runs, {"unified": laws["unified"]})).to_dict("records")
    assert (pair["first"], pair["second"], pair["right"]) == (1, 2, True)
    assert pair["observed"] == pytest.approx(pair["predicted"] - 0.02)


def test_dense_runs_alone_are_nothing_to_predict(laws):
    with pytest.raises(ValueError, match="all of these runs are dense"):
        unseen.predicted(runs_of(laws["unified"], ()), laws)


def test_parameter_golf_is_plausible():
    golf = tables.read("published/parameter_golf2026")
    assert (
        golf[["bpb_before", "bpb_after"]].stack().dropna().between(1, 2).all() and golf.record.str.strip().ne("").all()
    )
    assert (golf.bpb_after - golf.bpb_before).dropna().between(-0.002, 0.05).all()
    sized = golf[golf.same.isna()]
    assert sized.n_params.between(1e7, 2e8).all() and (sized.weights.fillna("dense").map(len) > 0).all()
    assert golf[golf.same.notna()].groupby("same").weights.nunique().to_dict() == {"27 layers": 4, "development": 2}


def test_the_sparse_law_says_what_its_validation_runs_lost():
    table = tables.read("published/sparse2606_constants")
    c = table[table.stage == 2].set_index("name")["value"]
    own = runs.load("sparse2606")
    own = own[own.n_tokens <= 2 * own.unique_tokens]  # read at most twice
    s = own.weights.map({"dense": 1.0, "s0.5": 0.5, "s0.75": 0.25})
    size = np.exp(c["a"]) * (s ** c["epsilon"] + c["c"] * (1 - s) ** c["mu"]) * (own.n_params * s) ** -c["alpha"]
    predicted = np.exp(c["e"]) + size + np.exp(c["b"]) * own.n_tokens ** -c["alpha"]
    assert len(own) >= 3 and (np.abs(predicted - own.loss) < 0.06).all()
