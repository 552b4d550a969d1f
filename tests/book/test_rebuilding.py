"""An edit of one page leaves the others as they are, unless it changes what they show."""

import os

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from small_book import small_book

from rholaw.book import rebuilding


@pytest.fixture
def root(tmp_path):
    """A staged book of a notebook and a page of text."""
    computed = [new_output("display_data", {"text/markdown": "## Decision: compress"})]
    drawn = new_code_cell("plot()", metadata={"mystnb": {"figure": {"name": "fig-a", "caption": "Loss."}}})
    cells = [new_markdown_cell("# One\n\nText, {cite}`quest2025`."), new_code_cell("1", outputs=computed), drawn]
    root = small_book(tmp_path / "book", one=cells)
    (root / "lib" / "module.py").write_text("x = 1")
    stage = root / "_build" / "stage"
    (stage / "assets").mkdir(parents=True)
    (stage / "assets" / "book.css").write_text("p {}")
    (stage / "two.md").write_text("# Two\n\n(place)=\nText.")
    (stage / "one.ipynb").write_text((root / "chapters" / "one.ipynb").read_text())
    return root


def edit(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new", "kept"),
    [
        ("_build/stage/one.ipynb", "Text,", "Other words,", True),
        ("_build/stage/two.md", "Text.", "Other words.", True),
        ("_build/stage/one.ipynb", "Loss.", "The loss.", True),
        ("_build/stage/one.ipynb", "# One", "# First", False),
        ("_build/stage/one.ipynb", "Decision: compress", "Decision: wait", False),
        ("_build/stage/one.ipynb", "quest2025", "kumar2024", False),
        ("_build/stage/one.ipynb", "fig-a", "fig-b", False),
        ("_build/stage/two.md", "(place)=", "(spot)=", False),
        ("_build/stage/assets/book.css", "p {}", "a {}", False),
        ("lib/module.py", "x = 1", "x = 2", False),
        ("_toc.yml", "root: one", "root: two", False),
        ("_config.yml", "title:", "# \ntitle:", False),
    ],
)
def test_what_pages_share_is_known(root, name, old, new, kept):
    before = rebuilding.shared(root)
    edit(root / name, old, new)
    assert (rebuilding.shared(root) == before) is kept


def test_only_a_page_that_changed_is_newer(root, tmp_path):
    old, new = root / "_build" / "stage", tmp_path / "new"
    (new / "assets").mkdir(parents=True)
    for path in old.rglob("*.*"):
        os.utime(path, ns=(10**9, 10**9))
        (new / path.relative_to(old)).write_bytes(path.read_bytes())
    edit(new / "two.md", "Text.", "Other words.")
    (new / "three.md").write_text("# Three")
    rebuilding.keep_times(new, old)
    changed = {path.name for path in new.rglob("*.*") if path.stat().st_mtime_ns != 10**9}
    assert changed == {"two.md", "three.md"}
