"""The parameters of a chapter, checked before any work.

book.parameters(globals(), source=("normal", "laplace"))     in a chapter, right after its parameters cell
book.parameters(globals(), level=book.between(0.5, 0.999), formats=book.only("sparsity", lambda f: f.sparsity))
book.parameters(globals(), "ja", …)                         in a chapter in Japanese, which refuses in Japanese

The sentences stand in planning/words, [parameters].
"""

import ast
import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..checked import LARGEST, closest, limited, listed, separated, shortened, shown, typed
from .plain import plain

if TYPE_CHECKING:
    from ..formats.format import Format  # with torch, which a build of the book needs in its kernels alone

PLAIN = (bool, int, float, str)  # what a parameter may be


class ParameterError(ValueError):
    """A chapter was given a parameter it does not have, or a value it cannot use."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this in place of a stack that says nothing more
        return [f"ParameterError: {self}"]


class Refused(ValueError):
    """What a rule says against a value, in English, and the sentence that says it in others: its name and its data."""

    def __init__(self, why: str, sentence: str, **data: object) -> None:
        super().__init__(why)
        self.sentence, self.data = sentence, data


def parameters(namespace: dict, language: str = "en", /, **allowed: Collection | Callable[[object], object]) -> None:
    """Check a chapter's parameters before any work, and convert text that reads as a number, in place.

    Declared are the annotated assignments of the cell tagged `parameters`. `allowed` maps a name to its possible
    values, or to a function that raises ValueError for a value it refuses; language: "en" or "ja", of what is said.
    ParameterError: a parameter that the chapter does not have, or a value that it cannot use.
    """
    declared = {name: kind for name, kind in namespace.get("__annotations__", {}).items() if kind in PLAIN}
    for name in [*_injected(namespace.get("In", ())), *allowed]:
        if name not in declared:
            raise ParameterError(_unknown(name, declared, namespace, language))
    for name, kind in declared.items():
        namespace[name] = _converted(name, kind, namespace[name], language)
    for name, rule in allowed.items():
        _check(name, namespace[name], rule, language)


def between(low: float, high: float, unit: str = "see its comment", *, below: bool = False) -> Callable[[float], float]:
    """A rule for ``parameters``: numbers from ``low`` to ``high``; ``below``: not ``high`` itself."""

    def rule(value: float) -> float:
        try:
            return limited(value, unit, low, np.nextafter(high, low) if below else high)
        except ValueError as error:
            raise Refused(str(error), "below" if below else "limits", low=low, high=high) from None

    return rule


def only(what: str, fits: Callable[["Format"], object], before: str = "") -> Callable[[str], list["Format"]]:
    """A rule for ``parameters``: text that names formats, each of them ``what``, as ``fits`` says; it returns them.

    before: what stands before each word of the text in a format's name.
    """

    def read(text: str) -> list["Format"]:
        from ..formats.grammar import parse_list

        chosen = parse_list(",".join(before + word for word in separated(text, "int4, e2m1")))
        for format in chosen:
            if not fits(format):
                named = shortened(str(format))
                raise Refused(f"{named} is no {what}", "unfit", format=named, what=what)
        return chosen

    return read


def _injected(history: Collection[str]) -> Iterator[str]:
    """Names that papermill assigned: it puts a cell of plain assignments, headed so, after the parameters cell."""
    for cell in history:
        if cell.startswith("# Parameters\n"):
            with contextlib.suppress(SyntaxError):  # a reader's own cell, with a magic in it
                for node in ast.parse(cell).body:
                    if isinstance(node, ast.Assign):
                        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _said(language: str, sentence: str, **data: object) -> str:
    from ..planning.words import amounts  # with torch, as above

    limits = {end: data[end] for end in ("low", "high") if end in data}
    data |= {end: amounts.large(value, language, 4) if value >= 1 else plain(value, 4) for end, value in limits.items()}
    return amounts.texts(language)["parameters"][sentence].format(**data)


def _unknown(name: str, declared: dict[str, type], namespace: dict, language: str) -> str:
    meant = closest(name, declared)
    hint = _said(language, "meant" if meant else "meant_none", name=meant)
    lines = [f"    {known}: {kind.__name__} = {shown(namespace.get(known))}" for known, kind in declared.items()]
    return "\n".join([_said(language, "unknown", name=shown(name), hint=hint), _said(language, "declared"), *lines])


def _converted(name: str, kind: type, value: object, language: str) -> object:
    """The value as its declared type; papermill passes 2e9 and 0.5 as floats and, from YAML, as text, 4 as a number."""
    meant = value
    with contextlib.suppress(ValueError, OverflowError):
        if kind in (int, float) and isinstance(value, str):
            meant = float(value)
        if kind is int and isinstance(meant, float) and meant == int(meant):
            meant = int(meant)
    if kind is str and type(value) in (int, float) and abs(value) <= LARGEST:
        meant = np.format_float_positional(value, trim="-") if isinstance(value, float) else str(value)
    try:
        return kind(typed(meant, kind))
    except ValueError:
        given = {"value": shown(value), "type": type(value).__name__}
        raise ParameterError(_said(language, kind.__name__, name=name, **given)) from None


def _check(name: str, value: object, rule: Collection | Callable[[object], object], language: str) -> None:
    given = f"{name} = {shown(value)}"
    if callable(rule):
        try:
            rule(value)
        except (ValueError, OSError) as error:
            sentence, data = (error.sentence, error.data) if isinstance(error, Refused) else ("other", {})
            why = shortened(str(error), 350)
            raise ParameterError(_said(language, sentence, given=given, why=why, **data)) from None
    elif value not in rule:
        many = isinstance(rule, range) and len(rule) > 20
        said = {"first": rule[0], "last": rule[-1]} if many else {"values": listed(map(repr, rule))}
        raise ParameterError(_said(language, "whole" if many else "one_of", given=given, **said))
