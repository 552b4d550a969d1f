"""Symbols and formats are explained at their first mention in a section, by pointer and by keyboard."""

import pytest
from browser import PAGE

from rholaw.book import terms
from rholaw.book.workplace import ROOT

TEX = {"ρ": r"\rho", "κ": r"\kappa", "γ": r"\gamma", "GMSE": r"\mathrm{GMSE}", "KL": "| KL |", "N": "$N$", "D": "$D$"}


def test_both_languages_explain_the_symbols_of_the_notation():
    notation = (ROOT / "chapters" / "notation.md").read_text(encoding="utf-8")
    for language in ("en", "ja"):
        assert set(terms.WORDS[language]["symbols"]) == set(TEX)
    assert all(sign in notation for sign in TEX.values())


def test_a_format_has_its_code_name_and_its_bits():
    assert terms.terms("en")["NVFP4"] == ("code name nvfp4; 4.5 bits a weight, scales included", "formats")
    assert terms.terms("ja")["NVFP4"][0] == "コード名 nvfp4; 4.5 ビット／重み（スケールを含む）"


CONTENT = """<div class="bd-article"><section><h1>The law ρ</h1>
<p id="a">NVFP4 costs κ · GMSE, and ρ of NVFP4 is <code>nvfp4</code>, on N(0,1) data, 2:4 of N:M, D/N tokens.</p>
<section><h2>More</h2><p>Again NVFP4, <a href="#a">see ρ</a>.</p></section></section></div>"""
MARKED = "() => [...document.querySelectorAll('a.term')].map(e => e.textContent)"


@pytest.fixture
def page(context, tmp_path):
    script = terms.script((ROOT / "assets" / terms.SCRIPT).read_text(encoding="utf-8"))
    path = tmp_path / "page.html"
    path.write_text("<!doctype html><html lang=en>" + PAGE % (CONTENT + f"<script>{script}</script>"))
    page = context.new_page()
    page.goto(path.as_uri())
    yield page
    page.close()


def test_terms_are_marked_once_a_section_and_never_in_code_headings_and_links(page):
    assert page.evaluate(MARKED) == ["NVFP4", "κ", "GMSE", "ρ", "NVFP4"]


def test_the_meaning_shows_to_pointer_and_keyboard_and_escape_shuts_it(page):
    tip = page.locator(".term-tip")
    assert not tip.is_visible()
    page.hover("a.term >> nth=1")
    assert tip.is_visible() and "sensitivity" in tip.text_content()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.focus("a.term >> nth=0")
    assert tip.is_visible() and "code name nvfp4" in tip.text_content()
    assert page.get_attribute("a.term >> nth=0", "href") == "formats.html"
