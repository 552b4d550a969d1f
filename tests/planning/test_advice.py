"""Which row a plan speaks of: ties, what may be measured, and 16 bits that only want a price."""

import numpy as np
import pandas as pd
import pytest
from small_plans import SCENARIO

import rholaw as rl
from rholaw.planning import advice

pytestmark = pytest.mark.usefixtures("few")
ROW = {"npv": 0.0, "good_enough": 0.5, "devices_paid": 1, "ttft_ms": 30.0, "latency_ms": 8.0, "batch": 8}
ROW |= {"unsettled": True, "feasible": True, "cost_month": 1.0, "hours_month": 730.5}


def rows(*changes: dict) -> pd.DataFrame:
    return pd.DataFrame([ROW | change for change in changes])


def test_what_is_worth_nothing_is_no_better_for_being_less_likely_good_enough():
    likely = {"npv": -100.0, "good_enough": 0.9}
    assert advice.unsettled(rows({"npv": -110.0, "good_enough": 0.1}, likely)) == 1
    assert advice.unsettled(rows(likely, {"npv": 50.0, "good_enough": 0.1})) == 1
    assert advice.unsettled(rows({"npv": 100.0, "good_enough": 0.1}, {"npv": 50.0, "good_enough": 0.9})) == 1
    assert advice.unsettled(rows({"unsettled": False})) is None


def test_of_equal_money_the_batch_that_answers_soonest_is_taken():
    crowded = {"batch": 1, "ttft_ms": 800.0, "latency_ms": 7.9}
    assert advice.ranked(rows(crowded, {})).batch.tolist() == [8, 1]
    assert advice.unsettled(rows(crowded, {})) == 1


@pytest.mark.slow
def test_16_bits_that_only_want_a_price_are_no_absence():
    mixed = {"devices": ["RTX 5090", "Apple M4 Max"], "engine": "llama.cpp", "batches": [1]}
    formats = [{"weights": "q8_0", "dloss": 0.001}]
    small = SCENARIO | {"model": {"params": 20e9}, "hardware": mixed, "formats": formats}
    plan = rl.plan(small | {"project": {"kind": "post-training"}})
    assert plan.choice.device == "RTX 5090" and plan.baseline is None and plan.verdict == "cannot tell"
    assert "no price of Apple M4 Max is known" in plan.recommendation
    assert np.isfinite(plan.conclusion.turning.value)


@pytest.mark.slow
def test_devices_that_hardly_work_are_told():
    idle = SCENARIO | {"traffic": {"requests_per_month": 30}}
    assert any("busiest option works in less than 1 %" in warning for warning in rl.plan(idle).warnings)
    for change in ({"traffic": {"requests_per_month": 1e7}}, {"prices": {"billing": "hours"}}):
        assert not any("busiest option" in warning for warning in rl.plan(idle | change).warnings)


def test_a_device_whose_arithmetic_is_unknown_is_not_judged():
    device = {"devices": ["Snapdragon 8 Gen 3"], "engine": "llama.cpp", "batches": [1]}
    formats = [{"weights": "q4_k", "dloss": 0.001}]
    small = SCENARIO | {"model": {"geometry": "Llama-3.2-3B"}, "hardware": device, "formats": formats}
    plan = rl.plan(small | {"project": {"kind": "post-training"}})
    assert plan.verdict == "cannot tell" and plan.choice is None and plan.verify == ()
    assert (
        "lacks the bf16 of Snapdragon 8 Gen 3. Give what is missing in the file of hardware.overrides"
        in plan.summary_en
    )
    assert "Snapdragon 8 Gen 3のbf16" in plan.summary_ja and "hardware.overrides" in plan.summary_ja
    heavy = small | {"model": {"params": 70e9}, "project": {"kind": "post-training"}}
    assert rl.plan(heavy).verdict == "do not compress"  # whatever its arithmetic, it does not fit
