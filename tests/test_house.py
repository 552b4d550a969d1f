"""House rules for code: what is public is annotated and explained, modules are short, names say what they name.

Chapters: lines that can be read, and no analyses where calls would do.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

import rholaw

PACKAGE = Path(rholaw.__file__).parent
ROOT = PACKAGE.parents[1]
CHAPTERS = ROOT / "chapters"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
NOTEBOOKS = sorted(path.relative_to(CHAPTERS).as_posix() for path in CHAPTERS.rglob("*.ipynb") if "." not in path.parts)

LINES = 300  # of a module
WIDTH = 140  # of a line of a chapter
CALLS = {"16_your_model.ipynb": 150, "18_plan.ipynb": 150}  # lines of code of chapters that grew into analyses
VAGUE = {"found", "each"}


def public(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, ast.AST, bool]]:
    """(dotted name, node, whether it is bound to an object) of what others may call."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            yield prefix + node.name, node, isinstance(tree, ast.ClassDef) and "staticmethod" not in decorators
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{prefix}{node.name}.")


def undocumented(source: str) -> list[str]:
    """Public functions, methods and classes without a docstring."""
    return [f"{name} has no docstring" for name, node, _ in public(ast.parse(source)) if not ast.get_docstring(node)]


def unannotated(source: str) -> list[str]:
    """Arguments and results of public functions and methods without a type."""
    problems = []
    for name, node, bound in public(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            continue
        given = node.args
        arguments = [*given.posonlyargs, *given.args][bound:] + given.kwonlyargs
        arguments += [one for one in (given.vararg, given.kwarg) if one]
        problems += [f"{name}: {one.arg} has no type" for one in arguments if one.annotation is None]
        problems += [] if node.returns else [f"{name}: its result has no type"]
    return problems


def vague(source: str) -> list[str]:
    """Variables and arguments that say nothing of what they hold."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {(node.id, node.lineno) for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {(node.arg, node.lineno) for node in nodes if isinstance(node, ast.arg)}
    return [f"line {line}: {name}" for name, line in sorted(names, key=lambda pair: pair[1]) if name in VAGUE]


def long(source: str) -> list[str]:
    """A module that is more than one subject."""
    count = len(source.splitlines())
    return [f"{count} lines"] if count > LINES else []


CHECKS = [undocumented, unannotated, vague, long]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_the_house(module):
    source = (PACKAGE / module).read_text(encoding="utf-8")
    assert [problem for check in CHECKS for problem in check(source)] == []


@pytest.mark.parametrize(
    ("check", "source", "problem"),
    [
        (undocumented, "def f(): pass", "f has no docstring"),
        (undocumented, "class A:\n    'An A.'\n    def f(self): pass", "A.f has no docstring"),
        (unannotated, "def f(x) -> int: pass", "f: x has no type"),
        (unannotated, "def f(x: int): pass", "f: its result has no type"),
        (unannotated, "def f(*, x=1) -> int: pass", "f: x has no type"),
        (unannotated, "def f(**more) -> int: pass", "f: more has no type"),
        (unannotated, "class A:\n    def f(self, x) -> int: pass", "A.f: x has no type"),
        (unannotated, "class A:\n    @staticmethod\n    def f(x) -> int: pass", "A.f: x has no type"),
        (vague, "x = 1\nfound = 2", "line 2: found"),
        (vague, "[each for each in 'ab']", "line 1: each"),
        (vague, "lambda each: 1", "line 1: each"),
        (long, "\n" * 301, "301 lines"),
    ],
)
def test_a_broken_rule_is_seen(check, source, problem):
    assert check(source) == [problem]


@pytest.mark.parametrize(
    "source",
    [
        "def f(x: int, *rest: int, y: int = 1, **more: int) -> int:\n    'An f.'\n    def inner(z): pass",
        "def _f(x): pass",
        "class _A:\n    def f(self, x): pass",
        "class A:\n    'An A.'\n    def __len__(self): pass",
        "class A:\n    'An A.'\n    @classmethod\n    def f(cls) -> int:\n        'A number.'",
    ],
)
def test_good_code_passes(source):
    assert [problem for check in CHECKS for problem in check(source)] == []


def code(name: str, without: str = "") -> list[str]:
    """The lines of code of a chapter that hold something; without: cells of this tag."""
    cells = nbformat.read(CHAPTERS / name, as_version=nbformat.NO_CONVERT).cells
    cells = [cell for cell in cells if cell.cell_type == "code" and without not in cell.metadata.get("tags", ())]
    return [line for cell in cells for line in cell.source.splitlines() if line.strip()]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_line_of_a_chapter_can_be_read(name):
    assert [line for line in code(name) if len(line) > WIDTH] == []


@pytest.mark.parametrize("name", CALLS)
def test_a_chapter_calls_and_does_not_compute(name):
    assert len(code(name, without="exercise")) <= CALLS[name]


def test_the_map_has_every_room():
    rooms = {path.parent.name + "/" for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = re.findall(r"`([\w/]+)`", "".join(re.findall(r"(?m)^\| (`.+?) \|", text)))
    assert set(names) == rooms | modules and len(names) == len(set(names))


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_a_document_names_files_that_are_there(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    tops = "|".join(["chapters", "lib", "data", "tests", "bench", "sweeps", "assets"])
    paths = [*re.findall(rf"`((?:{tops})/[\w/.-]*)`", text), *re.findall(r"\]\(([\w/.]+)\)", text)]
    assert paths and [path for path in paths if not (ROOT / path).exists() and "NN_name" not in path] == []


def test_no_two_files_of_tests_share_a_name():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))  # pytest imports them by name alone


def test_no_test_imports_another():
    wrong = [
        path.name
        for path in (ROOT / "tests").rglob("*.py")
        if re.search(r"(?m)^\s*(from|import) test_", path.read_text(encoding="utf-8"))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "named, left_out",
    [(["tests/formats"], True), (["tests"], False), (["tests/laws", "tests/test_house.py"], False)],
)
def test_only_a_room_leaves_out_what_is_slow(pytestconfig, named, left_out):
    (rule,) = [plugin for plugin in pytestconfig.pluginmanager.get_plugins() if hasattr(plugin, "SLOW")]
    asked = SimpleNamespace(args=named, invocation_params=SimpleNamespace(dir=ROOT))
    marks = []
    for fixtures, mark in (["context"], None), (["tmp_path"], pytest.mark.slow), (["tmp_path"], None):
        item = SimpleNamespace(fixturenames=fixtures, add_marker=marks.append)
        item.get_closest_marker = {"slow": mark}.get
        rule.pytest_collection_modifyitems(asked, [item])
    assert len(marks) == (2 if left_out and not rule.FULL else 0)
