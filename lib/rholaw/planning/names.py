"""What people call formats and options: "FP8 weights and activations" for ``fp8_row x fp8_row``.

names.toml is the one table of such names, in English and in Japanese.  What it does not name keeps its code name, which
is what a reader types; pages show that where the pointer rests on a name.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from ..formats.grammar import parse


class Roles(Protocol):
    """What has a format for each role: an Option, or a row of a plan's table."""

    weights: str
    activations: str
    kv: str


@cache
def table(language: str) -> Mapping[str, Any]:
    """The names of a language, "en" or "ja"; ``formats``, ``grids``, ``caches`` and ``roles`` are {code: name}."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))[language]


def format(code: str, language: str = "en") -> str:
    """What a format is called; of a sparsity and what it leaves both are named, where both have a name."""
    names = table(language)
    sparsity, _, rest = code.partition("+")
    if rest and sparsity in names["formats"] and rest in names["formats"]:
        return names["sparse"].format(sparsity=names["formats"][sparsity], name=names["formats"][rest])
    return names["formats"].get(code, code)


def grid(code: str, language: str = "en") -> str:
    """What a format is called where its scale goes without saying: ``int4`` is no INT4, but "4-bit integers"."""
    names = table(language)
    sparsity, _, rest = code.partition("+")
    if sparsity in names["formats"] and rest in names["grids"]:
        return names["sparse"].format(sparsity=names["formats"][sparsity], name=names["grids"][rest])
    return names["grids"].get(code) or format(code, language)


def option(row: Roles, language: str = "en") -> str:
    """What an option is called: "INT4 weights, FP8 cache"."""
    names, groups = table(language), {}
    for role, word in names["roles"].items():
        code = getattr(row, role)
        name = names["caches"].get(code, format(code, language)) if role == "kv" else format(code, language)
        if code != "dense":
            groups.setdefault((name, role in names["together"] or role), []).append(word)
    told = (names["of"].format(name=name, roles=names["and"].join(roles)) for (name, _), roles in groups.items())
    return names["between"].join(told) or format("dense", language)


def called(name: str, language: str = "en") -> str:
    """The same for the name of an option as tables have it, "sint4/g128 kv fp8_tensor"; any other text stays."""
    rest, _, kv = name.partition(" kv ")
    weights, _, activations = rest.partition(" x ")
    roles = SimpleNamespace(weights=weights, activations=activations or "dense", kv=kv or "dense")
    try:
        parse(weights)
    except ValueError:
        return name
    return option(roles, language)
