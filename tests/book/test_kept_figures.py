"""The two laws, drawn and tabled."""

import numpy as np
import pandas as pd
import pytest

from rholaw.book import kept_figures
from rholaw.laws.draws import default_fit, draws

PAIRS = pd.DataFrame(
    {
        "gmse": [0.009, 0.009, 0.12],
        "after": [0.02, 0.04, 0.9],
        "trained": [0.04, -0.02, 0.3],
        "difference": [-0.02, 0.06, 0.6],
        "stderr": [0.03, 0.04, 0.1],
        "low": [-0.08, -0.02, 0.4],
        "high": [0.04, 0.14, 0.8],
    },
    index=pd.MultiIndex.from_tuples(
        [(100, 5, "e2m1/g16:e4m3"), (200, 5, "e2m1/g16:e4m3"), (100, 5, "int2")],
        names=["n_params", "n_tokens", "format"],
    ),
)


@pytest.fixture(scope="module")
def law():
    return draws(default_fit(20))


def test_the_laws_cross_where_the_line_is(law):
    figure = kept_figures.predicted(8e8, np.full(80, 6.0), law)
    rounded, trained, crossing = figure.axes[0].lines[:3]
    x, where = rounded.get_xdata(), crossing.get_xdata()[0]
    cheaper = rounded.get_ydata() < trained.get_ydata()
    assert cheaper[x < where / 1.3].all() and not cheaper[(x > where * 1.3)].any()


def test_pairs_are_filled_where_they_surely_differ_and_left_out_where_training_cost_nothing():
    points = [line for line in kept_figures.measured(PAIRS).axes[0].lines if line.get_linestyle() == "None"]
    assert [line.get_markerfacecolor() == "white" for line in points] == [True, False]
    assert points[1].get_ydata()[0] == pytest.approx(3)


def test_means_over_sizes():
    table = kept_figures.over_sizes(PAIRS)
    mean = table.loc[(5, "e2m1/g16:e4m3")]
    assert (mean.after, mean.trained, mean.difference) == pytest.approx((0.03, 0.01, 0.02))
    assert mean.stderr == pytest.approx(0.025) and table.loc[(5, "int2"), "stderr"] == pytest.approx(0.1)


def test_by_error(law):
    rows = pd.DataFrame({"model": ["a", "a", "b"], "n_params": 1e9, "format": ["q4_k", "q2_k", "q4_k"], "source": "s"})
    rows = rows.assign(gmse=[0.0051, 0.0875, 0.0051], rise=[0.02, 0.5, 0.04])
    table = kept_figures.by_error(rows, law, (1e-3, 1e-2, 0.2))
    assert list(table.index) == ["0.001 to 0.01", "0.01 to 0.2"] and list(table.models) == [2, 1]
    assert (table.low <= table["median"]).all() and (table["median"] <= table.high).all()
    assert table["median"].iloc[1] == pytest.approx(0.5 / 0.1, rel=0.3)  # training in q2_k costs about .1 nats
    assert len(kept_figures.against_measurements(rows, law, table).axes[0].containers) == 2
