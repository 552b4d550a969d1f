"""Every page of the built book, opened in headless Chromium with the network blocked, on a desk and on a telephone."""

import re
import sys
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from browser import BOOK, DESK, PAGE, PAGES, PHONE, SETTLED, missing, problems


@pytest.fixture
def book():
    """Where the built book lies."""
    if not PAGES:
        missing("the book is not built: make book")
    return BOOK


@pytest.fixture
def opened(book, context):
    """A function: a page of the book by its address below the book's, on a screen of a size."""
    pages = []

    def open_page(address, size=DESK):
        pages.append(context.new_page())
        pages[-1].set_viewport_size(size)
        pages[-1].goto(f"{book.as_uri()}/{address}")
        pages[-1].evaluate(SETTLED)
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


@pytest.mark.parametrize("path", PAGES or [None], ids=lambda path: path and path.relative_to(BOOK).as_posix())
@pytest.mark.usefixtures("book")
def test_a_page_is_well(path, context):
    assert problems(context, path) == []


FOUND = """() => document.querySelector('.search-summary')?.innerText
    && [...document.querySelectorAll('ul.search a')].map(e => new URL(e.href).pathname)"""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        *((word, ["ja/01_summary.html", "ja/02_rollout.html"]) for word in ("量子化", "推論", "費用")),
        ("投資対効果", ["ja/01_summary.html", "ja/06_glossary.html"]),
        ("損益分岐点", ["ja/02_rollout.html"]),
        ("capacity", ["06_capacity.html", "18_plan.html", "notation.html"]),
        ("quantising", ["index.html", "17_hardware.html"]),
    ],
)
def test_search_finds(query, expected, opened):
    found = opened(f"search.html?q={quote(query)}").wait_for_function(FOUND).json_value()
    assert {(BOOK / name).as_posix() for name in expected} <= {unquote(path) for path in found}


FOCUS = """() => {
    const at = document.activeElement, style = getComputedStyle(at);
    const seen = style.boxShadow !== 'none' || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0);
    return at === document.body ? 'end' : seen ? 'seen' : at.outerHTML.slice(0, 120);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_keyboard_shows_where_it_is(theme, opened):
    page = opened("ja/index.html")
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    found = []
    while (not found or found[-1] != "end") and len(found) < 300:
        page.keyboard.press("Tab")
        found.append(page.evaluate(FOCUS))
    assert len(found) > 60 and set(found) == {"seen", "end"}


FIRST_FIGURES = [
    "index",
    "four_bits",
    "forecasts",
    "ja/index",
    "ja/01_summary",
    "ja/03_dialogue",
    "ja/04_law",
    "01_numbers",
    "02_blocks",
    "03_sparsity",
    "04_vectors",
    "06_capacity",
    "08_composition",
    "09_bounds",
    "10_theory",
    "11_train_it_yourself",
    "12_training_sparse",
    "13_recorded_runs",
    "training_length",
    "unseen_runs",
    "how_far_to_trust",
]


@pytest.mark.parametrize("name", FIRST_FIGURES)
def test_the_first_screen_of_a_phone_shows_the_whole_figure(name, opened):
    page = opened(f"{name}.html", PHONE)
    ends = page.evaluate("document.querySelector('article figure img').getBoundingClientRect().bottom")
    assert ends <= PHONE["height"]


def test_the_first_screen_of_a_phone_shows_what_the_recommended_option_of_the_japanese_summary_saves(opened):
    page = opened("ja/01_summary.html", PHONE)
    line = page.locator("article table tbody tr").first
    assert "確率" in line.inner_text() and line.evaluate("e => e.getBoundingClientRect().bottom") <= PHONE["height"]


LEDGERS = ["03_sparsity", "04_vectors", "06_capacity", "07_unified_law"]
LEDGERS += ["09_bounds", "11_train_it_yourself", "12_training_sparse", "13_recorded_runs"]


@pytest.mark.parametrize("name", LEDGERS)
def test_the_first_screen_of_a_desk_reaches_the_ledger(name, opened):
    line = opened(f"{name}.html").locator(".tag_first table tbody tr").first
    assert line.evaluate("e => e.getBoundingClientRect().bottom") <= DESK["height"]


def test_a_heading_is_smaller_than_the_one_above_it(opened):
    page = opened("01_numbers.html", PHONE)
    sizes = [f"parseFloat(getComputedStyle(document.querySelector('article h{rank}')).fontSize)" for rank in (1, 2, 3)]
    one, two, three = page.evaluate(f"[{', '.join(sizes)}]")
    assert one > two > three


def test_japanese_pages_say_so(book):
    said = {path: re.search(r'<html[^>]* lang="(\w+)"', path.read_text())[1] for path in PAGES}
    assert {path for path, language in said.items() if language == "ja"} == set(book.glob("ja/*.html"))
    assert set(said.values()) == {"en", "ja"}


def test_no_file_names_a_folder_of_this_machine(book):
    """Pages, their sources to download, the index of search, scripts and figures."""
    folders = {str(folder).encode() for folder in (book.parents[1], Path.home(), Path(sys.prefix))} - {b"/"}
    files = [path for path in book.rglob("*") if path.is_file()]
    named = {path.name: folder for path in files for folder in folders if folder + b"/" in path.read_bytes()}
    assert named == {}


def test_the_style_sheet_names_files_that_are_there(book):
    named = re.findall(r'url\("([^"]+)"\)', (book / "_static" / "book.css").read_text())
    assert named and all((book / "_static" / name).is_file() for name in named)


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
        (GOOD + "<p>方式は**（重み）**です</p>", "Markdown in the text: 方式は"),
        (GOOD + '<img src="none.png" alt="nothing">', "image not loaded: none.png"),
        (GOOD + f'<img src="{PIXEL}">', "image without a description"),
        (GOOD + '<a href="page.html#here">here</a> <a href="https://example.org">there</a>', None),
        (GOOD + '<a href="none.html">here</a>', "links to "),
        (
            GOOD + '<p style="color: #777">faint</p>',
            "too little contrast: rgb(119, 119, 119) on 255,255,255, 4.5, faint",
        ),
        (GOOD + '<p style="color: #757575">grey, <b style="opacity: 0.9">fainter</b></p>', "too little contrast"),
        (GOOD + '<h2 style="font-size: 24px; color: #888">large</h2><p style="color: #757575">grey</p>', None),
        (GOOD + '<style>[data-theme="dark"] p { color: #ccc }</style>', "too little contrast: rgb(204, 204, 204)"),
        (GOOD + '<details class="hide"><summary>Code</summary></details>', "code on the first screen: Code"),
        (GOOD + '<p style="height: 900px"></p><details class="hide"><summary>Code</summary></details>', None),
        (GOOD + "<h1>Second</h1>", "2 titles (h1)"),
        ("<p>no title</p>", "0 titles (h1)"),
        (GOOD + '<div style="overflow: auto"><table style="width: 2000px"></table></div>', "wider than its column: "),
        (GOOD + '<pre style="overflow: auto">' + "code " * 300 + "</pre>", "wider than its column: code"),
        (
            GOOD
            + '<div class=math style="overflow: clip">f<mjx-container><svg width="2000"></svg></mjx-container></div>',
            "wider than its column: f",
        ),
        (
            GOOD + "<details><summary>code</summary><pre style='overflow: auto'>" + "code " * 300 + "</pre></details>",
            None,
        ),
        (GOOD + '<div style="width: 500px">wide</div>', 'wider than the screen: <div style="width: 500px">'),
    ],
)
def test_a_page_that_is_not_well_is_found(content, expected, context, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(PAGE % content)
    found = problems(context, path)
    assert bool(found) == bool(expected)
    assert not expected or any(problem.startswith(expected) for problem in found)
