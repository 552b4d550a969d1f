"""Japanese pages speak Japanese around their text too, and each page leads to the same in the other language."""

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes

from rholaw.book import languages
from rholaw.book.execute import contents
from rholaw.book.workplace import ROOT


def test_every_page_in_japanese_has_one_in_english():
    names = contents(ROOT)
    assert set(languages.ENGLISH) == {name for name in names if name.startswith("ja/")}
    assert set(languages.ENGLISH.values()) | set(languages.JAPANESE) <= set(names)
    assert all(page in languages.ENGLISH for page in languages.JAPANESE.values())


@pytest.mark.parametrize(
    ("page", "address", "language", "name"),
    [
        ("18_plan", "to ja/01_summary", "ja", "日本語"),
        ("index", "to ja/index", "ja", "日本語"),
        ("ja/02_rollout", "to 18_plan", "en", "English"),
        ("how_to_use", "to ja/05_start", "ja", "日本語"),
    ],
)
def test_the_switch_leads_to_the_other_language(page, address, language, name):
    link = f'<a href="{address}" lang="{language}" hreflang="{language}" rel="alternate">{name}</a>'
    assert link in languages.switch(page, "to {}".format)
    assert languages.switch("formats", "to {}".format) == ""


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("18_plan", '<link rel="alternate" hreflang="ja" href="to ja/01_summary" />\n'),
        ("ja/01_summary", '<link rel="alternate" hreflang="en" href="to 18_plan" />\n'),
        ("ja/02_rollout", ""),  # to which no page in English leads
        ("formats", ""),
    ],
)
def test_search_engines_are_told_of_pairs(page, line):
    assert languages.alternate(page, "to {}".format) == line


@pytest.mark.parametrize(
    ("page", "neighbours", "strays"),
    [
        ("ja/01_summary", ("api/train", "ja/03_dialogue"), ["prev"]),
        ("ja/06_glossary", ("ja/05_start", None), []),
        ("api/train", ("api/texts", "ja/01_summary"), ["next"]),
        ("index", (None, "how_to_use"), []),
    ],
)
def test_the_links_at_the_foot_of_a_page_stay_in_its_edition(page, neighbours, strays):
    assert languages.strays(page, neighbours) == strays


def test_the_words_around_a_page_are_japanese():
    words, theme = languages.words(*languages.THEMES), languages.words(languages.BOOK_THEME)
    assert words("Skip to main content") == "本文へスキップ"
    assert (words("Search"), words("next"), theme("Contents")) == ("検索", "次へ", "目次")


@pytest.mark.parametrize(("page", "named"), [("ja/04_law", ("収支", "to ja/index")), ("18_plan", ("The book", None))])
def test_the_book_has_its_name_in_the_language_of_the_page(page, named):
    titles = {"ja/index": nodes.title("", "収支")}
    app = SimpleNamespace(env=SimpleNamespace(titles=titles), builder=SimpleNamespace(relations={}))
    context = {"docstitle": "The book", "pathto": "to {}".format, "generate_toctree_html": str}
    languages.speak(app, page, "page.html", context, None)
    assert (context["docstitle"], context.get("theme_logo_link")) == named


def test_the_japanese_part_of_the_navigation_comes_first():
    parts = [f"{languages.PART}>{name}</p><ul></ul>" for name in ("Start", "Formats", "日本語版")]
    assert languages.own_part_first("".join(parts)) == parts[2] + parts[0] + parts[1]
    assert languages.own_part_first(parts[0]) == parts[0]


def test_what_shows_at_the_pointer_is_japanese(tmp_path):
    page = '<a title="Link to this heading" href="#Page">Page</a><nav aria-label="Page"><i title="Other">'
    told = '<a title="この見出しへのリンク" href="#Page">Page</a><nav aria-label="このページの目次"><i title="Other">'
    for place in ("ja", "_static"):
        (tmp_path / place).mkdir()
    for place in ("ja/a.html", "b.html"):
        (tmp_path / place).write_text(page, encoding="utf-8")
    script = tmp_path / "_static" / "copybutton.js"
    script.write_text(f"{languages.MESSAGES}\n  'en': {{}}}}")
    for _ in range(2):  # as a second build does
        languages.finish(SimpleNamespace(outdir=tmp_path), None)
    assert (tmp_path / "ja" / "a.html").read_text(encoding="utf-8") == told
    assert (tmp_path / "b.html").read_text(encoding="utf-8") == page
    assert script.read_text(encoding="utf-8").count("'ja': {") == 1


@pytest.mark.parametrize(
    ("language", "href", "said"),
    [
        ("en", "ja/index.html", "ja"),
        ("en", "../ja/index.html#top", "ja"),
        ("en", "18_plan.html", None),
        ("ja", "../18_plan.html", "en"),
        ("ja", "02_rollout.html", None),
        ("ja", "../search.html", None),
    ],
)
def test_a_link_says_in_which_language_its_words_are(language, href, said):
    link = f'<a class="reference internal" href="{href}">x</a>'
    told = link.replace("<a", f'<a lang="{said}"') if said else link
    assert languages.links(link, language) == languages.links(told, language) == told


@pytest.mark.parametrize(
    ("language", "paragraph", "said"),
    [
        ("en", "<p>引数を<code>a</code>で示します。</p>", "ja"),
        ("en", '<p class="caption"><span>日本語版</span></p>', "ja"),
        ("en", '<p><a lang="ja">用語集</a>: the whole of it</p>', None),
        ("ja", "<p>sparsity / pruning</p>", "en"),
        ("ja", "<p>N:M <code>sparse</code></p>", None),
        ("ja", "<p>vLLMで動かします。</p>", None),
    ],
)
def test_a_paragraph_in_the_other_language_says_so(language, paragraph, said):
    told = paragraph.replace("<p", f'<p lang="{said}"') if said else paragraph
    assert languages.paragraphs(paragraph, language) == languages.paragraphs(told, language) == told


def test_the_script_that_copies_code_still_begins_so():
    """Else its buttons are English in Japanese pages."""
    package = Path(find_spec("sphinx_copybutton").origin).parent
    assert any(languages.MESSAGES in path.read_text() for path in package.rglob("copybutton.js*"))
