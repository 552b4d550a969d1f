"""Rivals of the law after training: each finds again what it made, and is judged on what it did not see."""

import numpy as np
import pytest

from rholaw.fidelity import rivals
from tests.fidelity.test_population import population_rows

pytestmark = pytest.mark.filterwarnings("error")


def costs(law, noise=0.0):
    """Rows whose cost follows the format's part of a law exactly, each model at a level of its own."""
    rows = population_rows(30)
    fixed, slopes = rivals.part(law, rows)
    level = rows["model"].str[1:].astype(int) / 10.0
    slope = {"bits": -1.2, "bits power": -6.0, "gmse power": 0.8, "gmse": 0.0}[law]
    log_cost = level + fixed + (slope * slopes[:, 0] if slopes.size else 0.0)
    return rows.assign(cost=np.exp(log_cost + noise * np.random.default_rng(0).standard_normal(len(rows))))


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


def test_an_unknown_law_is_refused():
    with pytest.raises(ValueError, match="no such law after training"):
        rivals.part("kumar", population_rows(2))
