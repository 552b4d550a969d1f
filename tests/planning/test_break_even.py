"""Where an option begins to pay: a plan on one side of it does, on the other it does not."""

import re

import numpy as np
import pytest
from small_plans import FP8, SCENARIO

import rholaw as rl
from rholaw.planning import break_even, names

pytestmark = pytest.mark.usefixtures("few")


def planned(**parts):
    return rl.plan(rl.Scenario.of(SCENARIO).replace(**parts))


@pytest.mark.slow
@pytest.mark.parametrize(("billing", "near"), [("machines", 0.1), ("hours", 0.03)])
def test_it_pays_above_the_break_even_and_not_below(billing, near):
    work = {"engineer_weeks": [2, 4, 8], "evaluation_usd": 5000}
    plan = planned(prices={"billing": billing}, project=work)
    assert plan.verdict == "do not compress"
    start = plan.choice.break_even_requests
    assert start == plan.conclusion.turning.value
    assert 1e6 < start < 1e10
    below, above = (
        planned(prices={"billing": billing}, project=work, traffic={"requests_per_month": times * start})
        for times in (1 - near, 1 + near)  # whole replicas come in steps, of which others may lie nearby
    )
    assert below.choice.npv <= 0 < above.choice.npv
    assert (
        f"With devices and batches as here, it pays from about {float(f'{start:.3g}'):,.0f} requests a month on"
        in plan.summary_en
    )


@pytest.mark.slow
def test_an_option_that_always_pays_has_no_break_even_and_one_that_never_does_an_infinite_one():
    free = {"engineer_weeks": 0, "evaluation_usd": 0, "qat_tokens": 0, "kind": "qat"}
    plan = planned(project=free, prices={"billing": "hours"}, traffic={"requests_per_month": 1e7})
    assert plan.choice.break_even_requests == 0
    slow = {**FP8, "speedup_prefill": 0.5, "speedup_decode": 0.5, "measured_on": "a slow machine"}
    plan = planned(formats=[slow])
    assert np.isinf(plan.choice.break_even_requests) and "no traffic makes it pay" in plan.summary_en
    assert "機器と同時処理の上限がこのままでは、利用量が増えても黒字になりません" in plan.summary_ja


@pytest.mark.slow
def test_without_a_price_the_plan_says_from_which_on_it_pays():
    device = {"devices": ["B300 SXM"], "batches": [8]}
    plan = planned(hardware=device, traffic={"requests_per_month": 1e9})
    assert plan.verdict == "cannot tell" and plan.conclusion.turning.above
    price = plan.conclusion.turning.value
    assert f"more than USD {price:.2f}"[:-1] in plan.summary_en
    for times, pays in ((0.98, False), (1.02, True)):
        rent = {"gpu_hour_usd": {"B300 SXM": times * price}}
        priced = planned(hardware=device, traffic={"requests_per_month": 1e9}, prices=rent)
        assert (priced.choice.npv > 0) == pays


@pytest.mark.slow
def test_where_it_is_not_known_whether_it_runs_the_plan_says_from_which_speed_on_it_pays():
    unknown = {"weights": "higgs_2", "dloss": 0.01}
    hardware = {"devices": ["H100 80GB SXM"], "batches": [64], "engine": "SGLang"}
    rent = {"gpu_hour_usd": {"H100 80GB SXM": 3}}
    plan = planned(formats=[unknown], hardware=hardware, traffic={"requests_per_month": 1e8}, prices=rent)
    assert plan.conclusion.ground == "untried"
    assert plan.conclusion.known is None and "The best of that" not in plan.summary_en
    known = {"weights": "fp8_row", "activations": "fp8_row", "dloss": 0.01}
    both = planned(formats=[unknown, known], hardware=hardware, traffic={"requests_per_month": 3e4}, prices=rent)
    assert both.conclusion.ground == "untried" and both.conclusion.known.name == both.choice.name
    assert f"The best of that, {names.option(both.choice, 'en')} on 1 × H100" in both.summary_en
    assert f"pays in {both.choice.pays:.1%}" in both.summary_en and "{known}" not in both.summary_ja
    times = plan.conclusion.turning.value
    assert re.search(rf"would pay from {times:.2g} times that speed on", plan.summary_en)
    for factor, pays in ((0.99, False), (1.01, True)):
        own = {"speedup_prefill": factor * times, "speedup_decode": factor * times, "measured_on": "it"}
        fast = planned(formats=[unknown | own], hardware=hardware, traffic={"requests_per_month": 1e8}, prices=rent)
        assert (fast.choice.npv > 0) == pays


def test_the_lowest_is_found_between_what_pays_and_what_does_not():
    assert break_even._lowest(lambda value: value > 3, 1e-3, 1e4) == pytest.approx(3, rel=1e-3)
    assert break_even._lowest(lambda value: True, 1e-3, 1e4) == 0
    assert np.isinf(break_even._lowest(lambda value: value < 3, 1e-3, 1e4))
