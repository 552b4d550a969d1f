"""What a token costs against traffic is what a plan of that traffic says, of the cheapest row that meets its limits."""

import pytest
import small_plans

import rholaw as rl
from rholaw.planning import costs, traffic
from rholaw.planning.advice import TIES

RATES = (1 / 60, 0.5, 40.0)
pytestmark = pytest.mark.usefixtures("few")
SCENARIO = small_plans.SCENARIO | {
    "hardware": {"devices": ["H100 80GB SXM", "L40S"], "batches": [16, 64]},
    "traffic": {"latency_ms": 40, "utilisation": 0.5},
    "prices": {"billing": "hours", "currency": "EUR", "rate": 0.9},
}


@pytest.fixture(scope="module")
def table():
    return traffic.over_rates(rl.Scenario.of(SCENARIO), RATES)


@pytest.mark.slow
def test_a_token_costs_what_the_plan_of_its_traffic_says(table):
    whole = {**SCENARIO, "prices": {"currency": "EUR", "rate": 0.9}}
    for rate in RATES:
        requests = rate * 3600 * costs.HOURS
        plan = rl.plan({**whole, "traffic": {"latency_ms": 40, "requests_per_month": requests}})
        for side, dense in (("dense", True), ("compressed", False)):
            feasible = plan.table[plan.table.feasible & ((plan.table.option == "dense") == dense)]
            (own,) = table[(table.rate == rate) & (table.side == side)].itertuples()
            assert own.cost * requests * 1300 / 1e6 == pytest.approx(feasible.cost_month.min())
            row = feasible.sort_values(["cost_month", *TIES]).iloc[0]
            assert (own.device, own.devices_paid, own.ttft_ms) == (row.device, row.devices_paid, row.ttft_ms)


def test_little_traffic_makes_a_token_dear_in_proportion_and_a_replica_is_paid_all_month(table):
    dense = table[table.side == "dense"].set_index("rate")
    assert dense.devices_paid[1 / 60] == 1 and dense.cost[1 / 60] > 5 * dense.cost[0.5]
    assert dense.cost.is_monotonic_decreasing and (dense.cost_p10 <= dense.cost).all()


def test_where_nothing_keeps_the_limits_there_is_no_row():
    late = rl.Scenario.of({**SCENARIO, "traffic": {"ttft_ms": 5}})
    assert traffic.over_rates(late, RATES).empty
