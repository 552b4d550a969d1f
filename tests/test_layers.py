"""One direction, on two levels: a room imports only from rooms on its left, and so does a module within its room."""

import ast
import types
from pathlib import Path

import pytest

import rholaw

PACKAGE = Path(rholaw.__file__).parent
ROOMS = [  # and the modules that stand beside them
    *(
        "threads",
        "checked",
        "toml",
        "untrusted",
        "command_line",
        "files",
        "tables",
        "distributions",
        "formats",
        "error",
        "runs",
        "laws",
    ),
    *("fidelity", "texts", "checkpoints", "hardware", "train", "planning", "lessons", "book", "commands"),
]
MODULES = {
    "formats": [
        *("element", "grids", "vectors", "ggml", "sparsity", "optimal", "rounding", "scale_types", "iq", "rules"),
        *("blocks", "coder", "format", "grammar", "named"),
    ],
    "error": ["absmax", "blocks", "sampling", "measure", "bounds"],
    "laws": [
        *(
            "intervals",
            "law",
            "parameters",
            "curves",
            "chinchilla",
            "compressed",
            "training_length",
            "unified",
            "rivals",
            "registry",
        ),
        *(
            "optimise",
            "resampling",
            "curvature",
            "reach",
            "fitted",
            "fitting",
            "frozen",
            "offered",
            "unseen",
            "draws",
            "held_out",
            "ladder",
            "overtraining",
            "sources",
            "four_bits",
        ),
    ],
    "fidelity": [
        *("atlas", "entries", "tensors", "posterior", "sensitivity", "evidence", "mixed", "population"),
        *("trials", "targets", "rivals"),
        *(
            "second_order",
            "kept",
            "mixtures",
            "logs",
            "compared",
            "predicted",
            "forecasts",
            "names",
            "parts",
            "allocation",
            "recipes",
        ),
        *("heuristics", "recipe_trials"),
    ],
    "texts": ["cleaning", "corpora", "tokens"],
    "checkpoints": [
        *("tensors", "pickles", "views", "states", "foreign", "containers", "gguf_keys", "changes", "config", "roles"),
        *(
            "layouts",
            "places",
            "strays",
            "orientation",
            "static",
            "opening",
            "packaged",
            "resumable",
            "streaming",
            "parts",
        ),
        *(
            "families",
            "ties",
            "ternary",
            "counting",
            "summing",
            "surveying",
            "tokenizing",
            "llama_keys",
            "llama_tensors",
            "llama",
            "layered",
        ),
        *(
            "unheeded",
            "parameters",
            "keeping",
            "beside",
            "transformed",
            "roundings",
            "estimating",
            "evaluating",
            "noise",
            "recorded",
        ),
    ],
    "checkpoints.families": ["keys", "pieces", "llamas", "mixtures", "hybrids", "newer", "gemma", "older"],
    "checkpoints.layouts": ["grouping", "settings", "unpacking", "floats", "integers", "nibbles", "products"],
    "hardware": [
        *(
            "devices",
            "offers",
            "kernels",
            "geometry",
            "efficiencies",
            "links",
            "speed",
            "observed",
            "residuals",
            "training",
            "reports",
        ),
        *("simulated", "benchmarks"),
    ],
    "train": [
        *(
            "masks",
            "config",
            "pruning",
            "gradients",
            "model",
            "flat",
            "saved",
            "provenance",
            "unchanged",
            "trainer",
            "captured",
            "sweeps",
        ),
        "torchrun",
    ],
    "train.sweeps": ["store", "workers", "file", "run", "forecast"],
    "planning": [
        *(
            "costs",
            "load",
            "remarks",
            "columns",
            "names",
            "words",
            "prices",
            "inputs",
            "plausible",
            "plain_yaml",
            "reading",
            "scenario",
            "work",
            "damage",
            "uncertain",
            "cases",
            "monthly",
            "outcomes",
            "timed",
        ),
        *(
            "rows",
            "advice",
            "break_even",
            "traffic",
            "assumptions",
            "seen",
            "unused",
            "slips",
            "money",
            "limits",
            "doubts",
            "serving",
            "measuring",
            "verifying",
            "alternatives",
            "decide",
            "comparisons",
            "ledger",
            "glance",
        ),
    ],
    "planning.words": ["amounts"],
    "lessons": ["descent", "memory"],
    "commands": ["formats", "checkpoints", "laws", "fidelity", "planning", "data"],
    "book": [
        *(
            "escaped",
            "plain",
            "signs",
            "parameters",
            "reference",
            "tied",
            "workplace",
            "warm",
            "execute",
            "panel",
            "folds",
            "changes",
            "colophon",
            "webtable",
            "figure_data",
            "rebuilding",
            "terms",
            "pages",
            "languages",
            "head",
            "published",
            "printed",
            "figures",
            "format_card",
            "checkpoint_matrices",
            "checkpoint_card",
        ),
        *(
            "live_block",
            "rounding",
            "model_figures",
            "kept_figures",
            "plan_figures",
            "plan_tables",
            "plan_prose",
            "explorer_grid",
            "explorer",
            "japanese",
            "ledger",
            "glance",
            "desk",
            "search",
        ),
        *("docstrings", "dependencies", "console"),
    ],
}
# Rooms whose modules are of one kind: none imports another, none has a place.
COLLECTIONS = {"checkpoints.containers", "laws.rivals"}
NOTEBOOKS = {"IPython", "papermill", "nbformat", "nbclient", "ipykernel", "sphinx", "jupyter_book"}
LAST = {"__init__", "__main__"}  # doors of a room: they may import all of it


def imported(source: str, place: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The modules of this package, or names in them, that the file at ``place`` imports, at whatever depth."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {tuple(alias.name.split("."))[1:] for alias in node.names if alias.name.split(".")[0] == "rholaw"}
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = ("rholaw", *place[: len(place) - node.level], *base)
            if base[:1] == ("rholaw",):
                names |= {(*base[1:], alias.name) for alias in node.names}
    return names


def wrong_arrows(sources: dict[str, str], room: str = "", order: list[str] = ROOMS) -> list[str]:
    """Imports within ``room`` that run back, a line each; sources: dotted name of a module → its text."""
    inside = tuple(room.split(".")) if room else ()
    problems = set()
    for name, source in sources.items():
        place = tuple(name.split("."))
        if place[: len(inside)] != inside or place[len(inside)] in LAST:
            continue
        here = place[len(inside)]
        if here not in order:
            problems.add(f"{here}: give it a place in {room or 'ROOMS'}, in {Path(__file__).name}")
            continue
        for target in imported(source, place):
            if target[: len(inside)] != inside:
                continue
            there = target[len(inside) : len(inside) + 1]
            if there == (here,):
                continue
            if not there or there[0] not in order:
                problems.add(f"{name} imports {'.'.join(target) or 'the package'}, which has no place")
            elif order.index(there[0]) > order.index(here):
                problems.add(f"{name} imports {'.'.join(target)}, and {there[0]} stands to the right of {here}")
    return sorted(problems)


def sources() -> dict[str, str]:
    return {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p.read_text() for p in PACKAGE.rglob("*.py")}


def test_rooms_import_only_from_their_left():
    assert wrong_arrows(sources()) == []


@pytest.mark.parametrize("room", MODULES)
def test_modules_import_only_from_their_left(room):
    assert wrong_arrows(sources(), room, MODULES[room]) == []


@pytest.mark.parametrize("room", sorted(COLLECTIONS))
def test_modules_of_a_collection_do_not_import_one_another(room):
    modules = {name: text for name, text in sources().items() if name.startswith(f"{room}.")}
    assert len(modules) > 1
    for name, text in modules.items():
        assert wrong_arrows({name: text}, room, [name.split(".")[-1]]) == []


def test_every_room_and_module_has_a_place():
    rooms = {".".join(path.parent.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("__init__.py")} - {""}
    assert rooms == MODULES.keys() | COLLECTIONS
    for room, modules in MODULES.items():
        folder = PACKAGE / room.replace(".", "/")
        there = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
        assert there - LAST == set(modules), room


def packages(source: str) -> set[str]:
    """The packages of others that a file imports."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [[alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module] for node in nodes]
    outside = zip(nodes, names, strict=True)
    return {name.partition(".")[0] for node, many in outside if not getattr(node, "level", 0) for name in many}


def reaching(wanted: set[str]) -> set[str]:
    """The modules that import one of these packages, themselves or by others."""
    modules = sources()
    targets = {name: imported(text, tuple(name.split("."))) for name, text in modules.items()}
    reach = {name for name, text in modules.items() if packages(text) & wanted}
    while more := {name for name in modules.keys() - reach if leads(targets[name], reach)}:
        reach |= more
    return reach


def leads(targets: set[tuple[str, ...]], modules: set[str]) -> bool:
    """Whether one of the targets is one of these modules, or a name in it."""
    return any(".".join(target[:end]) in modules for target in targets for end in range(1, len(target) + 1))


def test_tests_of_a_room_before_the_book_need_no_notebooks():
    reach = reaching(NOTEBOOKS)
    assert {"book.ledger", "book.checkpoint_card"} <= reach
    for room in ROOMS[: ROOMS.index("book")]:
        for file in (Path(__file__).parent / room).glob("**/*.py"):
            text = file.read_text()
            assert not packages(text) & NOTEBOOKS and not leads(imported(text, ()), reach), file.name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "from .named import NAMED",
            "formats.grids imports formats.named.NAMED, and named stands to the right of grids",
        ),
        ("def f():\n    import rholaw.formats.named", "formats.grids imports formats.named, and named stands"),
        ("from . import named", "formats.grids imports formats.named, and named stands"),
        ("from rholaw.formats import parse", "formats.grids imports formats.parse, which has no place"),
    ],
)
def test_an_arrow_that_runs_back_within_a_room_is_found(text, problem):
    (line,) = wrong_arrows({"formats.grids": text}, "formats", MODULES["formats"])
    assert line.startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("from ..laws.law import Law", "formats.grids imports laws.law.Law, and laws stands to the right of formats"),
        ("from .. import laws", "formats.grids imports laws, and laws stands to the right of formats"),
        ("import rholaw as rl", "formats.grids imports the package, which has no place"),
        ("from rholaw import gmse", "formats.grids imports gmse, which has no place"),
    ],
)
def test_an_arrow_that_runs_back_between_rooms_is_found(text, problem):
    assert wrong_arrows({"formats.grids": text}) == [problem]


def test_a_newcomer_needs_a_place():
    assert wrong_arrows({"newcomer": ""}) == ["newcomer: give it a place in ROOMS, in test_layers.py"]


def test_arrows_to_the_left_are_allowed():
    texts = {"laws.unified": "import numpy\nfrom .curves import Curve\nfrom rholaw.formats.grids import uniform"}
    assert wrong_arrows(texts) == wrong_arrows(texts, "laws", MODULES["laws"]) == []


def test_no_room_or_module_shares_its_name_with_the_public_face():
    public = {name for name in rholaw.__all__ if not isinstance(getattr(rholaw, name), types.ModuleType)}
    assert not public & {part for name in sources() for part in name.split(".")}
