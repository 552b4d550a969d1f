"""What people call formats and options: "FP8 weights and activations" for ``fp8_row x fp8_row``.

names.toml is the one table of such names, in English and in Japanese.  What is neither in it nor put together of what
is, keeps its code name, which is what a reader types; pages show that where the pointer rests on a name.
"""

import re
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


GGML = re.compile(r"i?q\d+_\w+")
"""Types of llama.cpp, which its own tables write in capitals."""


@cache
def table(language: str) -> Mapping[str, Any]:
    """The names of a language, "en" or "ja"; ``formats``, ``grids``, ``caches`` and ``roles`` are {code: name}."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))[language]


@cache
def _short() -> Mapping[str, str]:
    """{a format written out, as ``str(Format)`` is: its key in the table}."""
    return {str(parse(code)): code for code in table("en")["formats"]}


def format(code: str, language: str = "en") -> str:
    """What a format is called, written short or out; of one that the table lacks its parts are, if it has them."""
    names, code = table(language), _short().get(code, code)
    if code in names["formats"]:
        return names["formats"][code]
    sparsity, _, rest = code.partition("+")
    element, _, block = code.partition("/g")
    size, _, rule = block.partition(":")
    if rest and grid(sparsity, language) != sparsity and grid(rest, language) != rest:
        return names["sparse"].format(sparsity=grid(sparsity, language), name=grid(rest, language))
    if element in names["grids"] and size.isdigit() and rule in names["blocks"]:
        return names["blocks"][rule].format(name=names["grids"][element], size=size)
    return code.upper() if GGML.fullmatch(code) else code


def grid(code: str, language: str = "en") -> str:
    """What a format is called where its scale goes without saying: ``int4`` is no INT4, but "4-bit integers"."""
    return table(language)["grids"].get(code) or format(code, language)


def option(row: Roles, language: str = "en") -> str:
    """What an option is called: "INT4 weights, FP8 cache"."""
    names, groups = table(language), {}
    for role, word in names["roles"].items():
        code = getattr(row, role)
        own = names["caches"] if role == "kv" else names["kernels"]  # where "4-bit integer weights" are int4
        name = own.get(code) or grid(code, language)
        if code != "dense":
            groups.setdefault((name, role in names["together"] or role), []).append(word)
    told = (names["of"].format(name=name, roles=names["and"].join(roles)) for (name, _), roles in groups.items())
    return names["between"].join(told) or format("dense", language)


def kernel(code: str, language: str = "en") -> str:
    """What the numbers of a kernel are called: "4-bit integer weights" for ``int4 x bf16``."""
    names, groups = table(language), {}
    for role, numbers in zip(names["roles"], code.split(" x "), strict=False):
        sparsity, _, rest = numbers.removesuffix("+out").rpartition("+")
        name = names["kernels"].get(rest) or grid(rest, language)
        name = names["sparse"].format(sparsity=grid(sparsity, language), name=name) if sparsity else name
        name = names["outliers"].format(name=name) if numbers.endswith("+out") else name
        groups.setdefault(name, []).extend([names["roles"][role]] if numbers != "bf16" else [])
    told = (names["of"].format(name=name, roles=names["and"].join(roles)) for name, roles in groups.items() if roles)
    return names["between"].join(told)


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
