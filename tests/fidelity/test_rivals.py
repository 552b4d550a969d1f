"""Rivals of the law after training: each finds again what it made, and is judged on what it did not see."""

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.fidelity import rivals

FORMATS = ["q5_0", "q4_0", "q3_k", "q2_k"]
SLOPES = {"gmse": 0.0, "gmse power": 0.8, "bits": -1.2, "bits power": -6.0}


def costs(law, noise=0.0):
    """Rows whose cost follows the format's part of a law exactly, each model at a level of its own."""
    random = np.random.default_rng(0)
    models = [(f"m{i}", 10 ** random.uniform(8, 12), 10 ** random.uniform(11, 14)) for i in range(20)]
    rows = pd.DataFrame(
        [(*model, method, name) for model in models for method in ("rtn", "gptq") for name in FORMATS],
        columns=["model", "n_params", "n_tokens", "method", "format"],
    ).assign(source="s")
    rows = rows.assign(n_active=rows["n_params"], gmse=rows["format"].map({f: float(rl.gmse(f)) for f in FORMATS}))
    fixed, slopes = rivals.part(law, rows)
    level = rows["model"].str[1:].astype(int) / 10.0 + noise * random.standard_normal(len(rows))
    return rows.assign(cost=np.exp(level + fixed + slopes.sum(axis=1) * SLOPES[law]))


@pytest.mark.parametrize("law", rivals.LAWS)
def test_a_law_predicts_the_formats_that_it_made(law):
    errors = rivals.without_format(law, costs(law))
    assert errors.notna().any()
    np.testing.assert_allclose(errors.dropna(), 0.0, atol=1e-8)


def test_another_law_does_not():
    assert rivals.without_format("bits", costs("gmse")).abs().median() > 0.05
    assert rivals.without_format("gmse", costs("bits")).abs().median() > 0.05


def test_a_model_left_out_is_not_known():
    rows = costs("gmse", noise=0.05)
    rows.loc[rows["model"] == "m3", "cost"] *= 50
    errors = rivals.without_model("gmse", rows)
    assert (errors[rows["model"] == "m3"] < -2).all()


def test_the_power_of_gmse_that_made_the_rows_is_found_again():
    value, stderr = rivals.slope(costs("gmse power", noise=0.1))
    assert abs(value - SLOPES["gmse power"]) < 4 * stderr < 0.1


def test_an_unknown_law_is_refused():
    with pytest.raises(ValueError, match="no such law after training"):
        rivals.part("kumar", costs("gmse"))


def test_the_comparison_holds_each_law_against_what_was_left_out():
    rows = costs("gmse", noise=0.05)
    table = rivals.compared(rows, ["format"]).set_index("law")
    factors = np.exp(rivals.without_format("bits", rows).dropna().abs())
    assert set(table.index) == set(rivals.LAWS) and (table["left_out"] == "format").all()
    assert table.loc["bits", "rows"] == len(factors)
    assert tuple(table.loc["bits", ["median", "p90"]]) == pytest.approx((factors.median(), factors.quantile(0.9)))
    assert table["median"].idxmin() in ("gmse", "gmse power")
