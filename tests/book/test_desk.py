"""The sheet for the desk says what the plan says, in both languages, and nothing that the plan does not know."""

import dataclasses
import re

import pytest
from browser import BROWSER, missing

import rholaw as rl
from rholaw.book import desk, japanese
from rholaw.planning import words


@pytest.fixture(scope="module")
def plan():
    return rl.plan(japanese.scenario("cloud", quick=True))


def changed(**sections):
    return rl.plan(japanese.scenario("cloud", quick=True).replace(**sections))


@pytest.mark.slow
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_the_sheet_has_the_numbers_of_the_plan(plan, language):
    text = desk.sheet(plan, language)
    assert words.texts(language)["verdicts"][plan.verdict] in text
    row, currency = plan.choice, plan.conclusion.currency
    for column in ("cost_month", "saving_month", "npv", "saving_month_p10", "npv_p90"):
        assert words.money(row[column], currency, language) in text, column
    assert f"{row.pays:.0%}" in text
    assert words.months(row.payback_months, language) in text
    assert {"en": "(16 bits)", "ja": "月間費用（16ビット）"}[language] in text and " – " not in text * (
        language == "ja"
    )
    inputs = [words.texts(language)["inputs"][key] for key in plan.conclusion.inputs]
    assert all(f"<li>{name}</li>" in text for name in inputs[: desk.SHOWN]) and f"<li>{inputs[-1]}</li>" not in text
    assert not re.search(r"\bnan\b|\{|None", text)


def test_the_japanese_sheet_is_in_yen_and_says_at_what_rate(plan):
    yen = desk.in_yen(plan)
    assert yen.verdict == plan.verdict and yen.choice.npv == pytest.approx(150 * plan.choice.npv)
    text = desk.sheet(yen, "ja")
    assert "1米ドル＝150円" in text and "円" in text and text.count("米ドル") == 1
    assert "1 USD is" not in desk.sheet(plan, "en")
    own = changed(prices={"currency": "EUR", "rate": 0.9})
    assert desk.in_yen(own) is own and "1 USD is 0.9 EUR" in desk.sheet(own, "en")


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_format_has_the_name_that_people_use(plan, language):
    assert "FP8" in desk.sheet(plan, language) and "fp8" not in desk.sheet(plan, language)


@pytest.mark.parametrize(
    ("language", "left", "gate"), [("en", "not compress for now", "go on"), ("ja", "見送ります", "続行")]
)
def test_what_is_left_has_no_gate_to_go_on(plan, language, left, gate):
    edge = japanese.scenario("edge", quick=True)
    alone = rl.plan(edge.replace(hardware={"devices": list(edge.hardware.devices[:1])}))
    told = [desk.sheet(each, language) for each in (alone, plan)]
    assert [left in text for text in told] == [True, False] and [gate in text for text in told] == [False, True]


@pytest.mark.parametrize("share", [0.955, 0.945, 0.005, 1.0])
def test_profit_and_loss_make_a_whole(plan, share):
    row = plan.choice.copy()
    row["pays"] = share
    text = desk.sheet(dataclasses.replace(plan, choice=row), "en")
    pays, loses = re.search(r"In (.+) of the draws it makes .*, in (.+) a loss", text).groups()
    sure = ("more than 99%", "less than 1%")
    assert (pays, loses) in (sure, sure[::-1]) or int(pays.rstrip("%")) + int(loses.rstrip("%")) == 100


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize(
    "sections",
    [
        {"hardware": {"devices": ["H100 80GB SXM"], "gpus": [1]}},  # nothing fits
        {"traffic": {"requests_per_month": 0}},
        {"project": {"kind": "post-training"}},
    ],
)
def test_what_a_plan_does_not_know_is_left_out(sections, language):
    other = changed(**sections)
    text = desk.sheet(other, language)
    assert words.texts(language)["verdicts"][other.verdict] in text
    assert not re.search(r"\bnan\b|\binf\b|\{|None", text)
    if other.choice is None:
        assert words.texts(language)["labels"]["npv"] not in text


@pytest.mark.slow
def test_each_language_has_one_sheet(plan, tmp_path):
    if BROWSER is None:
        missing("no Chromium on this machine")
    (tmp_path / "_build").mkdir()
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "ipython_kernel_config.py").touch()
    assert desk.desk(plan, tmp_path).read_bytes().count(b"/Type /Page\n") == 2
