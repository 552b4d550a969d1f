"""Docstrings are shown as they are written, and every one of the package can be shown."""

import ast
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
    things = [ast.parse(path.read_text(encoding="utf-8")), *reference._public(path)]
    members = [member for thing in things[1:] if isinstance(thing, ast.ClassDef) for member in thing.body]
    shown = [thing for thing in [*things, *members] if isinstance(thing, SHOWN)]
    return [doc for thing in shown if (doc := ast.get_docstring(thing, clean=False))]


SHOWN = ast.Module, ast.FunctionDef, ast.ClassDef
MODULES = [path for path in sorted(reference.PACKAGE.rglob("*.py")) if path.stem != "__main__"]


@pytest.mark.parametrize("path", MODULES, ids=reference._dotted)
def test_every_docstring_can_be_shown(path):
    lines = [line for doc in written(path) for line in [*docstrings.as_rst(inspect.cleandoc(doc).splitlines()), ""]]
    said = io.StringIO()
    publish_doctree("\n".join(lines), settings_overrides={"warning_stream": said})
    assert said.getvalue() == ""
