"""The API reference: a page a room, made from the code, and a Sphinx extension that reads docstrings as plain text.

A docstring holds paragraphs, ``code`` in backticks, lines that begin with the name of what they explain, and blocks
that are shown as they stand: what Python can read, and what is indented or aligned.
"""

import ast
import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PACKAGE = Path(__file__).resolve().parents[1]
ITEM = re.compile(r"(- |[\w*]+(, [\w*]+)*: )")
CODE = re.compile(r"``(.+?)``|`(.+?)`")


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
    lines, public = [f".. automodule:: {_dotted(path)}", ""], _public(path)
    lines += _summary(node.name for node in public) if public else []
    for node in public:
        kind = ("autoclass", "   :members:") if isinstance(node, ast.ClassDef) else ("autofunction", "")
        lines += [f".. {kind[0]}:: {node.name}", kind[1], ""]
    return _directives(lines)


def _summary(names: Iterable[str]) -> list[str]:
    return [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in names), ""]


def _directives(lines: list[str]) -> str:
    return "\n".join(["```{eval-rst}", *lines, "```", ""])


def as_rst(lines: list[str]) -> list[str]:
    """A docstring in reStructuredText that shows it as it is written."""
    rst = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        rows = block.splitlines()
        if sum(bool(ITEM.match(row)) for row in rows) > 1 and ITEM.match(rows[0]):
            items = re.split(rf"\n(?={ITEM.pattern.replace('(', '(?:')})", block)
            rst += [f"- {_escaped(item.removeprefix('- '))}" for item in items]
        elif _stands(block):
            rst += ["::", "", *(f"   {row}" for row in rows)]
        else:
            rst += [_escaped(block)]
        rst += [""]
    return rst


def _stands(block: str) -> bool:
    """Whether a block is shown as it stands: it is indented, aligned, or Python."""
    if re.search(r"^ |\S {3,}\S|^={3,}", block, re.MULTILINE):
        return True
    try:
        return bool(ast.parse(block).body)
    except SyntaxError:
        return False


def _escaped(text: str) -> str:
    """A paragraph in one line, with its code in backticks and nothing else that means something."""
    text = " ".join(text.split())
    parts, at = [], 0
    for code in CODE.finditer(text):
        parts += [re.sub(r"([\\*|_`])", r"\\\1", text[at : code.start()]), rf"\ ``{code[1] or code[2]}``\ "]
        at = code.end()
    plain = "".join([*parts, re.sub(r"([\\*|_`])", r"\\\1", text[at:])])
    return re.sub(r"^(?=[-+#.:>(\[=~^\"'\d])", r"\\", plain)


def setup(app: "Sphinx") -> dict[str, bool]:
    """Called by Sphinx: docstrings of the reference become reStructuredText."""

    def read(app: "Sphinx", what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
        lines[:] = as_rst(lines)

    app.connect("autodoc-process-docstring", read)
    return {"parallel_read_safe": True}
