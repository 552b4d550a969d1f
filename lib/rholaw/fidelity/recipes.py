"""Recipes on paper: which tensor gets which type, as llama-quantize, GGUF Tool Suite and llm-compressor read it.

A line a group of tensors, `^blk\\.(0|1|7)\\.ffn_up\\.weight$=q4_K`: `llama-quantize --tensor-type-file FILE` takes the
first part as a regular expression and the second as a type in any case; GGUF Tool Suite's .recipe files look the same,
with K in capitals.  The types that only ik_llama.cpp knows go to its `--custom-q`, with commas between the lines.
Tensors at 16 bits are what compressed-tensors calls `ignore`.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import files
from . import names
from .allocation import Allocation, plain
from .mixtures import PLAIN


def text(chosen: Allocation | Mapping[str, str]) -> str:
    """The lines for an allocation, or for {tensor: type}; tensors of one kind and type share a line."""
    types = chosen if isinstance(chosen, Mapping) else chosen.types
    groups: dict[tuple[str, str], list[str]] = {}
    for tensor, name in types.items():
        groups.setdefault((_within(tensor), name), []).append(tensor)
    lines = [f"^{_pattern(members)}$={spelled(name)}" for (_, name), members in groups.items()]
    return "\n".join(lines) + "\n"


def write(chosen: Allocation | Mapping[str, str], path: str | Path) -> None:
    """`text` as a file, whole or not at all. Raises OSError where it cannot be written."""
    files.write(path, text(chosen))


def read(content: str, tensors: Iterable[str]) -> dict[str, str]:
    """{tensor: type} by the lines of a recipe, for those of these tensors that one fits; the first that fits counts.

    What follows # is a remark.  Raises ValueError that names a line which is no pattern=type.
    """
    rules = []
    for number, line in enumerate(content.splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        pattern, equals, name = line.rpartition("=")
        try:
            rules.append((re.compile(pattern), plain(name)))
        except re.error as error:
            raise ValueError(f"line {number}: {pattern!r} is no regular expression: {error}") from None
        if not (equals and pattern and name):
            raise ValueError(f"line {number}: {line!r} must be PATTERN=TYPE, such as ^output\\.weight$=q6_K")
    fits = {tensor: next((name for pattern, name in rules if pattern.search(tensor)), None) for tensor in tensors}
    return {tensor: name for tensor, name in fits.items() if name}


def ignored(chosen: Allocation) -> list[str]:
    """The modules that stay uncompressed, as llm-compressor and compressed-tensors take for `ignore`.

    Names are those of Hugging Face's checkpoints; experts of a layer are one regular expression, `re:…`.  Raises
    ValueError for a tensor without a counterpart there.
    """
    table = chosen.table
    stay = table.loc[table["type"].isin(list(PLAIN)) & table["kappa"].notna(), "tensor"]
    modules = [names.of_module(tensor) for tensor in stay if tensor != "token_embd.weight"]  # an embedding is no Linear
    return [_regular(module) if "*" in module else module for module in modules]


def spelled(name: str) -> str:
    """A type as GGUF Tool Suite spells it: q4_K, but iq4_k."""
    return re.sub(r"^(q\d)_k", r"\1_K", name)


def _pattern(members: list[str]) -> str:
    if len(members) == 1:
        return re.escape(members[0])
    layers = "|".join(str(names.layer(tensor)) for tensor in members)
    return rf"blk\.({layers})\.{re.escape(_within(members[0]))}"


def _within(tensor: str) -> str:
    """The name without its layer."""
    return tensor.removeprefix(f"blk.{names.layer(tensor)}.")


def _regular(module: str) -> str:
    return "re:.*" + re.escape(module).replace(r"\*", r"\d+") + "$"
