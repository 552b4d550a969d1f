"""The page of changes is read day by day, and is a feed that readers of Atom take."""

import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rholaw.book import changes

ROOT = Path(__file__).resolve().parents[2]
ATOM = "{http://www.w3.org/2005/Atom}"
PAGE = """# Changes

All of them.

## 2026-02-02

- [](b): faster,
  and [said](ja/a.md#here) so & more.
- Of no page, but of [another site](https://example.org).

## 2026-01-31

- [](a), [](b): new.
"""


def listed(tmp_path, text):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "changelog.md").write_text(text)
    return changes.changes(tmp_path)


def test_each_item_is_a_change_of_its_day_and_of_the_pages_that_it_links_to(tmp_path):
    first, second, third = listed(tmp_path, PAGE)
    assert first.day == second.day == datetime.date(2026, 2, 2) and third.day == datetime.date(2026, 1, 31)
    assert first.text == "[](b): faster, and [said](ja/a.md#here) so & more."
    assert [one.pages for one in (first, second, third)] == [("b", "ja/a"), (), ("a", "b")]


def test_no_page_of_changes_is_no_change(tmp_path):
    assert changes.changes(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# C\n\n- early\n", "before the first day"),
        ("# C\n\n## 2026-01-01\n\n- a\n\n## 2026-01-02\n\n- b\n", "the newest day comes first"),
        ("# C\n\n## 2026-01-01\n\n- a\n\n## 2026-01-01\n\n- b\n", "the newest day comes first"),
        ("# C\n\n## yesterday\n\n- a\n", "yesterday"),
    ],
)
def test_a_page_of_changes_without_order_is_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        listed(tmp_path, text)


def test_the_feed_has_an_entry_a_change_with_a_name_of_its_own(tmp_path):
    read = listed(tmp_path, PAGE)
    root = ElementTree.fromstring(changes.feed(read, "Law & ledger", "Us", {"a": "Numbers", "b": "Plan <1>"}))
    entries = root.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}title") for entry in entries] == [
        "Plan <1>: faster, and said so & more.",
        "Of no page, but of another site.",
        "Numbers, Plan <1>: new.",
    ]
    assert [entry.find(f"{ATOM}link").get("href") for entry in entries] == [
        "../b.html",
        "../changelog.html",
        "../a.html",
    ]
    names = [one.findtext(f"{ATOM}id") for one in (root, *entries)]
    assert len(set(names)) == 4 and all(name.startswith("urn:uuid:") for name in names)
    assert root.findtext(f"{ATOM}updated") == "2026-02-02T00:00:00Z"
    assert root.findtext(f"{ATOM}title") == "Law & ledger" and root.findtext(f"{ATOM}author/{ATOM}name") == "Us"


def test_the_changes_of_this_book_are_of_pages_that_it_has():
    pages = {page for change in changes.changes(ROOT) for page in change.pages}
    files = {path.relative_to(ROOT / "chapters").with_suffix("").as_posix() for path in ROOT.glob("chapters/**/*.*")}
    assert pages and pages <= files


def test_a_change_is_told_in_the_language_of_its_pages():
    """So that a page's own list has no other."""
    told = [change for change in changes.changes(ROOT) if change.pages]
    assert {change.language for change in told} == {"en", "ja"}
    wrong = [one.text for one in told if {page.startswith("ja/") for page in one.pages} != {one.language == "ja"}]
    assert wrong == []


def test_the_feed_says_in_which_language_a_change_is_told(tmp_path):
    read = listed(tmp_path, "# C\n\n## 2026-01-31\n\n- [](ja/a)：新しいページです。\n- [](b): new.\n")
    root = ElementTree.fromstring(changes.feed(read, "Law", "Us", {"ja/a": "Page", "b": "数"}))
    titles = root.findall(f"{ATOM}entry/{ATOM}title")
    assert [one.get("{http://www.w3.org/XML/1998/namespace}lang") for one in titles] == ["ja", "en"]
