"""Values for the parameters of random chapters, tried with the check that each chapter makes before any work."""

import ast
import json
import math
from functools import cache
from pathlib import Path

import numpy as np

import rholaw as rl
from rholaw import book

PROMISE = "accepted as the type that is declared, or refused in at most 500 characters that name the parameter"
SECONDS = 5
MEGABYTES = 300
SLICE = 40

CHAPTERS = sorted(path for path in (book.ROOT / "chapters").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
EDGES = [
    0,
    1,
    -1,
    2,
    20,
    1e3,
    0.5,
    1e-9,
    1e9,
    1e300,
    math.inf,
    -math.inf,
    math.nan,
    10**400,
    True,
    False,
    None,
    [],
    [0.5],
    {},
]
TEXTS = [
    "",
    " ",
    ",",
    "dense",
    "cloud",
    "normal",
    "all",
    "nan",
    "1e9",
    "0x10",
    "-",
    "\0",
    "/",
    "..",
    "a" * 9000,
    "\n",
    "ja",
    "=",
    "q4_k=0.1",
]


@cache
def checks(path: Path) -> tuple[str, str]:
    """(the parameters cell, the cell after it up to its call of ``book.parameters``) of a chapter."""
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    place = next(i for i, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", ()))
    declared, body = ("".join(cells[i]["source"]) for i in (place, place + 1))
    lines = body.splitlines()
    call = next(node for node in ast.parse(body).body if "book.parameters(" in ast.unparse(node))
    return declared, "\n".join(lines[: call.end_lineno])


def attempt(rng: np.random.Generator, folder: Path) -> str:
    """One or two values for the parameters of one chapter, given as papermill gives them."""
    path = CHAPTERS[rng.integers(len(CHAPTERS))]
    declared, check = checks(path)
    names = [node.target.id for node in ast.parse(declared).body]
    namespace = {"__annotations__": {}}
    exec(declared, namespace)
    chosen = {str(name): _value(rng, namespace[name], folder) for name in rng.choice(names, rng.integers(1, 3))}
    kinds, namespace["In"] = (
        namespace["__annotations__"],
        ["# Parameters\n" + "".join(f"{name} = 0\n" for name in chosen)],
    )
    namespace |= chosen
    try:
        exec(check, namespace)
    except book.ParameterError as error:
        assert str(error).startswith(tuple(chosen)) and len(str(error)) <= 500, f"{path.name}, {chosen}: {error}"
        return "refused"
    except BaseException as error:
        error.add_note(f"{path.name}: {chosen!r}"[:500])
        raise
    assert all(type(namespace[name]) is kind for name, kind in kinds.items()), f"{path.name}, {chosen}"
    return "accepted"


def _value(rng: np.random.Generator, usual: object, folder: Path) -> object:
    """Something like what is usual there, a list of formats, or anything."""
    way = rng.random()
    if way < 0.5 and isinstance(usual, bool):
        return bool(rng.integers(2))
    if way < 0.5 and isinstance(usual, int | float):
        near = type(usual)(usual * rng.choice([0.5, 0.9, 1, 1.1, 2]))
        return [near, near, float(near), f"{near:g}"][rng.integers(4)]
    if way < 0.5:
        words = rng.choice(usual.split(","), rng.integers(1, 4))
        return ",".join(str(word).upper() if rng.random() < 0.1 else str(word) for word in words)
    if way < 0.7:
        names = [
            *rl.catalogue(),
            "int4/g128",
            "2:4+int4/g32",
            "s0.5",
            "4:8",
            "int4+out0.01",
            "vq2_16 ",
            "INT3",
            "int9",
            "x",
        ]
        return ", ".join(str(name) for name in rng.choice(names, rng.integers(1, 5)))
    if way < 0.75:
        return str(folder / str(rng.choice(["nowhere", "mine.toml", "card.md"])))
    number = float(np.round(10 ** rng.uniform(-4, 6), rng.integers(5)))
    numbers = [number, int(number), f"{number:g}", f"{number}, {number / 2}"]
    return [*EDGES, *TEXTS, *numbers, *numbers][rng.integers(len(EDGES) + len(TEXTS) + 2 * len(numbers))]
