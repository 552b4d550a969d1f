"""What chapters compare beside a plan: by hand on small tables, and against plans of the same scenario."""

import numpy as np
import pandas as pd
import pytest
import small_plans

import rholaw as rl
from rholaw import tables
from rholaw.laws import draws as capacities
from rholaw.planning import comparisons

pytestmark = pytest.mark.usefixtures("few")
SCENARIO = small_plans.SCENARIO | {"traffic": {"requests_per_month": 1e8}}


@pytest.fixture(scope="module")
def plan():
    return rl.plan(SCENARIO)


@pytest.mark.slow
def test_formats_on_a_machine_are_the_scenarios_and_the_others_once_each(plan):
    pairs = ["fp8_row x fp8_row", "sint4/g128", "2:4"]
    table = comparisons.formats_on(plan.scenario, pairs, ["A100 80GB SXM", "H100 80GB SXM"], 1, [1, 8])
    assert list(dict.fromkeys(table.option)) == ["fp8_row x fp8_row", "sint4/g128", "2:4"]
    assert len(table) == 3 * 2 * 2 and set(table.comparison) == {"equal-n"} and "dense" not in set(table.option)


ROWS = pd.DataFrame(
    {
        "option": ["a", "b", "c", "d", "a"],
        "batch": [8, 8, 8, 8, 1],
        "rho": [0.8, 0.9, 0.5, 0.4, 0.8],
        "rho_p10": 0.25,
        "rho_p90": 0.5,
        "margin_decode_p10": [0.1, 0.2, -0.1, -0.6, -0.2],
        "speed_source_decode": ["measured", "nominal (upper bound)", "fitted", "no kernel", "measured"],
    }
)


def test_what_gains_even_at_p10_and_by_how_much_more_than_a_data_sheet():
    gaining = comparisons.gaining(ROWS, "decode", 8)
    assert gaining.option.tolist() == ["a", "b"] and gaining.known.tolist() == [True, False]
    assert comparisons.gaining(ROWS, "decode", 1).empty


def test_what_has_no_kernel_waits_for_one_over_rho():
    idle = comparisons.idle(ROWS)
    assert idle.index.tolist() == ["d"]
    assert idle.loc["d", ["needed", "low", "high"]].tolist() == [2.5, 2.0, 4.0]


def test_the_memory_line_holds_bits_against_capacity():
    formats = [rl.parse("int4"), rl.parse("nvfp4")]
    line = comparisons.memory_line(formats)
    assert line.format.tolist() == formats and line.bits.tolist() == [0.25, 4.5 / 16]
    low, mid, high = np.quantile(capacities.draws().capacity("int4")[0], [0.1, 0.5, 0.9])
    assert line.loc[0, ["rho_p10", "rho", "rho_p90"]].tolist() == pytest.approx([low, mid, high])
    assert line.ratio[0] == pytest.approx(0.25 / mid)


@pytest.mark.slow
def test_over_its_traffic_a_plan_is_the_plan_of_that_traffic(plan):
    traffic = comparisons.over_traffic(plan, [0.1, 1.0])
    assert traffic.requests.tolist() == [1e7, 1e8]
    assert traffic.loc[1, ["npv_p10", "npv", "npv_p90"]].tolist() == pytest.approx(
        plan.choice[["npv_p10", "npv", "npv_p90"]].tolist()
    )
    less = rl.plan(plan.scenario.replace(traffic={"requests_per_month": 1e7}))
    assert traffic.pays[0] == less.choice.pays and traffic.npv[0] == pytest.approx(less.choice.npv)


def test_without_traffic_or_choice_there_is_nothing_to_draw(plan):
    idle = rl.plan(plan.scenario.replace(traffic={"requests_per_month": 0}))
    none = rl.plan(plan.scenario.replace(project={"kind": "qat", "tolerance": 0}))
    assert comparisons.over_traffic(idle, [1.0]).empty and comparisons.over_traffic(none, [1.0]).empty


@pytest.mark.slow
def test_plans_no_longer_credit_nf4_with_energy_that_it_was_not_seen_to_save():
    table = comparisons.energy()
    assert len(table) >= 4 and (table.planned_low <= table.planned).all()
    published = pd.read_csv(tables.DATA / "hardware" / "energy.csv").query("device == 'RTX 5090' and batch == 1")
    assert table.change.tolist() == published[published.numbers == "nf4 x bf16"].change.tolist()
    assert (table.planned > 0).all() and (table.change < table.planned_high).all()  # slower than 16 bits, as measured
    assert table.change.between(table.planned_low, table.planned_high).sum() >= 3
