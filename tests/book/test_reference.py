"""The API reference has a page for every room, with all that is public."""

import pytest

import rholaw as rl
from rholaw.book import execute, reference, workplace


def test_every_room_has_a_page_in_the_toc():
    named = [name for name in execute.contents(workplace.ROOT) if name.startswith(execute.REFERENCE)]
    assert named == [f"{execute.REFERENCE}{room}" for room in reference.rooms()]


def test_a_page_lists_what_is_public_and_nothing_else():
    page = reference.page("texts")
    assert page.startswith("# texts\n") and "## texts.cleaning\n" in page
    assert ".. autofunction:: learn\n" in page and ".. autofunction:: _" not in page
    assert f"   ~{rl.parse.__module__}.parse\n".replace("rholaw.", "") in reference.page("rholaw")
    with pytest.raises(ValueError, match="there is no room 'kitchen'; there are rholaw, book"):
        reference.page("kitchen")
