"""Trials predict what was left out, and count what they predicted."""

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.fidelity import evidence, trials

FORMATS = ["q6_k", "q5_0", "q4_0", "q3_k", "q2_k"]


def rows(models=6, formats=FORMATS):
    """Models that follow the law exactly, κ 2, 4, 6 …, each measured once a format."""
    table = pd.DataFrame([(f"m{i}", name, 2.0 * (i + 1)) for i in range(models) for name in formats],
                         columns=["model", "format", "kappa"])  # fmt: skip
    gmse = table["format"].map({name: float(rl.gmse(name)) for name in formats})
    same = {"source": "s", "metric": "kl", "method": "rtn", "corpus": "c", "context": 512, "reference": "f16",
            "family": "f"}  # fmt: skip
    number = table["model"].str[1:].astype(int)
    sizes, tokens = 1e9 * 2.0**number, 1e12 * (1 + number % 3)
    return table.assign(
        gmse=gmse, rise=0.001 + table["kappa"] * gmse, n_params=sizes, n_active=sizes, n_tokens=tokens, **same
    )


def test_two_formats_predict_the_others_of_each_model():
    trial = trials.from_measured(rows(), ["q4_0", "q3_k"])
    assert set(trial["format"]) == {"q6_k", "q5_0", "q2_k"} and trial["model"].nunique() == 6
    coarse = trial[trial["gmse"] > 1e-3]
    np.testing.assert_allclose(coarse["predicted"], coarse["rise"], rtol=0.1)
    assert trials.summary(coarse)["inside"] == 1.0


def test_series_without_the_formats_are_left_out():
    table = rows(2)
    table = table[~((table["model"] == "m1") & (table["format"] == "q4_0"))]
    assert set(trials.from_measured(table, ["q4_0", "q3_k"])["model"]) == {"m0"}


def test_a_model_is_predicted_from_the_others_only():
    table = rows(12)
    strange = table["model"] == "m5"
    table.loc[strange, "rise"] *= 30  # the prediction of m5 must not know it
    trial = trials.from_nothing(table)
    ratio = (trial["rise"] / trial["predicted"])[trial["model"] == "m5"]
    assert (ratio > 10).all()


def test_a_summary_counts_by_hand():
    trial = pd.DataFrame({"model": ["a", "a", "b"], "predicted": [1.0, 2.0, 3.0], "rise": [2.0, 2.0, 3.0],
                          "low": [0.5, 1.0, 3.5], "high": [1.5, 3.0, 4.0]})  # fmt: skip
    result = trials.summary(trial)
    assert (result["models"], result["rows"], result["median"], result["factor_median"]) == (2, 3, 0.0, 1.0)
    assert result["inside"] == pytest.approx(1 / 3)


def test_the_evidence_is_of_weights_in_one_format_with_a_reference_that_is_finer():
    table = evidence.usable()
    assert set(table["purity"]) <= {"pure", "mostly"} and set(table["activations"]) <= set(evidence.WEIGHTS_ONLY)
    assert table["doubt"].isna().all() and table["rise"].notna().all() and (table["gmse"] > 0).all()
    assert not table.duplicated(["model", "source", "given", "method", "metric", "corpus", "context", "engine"]).any()
    assert table["model"].nunique() > 40 and table["source"].nunique() > 15
