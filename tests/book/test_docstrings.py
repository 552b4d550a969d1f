"""Docstrings are shown as they are written, and every one of the package can be shown."""

import importlib
import inspect
import io

import pytest
from docutils.core import publish_doctree

from rholaw.book import docstrings, reference


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
    assert docstrings.as_rst(docstring.splitlines()) == [*shown, ""]


def written(path):
    """Every docstring of a module that the reference shows."""
    module = importlib.import_module(reference._dotted(path))
    things = [getattr(module, node.name) for node in reference._public(path)]
    things += [member for thing in things if inspect.isclass(thing) for member in vars(thing).values()]
    return [doc for thing in [module, *things] if isinstance(doc := thing.__doc__, str)]


MODULES = [path for path in sorted(reference.PACKAGE.rglob("*.py")) if path.stem != "__main__"]


@pytest.mark.parametrize("path", MODULES, ids=reference._dotted)
def test_every_docstring_can_be_shown(path):
    lines = [line for doc in written(path) for line in [*docstrings.as_rst(inspect.cleandoc(doc).splitlines()), ""]]
    said = io.StringIO()
    publish_doctree("\n".join(lines), settings_overrides={"warning_stream": said})
    assert said.getvalue() == ""
