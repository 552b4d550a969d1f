"""The choices on a page: it says what is recorded of them, remembers them, and has the first without scripts."""

import itertools
import re

import pytest
from browser import PAGE, PHONE, problems

from rholaw.book import ledger
from rholaw.book.glance import Glance
from rholaw.book.plain import plain
from rholaw.planning import glance


@pytest.fixture(scope="module")
def said():
    return glance.recorded().set_index(list(glance.CHOICES))


PLACES = ["model", "device", "traffic"]


def numbers(text):
    return re.findall(r"\d+\.\d+", text)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_page_tells_the_recorded_numbers_of_the_options(language):
    table, speeds, rises = glance.recorded_options(), Glance(language, tells="speed"), Glance(language, tells="rise")
    said, loss = speeds.data()["said"], rises.data()["said"]
    assert [*loss] == [*glance.MODELS] and len(said) == len(glance.cells()) // len(glance.CURRENCIES)
    for chosen, rows in table.groupby(PLACES, sort=False):
        known = rows[rows.kernel != "unknown"]
        faster = {f"{known.loc[i, 'speedup_decode' + part]:.2f}" for i in known.index for part in glance.SPREAD}
        assert faster == {*numbers(said["|".join(chosen)][1])} - {*numbers(" ".join(chosen))}
        lost = [plain(rows.loc[i, "dloss" + part]) for i in rows.index for part in glance.SPREAD]
        assert {*lost} <= {*numbers(loss[chosen[0]][1])}


def test_devices_and_batch_are_named_once_for_all_options_on_them():
    said = Glance(tells="speed").data()["said"]
    for chosen, rows in glance.recorded_options().groupby(PLACES, sort=False):
        places = rows[rows.kernel != "unknown"][["gpus", "batch"]].drop_duplicates()
        assert said["|".join(chosen)][1].count("sequences in flight") == len(places), chosen


def test_the_first_choice_is_the_ledger():
    first = ("Llama-3.1-8B", "H100 80GB SXM", "fifty")
    for tells, chapter in [("rise", "14_law_after_training"), ("speed", "17_hardware")]:
        data = Glance(tells=tells).data()
        said = data["said"]["|".join(first[: len(data["choices"])])][1]
        *_, line = ledger.upto(chapter).data.splitlines()
        options = line.replace("**", "").split(" | ")[1:3]
        assert all(set(numbers(option)) <= set(numbers(said)) for option in options), (options, said)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(PAGE % ("<section><h1>t</h1>" + Glance()._repr_html_() + "</section>"), encoding="utf-8")
    return path


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_page_knows_every_choice(language, said):
    data = Glance(language).data()
    every = itertools.product(*(choice["values"] for choice in data["choices"]))
    assert sorted("|".join(chosen) for chosen in every) == sorted(data["said"])
    assert [choice["first"] in choice["values"] for choice in data["choices"]] == [True] * 4
    for (*chosen,), row in said.iterrows():
        assert data["said"]["|".join(chosen)][1] == row[language]


def test_what_is_chosen_first_can_be_another():
    first = {choice["name"]: choice["first"] for choice in Glance("ja", (("currency", "JPY"),)).data()["choices"]}
    assert first == {"model": "Llama-3.1-8B", "device": "H100 80GB SXM", "traffic": "fifty", "currency": "JPY"}


def test_the_page_says_what_is_chosen_and_remembers_it(path, said, context):
    page = context.new_page()
    for _ in range(2):  # the second time as it was left
        page.goto(path.as_uri())
        if page.locator("select[name=device]").input_value() != "MI300X":
            page.select_option("select[name=device]", "MI300X")
            page.select_option("select[name=currency]", "JPY")
        row = said.loc[("Llama-3.1-8B", "MI300X", "fifty", "JPY")]
        assert page.locator(".glance-said").inner_text() == row.en
        assert page.locator(".glance-bar output").inner_text().casefold() == row.verdict
        assert not page.locator(".glance-without").is_visible()
    page.evaluate("localStorage.clear()")
    page.close()


def test_a_page_that_asks_for_less_keeps_what_was_chosen_elsewhere(path, context, tmp_path):
    fewer = tmp_path / "fewer.html"
    fewer.write_text(PAGE % ("<section><h1>t</h1>" + Glance(tells="rise")._repr_html_() + "</section>"), "utf-8")
    page = context.new_page()
    page.goto(path.as_uri())
    page.select_option("select[name=device]", "MI300X")
    page.goto(fewer.as_uri())
    page.select_option("select[name=model]", "Qwen3-32B")
    assert page.locator("select").count() == 1 and not page.locator(".glance-bar output").is_visible()
    assert page.locator(".glance-said").inner_text().startswith("Qwen3-32B")
    page.goto(path.as_uri())
    kept = {name: page.locator(f"select[name={name}]").input_value() for name in ("model", "device")}
    assert kept == {"model": "Qwen3-32B", "device": "MI300X"}
    page.evaluate("localStorage.clear()")
    page.close()


def test_without_scripts_the_first_choice_is_said(path, said, context):
    still = context.browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = still.new_page()
    page.goto(path.as_uri())
    assert page.locator(".glance-without").is_visible()
    assert page.locator(".glance-said").inner_text() == said.loc[("Llama-3.1-8B", "H100 80GB SXM", "fifty", "USD")].en
    still.close()


def test_the_page_is_well(path, context):
    assert problems(context, path) == []
