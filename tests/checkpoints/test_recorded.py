"""What the records of real checkpoints are turned into: by hand, on tables made up here."""

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.checkpoints import recorded
from rholaw.laws.law import rise_in_training

LAW = rl.Law(A=400.0, alpha=0.3, B=400.0, beta=0.3, E=1.0)
INDEX = pd.MultiIndex.from_product([["a", "b", "c", "q4_1"], [0, 64]], names=["format", "rotation"])
ROUNDED = pd.DataFrame({"rise": [0.5, 0.2, 0.4, 0.6, 0.3, 0.31, 0.0, 0.5], "stderr": 0.02}, INDEX)


class Draws:
    """A law without uncertainty, in which every format keeps four fifths of the parameters."""

    A, alpha = np.array([LAW.A]), np.array([LAW.alpha])

    def capacity(self, name):
        return np.array([0.8]), "law"


@pytest.fixture
def tables(monkeypatch):
    """The records of a model of 200 parameters in two groups of matrices, and one format."""
    rows = {
        "real_checkpoints": {
            "checkpoint": recorded.MODEL,
            "name": ["x", "x", "y", "emb"],
            "role": ["mlp", "mlp", "attention", "embedding"],
            "parameters": [120, 120, 80, 999],
        },
        "post_training": {
            "text": ["shakespeare", "shakespeare", "shakespeare", "python"],
            "format": ["dense", "int4", "int4", "int4"],
            "rotation": [0, 0, 64, 0],
            "rise": [0.0, 0.3, -0.1, 0.25],
            "stderr": 0.01,
        },
        "group_errors": {
            "group": ["up", "query"] * 2,
            "format": "int4",
            "rotation": [0, 0, 64, 64],
            "error": [0.02, 0.04, 0.01, 0.01],
            "weighted_error": [0.04, 0.04, 0.02, 0.005],
            "output_error": [0.02, 0.04, 0.01, 0.01],
            "rise_alone": [0.5, np.nan, np.nan, np.nan],
        },
        "sensitivity": {
            "group": ["all", "up", "query"],
            "error": [0.03, 0.03, 0.03],
            "alpha": [7.0, 5.0, 2.0],
            "stderr": [0.1, 0.3, 0.4],
        },
    }
    monkeypatch.setattr(recorded.tables, "read", lambda name: pd.DataFrame(rows[name.removeprefix("measured/")]))


def test_rounding_stands_beside_what_training_would_cost(tables):
    table = recorded.rounded(Draws())
    cost = rise_in_training(LAW, 200, 0.8)
    assert table.law.tolist() == pytest.approx([cost, cost]) and table.rho.tolist() == [0.8, 0.8]
    assert rise_in_training(LAW, 200, table.rho_needed[("int4", 0)]) == pytest.approx(0.3)
    assert table.times[("int4", 0)] == pytest.approx(0.3 / cost) and np.isnan(table.times[("int4", 64)])  # it fell
    assert table.loc[("int4", 0), ["error", "weighted_error"]].tolist() == pytest.approx([0.03, 0.04])
    both = recorded.both_texts(Draws())
    assert both.loc["int4"].tolist() == [0.3, 0.25]


def test_the_sum_over_groups_by_hand(tables):
    sums = recorded.linear()
    plain = sums.loc[("int4", 0)]
    assert plain["rise", "error"] == pytest.approx(5 * 0.02 + 2 * 0.04)
    assert plain["stderr", "error"] == pytest.approx(np.hypot(0.3 * 0.02, 0.4 * 0.04))
    # Noise, like rotated errors, would be 2 and 0.5 as large when the inputs weigh it.
    assert plain["rise", "weighted_error"] == pytest.approx(5 / 2 * 0.04 + 2 / 0.5 * 0.04)
    alone = recorded.alone()
    assert alone[["alpha", "by_noise"]].to_numpy().tolist() == [[pytest.approx(0.5 / 0.02), 5.0]]


def test_by_which_factor_sums_are_off():
    sums = pd.DataFrame({("rise", measure): 0.25 for measure in recorded.MEASURES}, INDEX)
    sums.loc[("c", 0), ("rise", "error")] = 0.001  # too little to say anything
    quotients = recorded.quotients(ROUNDED, sums)
    assert [name for name, _ in quotients.index] == ["a", "a", "b", "b", "c", "q4_1"]  # nor does a rise of nothing
    factors = recorded.factors(quotients)
    assert factors["weights, typical"].tolist() == pytest.approx([1.8, 1.625])
    assert factors["outputs, largest"].tolist() == pytest.approx([2.0, 2.4])


def test_a_rotation_helps_or_hurts_only_beyond_two_standard_errors():
    assert recorded.turned(ROUNDED) == (["a"], ["b"])
    assert recorded.turned(ROUNDED, most=0.45) == ([], ["b"])
    assert recorded.turned(ROUNDED.assign(stderr=0.1)) == (["a"], [])
    assert recorded.turned(ROUNDED.assign(stderr=0.2)) == ([], [])
