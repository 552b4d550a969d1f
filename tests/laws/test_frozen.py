"""Frozen laws: what was frozen cannot change unseen, and today's runs still give it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from rholaw import tables
from rholaw.laws import frozen

HASHES = {  # as they were committed before the laws met the runs that they predict
    "unified": "517104496366bd27",
    "unified-paper": "67467e01ea4bfcb7",
    "decoupled": "fd909ee46ed36b8e",
    "kumar-offset": "e369874780b11fc3",
    "additive": "abee263e9fdb546a",
    "chen": "f36c5fa0a9f2c823",
    "unified-sparse": "a5ec0e314681149a",
    "frantar": "47b4ae09a36f568d",
    "unified-tokens": "4aab065d5e6743be",
}


@pytest.fixture(scope="module")
def laws():
    return frozen.load("frozen2026")


def test_the_frozen_laws_are_those_of_the_day(laws):
    assert {name: law.sha256[:16] for name, law in laws.items()} == HASHES


def test_a_changed_sample_or_recipe_shows_in_the_hash():
    row = frozen.recipes("frozen2026")[0]
    samples = tables.read("frozen/2026_samples").query("law == 'unified'")
    assert frozen.digest(row, samples) == row["sha256"]
    changed = samples.assign(value=samples["value"].where(samples.index > 0, 2.0))
    for other in ((row, changed), (row | {"held": "E=0"}, samples), (row | {"noise": 0.1}, samples)):
        assert frozen.digest(*other) != row["sha256"]


def test_load_refuses_an_altered_sample(monkeypatch):
    read = tables.read

    def altered(name):
        table = read(name)
        return table.assign(value=table["value"] * 1.001) if name.endswith("_samples") else table

    monkeypatch.setattr(tables, "read", altered)
    with pytest.raises(ValueError, match="the law 'unified' or its samples were altered after they were frozen"):
        frozen.load("frozen2026")
    with pytest.raises(ValueError, match="frozen2026"):
        frozen.load("frozen2025")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["additive", "frantar"])
def test_todays_runs_give_the_same_within_the_interval(laws, name):
    row = next(row for row in frozen.recipes("frozen2026") if row["law"] == name)
    noise, samples = frozen.made(row, seed=1, count=8)
    again = samples.groupby("parameter")["value"].median()
    low, high = (laws[name].samples.quantile(share)[again.index] for share in (0.025, 0.975))
    assert ((low <= again) & (again <= high)).all()
    assert noise == pytest.approx(laws[name].noise, rel=0.2)


def test_extra_is_nothing_for_dense_runs_and_grows_with_the_error(laws):
    runs = pd.DataFrame(
        {"n_params": 1e8, "n_tokens": 1e10, "weights": ["dense", "int4", "int2"], "activations": "dense"}
    )
    extra = laws["unified"].extra(runs)
    assert extra.shape == (100, 3) and (extra[:, 0] == 0).all()
    assert (extra[:, 1] > 0).all() and (extra[:, 2] > extra[:, 1]).all()
    predicted, (low, high) = laws["unified"].predict(runs), laws["unified"].predict_interval(runs)
    assert (low < predicted).all() and (predicted < high).all()


def test_capacity_has_an_interval_and_some_laws_have_none(laws):
    rho, low, high = laws["unified"].capacity("int4")
    assert 0.7 < low <= rho <= high < 0.95
    longer = laws["unified-tokens"]
    assert longer.capacity("int4", tokens_per_param=1000)[0] < longer.capacity("int4", tokens_per_param=20)[0]
    assert laws["decoupled"].capacity("int2", "int2")[0] < 0.2
    with pytest.raises(ValueError, match="has no ρ"):
        laws["additive"].capacity("int4")


def test_noise_and_errors_of_what_is_measured_widen_in_quadrature(laws):
    runs = pd.DataFrame({"n_params": 1e8, "n_tokens": 1e10, "weights": ["int4", "int2"], "activations": "dense"})
    law = dataclasses.replace(laws["unified"], noise=3.0)  # beside it the samples hardly vary
    middle, low, high = law.extra_interval(runs, variance=np.array([0.0, 16.0]))
    assert high - middle == pytest.approx([1.96 * 3, 1.96 * 5], rel=1e-3)
    assert middle - low == pytest.approx(high - middle, rel=1e-3)
    assert (law.extra_interval(runs)[2] < high)[1]
