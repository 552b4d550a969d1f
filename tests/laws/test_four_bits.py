"""The capacity of four bits by source: the record is what the series say, and its spread and shares are its own."""

import math

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.laws import four_bits, sources
from rholaw.laws.law import Law


def test_the_recorded_table_is_what_the_series_say():
    recorded = sources.recorded()
    keys = ["series", "trainer", "weights", "activations", "definition", "source", "n_low", "rho"]
    for counting, count in four_bits.COUNTINGS.items():
        rows = pd.DataFrame([*four_bits._of_cpu(count), *four_bits._of_gpu(count)])
        same = recorded[(recorded["counting"] == counting) & recorded["definition"].eq("ladder")]
        assert rows[keys[:-1]].to_numpy().tolist() == same[keys[:-1]].to_numpy().tolist()
        assert same[["rho", "low", "high"]].to_numpy() == pytest.approx(rows[["rho", "low", "high"]], rel=1e-3)
    printed = pd.DataFrame(four_bits._printed())
    assert recorded[recorded["E"].eq("none") & recorded["low"].isna()]["rho"].tolist() == pytest.approx(printed["rho"])


def test_every_row_is_of_four_bits_with_its_interval_about_it():
    table = sources.recorded()
    assert set(table["weights"]) <= set(sources.NAMES.values()) and table["rho"].between(0.3, 1).all()
    inside = table.dropna(subset=["low"])
    assert ((inside["low"] <= inside["rho"]) & (inside["rho"] <= inside["high"])).all() and len(inside) > 60


def test_a_pair_of_runs_gives_the_capacity_that_made_them():
    law = Law(A=12.0, alpha=0.12, B=300.0, beta=0.3, E=1.2)
    dense = pd.DataFrame({"n_params": [1e7, 1e8, 1e9], "weights": "dense", "activations": "dense"})
    dense["n_tokens"] = 100 * dense["n_params"]
    dense["loss"] = law.loss(dense["n_params"], dense["n_tokens"])
    runs = dense.assign(weights="mxfp4", activations="mxfp4", n=dense["n_params"], ratio=100.0)
    runs["loss"] = law.loss(runs["n_params"], runs["n_tokens"], 0.65)
    alone = runs.assign(n_tokens=1)  # without a dense run beside it
    (row,) = four_bits._paired(law, pd.concat([runs, alone]), dense, {})
    assert (row["rho"], row["low"], row["high"]) == pytest.approx((0.65,) * 3) and row["runs"] == 3


def recorded(rows, monkeypatch):
    """Makes ``rows``, each (series, trainer, rho), the recorded table."""
    table = pd.DataFrame(rows, columns=["series", "trainer", "rho"])
    fixed = {"weights": "int4", "activations": "dense", "E": "none", "counting": "without embeddings"}
    monkeypatch.setattr(sources, "recorded", lambda: table.assign(**fixed, d_low=90, d_high=110))


def test_a_source_counts_once_and_the_spread_is_that_of_one_more(monkeypatch):
    recorded([("a", "x", 0.8), ("a", "x", 0.7), ("a", "x", 0.9), ("b", "x", 0.6), ("b", "y", 0.7)], monkeypatch)
    logs = np.log([0.8, 0.6, 0.7])
    half = 1.8856 * logs.std(ddof=1) * math.sqrt(1 + 1 / 3)  # Student's, two degrees of freedom, 80 %
    expected = np.exp(logs.mean() + np.array([0, -half, half]))
    assert sources.spread("int4") == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="0 sources"):
        sources.spread("int4", "int4")


def test_shares_of_variance_of_a_crossed_table():
    rows = [(a, b, math.exp(a + 2 * b)) for a in (0, 1) for b in (0, 1)]
    table = pd.DataFrame(rows, columns=["a", "b", "rho"]).assign(series="s", activations="dense")
    shares = sources.explained(table, ("a", "b"))
    assert shares["alone"].tolist() == pytest.approx([0.2, 0.8, 1.0])
    assert shares["beyond"].tolist()[:2] == pytest.approx([0.2, 0.8])
    assert shares["ratio"].tolist()[:2] == pytest.approx([math.e, math.e**2])


def test_embeddings_are_counted_by_shape_or_by_column():
    quest = rl.runs.load("quest2025").head(1)
    more = rl.runs.with_embeddings(quest)["n_params"] - quest["n_params"]
    assert more.tolist() == [2 * 32_000 * 640]
    own = pd.DataFrame({"n_params": [100], "n_embedding": [7], "n_head": [5]})
    assert rl.runs.with_embeddings(own)["n_params"].tolist() == [112]
    with pytest.raises(ValueError, match="100 parameters are not known"):
        rl.runs.with_embeddings(own[["n_params"]])


def test_the_shapes_have_the_sizes_of_the_runs():
    shapes = rl.runs.tables.read("published/quartet2025_shapes")
    hidden = 256 * np.ceil((8 * shapes["width"] // 3) / 256)
    layer = 4 * shapes["width"] ** 2 + 3 * shapes["width"] * hidden
    n_params = shapes["n_layers"] * layer + (2 * shapes["n_layers"] + 1) * shapes["width"]
    assert n_params.astype(int).tolist() == shapes["n_params"].tolist()
    assert set(shapes["n_params"]) == set(rl.runs.load("quest2025")["n_params"])
