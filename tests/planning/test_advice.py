"""Which row a plan speaks of: ties, what may be measured, and 16 bits that only want a price."""

import numpy as np
import pandas as pd
import pytest
from small_plans import SCENARIO

import rholaw as rl
from rholaw.planning import advice
from rholaw.planning.remarks import Reason

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
    assert any("busiest option works in less than 1%" in warning for warning in rl.plan(idle).warnings)
    for change in ({"traffic": {"requests_per_month": 1e7}}, {"prices": {"billing": "hours"}}):
        assert not any("busiest option" in warning for warning in rl.plan(idle | change).warnings)


@pytest.mark.slow
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


# --- the surer option, and where money does not decide -------------------------------------------------------------

BOLD = {"option": "int4", "npv": 100.0, "npv_p10": -700.0, "pays": 0.6, "unsettled": False}


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"pays": 0.7, "npv_p10": -700.0}, True),  # in clearly more draws
        ({"pays": 0.69, "npv_p10": -700.0}, False),
        ({"pays": 0.6, "npv_p10": -340.0}, True),  # in as many, at half the loss
        ({"pays": 0.6, "npv_p10": -360.0}, False),
        ({"pays": 0.59, "npv_p10": -10.0}, False),
        ({"pays": 0.7, "option": "dense"}, False),
        ({"pays": 0.7, "option": "int4"}, False),
        ({"pays": 0.7, "feasible": False, "unsettled": True}, False),  # it would have to be measured first
    ],
)
def test_the_surer_option_pays_more_often_or_loses_far_less(other, named):
    table = rows(BOLD, BOLD | {"option": "fp8", "npv": 90.0} | other)
    assert (advice.surer(table, table.loc[0]) == 1) == named


def test_only_what_pays_and_is_not_sure_to_has_a_surer_one():
    for pays, named in ((0.49, None), (0.5, 1), (0.89, 1), (0.9, None), (np.nan, None)):
        table = rows(BOLD | {"pays": pays}, BOLD | {"option": "fp8", "pays": 1.0})
        assert advice.surer(table, table.loc[0]) == named
    several = rows(
        BOLD, *(BOLD | {"option": name, "pays": pays} for name, pays in (("a", 0.7), ("b", 0.9), ("c", 0.8)))
    )
    assert advice.surer(several, several.loc[0]) == 2
    unsettled = BOLD | {"feasible": False, "unsettled": True}
    for good, named in ((0.5, 1), (0.4, None)):  # as likely good enough, or less
        table = rows(unsettled, unsettled | {"option": "fp8", "pays": 0.8, "good_enough": good})
        assert advice.surer(table, table.loc[0]) == named


@pytest.mark.slow
def test_where_the_bills_are_alike_speed_is_what_the_answer_begins_with():
    laptop = {"devices": ["Apple M3 Pro"], "engine": "llama.cpp", "batches": [1]}
    own = {"kind": "post-training", "tolerance": 0.05, "engineer_weeks": 0, "evaluation_usd": 0, "calibration_hours": 0}
    parts = {"hardware": laptop, "formats": [{"weights": "q8_0"}], "traffic": {"requests_per_month": 1000}}
    parts |= {"project": own, "prices": {"purchase_usd": {"Apple M3 Pro": 2000}}}
    begins = "A reader gets a token every "
    free = rl.plan(SCENARIO | parts)
    assert free.verdict == "cannot tell" and free.summary_en.startswith("Cannot tell: " + begins)
    assert "Money does not decide, since both cost as much." in free.summary_en
    unpriced = rl.plan(SCENARIO | parts | {"prices": {}})
    assert unpriced.verdict == "cannot tell" and "both take as many device hours" in unpriced.summary_en
    paid = rl.plan(SCENARIO | parts | {"project": own | {"evaluation_usd": 500}})
    assert paid.verdict == "do not compress" and paid.summary_en.startswith("Do not compress: " + begins)
    assert "The bills hardly differ. In money, even the best option" in paid.summary_en
    for row in (free.conclusion.choice, free.conclusion.baseline):
        assert f"{row.latency_ms:.3g} ms ({1000 / row.latency_ms:.3g} a second" in free.summary_en


@pytest.mark.slow
def test_what_saves_something_or_is_a_service_is_told_by_its_money():
    for requests in (1e9, 1e5):  # of the second the bills are alike, and large
        plan = rl.plan(SCENARIO | {"traffic": {"requests_per_month": requests}})
        assert not plan.conclusion.alike and "A reader gets" not in plan.summary_en


def test_of_machines_that_are_too_small_the_one_that_lacks_least_is_told():
    table = pd.DataFrame({"option": ["dense"] * 3, "feasible": False, "gpus": [1, 4, 2]})
    rooms = pd.Series([(Reason("too_large", {"need_gb": 900.0, "room_gb": room}),) for room in (80.0, 320.0, 160.0)])
    assert advice.obstacles(table, rooms)["dense"][0].data["room_gb"] == 320.0


def test_of_options_worth_as_much_the_one_that_costs_clearly_less_a_month_is_taken():
    dear = {"npv": 10_000.0, "pays": 0.95, "cost_month": 4365.0, "option": "fp8"}
    cheap = {"npv": 9_990.0, "pays": 0.95, "cost_month": 3172.0, "option": "int4"}
    for change, chosen in (
        ({}, 1),
        ({"npv": 9_800.0}, 0),  # worth clearly less
        ({"pays": 0.9}, 0),  # less sure
        ({"cost_month": 4360.0}, 0),  # no cheaper to speak of
        ({"feasible": False}, 0),
    ):
        assert advice.choose(rows(dear, cheap | change)) == chosen, change


def test_a_saving_that_rounding_hides_is_none():
    bill = {"cost_month": 3000.0, "unpriced": "", "device": "L40S"}
    for saved, alike in ((0.33, True), (1.9, True), (2.1, False)):
        ends = dict.fromkeys(("saving_month_p10", "saving_month", "saving_month_p90"), saved)
        assert advice.alike(pd.Series(bill | ends), pd.Series(bill), 1.0) == alike
        assert (
            advice.alike(pd.Series(bill | {name: 150 * value for name, value in ends.items()}), pd.Series(bill), 150.0)
            == alike
        )


OWN = {
    "model": {"geometry": "Llama-3.1-8B", "tokens": 15e12},
    "formats": [{"weights": "sint4/g128", "dloss": 0.01}],
    "hardware": {"devices": ["RTX 4090"], "batches": [8]},
    "traffic": {"requests_per_month": 1e4, "tokens_in": 500, "tokens_out": 200},
    "prices": {"purchase_usd": {"RTX 4090": 1800}},
    "project": {"kind": "post-training", "tolerance": 0.05},
    "run": {"samples": 200, "today": "2026-11-28"},
}


@pytest.mark.slow
def test_work_that_nobody_gave_decides_no_verdict_unsaid():
    own = rl.plan(OWN)  # some cents of electricity, and 20,000 of work that is only assumed
    assert own.verdict == "cannot tell" and "Money does not decide" in own.summary_en
    assert own.summary_en.startswith("Cannot tell: A reader gets a token every ")
    rented = OWN | {
        "prices": {"gpu_hour_usd": {"RTX 4090": 0.4}},
        "traffic": OWN["traffic"] | {"requests_per_month": 1e7},
    }
    plan = rl.plan(rented)
    assert plan.verdict == "cannot tell" and plan.conclusion.ground == "work"
    assert plan.summary_en.startswith("Cannot tell: work that was only assumed decides")
    assert "仮に置いた費用が結論を左右します" in plan.summary_ja
    most = plan.conclusion.turning.value
    for usd, pays in ((0.98 * most, True), (1.02 * most, False)):  # told as work of the user's own, it decides
        given = {"engineer_weeks": 0, "evaluation_usd": usd}
        told = rl.plan(rented | {"project": rented["project"] | given})
        assert (told.verdict != "do not compress") == pays and "assumed" not in told.summary_en
    items = plan.assumptions.set_index("item").source
    assert items["engineering weeks"] == "assumed"
