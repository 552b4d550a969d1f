"""A fold holds what follows its cell up to the next heading, and its bar says what that is."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from rholaw.book import folds
from rholaw.book.workplace import BuildError

OPENS = '<details class="fold"><summary>{}</summary>'


def fold(source: str, bar: str) -> dict:
    return new_markdown_cell(source, metadata={"tags": ["fold"], "mystnb": {"code_prompt_show": bar}})


def page(*cells: dict) -> list[str]:
    return [cell["source"] for cell in folds.folded(cells)]


def test_a_fold_ends_at_the_next_heading():
    cells = [fold("## Why\n\nBecause.", "A figure & more"), new_code_cell("draw"), new_markdown_cell("More.")]
    opened = ["## Why\n\nBecause.", OPENS.format("A figure &amp; more"), "draw", "More.", "</details>"]
    assert page(*cells, new_markdown_cell("### Next")) == [*opened, "### Next"]
    assert page(*cells, new_markdown_cell("::::{dropdown} Run it")) == [*opened, "::::{dropdown} Run it"]
    assert page(*cells) == opened


def test_a_fold_ends_where_another_begins():
    first, second = OPENS.format("a"), OPENS.format("b")
    assert page(fold("A.", "a"), fold("B.", "b")) == ["A.", first, "</details>", "B.", second, "</details>"]


def test_a_heading_within_a_folded_cell_is_refused():
    with pytest.raises(BuildError, match="begin a cell with it: Text"):
        page(fold("A.", "a"), new_markdown_cell("Text.\n\n## Head"))


def test_a_comment_in_code_ends_no_fold():
    assert page(fold("A.", "a"), new_code_cell("# not a heading"))[-2:] == ["# not a heading", "</details>"]


def test_other_cells_stay_as_they_are():
    cells = [new_markdown_cell("# Title"), new_code_cell("1"), new_markdown_cell("## Head")]
    assert page(*cells) == ["# Title", "1", "## Head"]
