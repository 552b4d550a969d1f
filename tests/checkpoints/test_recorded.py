"""What the records of real checkpoints are turned into: by hand on a table made up here, and on those shipped."""

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.checkpoints import recorded

LOSSES = {
    "text": "shakespeare",
    "format": ["dense", "q4_0", "q4_0", "q3_k", "q3_k", "q4_1", "q8_0"],
    "rotation": [0, 0, 64, 0, 64, 0, 64],
    "rise": [0.0, 0.30, 0.10, 0.20, 0.40, 0.0, 0.001],
    "stderr": 0.01,
}


def test_the_law_beside_what_rounding_cost(monkeypatch):
    error = {name: rl.gmse(name).value for name in ("q4_0", "q3_k")}  # before tables are replaced
    monkeypatch.setattr(recorded.tables, "read", lambda name: pd.DataFrame(LOSSES))
    table = recorded.rounded()
    kappa = (0.10 / error["q4_0"] + 0.40 / error["q3_k"]) / 2  # rotated, and neither tiny nor huge
    assert table.times["q4_0", 0] == pytest.approx(0.30 / (kappa * error["q4_0"]))
    assert table.times["q4_1", 0] == 0 and len(table) == 6
    off = [abs(np.log(table.times[name, 0])) for name in ("q4_0", "q3_k")]
    assert recorded.typical(table)[0] == pytest.approx(np.exp(np.mean(off)))


@pytest.mark.slow
def test_smollm2_lies_on_the_grid_that_it_is_stored_on():
    assert recorded.error_as_stored() < 1e-6
    table = recorded.rounded()
    assert table.rise[recorded.STORED, 0] == 0 < table.rise[recorded.STORED, 64]


def test_surveys_are_of_matrices_inside():
    surveys = recorded.surveys()
    assert not surveys.role.isin(recorded.KEPT).any() and surveys.checkpoint.nunique() == 3
    assert recorded.kurtoses(surveys).shape == (3, 12)
