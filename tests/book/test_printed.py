"""The PDF holds every page in reading order, with links that go within it, and without what only a screen can do."""

import re

import pytest
from browser import BROWSER, missing
from nbformat.v4 import new_markdown_cell
from small_book import small_book

from rholaw.book import printed
from rholaw.book.workplace import BuildError

PAGE = """<html><script>window.MathJax = {"tex": {}}</script><nav id="menu">menu</nav>
<article class="bd-article"><section id="title"><h1>%s<a class="headerlink" href="#title">#</a></h1>%s</section>
</article><footer>after</footer></html>"""
CODE = '<details class="admonition hide above-input"><summary>Show code</summary><pre>1 + 1</pre></details>'
NAMES = ["index", "ja/a", "b"]


def moved(content: str, name: str = "b", **options) -> str:
    return printed.moved(PAGE % ("Title", content), name, NAMES, **options)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("b", '<a href="#title">', '<a href="#b--title">'),
        ("b", '<a href="ja/a.html#x">', '<a href="#ja-a--x">'),
        ("ja/a", '<a class="k" href="../b.html">', '<a class="k" href="#b">'),
        ("ja/a", '<a href="#">', '<a href="#ja-a">'),
        ("b", '<a href="c.html">', "<a>"),
        ("b", '<a href="https://example.org/#x">', '<a href="https://example.org/#x">'),
        ("ja/a", '<img src="../_images/f.svg">', '<img src="../html/_images/f.svg">'),
        ("b", "<style>#T_1 td {}</style>", "<style>#b--T_1 td {}</style>"),
        ("b", '<a href="n.ipynb" download>Take it</a>', ""),
        ("b", CODE, CODE),
    ],
)
def test_links_and_places_of_a_page_become_those_of_the_document(name, before, after):
    assert f"Title</h1>{after}</section>" in moved(before, name)


def test_only_the_article_is_printed_and_folded_code_where_it_is_asked_for():
    text = moved(CODE)
    assert text.startswith('<section class="page" id="b">') and "menu" not in text and "after" not in text
    assert "<details open" in moved('<details class="fold"><summary>Why</summary></details>')
    assert "<details open" not in text and "<details open" in moved(CODE, evidence=True)
    assert moved("", "ja/a").startswith('<section class="page" id="ja-a" lang="ja">')


EXERCISE = f'<div class="cell tag_exercise tag_hide-cell">\n{CODE}</div>'
CHECKS = '<section id="%s">\n<h2>%s%s<a class="headerlink" href="#a">#</a></h2><p>asserted</p></section>'


def test_answers_of_exercises_are_printed_and_checks_only_with_their_code():
    assert '<details open class="admonition hide' in moved(EXERCISE)
    for checks in (
        CHECKS % ("checks", '<span class="section-number">1.8. </span>', "Checks"),
        CHECKS % ("id7", "", "自動検証"),
    ):
        assert "asserted" not in moved(checks) and "asserted" in moved(checks, evidence=True)
    assert "asserted" in moved(CHECKS % ("a", "", "Checked against others"))


@pytest.fixture
def root(tmp_path):
    book = small_book(tmp_path / "book", **{name: [new_markdown_cell("# A")] for name in ("index", "b")})
    pages = {"index": '<a href="b.html">b</a>', "b": "<p>\\(x\\) 日本語</p><table><tr>" + "<td>wide</td>" * 60}
    (book / "_build" / "html").mkdir(parents=True)
    for name, content in pages.items():
        (book / "_build" / "html" / f"{name}.html").write_text(PAGE % (name.upper(), content))
    return book


def test_the_contents_list_the_pages_in_order(root):
    text = printed.assembled(root)
    assert re.findall(r'<dt>(.*?)</dt>|<dd><a href="(.*?)">(.*?)</a></dd>', text) == [
        ("", "#index", "INDEX"),
        ("All", "", ""),
        ("", "#b", "B"),
    ]
    assert text.index('id="index"') < text.index('id="b"') and text.count("window.MathJax") == 1


def test_a_book_that_is_not_built_is_not_printed(root):
    (root / "_build" / "html" / "b.html").unlink()
    with pytest.raises(BuildError, match=r"b: not built"):
        printed.assembled(root)
    (root / "_build" / "html" / "index.html").unlink()
    with pytest.raises(BuildError, match="make book"):
        printed.pdf(root)


def test_without_a_browser_it_says_so(root, monkeypatch):
    monkeypatch.setattr(printed, "browser", lambda: None)
    with pytest.raises(BuildError, match="Chromium"):
        printed.pdf(root)


def test_a_browser_that_prints_nothing_is_told(root, monkeypatch):
    monkeypatch.setattr(printed, "browser", lambda: "/bin/false")
    with pytest.raises(BuildError, match="printed nothing"):
        printed.pdf(root)


@pytest.mark.slow
def test_the_book_is_printed_with_a_place_for_each_heading(root):
    if BROWSER is None:
        missing("no Chromium on this machine")
    content = printed.pdf(root).read_bytes()
    assert content.startswith(b"%PDF-") and content.count(b"/Type /Page\n") == 3
    assert b"/Outlines" in content and content.count(b"/Title ") >= 2
    assert [path.name for path in (root / "_build").iterdir() if path.name.startswith("work-")] == []
