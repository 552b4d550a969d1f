"""A plan case by case: the same in whatever pieces it is computed, and no larger than a few of them."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.laws import draws as capacities
from rholaw.planning import cases, rows

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


@pytest.mark.parametrize(("rent", "doubted"), [(50, True), (3, False)])
def test_a_rent_that_may_be_in_another_currency_is_doubted(law, rent, doubted):
    plan = rl.plan(
        SCENARIO | {"prices": {"currency": "JPY", "rate": 155, "gpu_hour_usd": {"H100 80GB SXM": rent}}}, law
    )
    assert any("gpu_hour_usd is in USD" in warning for warning in plan.warnings) == doubted
