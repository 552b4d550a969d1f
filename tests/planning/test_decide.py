"""A plan case by case: the same in whatever pieces it is computed, and no larger than a few of them."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.laws import draws as capacities
from rholaw.planning import cases, decide, rows

SCENARIO = {
    "model": {"geometry": "Llama-3.1-8B"},
    "project": {"kind": "post-training"},
    "formats": [{"weights": "sint4/g128"}, {"weights": "fp8_row", "activations": "fp8_row"}],
    "hardware": {"devices": ["L40S", "H100 80GB SXM"], "gpus": [1, 2], "batches": [1, 8, 32, 64, 128]},
    "run": {"samples": 200, "today": "2026-11-24"},
}


@pytest.fixture(scope="module")
def law():
    return capacities.default_fit(16)


@pytest.mark.slow
def test_a_plan_is_the_same_in_pieces(law, monkeypatch):
    whole = rl.plan(SCENARIO, law)
    monkeypatch.setattr(cases, "VALUES", 400)  # two batches a Case
    pieces = rl.plan(SCENARIO, law)
    pd.testing.assert_frame_equal(whole.table, pieces.table, rtol=1e-9)
    assert whole.recommendation == pieces.recommendation and whole.warnings == pieces.warnings
    np.testing.assert_allclose(whole.npv, pieces.npv, rtol=1e-12)


@pytest.mark.slow
def test_more_rows_take_no_more_draws_at_a_time(law, monkeypatch):
    monkeypatch.setattr(cases, "VALUES", 10_000)

    def peak(batches: int) -> int:
        large = {"hardware": {"batches": [*range(1, batches + 1)]}, "run": {"samples": 10_000}}
        tracemalloc.start()
        rl.plan(SCENARIO | large, law)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(1)
    assert peak(6) < 1.3 * peak(2)


def test_a_row_is_on_the_front_where_no_other_beats_it():
    goals = ["cost_month", "cost_once", "dloss", "latency_ms"]
    values = np.random.default_rng(0).integers(0, 5, (60, 4)).astype(float)
    values[:3, 0] = np.nan
    table = pd.DataFrame(values, columns=goals).assign(feasible=np.arange(60) % 5 > 0)
    others = values[table.feasible]
    beaten = [((others <= own).all(axis=1) & (others < own).any(axis=1)).any() for own in values]
    assert (rows.pareto(table) == table.feasible & ~np.array(beaten)).all()


@pytest.mark.slow
@pytest.mark.parametrize(("rent", "doubted"), [(50, True), (3, False)])
def test_a_rent_that_may_be_in_another_currency_is_doubted(law, rent, doubted):
    plan = rl.plan(
        SCENARIO | {"prices": {"currency": "JPY", "rate": 155, "gpu_hour_usd": {"H100 80GB SXM": rent}}}, law
    )
    assert any("gpu_hour_usd is in USD" in warning for warning in plan.warnings) == doubted


@pytest.mark.slow
def test_no_16_bit_row_saves_against_the_baseline():
    """Of gpt-oss-120b the least median is of an H200 deployment, which an H100 one undercuts in two draws of three."""
    plan = rl.plan(Path(rl.__file__).parents[2] / "chapters" / "scenarios" / "gpt_oss_120b.toml")
    dense = plan.table[(plan.table.option == "dense") & plan.table.feasible]
    assert dense.saving_month.max() == 0 == plan.baseline.saving_month
    assert plan.baseline.cost_month > dense.cost_month.min()  # else this scenario tests nothing


CIRCLE = {"a": [1, 2, 3], "b": [2, 3, 1], "c": [3, 1, 2]}  # each is cheaper than the next in two draws of three


@pytest.mark.parametrize(
    ("bills", "best"),
    [
        ({"a": [2, 2, 2], "b": [1, 9, 9], "c": [3, 3, 1]}, "a"),
        ({"a": [10, 10, 10, 1, 1], "b": [9, 9, 9, 20, 20], "c": [11, 11, 11, 11, 11]}, "b"),
        (CIRCLE, "a"),
        ({}, None),
    ],
)
def test_the_baseline_is_cheaper_than_any_other_in_most_draws(monkeypatch, bills, best):
    rising = {"a": 1, "b": 2, "c": 3}
    served = [((rising[name],), name, np.array(bill, float)) for name, bill in bills.items()]
    monkeypatch.setattr(decide, "_served", lambda *_: iter(served))
    place, monthly, cheapest = decide._baseline([], None, None)
    assert place == best and (best is None or monthly.tolist() == bills[best])
    assert cheapest == (bills != CIRCLE)
