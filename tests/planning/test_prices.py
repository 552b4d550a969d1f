"""Money as it is typed and paid: in the scenario's currency, with interruptions, and what stands around a purchase."""

import pytest
import small_plans

import rholaw as rl
from rholaw.planning.inputs import Project
from rholaw.planning.scenario import ScenarioError

pytestmark = pytest.mark.usefixtures("few")
SCENARIO = small_plans.SCENARIO | {
    "hardware": {"devices": ["L40S"], "batches": [64]},
    "traffic": {"requests_per_month": 3e7},
}
MONEY = ["cost_month_p10", "cost_month", "cost_month_p90", "cost_once", "npv"]


def planned(**parts):
    return rl.plan(rl.Scenario.of(SCENARIO).replace(**parts))


def codes(plan):
    return {doubt.code for doubt in plan.doubts}


@pytest.mark.parametrize("rented", [True, False])
def test_what_is_typed_in_yen_is_what_is_typed_in_dollars_times_the_rate(rented):
    key = "gpu_hour" if rented else "purchase"
    dollars = {f"{key}_usd": {"L40S": [1.0, 1.2, 1.5]}, "electricity_usd_kwh": 0.2}
    yen = {key: {"L40S": [150.0, 180.0, 225.0]}, "electricity_kwh": 30, "currency": "JPY", "rate": 150}
    work = {"kind": "qat", "tolerance": 0.05}
    one = planned(prices=dollars, project=work | {"engineer_week_usd": 5000, "evaluation_usd": 200})
    two = planned(prices=yen, project=work | {"engineer_week": 750_000, "evaluation": 30_000})
    assert (two.table[MONEY] / 150).to_numpy() == pytest.approx(one.table[MONEY].to_numpy())


def test_a_price_in_another_currency_is_doubted():
    assert "price_unusual" not in codes(planned(prices={"gpu_hour": {"L40S": 150}, "currency": "JPY", "rate": 150}))
    for key, price in (("gpu_hour_usd", 500), ("gpu_hour", 1.2)):
        plan = planned(prices={key: {"L40S": price}, "currency": "JPY", "rate": 150})
        assert "price_unusual" in codes(plan)
    assert any("gpu_hour_usd is in USD, gpu_hour in the currency" in warning for warning in plan.warnings)


def test_the_same_price_twice_is_refused():
    with pytest.raises(ScenarioError, match="L40S stands in gpu_hour and in gpu_hour_usd: give one"):
        planned(prices={"gpu_hour": {"L40S": 1}, "gpu_hour_usd": {"L40S": 1}})
    with pytest.raises(ScenarioError, match=r"rented and bought \(gpu_hour_usd, purchase\): give one"):
        planned(prices={"purchase": {"L40S": 9000}, "gpu_hour_usd": {"L40S": 1}})
    with pytest.raises(ScenarioError, match=r"prices.gpu_hour: L40: .*did you mean"):
        planned(prices={"gpu_hour": {"L40": 1}})


@pytest.mark.parametrize("prices", [{"billing": "hours"}, {}])
def test_interruptions_take_a_share_of_what_is_paid(prices):
    spot = {"gpu_hour_usd": {"L40S": 0.4}, "overhead": 1, **prices}
    calm, cut = (planned(prices={**spot, "interruption": share}).baseline for share in (0.0, 0.5))
    if prices:
        assert cut.cost_month == pytest.approx(2 * calm.cost_month, rel=0.02)
    else:  # whole replicas
        assert calm.devices_paid < cut.devices_paid <= 2 * calm.devices_paid
    assert "interrupted" in codes(planned(prices={**spot, "interruption": 0.5}))
    own, kept = (planned(prices={"purchase_usd": {"L40S": 9000}, "interruption": share}) for share in (0.0, 0.5))
    assert own.baseline.cost_month == kept.baseline.cost_month


def test_a_purchase_has_a_server_around_it_and_people_beside_it():
    bought = {"purchase_usd": {"L40S": 9000}, "electricity_usd_kwh": 0, "lifetime_months": 24}
    alone, housed = (planned(prices={**bought, **more}) for more in ({}, {"server": 1.5, "upkeep": 0.1}))
    cost, devices = alone.baseline.cost_month, alone.baseline.devices_paid
    assert cost == pytest.approx(devices * 9000 / 24)
    assert housed.baseline.cost_month == pytest.approx(1.5 * (1 + 0.1 * 2) * cost)
    assert "bought_alone" in codes(alone) and "bought_alone" not in codes(housed)


def test_what_is_not_given_in_the_currency_is_in_dollars():
    prices = rl.Scenario.of(SCENARIO).replace(prices={"currency": "EUR", "rate": 0.9}).prices
    assert prices.usd(Project().engineer_week, Project().engineer_week_usd) == 4000 and prices.usd(90, 1) == 100
