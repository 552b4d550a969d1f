"""Every page of the built book, opened in headless Chromium with the network blocked, on a desk and on a telephone."""

import os
import re
import shutil
from pathlib import Path
from urllib.parse import quote, unquote, urlparse

import pandas as pd
import pytest

BOOK = Path(__file__).resolve().parents[2] / "_build" / "html"
PAGES = sorted(path for path in BOOK.rglob("*.html") if "_static" not in path.parts)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

MATHEMATICS = """async () => {
    if (window.MathJax) await MathJax.startup.promise;
    const raw = [...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container'));
    const wrong = [...document.querySelectorAll('mjx-merror, [data-mjx-error]')];
    return [...raw.map(e => 'not rendered: ' + e.textContent), ...wrong.map(e => 'wrong: ' + e.textContent)];
}"""
# TeX in the prose that no one renders, in a link's text or in a table say.
STRAY_TEX = r"""() => {
    const walker = document.createTreeWalker(document.querySelector('article') ?? document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const inside = walker.currentNode.parentElement;
        const text = walker.currentNode.data.trim();
        if (!inside.closest('pre, code, script, style, .math, mjx-container') && /\\[a-zA-Z]{2,}/.test(text))
            found.push('TeX in the text: ' + text);
    }
    return found;
}"""
IMAGES = """() => [...document.querySelectorAll('article img')].flatMap(e => [
    ...(e.complete && e.naturalWidth > 0 ? [] : ['image not loaded: ' + e.getAttribute('src')]),
    ...(e.alt ? [] : ['image without a description: ' + e.getAttribute('src')])])"""
LINKS = "() => [...document.querySelectorAll('a[href]')].map(e => e.href.split(/[#?]/)[0])"
HEADINGS = "() => [...document.querySelectorAll('h1')].filter(e => e.checkVisibility()).length"
OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.querySelectorAll('article *')].find(e => e.getBoundingClientRect().right > width);
    return ['wider than the screen: ' + (wide ? wide.outerHTML.slice(0, 120) : 'the page')];
}"""


def missing(reason: str) -> None:
    """Skip; where the book and the browser are known to be there, fail."""
    (pytest.fail if os.environ.get("REQUIRE_BOOK") else pytest.skip)(reason)


def problems(context, path: Path) -> list[str]:
    """Everything wrong with a page; an empty list when it is well."""
    found = []

    def guard(route):
        if route.request.url.startswith(("file:", "data:", "blob:")):
            return route.continue_()
        found.append(f"asks for {route.request.url}")
        return route.abort()

    page = context.new_page()
    try:
        page.route("**/*", guard)
        page.on("console", lambda m: found.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: found.append(f"script: {error}"))
        page.set_viewport_size(DESK)
        page.goto(path.as_uri())
        for script in (MATHEMATICS, STRAY_TEX, IMAGES, OVERFLOW):
            found += page.evaluate(script)
        local = {unquote(urlparse(link).path) for link in page.evaluate(LINKS) if link.startswith("file:")}
        found += [f"links to {name}, which does not exist" for name in sorted(local) if not Path(name).is_file()]
        headings = page.evaluate(HEADINGS)
        found += [] if headings == 1 else [f"{headings} titles (h1)"]
        page.set_viewport_size(PHONE)
        found += [f"{problem} (at {PHONE['width']} px)" for problem in page.evaluate(OVERFLOW)]
    finally:
        page.close()
    return found


@pytest.mark.parametrize("path", PAGES or [None], ids=lambda path: path and path.relative_to(BOOK).as_posix())
def test_a_page_is_well(path, context):
    if path is None:
        missing("the book is not built: make book")
    assert problems(context, path) == []


FOUND = """() => document.querySelector('.search-summary')?.innerText
    && [...document.querySelectorAll('ul.search a')].map(e => new URL(e.href).pathname)"""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        *((word, ["ja/01_summary.html", "ja/02_rollout.html"]) for word in ("量子化", "投資対効果", "推論", "費用")),
        ("損益分岐点", ["ja/02_rollout.html"]),
        ("capacity", ["06_capacity.html", "16_plan.html", "notation.html"]),
        ("quantising", ["index.html", "15_hardware.html"]),
    ],
)
def test_search_finds(query, expected, context):
    if not PAGES:
        missing("the book is not built: make book")
    page = context.new_page()
    page.goto(f"{(BOOK / 'search.html').as_uri()}?q={quote(query)}")
    found = page.wait_for_function(FOUND).json_value()
    assert {(BOOK / name).as_posix() for name in expected} <= {unquote(path) for path in found}
    page.close()


def test_japanese_pages_say_so():
    if not PAGES:
        missing("the book is not built: make book")
    said = {path: re.search(r'<html[^>]* lang="(\w+)"', path.read_text())[1] for path in PAGES}
    assert {path for path, language in said.items() if language == "ja"} == set(BOOK.glob("ja/*.html"))
    assert set(said.values()) == {"en", "ja"}


def test_the_style_sheet_names_files_that_are_there():
    if not PAGES:
        missing("the book is not built: make book")
    named = re.findall(r'url\("([^"]+)"\)', (BOOK / "_static" / "book.css").read_text())
    assert named and all((BOOK / "_static" / name).is_file() for name in named)


PAGE = """<!doctype html><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<title>t</title><article>%s</article>"""
GOOD = "<h1>Title</h1><p>Text and <code>\\rho</code>.</p>"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD, None),
        (GOOD + f'<img src="{PIXEL}" alt="a point">', None),
        (GOOD + '<script src="https://example.org/x.js"></script>', "asks for https://example.org/x.js"),
        (GOOD + '<link rel=stylesheet href="http://example.org/x.css">', "asks for http://example.org/x.css"),
        (GOOD + "<script>console.error('no')</script>", "console: no"),
        (GOOD + "<script>throw new Error('no')</script>", "script: no"),
        (GOOD + '<p><span class="math">\\(x\\)</span></p>', "not rendered: \\(x\\)"),
        (GOOD + "<p><mjx-container><mjx-merror>x</mjx-merror></mjx-container></p>", "wrong: x"),
        (GOOD + "<p>where \\rho is</p>", "TeX in the text: where \\rho is"),
        (GOOD + '<img src="none.png" alt="nothing">', "image not loaded: none.png"),
        (GOOD + f'<img src="{PIXEL}">', "image without a description"),
        (GOOD + '<a href="page.html#here">here</a> <a href="https://example.org">there</a>', None),
        (GOOD + '<a href="none.html">here</a>', "links to "),
        (GOOD + "<h1>Second</h1>", "2 titles (h1)"),
        ("<p>no title</p>", "0 titles (h1)"),
        (GOOD + '<div style="width: 500px">wide</div>', 'wider than the screen: <div style="width: 500px">'),
    ],
)
def test_a_page_that_is_not_well_is_found(content, expected, context, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(PAGE % content)
    found = problems(context, path)
    assert bool(found) == bool(expected)
    assert not expected or any(problem.startswith(expected) for problem in found)


def test_a_web_table_filters_and_sorts(context, tmp_path):
    from rholaw.book.webtable import WebTable

    frame = pd.DataFrame(
        {"GMSE": [0.3, 2e-5, float("nan")], "what": ["one <bit>", "eight", "none"]}, index=["a", "b", "c"]
    )
    html = WebTable(frame.rename_axis("name"), {"GMSE": "{:.2g}"})._repr_html_()
    (tmp_path / "page.html").write_text(PAGE % (GOOD + html + html.replace("webtable-", "other-")))
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    names = "document.querySelector('div.webtable').querySelectorAll('tbody tr:not([hidden]) td:first-child')"

    def shown():
        return page.evaluate(f"() => [...{names}].map(e => e.textContent)")

    assert shown() == ["a", "b", "c"]
    first = page.locator("div.webtable").first
    first.get_by_role("button", name="GMSE").press("Enter")  # by keyboard
    assert shown() == ["b", "a", "c"]
    first.get_by_role("button", name="GMSE").click()
    assert shown() == ["c", "a", "b"]
    first.get_by_role("searchbox").fill("<BIT> 0.3")
    assert shown() == ["a"]
    assert first.locator("output").text_content() == "1 of 3"
    page.close()
