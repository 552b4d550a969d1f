"""The end of a page says what changed in it and how to cite it, in the language of the page."""

from importlib.metadata import version

import pytest
from nbformat.v4 import new_markdown_cell
from small_book import small_book

from rholaw.book import colophon
from rholaw.book.changes import changes

CHANGES = """# Changes

## 2026-02-02

- [](plan): faster.
- [](other), [](plan) and [](ja/a): told with [](third).
- [](ja/a)・[](ja/b)：新しいページ。
- [](third): as [](plan) has it.

## 2026-01-31

- [](other): new.
"""


@pytest.fixture
def root(tmp_path):
    book = small_book(tmp_path / "book", index=[new_markdown_cell("# A")])
    (book / "chapters" / "changelog.md").write_text(CHANGES)
    return book


def test_a_page_lists_its_own_changes_and_no_others(root):
    text = colophon.colophon("Plan", "plan", root)
    changed, cite = text.split("\n\n:::{dropdown}")
    assert changed.splitlines() == [
        ":::{dropdown} What changed in this page",
        "- 2026-02-02: faster.",
        "- 2026-02-02: told with [](third).",
        "- 2026-02-02: [](third): as [](plan) has it.",
        "",
        "[All changes](changelog)",
        ":::",
    ]
    assert cite.startswith(" Cite this page")
    assert "What changed" not in colophon.colophon("New", "new", root)


def test_a_japanese_page_says_so_in_japanese_and_links_from_its_folder(root):
    text = colophon.colophon("要約", "ja/a", root)
    assert "このページの変更点" in text and "このページを引用する" in text
    assert "- 2026-02-02: 新しいページ。" in text and "told with [](../third)." in text and "(../changelog)" in text


def test_an_entry_names_page_book_author_version_and_day(root):
    entry = colophon.bibtex("Plan and cost", "ja/18_plan", root, changes(root))
    assert entry.splitlines() == [
        "@incollection{rholaw-ja-18_plan,",
        "  title = {Plan and cost},",
        "  author = {{The rholaw authors}},",
        "  booktitle = {Compressed Models: the law and the ledger},",
        f"  edition = {{Version {version('rholaw')}}},",
        "  year = {2026},",
        "  note = {As of 2026-02-02},",
        "}",
    ]
    assert "year" not in colophon.bibtex("Plan and cost", "18_plan", root, [])


def test_a_page_needs_a_title():
    assert colophon.title("(label)=\n# Plan and cost \n\n## More\n") == "Plan and cost"
    with pytest.raises(ValueError, match="begins with its title"):
        colophon.title("## Plan")
