"""Tables and sentences of plans: the digits of each unit, and the numbers of the tables they are made of."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.book import desk, escaped, japanese, plan_prose, plan_tables
from rholaw.hardware import residuals
from rholaw.planning import words
from rholaw.planning.columns import COLUMNS

FRAME = pd.DataFrame(
    {"option": ["a", "b"], "memory_gb": [1234.56, np.nan], "pays": [0.937, 0.5], "rho": ["x", "y"], "own": [0.5, 0.25]}
)


def test_every_unit_has_its_digits():
    assert {column.unit for column in COLUMNS.values()} - {""} == set(plan_tables.UNITS)


def test_a_column_is_written_as_its_unit_asks_and_texts_stay():
    html = plan_tables.styled(FRAME.set_index("option"), own="{:.1%}")._repr_html_()
    for text in (">1,234.6<", ">–<", ">94%<", ">x<", ">50.0%<"):
        assert text in html
    assert ">0<" not in plan_tables.styled(FRAME, index=False)._repr_html_()


def test_what_is_true_is_told_as_yes():
    html = plan_tables.styled(pd.DataFrame({"feasible": [True, False]}, index=["a", "b"]))._repr_html_()
    assert "<td>yes</td>" in html and "<td>no</td>" in html and "True" not in html


def test_means_of_things_have_a_digit_and_numbers_of_them_none():
    html = plan_tables.styled(pd.DataFrame({"gpus": [8], "devices_paid": [12.2598]}))._repr_html_()
    assert ">8<" in html and ">12.3<" in html


def test_no_share_of_draws_is_told_as_sure():
    html = plan_tables.styled(pd.DataFrame({"gpus": [1, 2], "pays": [0.998, 0.75]}))._repr_html_()
    assert 'data-key="0.998">more than 99%<' in html and ">75%<" in html


def test_options_and_headings_are_named_and_what_decides_comes_first():
    options = ["fp8_row x fp8_row kv fp8_tensor", "dense"]
    frame = pd.DataFrame({"own": 1, "fp8_row x fp8_row": 1.0, "pays": 0.5, "npv_p90": 9.0, "option": options})
    html = plan_tables.styled(frame, index=False)._repr_html_()
    assert "<span>own</span>" in html
    for code, name in {
        options[0]: "FP8 weights and activations, FP8 cache",
        "dense": "16 bits",
        "pays": "share of draws that pay",
        "npv_p90": "net present value, P90",
        "fp8_row x fp8_row": "FP8 weights and activations",
    }.items():
        assert f'<span title="{code}">{name}</span>' in html
    heads = re.findall("<span.*?>(.*?)<", html.partition("<tbody>")[0])
    assert heads[:3] == ["option", "share of draws that pay", "own"]


def test_an_option_with_an_objection_says_so_beside_its_name():  # where a phone has no room for the objection
    frame = pd.DataFrame({"option": ["nvfp4", "fp8_row"], "why_not": ["loss too high", ""], "pays": [0.9, np.nan]})
    html = plan_tables.styled(frame, index=False)._repr_html_()
    assert '<span title="nvfp4">NVFP4 weights (with an objection)</span>' in html
    assert '<span title="fp8_row">FP8 weights</span>' in html and ">–<" in html


def test_cells_that_are_formats_and_headings_of_other_tables_are_named():
    frame = pd.DataFrame({"weights": ["fp8_row"], "implied_mfu": [0.4]}, index=pd.Index([0], name="case"))
    html = plan_tables.styled(frame)._repr_html_()
    assert '<span title="fp8_row">FP8</span>' in html and ">utilisation implied</span></th>" in html


def test_assumptions_are_of_options_by_name():
    items = ["fp8_row x fp8_row on 2 × H100: decode", "fp8_row: κ", "fp8_row_other: x"]
    plan = SimpleNamespace(
        table=pd.DataFrame({"option": ["fp8_row", "fp8_row x fp8_row"]}),
        assumptions=pd.DataFrame({"item": items, "value": "1", "as_of": ""}),
    )
    html = plan_tables.assumptions(plan)._repr_html_()
    for told in ("FP8 weights and activations on 2 × H100: decode", "FP8 weights: κ", "fp8_row_other: x", "as of"):
        assert told in html
    assert "fp8_row x" not in html and plan.assumptions["item"].tolist() == items


def test_spreads_are_medians_with_their_ends():
    rows = pd.DataFrame({"rho": [0.8, np.nan], "rho_p10": [0.75, np.nan], "rho_p90": [0.9, np.nan]})
    assert plan_tables.spreads(rows, ["rho"]).rho.tolist() == ["0.800 [0.750, 0.900]", "–"]


def test_what_never_pays_back_says_so():
    rows = pd.DataFrame({"payback_months": [3.8], "payback_months_p10": [1.6], "payback_months_p90": [np.inf]})
    assert plan_tables.spreads(rows, ["payback_months"]).payback_months.tolist() == ["3.8 [1.6, never]"]


def test_names_are_listed_as_code():
    assert escaped.listed(["int4", "2:4"]) == "`int4`, `2:4`" and escaped.listed([]) == "none"


def test_formats_that_wait_for_a_kernel_say_how_fast_it_must_be():
    idle = pd.DataFrame({"needed": [2.5, 1.25], "low": [2.0, 1.2], "high": [4.0, 1.3]}, index=["d", "e"])
    text = plan_prose.needed(idle)
    assert text.index("`e` 1.25 times the speed of 16 bits [1.20, 1.30]") < text.index("`d` 2.50 times")


def test_the_memory_line_names_what_saves_most_and_what_saves_nothing():
    line = pd.DataFrame({"format": ["a", "b", "c", "d"], "bits": 0.25, "rho_p90": [1, 1, 1, 0.2]})
    text = plan_prose.memory_line(line.assign(ratio=[0.3, 0.2, 0.4, 1.5]))
    assert "75% of 4 formats" in text and "`b` (0.20 of 16 bits), `a` (0.30 of 16 bits), `c` (0.40" in text
    assert text.endswith("even at the capacity's P90: `d`.")
    named = plan_prose.memory_line(line.assign(ratio=[0.3, 0.2, 0.4, 1.5], format=["a", "trellis2", "c", "2:4"]))
    assert '<span title="trellis2">2-bit trellis</span> (0.20' in named and named.endswith(">2:4-sparse</span>.")


def test_misses_are_those_of_the_observed_speeds():
    fresh, accuracy = residuals.held_out(), residuals.accuracy()
    timed = fresh[fresh.rung == "measured"]
    assert accuracy.loc["timed", "runs"] == len(timed) and accuracy.runs.sum() == len(fresh)
    assert accuracy.loc["timed", "error"] == pytest.approx(timed.error.abs().median())
    assert accuracy.loc["timed", "close"] == pytest.approx((timed.error.abs() <= 0.25).mean())
    text = plan_prose.misses(fresh, accuracy)
    assert f"{timed.error.abs().median():.0%} in the median of {len(timed)} cases" in text
    assert plan_tables.speeds(fresh)._repr_html_().count("<td>no</td>") == (~fresh.inside).sum()


def test_headings_of_money_name_its_currency():
    frame = pd.DataFrame({"npv": [1.0], "npv_p10": [0.5], "pays": [0.9]}, index=["x"])
    html = plan_tables.styled(frame, currency="EUR")._repr_html_()
    assert "net present value, EUR<" in html and "net present value, EUR, P10<" in html and "pay, EUR" not in html


@pytest.mark.parametrize("name", ["edge", "laptop_8b"])
def test_a_case_has_its_verdict_its_money_and_why(name):
    plan = rl.plan(japanese.scenario(name, quick=True))
    html = plan_tables.cases({"mine": plan})._repr_html_()
    row = plan.conclusion.choice
    for said in ("mine", plan.verdict, row.device, words.money(row.saving_month, "USD"), words.share(row.pays)):
        assert f"<td>{said}</td>" in html, said
    assert (
        f'title="{row.option}"' in html and "because" in html and row.option not in re.sub(r'title="[^"]*"', "", html)
    )


def test_the_money_of_a_plan_is_that_of_its_sheet():
    plan = rl.plan(japanese.scenario("edge", quick=True))
    html = plan_tables.money(plan)._repr_html_()
    rows = list(plan_tables.amounts(plan, "en"))
    assert len(rows) == 7 and all(f"<td>{text}</td>" in html for row in rows for text in row)
    assert all(f"<td>{text}</td>" in desk.sheet(plan, "en") for row in rows for text in row)


def test_doubts_are_of_what_is_recommended_or_of_the_others():
    plan = rl.plan(japanese.scenario("cloud", quick=True))
    own, others = plan_prose.warnings(plan), plan_prose.warnings(plan, others=True)
    (trained,) = (doubt for doubt in plan.doubts if doubt.code == "rho_without_runs")  # of options on either side
    assert {option == plan.choice.option for option, _ in trained.data["options"]} == {True, False}
    assert len(own.splitlines()) + len(others.splitlines()) == len(plan.doubts) + 1
    assert "NVFP4" in others and "NVFP4" not in own and f"The price of {plan.choice.device}" in own
    nothing = dataclasses.replace(plan, conclusion=dataclasses.replace(plan.conclusion, choice=None))
    assert plan_prose.warnings(nothing).count("\n") == len(plan.doubts)


def test_what_is_verified_first_is_what_moves_the_result_or_what_the_verdict_waits_for():
    plan = rl.plan(japanese.scenario("cloud", quick=True))
    first = words.texts("en")["inputs"][plan.conclusion.inputs[0]]
    assert plan_prose.verify(plan).startswith(f"The result moves most with {first}, then ")
    waits = rl.plan(japanese.scenario("cloud", quick=True).replace(project={"kind": "post-training"}))
    assert waits.verdict == "measure this" and plan_prose.verify(waits).startswith("Measure ")


def test_options_in_a_sentence():
    assert plan_prose.all_called([]) == "no format" and plan_prose.all_called(["one"]) == "`one`"
    assert plan_prose.all_called(["one", "two", "three"]) == "`one`, `two` and `three`"
