"""A sweep file spells out runs in TOML, in blocks whose lists are multiplied out; sweeps/template.toml explains it."""

import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

from ... import toml
from ...checked import LARGEST, few, limited, shortened, shown, unknown
from ...formats.grammar import parse
from ..config import PAPER_SIZES, Config, llama

FIELDS = [field.name for field in fields(Config)]
KEYS = {"defaults": FIELDS, "sizes": FIELDS, "runs": ["size", "format", *FIELDS], "exclude": ["size", *FIELDS]}
MOST = 10_000  # runs of one block
Report = Callable[[str, str], None]  # where, and what is wrong there


def read(file: str | Path) -> list[Config]:
    """The runs of a sweep file, in its order: the last list of a block runs fastest, one in [defaults] faster still.

    ValueError with all that is wrong and where: unknown keys, runs that `Config` refuses, runs that are there twice,
    an exclusion that meets nothing.
    """
    try:
        content = toml.parsed(text := toml.text(Path(file)))
    except ValueError as error:
        raise ValueError(f"{file}: {shortened(str(error), 300)}") from None
    wrong: dict[str, list[str]] = {}  # what → where

    def report(where, what):
        wrong.setdefault(what, []).append(where)

    _check(content, report)
    configs = {} if wrong else _configs(content, report)
    if not configs and not wrong:
        report("the file", "there is no run; [[runs]] adds some")
    if wrong:
        lines = []
        for what, places in wrong.items():
            line, more = _line(places[0], text), f" (and {len(places) - 1} more like it)" if places[1:] else ""
            lines.append((line, f"{f'line {line}, ' if line else ''}{places[0]}: {what}{more}"))
        said = few([text for _, text in sorted(lines)])
        raise ValueError("\n  ".join([f"{file} is refused, nothing was run:", *said]))
    return list(configs.values())


def _check(content: dict, report: Report) -> None:
    """Report keys that mean nothing and tables that are none."""
    _check_keys("the file", content, [*KEYS, "lr_factor"], report)
    for name in ("runs", "exclude"):
        if not isinstance(blocks := content.get(name, []), list):
            report("the file", f"{name} is a list of tables: write [[{name}]]")
            continue
        for number, block in enumerate(blocks, start=1):
            where = f"[[{name}]] {number}"
            if _check_keys(where, block, KEYS[name], report):
                for entry in _several(block.get("format", [])):
                    if isinstance(entry, dict):
                        _check_keys(f"{where}, format", entry, FIELDS, report)
                if not all(isinstance(size, str) for size in _several(block.get("size", []))):
                    report(where, f"size must be the name of a size, or a list of names, not {shown(block['size'])}")
    _check_keys("[defaults]", content.get("defaults", {}), FIELDS, report)
    for name, size in _table("[sizes]", content.get("sizes", {}), report).items():
        _check_keys(f"[sizes.{name}]", size, FIELDS, report)
    for text, factor in _table("[lr_factor]", content.get("lr_factor", {}), report).items():
        try:
            parse(text)
        except ValueError as error:
            report("[lr_factor]", str(error))
        try:
            limited(factor, "times the learning rate", above=True)
        except ValueError as error:
            report("[lr_factor]", f"{text}: {error}")


def _check_keys(where: str, table: object, known: list[str], report: Report) -> bool:
    """Whether it is a table; its keys are reported that mean nothing."""
    for key, value in (entries := _table(where, table, report)).items():
        if key not in known:
            report(where, unknown(key, known))
        elif value == []:
            report(where, f"{key} is an empty list, and makes no run")
    return entries is table


def _table(where: str, table: object, report: Report) -> dict:
    """It, or an empty one where it is none."""
    if isinstance(table, dict):
        return table
    report(where, f"must be a table of keys, not {shown(table)}")
    return {}


def _several(value) -> list:
    return value if isinstance(value, list) else [value]


def _configs(content: dict, report: Report) -> dict[str, Config]:
    """Id → run, for all that no exclusion names."""
    configs, places = {}, {}
    excluded = [0] * len(content.get("exclude", []))
    for where, size, values in _expanded(content, report):
        met = [number for number, rule in enumerate(content.get("exclude", [])) if _matches(rule, size, values)]
        for number in met:
            excluded[number] += 1
        if met:
            continue
        values = _completed(values, content.get("lr_factor", {}))
        if lacking := [field for field in FIELDS if field not in values and _required(field)]:
            report(where, f"it lacks {', '.join(lacking)}")
            continue
        try:
            config = Config(**values)
        except ValueError as error:
            report(where, str(error))
            continue
        if config.id in configs:
            report(where, f"the same run as {places[config.id]}")
        configs[config.id], places[config.id] = config, where
    for number, count in enumerate(excluded, start=1):
        if not count:
            report(f"[[exclude]] {number}", "there is no such run")
    return configs


def _required(name: str) -> bool:
    return not hasattr(Config, name)  # a default of a dataclass is an attribute of its class


def _expanded(content: dict, report: Report) -> Iterator[tuple[str, str, dict]]:
    """(where, name of the size, values of a Config's fields) of every run."""
    sizes, defaults = PAPER_SIZES | content.get("sizes", {}), content.get("defaults", {})
    several = {key: value for key, value in defaults.items() if isinstance(value, list)}
    for number, block in enumerate(content.get("runs", []), start=1):
        axes = {key: _several(value) for key, value in (block | several | block).items()}
        if (many := math.prod(map(len, axes.values()))) > MOST:
            report(f"[[runs]] {number}", f"its lists multiply out to {many:,} runs, of which {MOST:,} are allowed")
            continue
        for choice in itertools.product(*axes.values()):
            chosen = dict(zip(axes, choice, strict=True))
            which = ", ".join(f"{key} {shortened(str(chosen[key]), 40)}" for key in axes if len(axes[key]) > 1)
            where = f"[[runs]] {number}" + (f" ({which})" if which else "")
            size, form = chosen.pop("size", None), chosen.pop("format", {})
            if size is not None and size not in sizes:
                report(where, unknown(size, list(sizes), "size"))
                continue
            form = form if isinstance(form, dict) else {"weights": form}
            own = {key: value for key, value in chosen.items() if key in block}
            values = defaults | chosen | sizes.get(size, {}) | own | form
            yield where, size, values


def _completed(values: dict, factors: dict) -> dict:
    """With the learning rate of the format, and the hidden width of a Llama where none is given."""
    lr, weights = values.get("lr"), values.get("weights", "dense")
    for text, factor in factors.items():
        if isinstance(lr, int | float) and abs(lr) <= LARGEST and _same(weights, text):
            values = values | {"lr": float(f"{lr * factor:.6g}")}
    if "hidden" not in values and {"width", "layers", "heads"} <= values.keys():
        known = isinstance(values["width"], int)  # otherwise Config says so
        values = values | {"hidden": llama(values["width"], 1, 1)["hidden"] if known else 1}
    return values


def _matches(rule: dict, size: str, values: dict) -> bool:
    values = values | {"size": size}
    return all(any(_same(values.get(key), wanted) for wanted in _several(rule[key])) for key in rule)


def _same(one: object, other: object) -> bool:
    """Equal, or two spellings of a format."""
    try:
        return one == other or str(parse(one)) == str(parse(other))
    except (TypeError, ValueError):  # no text, or no format
        return False


def _line(where: str, text: str) -> int:
    """The number of the line where the table at this place begins, or 0."""
    header = re.match(r"(\[+[^\]]+\]+) ?(\d*)", where)
    if not header:
        return 0
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(header[1])]
    return dict(enumerate(lines, start=1)).get(int(header[2] or 1), 0)
