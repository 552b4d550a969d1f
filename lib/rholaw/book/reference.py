"""The API reference: a page a room, written from the code when the book is built."""

import ast
import importlib
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def rooms() -> list[str]:
    """The pages there are: "rholaw" for the modules at the root, and each room."""
    return ["rholaw", *sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))]


def page(room: str) -> str:
    """The page of a room, as Markdown: every module with its public functions and classes. ValueError: no such room."""
    if room not in rooms():
        raise ValueError(f"there is no room {room!r}; there are {', '.join(rooms())}")
    paths = PACKAGE.glob("*.py") if room == "rholaw" else (PACKAGE / room).rglob("*.py")
    door, *modules = sorted(path for path in paths if path.stem != "__main__")  # __init__.py comes first
    sections = [f"# {room}\n", _section(door), *([_face()] if room == "rholaw" else [])]
    for path in modules:
        if _public(path):
            sections += [f"## {_dotted(path).removeprefix('rholaw.')}\n", _section(path)]
    return "\n".join(sections)


def _face() -> str:
    """What ``import rholaw`` offers, with links to where it is explained."""
    package = importlib.import_module(PACKAGE.name)
    things = [thing for name in package.__all__ if callable(thing := getattr(package, name))]
    places = [f"{thing.__module__}.{thing.__name__}".removeprefix("rholaw.") for thing in things]
    return _directives(_summary(f"~{place}" for place in places))


def _public(path: Path) -> list[ast.stmt]:
    """The functions and classes that a module defines for others."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    return [node for node in nodes if not getattr(node, "name", "_").startswith("_")]


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def _section(path: Path) -> str:
    """What a module says of itself, a table of what it offers, and each of that in full."""
    # Without an entry in the index: a room and a page of the book may share a name, and links mean the page.
    lines, public = [f".. automodule:: {_dotted(path)}", "   :no-index:", ""], _public(path)
    lines += _summary(node.name for node in public) if public else []
    for node in public:
        kind = ("autoclass", "   :members:") if isinstance(node, ast.ClassDef) else ("autofunction", "")
        lines += [f".. {kind[0]}:: {node.name}", kind[1], ""]
    return _directives(lines)


def _summary(names: Iterable[str]) -> list[str]:
    return [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in names), ""]


def _directives(lines: list[str]) -> str:
    return "\n".join(["```{eval-rst}", *lines, "```", ""])
