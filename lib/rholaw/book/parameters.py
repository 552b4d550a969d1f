"""The parameters of a chapter, checked before any work.

book.parameters(globals(), source=("normal", "laplace"))     in a chapter, right after its parameters cell
"""

import ast
import contextlib
from collections.abc import Callable, Collection, Iterator

from ..checked import KINDS, closest, typed

PLAIN = (bool, int, float, str)  # what a parameter may be


class ParameterError(ValueError):
    """A chapter was given a parameter it does not have, or a value it cannot use."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this in place of a stack that says nothing more
        return [f"ParameterError: {self}"]


def parameters(namespace: dict, **allowed: Collection | Callable[[object], object]) -> None:
    """Check a chapter's parameters before any work, and convert text that reads as a number, in place.

    Declared are the annotated assignments of the cell tagged `parameters`. `allowed` maps a name to its possible
    values, or to a function that raises ValueError for a value it refuses.
    ParameterError: a parameter that the chapter does not have, or a value that it cannot use.
    """
    declared = {name: kind for name, kind in namespace.get("__annotations__", {}).items() if kind in PLAIN}
    for name in [*_injected(namespace.get("In", ())), *allowed]:
        if name not in declared:
            raise ParameterError(_unknown(name, declared, namespace))
    for name, kind in declared.items():
        namespace[name] = _converted(name, kind, namespace[name])
    for name, rule in allowed.items():
        _check(name, namespace[name], rule)


def _injected(history: Collection[str]) -> Iterator[str]:
    """Names that papermill assigned: it puts a cell of plain assignments, headed so, after the parameters cell."""
    for cell in history:
        if cell.startswith("# Parameters\n"):
            with contextlib.suppress(SyntaxError):  # a reader's own cell, with a magic in it
                for node in ast.parse(cell).body:
                    if isinstance(node, ast.Assign):
                        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _unknown(name: str, declared: dict[str, type], namespace: dict) -> str:
    meant = closest(name, declared)
    hint = f"; did you mean {meant!r}?" if meant else "."
    lines = [f"    {known}: {kind.__name__} = {namespace.get(known)!r}" for known, kind in declared.items()]
    return "\n".join([f"this chapter has no parameter {name!r}{hint}", "It has:", *lines])


def _converted(name: str, kind: type, value: object) -> object:
    """The value as its declared type; papermill passes 2e9 as a float and, from YAML, as text, and 4 as a number."""
    meant = value
    with contextlib.suppress(ValueError, OverflowError):
        if kind in (int, float) and isinstance(value, str):
            meant = float(value)
        if kind is int and isinstance(meant, float) and meant == int(meant):
            meant = int(meant)
    if kind is str and type(value) is int:
        meant = str(value)
    try:
        return kind(typed(meant, kind))
    except ValueError:
        given = f"not {value!r} ({type(value).__name__})"
        raise ParameterError(f"{name} should be {KINDS[kind]} ({kind.__name__}), {given}") from None


def _check(name: str, value: object, rule: Collection | Callable[[object], object]) -> None:
    if callable(rule):
        try:
            rule(value)
        except ValueError as error:
            raise ParameterError(f"{name} = {value!r}: {error}") from None
    elif value not in rule:
        choices = ", ".join(map(repr, rule)) if len(rule) <= 20 else str(rule)
        raise ParameterError(f"{name} = {value!r} is not one of: {choices}")
