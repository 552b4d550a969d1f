"""One direction: a module of the package imports only from its left."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import rholaw

PACKAGE = Path(rholaw.__file__).parent
ORDER = [
    *("book", "tables", "sources", "grids", "sparsity", "integrals", "scales", "block_integrals", "ggml", "vectors"),
    *("bounds", "formats", "named_formats", "runs", "measure", "capacity", "laws", "models", "rivals", "optimise"),
    *("fitting", "validation", "ladder", "train", "tensor_files", "containers", "checkpoints", "resumable"),
    *("streaming", "weights", "language", "sensitivity", "cards", "figures", "model_cards", "webtable", "theory"),
    *("hardware", "planning", "bilingual"),
]
PLANNING = [  # the modules of that subpackage
    *("geometry", "speed", "observed", "capacities", "costs", "checked", "inputs", "scenario", "uncertain", "outcomes"),
    *("rows", "doubts", "wording", "advice", "decide", "figures", "explorer", "japanese"),
]


def modules(package: Path = PACKAGE) -> dict[str, list[str]]:
    """Module or subpackage → the source of its files; what a subpackage imports of itself is left out."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        name, *inner = path.relative_to(package).with_suffix("").parts
        if not name.startswith("__"):
            source = path.read_text()
            if inner:
                source = re.sub(r"^( *)from \.(?!\.)\S* import .*$", r"\1pass", source, flags=re.M)
                source = re.sub(r"^( *from )\.\.", r"\1.", source, flags=re.M)
            found.setdefault(name, []).append(source)
    return found


def imported(source: str) -> set[str]:
    """The modules of this package that a file imports, at whatever depth; "" stands for the package itself."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] == "rholaw"}
        elif isinstance(node, ast.ImportFrom):
            base = "rholaw" + ("." + node.module if node.module else "") if node.level else node.module
            if base == "rholaw":
                names |= {f"rholaw.{alias.name}" for alias in node.names}
            elif base.startswith("rholaw."):
                names.add(base)
    return {[*name.split("."), ""][1] for name in names}


def wrong_arrows(sources: dict[str, list[str]], order: list[str] = ORDER) -> list[str]:
    """Imports that run back, a line each."""
    problems = [f"{name}: give it a place in ORDER, in {Path(__file__).name}" for name in sources if name not in order]
    for name in sources.keys() & set(order):
        for other in set().union(*map(imported, sources[name])) - {name}:
            if other not in order:
                problems.append(f"{name} imports {other or 'the package'}, which is no module of ORDER")
            elif order.index(other) > order.index(name):
                problems.append(f"{name} imports {other}, which stands to its right")
    return sorted(problems)


def test_modules_import_only_from_their_left():
    assert wrong_arrows(modules()) == []


def test_modules_of_the_planning_import_only_from_their_left():
    sources = {}
    for path in (PACKAGE / "planning").glob("[!_]*.py"):
        sources[path.stem] = [re.sub(r"^( *)from \.\..* import .*$", r"\1pass", path.read_text(), flags=re.M)]
    assert len(sources) == len(PLANNING) and wrong_arrows(sources, PLANNING) == []


@pytest.mark.parametrize(
    ("sources", "problem"),
    [
        ({"grids": ["from .formats import Format"]}, "grids imports formats, which stands to its right"),
        ({"grids": ["def f():\n    import rholaw.laws"]}, "grids imports laws, which stands to its right"),
        ({"grids": ["from . import measure"]}, "grids imports measure, which stands to its right"),
        ({"grids": ["from rholaw import gmse"]}, "grids imports gmse, which is no module of ORDER"),
        ({"grids": ["import rholaw as rl"]}, "grids imports the package, which is no module of ORDER"),
        ({"newcomer": [""]}, "newcomer: give it a place in ORDER, in test_layers.py"),
    ],
)
def test_an_arrow_that_runs_back_is_found(sources, problem):
    assert wrong_arrows(sources) == [problem]


def test_arrows_to_the_left_are_allowed():
    sources = {"laws": ["import numpy", "from .capacity import Curve\nfrom rholaw.grids import uniform"]}
    assert wrong_arrows(sources) == []


@pytest.mark.parametrize("name", sorted(modules()))
def test_no_module_shares_its_name_with_a_public_function(name):
    assert importlib.import_module(f"rholaw.{name}") is getattr(rholaw, name)
