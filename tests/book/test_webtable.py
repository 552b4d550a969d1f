"""Tables of pages: plain HTML, which assets/tables.js fits, filters, sorts and gives as CSV in a browser."""

import csv
import io
import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from browser import CUT_OFF, DESK, PAGE, PHONE, SETTLED
from hostile import NAMES

from rholaw.book import ROOT
from rholaw.book.webtable import HEADINGS, WebTable, headed

CSS, SCRIPT = ((ROOT / "assets" / name).read_text(encoding="utf-8") for name in ("book.css", "tables.js"))
LONG = pd.DataFrame(
    {"GMSE": [0.3, 2e-5, float("nan"), *(1.0 + i for i in range(17))], "what": ["one <bit>", *["more"] * 19]},
    index=pd.Index([f"n{i}" for i in range(20)], name="name"),
)
MANY = pd.DataFrame(
    {f"column {i}": [f"text {i}", "of some words"] for i in range(9)}, index=pd.Index(["a", "b"], name="row")
)


@pytest.fixture
def opened(context, tmp_path):
    """A function: the page of a table, with the script unless it is told so."""
    pages = []

    def open_page(table, script=SCRIPT, size=DESK):
        html = table if isinstance(table, str) else table._repr_html_()
        inside = f"<h1>t</h1><style>{CSS}</style><div class=cell_output>{html}</div><script>{script}</script>"
        path = tmp_path / "page.html"
        path.write_text(PAGE.replace("<article>", "<article class=bd-article>") % inside, encoding="utf-8")
        page = context.new_page()
        page.set_viewport_size(size)
        page.goto(path.as_uri())
        page.evaluate(SETTLED)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()


def shown(page, column=0):
    """The texts of a column, of the rows that are seen."""
    return page.evaluate(
        "x => [...document.querySelectorAll('tbody tr:not([hidden])')].map(row => row.cells[x].textContent)", column
    )


def heads(page):
    seen = "[...document.querySelectorAll('thead th')].filter(e => e.checkVisibility())"
    return page.evaluate(f"() => {seen}.map(e => e.innerText.replace(/\\s+/g, ' ').trim())")


def test_a_long_table_turns_filters_and_sorts(opened):
    page = opened(WebTable(LONG, {"GMSE": "{:.2g}"}))
    assert shown(page) == [f"n{i}" for i in range(12)] and "1–12 of 20" in page.locator("output").text_content()
    page.get_by_role("button", name="next rows").press("Enter")  # by keyboard
    assert shown(page) == [f"n{i}" for i in range(12, 20)]
    page.get_by_role("button", name="GMSE").press("Enter")
    assert shown(page)[:3] == ["n1", "n0", "n3"]
    page.get_by_role("button", name="GMSE").click()
    assert shown(page)[0] == "n19" and page.locator("th[aria-sort=descending]").count() == 1
    page.get_by_role("button", name="next rows").click()
    assert shown(page)[-1] == "n2"  # has no number
    page.get_by_role("searchbox").fill("<BIT> 0.3")
    assert shown(page) == ["n0"] and page.locator("output").text_content() == "1–1 of 1"
    page.get_by_role("searchbox").fill("none of them")
    assert shown(page) == [] and page.locator("output").text_content() == "0–0 of 0"


def test_what_is_infinite_is_a_number(opened):
    page = opened(pd.DataFrame({"x": ["inf", "1,200", "-inf", "3.5 %"]}).style)
    assert page.locator("td.number").count() == 4


def test_a_short_table_has_neither(opened):
    page = opened(WebTable(LONG[:12], {}))
    assert page.get_by_role("searchbox").count() == page.get_by_role("button", name="GMSE").count() == 0


def test_what_has_no_room_opens_below_its_row(opened):
    page = opened(WebTable(MANY, {}))
    assert heads(page) == ["row", *(f"column {i}" for i in range(5))]
    opener = page.get_by_role("button", name="the rest of this row").first
    opener.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    assert page.locator("tr.more dl").all_inner_texts() == ["\n".join(f"column {i}\ntext {i}" for i in range(5, 9))]
    page.set_viewport_size(PHONE)
    page.wait_for_function("document.querySelectorAll('tr.more').length === 0")
    assert 2 < len(heads(page)) < 6 and page.evaluate(CUT_OFF) == []
    opener.press("Enter")
    assert "column 4" in page.locator("tr.more").inner_text()
    opener.press("Enter")
    assert page.locator("tr.more").count() == 0


def test_a_table_of_numbers_is_shown_whole_where_it_fits(opened):
    page = opened(WebTable(pd.DataFrame([range(9)], columns=list("abcdefghi")), {}))
    assert heads(page) == ["index", *"abcdefghi"]


def test_rows_become_cards_where_two_columns_have_no_room(opened):
    frame = pd.DataFrame({"x": ["word" * 9], "y": ["word" * 9]}, index=["a" * 30])
    page = opened(WebTable(frame, {}), size=PHONE)
    assert heads(page) == [] and page.evaluate(CUT_OFF) == []
    assert page.evaluate("() => getComputedStyle(document.querySelectorAll('td')[1], '::before').content") == '"x: "'


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_no_table_is_cut_off_and_without_the_script_it_is(opened, size):
    frame = pd.DataFrame([["x" * 40] * 12] * 20, columns=[f"heading_{i}" * 3 for i in range(12)])
    assert opened(WebTable(frame, {}), size=size).evaluate(CUT_OFF) == []
    assert opened(WebTable(frame, {}), script="", size=size).evaluate(CUT_OFF) != []


def test_groups_of_rows_and_columns_are_written_out(opened):
    columns = pd.MultiIndex.from_product([["int4", "int2"], ["low", "high"]], names=["format", None])
    rows = pd.MultiIndex.from_product([["dense", "sparse"], [1, 2]], names=["kind", "seed"])
    page = opened(pd.DataFrame(0.5, index=rows, columns=columns).style.format("{:.1f}"))
    assert heads(page) == ["kind", "seed", "int4 low", "int4 high", "int2 low", "int2 high"]
    assert shown(page, 0) == ["dense", "dense", "sparse", "sparse"] and shown(page, 1) == ["1", "2"] * 2


def test_a_table_is_taken_as_csv(opened):
    frame = pd.DataFrame({"a, b": ['say "no"', "量子"], "GMSE": [1 / 3, 2.0]}, index=pd.Index([1, 2], name="n"))
    link = opened(WebTable(frame, {"GMSE": "{:.1f}"})).locator("a[download='page-1.csv']").get_attribute("href")
    text = unquote(link.partition(",")[2])
    assert text.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(text[1:])))
    assert rows == [["n", "a, b", "GMSE"], ["1", 'say "no"', str(1 / 3)], ["2", "量子", "2.0"]]


def test_a_minus_is_taken_as_one_that_programs_read(opened):
    frame = pd.DataFrame({"rise": ["−0.5", "0.2"]}, index=pd.Index(["a", "b"], name="n"))
    link = opened(WebTable(frame, {})).locator("a[download='page-1.csv']").get_attribute("href")
    assert unquote(link.partition(",")[2])[1:] == "n,rise\na,-0.5\nb,0.2\n"


def test_numbers_of_numpy_are_keys_that_a_page_sorts_by():
    frame = pd.DataFrame({"bits": [np.float64(4), np.float64(16)]}, dtype=object)
    assert 'data-key="4.0"' in WebTable(frame, {"bits": "{:.3g}"})._repr_html_()


def test_names_do_nothing(opened):
    writable = [name for name in NAMES if name.encode(errors="replace").decode() == name]
    page = opened(WebTable(pd.DataFrame(dict.fromkeys(writable, writable), index=writable), {}))
    for opener in page.locator(".opener:visible").all():
        opener.press("Enter")
    acting = "article table :is(img, iframe, object, a[href], script, [onerror], [onload])"
    assert page.evaluate("window.ran ?? 0") == page.locator(acting).count() == 0
    assert page.evaluate(CUT_OFF) == []


def test_web_table_escapes_and_marks_missing_numbers():
    frame = pd.DataFrame({"x": [1.5, float("nan")]}, index=["<a>", "b"]).rename_axis("name")
    html = WebTable(frame, {"x": "{:.1f}"})._repr_html_()
    assert "&lt;a&gt;" in html and "<a>" not in html
    assert ">1.5<" in html and ">–<" in html


def test_headings_are_words_and_their_code_names_stay_on_hover():
    frame = pd.DataFrame({"gmse": [0.1], "own": ["gmse"]}, index=pd.Index([1], name="n_params"))
    for html in (WebTable(frame, {})._repr_html_(), frame.style.to_html(), frame._repr_html_()):
        page = headed(html)
        assert '<span title="gmse">error (GMSE)</span></th>' in page and '<span title="n_params">N, param' in page
        assert page.count("gmse") == html.count("gmse") and "own" in page
    assert all(re.fullmatch(r"[a-z0-9_]+", name) and words.strip() != name for name, words in HEADINGS.items())


def test_a_date_does_not_break_and_sentences_do(opened):
    frame = pd.DataFrame({"date": ["2026-11-23"], "what": ["several words " * 9]}, index=pd.Index(["a"], name="row"))
    page = opened(WebTable(frame, {}), size=PHONE)
    spaces = "() => [...document.querySelectorAll('tbody td')].map(e => getComputedStyle(e).whiteSpace)"
    assert page.evaluate(spaces) == ["nowrap", "nowrap", "normal"]


def test_a_sentence_has_room_and_another_column_goes_below_the_row(opened):
    long, short = "a sentence that is too long " * 4, "two words"
    frame = pd.DataFrame(
        {f"column {i}": [long if i < 2 else short] for i in range(5)}, index=pd.Index(["a"], name="row")
    )
    page = opened(WebTable(frame, {}))
    widths = "() => [...document.querySelectorAll('tbody td')].map(e => e.getBoundingClientRect().width)"
    assert min(page.evaluate(widths)[1:3]) >= 160
    page.set_viewport_size({"width": 640, "height": 900})
    page.wait_for_function("document.querySelector('table').dataset.columns < 6")
    assert min(page.evaluate(widths)[1:3]) >= 160
