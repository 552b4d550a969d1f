"""Held-out errors are those of a fit made by hand, and what a law cannot predict is a row with a reason."""

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import compressed_runs

import rholaw as rl
from rholaw import tables
from rholaw.laws import held_out as validation

HELD = {"alpha": 0.34, "beta": 0.28, "E": 1.69}  # few starts and few steps


@pytest.fixture(scope="module")
def runs():
    return compressed_runs(noise=0.003, formats=("dense", "int2", "int4"), sizes=(3e7, 1e8, 1e9))


def test_a_fold_is_a_fit_to_the_others(runs):
    table = validation.small_to_large("unified", runs, 5e8, fixed=HELD, n_bootstrap=50)
    large = runs.n_params > 5e8
    fit = rl.fit("unified", runs[~large], fixed=HELD)
    errors = np.log(fit.predict(runs[large]) / runs.loss[large])
    fold, total = table.iloc[0], table.iloc[1]
    assert (fold.fold, fold.train, fold.test, fold.status) == ("> 5e+08", (~large).sum(), large.sum(), "converged")
    assert (fold.log_rmse, fold.bias) == pytest.approx((np.sqrt(np.mean(errors**2)), errors.mean()))
    assert fold.worst == pytest.approx(np.abs(errors).max())
    assert 0 < fold.low < fold.high
    assert total.log_rmse == pytest.approx(fold.log_rmse)


def test_each_format_and_each_size_is_left_out_once(runs):
    formats = validation.leave_one_format_out("unified", runs, fixed=HELD)
    assert len(formats) == 5
    assert "dense|dense" not in set(formats.fold)
    assert formats.test[:-1].sum() == formats.test.iloc[-1] == (runs.weights != "dense").sum()
    assert (formats.log_rmse < 0.01).all()
    assert formats.low.isna().all()
    sizes = validation.leave_one_size_out("unified", runs, fixed=HELD)
    assert sizes.fold.tolist() == ["3e+07", "1e+08", "1e+09", "all"]
    assert sizes.test.iloc[-1] == len(runs)
    pooled = np.sqrt(np.average(sizes.log_rmse[:-1] ** 2, weights=sizes.test[:-1]))
    assert sizes.log_rmse.iloc[-1] == pytest.approx(pooled)


def test_a_law_that_cannot_predict_an_unseen_format_says_so(runs):
    table = validation.leave_one_format_out("decoupled", runs, fixed=HELD)
    assert table.log_rmse.isna().all()
    assert table.test.iloc[-1] == 0
    assert table.reason.str.contains("has no ρ for weights")[:-1].all()
    assert table.reason.iloc[-1].startswith("without ")


def test_laws_side_by_side(runs):
    table = validation.compare(["unified", "decoupled", "sun"], runs, 5e8, fixed=HELD)
    assert table.loc["unified", "size"] < 0.01
    assert table.loc["unified", ["size_runs", "format_runs"]].tolist() == [10, 24]
    assert table.loc["decoupled", "format_runs"] == 0
    assert table.loc["decoupled", "seen"] <= table.loc["unified", "seen"]
    assert "one format a run" in table.loc["sun", "reason"]
    assert np.isnan(table.loc["sun", "seen"])


def test_wrong_folds_and_laws_are_refused(runs):
    with pytest.raises(ValueError, match="leaves out 0 of"):
        validation.small_to_large("unified", runs, 1e12)
    with pytest.raises(ValueError, match="unifed: there is no such law; did you mean unified"):
        validation.leave_one_size_out("unifed", runs)
    with pytest.raises(ValueError, match="lack the columns loss"):
        validation.leave_one_size_out("unified", runs.drop(columns="loss"))


def test_a_selection_is_counted(runs):
    assert validation.counted(runs, len(runs)) is runs
    with pytest.raises(ValueError, match="has 3 runs, 4 were expected"):
        validation.counted(pd.DataFrame(index=range(3)), 4)


def test_random_folds_part_runs_or_whole_sizes(runs):
    for whole in (None, "n_params"):
        folds = validation.random_folds(runs, whole, count=3)
        assert (np.sum(list(folds.values()), axis=0) == 1).all()  # each run leaves once
        held = [{*runs.n_params[fold]} for fold in folds.values()]
        assert (sum(map(len, held)) == 3) == (whole is not None)
    counts = [fold.sum() for fold in validation.random_folds(runs).values()]
    assert max(counts) - min(counts) <= 1
    assert not np.array_equal(validation.random_folds(runs)["0"], validation.random_folds(runs, seed=1)["0"])


def test_what_the_intervals_cover_is_counted_run_by_run(runs):
    out = validation.random_folds(runs)["0"]
    inside = validation.covered("unified", runs, {"quarter": out}, fixed=HELD, n_bootstrap=20)
    fit = rl.fit("unified", runs[~out], fixed=HELD, n_bootstrap=20)
    for name, noise in (("noise", True), ("mean", False)):
        low, high = fit.predict_interval(runs[out], noise=noise)
        assert inside[name].tolist() == ((low <= runs.loss[out]) & (runs.loss[out] <= high)).tolist()
    assert inside["noise"].sum() > inside["mean"].sum()
    assert validation.covered("decoupled", runs, {"int2": runs.weights == "int2"}, n_bootstrap=20).empty


@pytest.mark.slow
def test_recorded_intervals_and_verdicts_are_those_of_todays_fits():
    quartet = rl.runs.load("quartet2025")
    quartet = quartet[quartet["backward"] == "BF16"]
    inside = validation.covered("unified", quartet, validation.random_folds(quartet), n_bootstrap=100)
    recorded = (
        tables.read("measured/intervals").set_index(["series", "left_out", "draw"]).loc[("quartet2025", "runs", 0)]
    )
    assert recorded.predicted == len(inside) == len(quartet), "python bench/intervals.py"
    assert inside.mean().to_dict() == pytest.approx(recorded[["noise", "mean"]].to_dict(), abs=1.5 / len(inside))
    told = tables.read("measured/identified").query("series == 'quartet2025'").set_index("parameter").curvature
    fit = rl.fit("unified", quartet)
    assert told.to_dict() == {name: fit.identified[name] for name in fit.standard_errors}


def test_a_split_leaves_runs_to_fit_and_larger_ones_to_predict(runs):
    small, large = validation.split(runs, 5e8, least=(runs.n_params <= 5e8).sum())
    assert small.n_params.max() <= 5e8 < large.n_params.min() and len(small) + len(large) == len(runs)
    for most, least in ((5e9, 5), (1e6, 1), (5e8, len(small) + 1)):
        with pytest.raises(ValueError, match=f"must leave {least} runs to fit and some larger ones"):
            validation.split(runs, most, least)
