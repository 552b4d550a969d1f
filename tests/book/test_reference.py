"""The API reference: a page for every room, with all that is public, and docstrings shown as they are written."""

import importlib
import inspect
import io

import pytest
from docutils.core import publish_doctree

import rholaw as rl
from rholaw.book import execute, reference


def test_every_room_has_a_page_in_the_toc():
    named = [name for name in execute.contents(execute.ROOT) if name.startswith(execute.REFERENCE)]
    assert named == [f"{execute.REFERENCE}{room}" for room in reference.rooms()]


def test_a_page_lists_what_is_public_and_nothing_else():
    page = reference.page("texts")
    assert page.startswith("# texts\n") and "## texts.cleaning\n" in page
    assert ".. autofunction:: learn\n" in page and ".. autofunction:: _" not in page
    assert f"   ~{rl.parse.__module__}.parse\n".replace("rholaw.", "") in reference.page("rholaw")
    with pytest.raises(ValueError, match="there is no room 'kitchen'; there are rholaw, book"):
        reference.page("kitchen")


@pytest.mark.parametrize(
    ("docstring", "shown"),
    [
        ("One line.", ["One line."]),
        ("Two lines\nof prose.", ["Two lines of prose."]),
        ("Of ``x``s, |x| and a*b_ and `y`.", [r"Of \ ``x``\ s, \|x\| and a\*b\_ and \ ``y``\ ."]),
        ("1. No list.", [r"\1. No list."]),
        ("read(path)\nwrite(path)", ["::", "", "   read(path)", "   write(path)"]),
        ("name      its meaning\n\nEnd.", ["::", "", "   name      its meaning", "", "End."]),
        ("a: one\n    and more.\nb, c: two", ["- a: one and more.", "- b, c: two"]),
        ("law: as for ``plan``; more: no list.", [r"law: as for \ ``plan``\ ; more: no list."]),
    ],
)
def test_a_docstring_is_shown_as_it_is_written(docstring, shown):
    assert reference.as_rst(docstring.splitlines()) == [*shown, ""]


def docstrings(path):
    """Every docstring of a module that the reference shows."""
    module = importlib.import_module(reference._dotted(path))
    things = [getattr(module, node.name) for node in reference._public(path)]
    things += [member for thing in things if inspect.isclass(thing) for member in vars(thing).values()]
    return [doc for thing in [module, *things] if isinstance(doc := thing.__doc__, str)]


MODULES = [path for path in sorted(reference.PACKAGE.rglob("*.py")) if path.stem != "__main__"]


@pytest.mark.parametrize("path", MODULES, ids=reference._dotted)
def test_every_docstring_can_be_shown(path):
    lines = [line for doc in docstrings(path) for line in [*reference.as_rst(inspect.cleandoc(doc).splitlines()), ""]]
    said = io.StringIO()
    publish_doctree("\n".join(lines), settings_overrides={"warning_stream": said})
    assert said.getvalue() == ""
