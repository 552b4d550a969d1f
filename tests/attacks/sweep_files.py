"""Sweep files in TOML, right, wrong and damaged: keys, types, numbers, tables, lists, nesting, bytes."""

import tomllib
from dataclasses import asdict

import numpy as np

from rholaw.train.config import Config
from rholaw.train.sweeps import file as sweeps
from rholaw.train.sweeps import run as sweep

PROMISE = "it is read as the runs that it asks for, each once, or refused with what is wrong and where, in a few lines"
SECONDS = 5
MEGABYTES = 300
SLICE = 40

LINES, WIDTH = 33, 600  # of a refusal, at most
DEFAULTS = {
    **{"corpus": '"shakespeare"', "vocabulary": "512", "context": "32", "batch_tokens": "256", "tokens": "1000"},
    **{"lr": "0.01", "layers": "1", "heads": "1", "width": "8"},
}
SIZES = {"small": {"width": "8"}, "large": {"layers": "2", "heads": "2", "width": "16", "tokens": "2000"}}
FORMATS = [
    '"dense"',
    '"int4"',
    '"2:4"',
    '"s0.5"',
    '{weights = "int4", activations = "int8"}',
    '{weights = "nf4", lr = 0.1}',
]
AXES = {
    "size": ['"small"', '"large"'],
    "format": FORMATS,
    "seed": [str(seed) for seed in range(9)],
    "lr": ["0.1", "0.02", "1", "3e-3"],
    "method": ['"ste"', '"trust"', '"clip"'],
    "tokens": ["500", "512_000"],
    "clip": ["1", "0.5"],
}
ODD = [
    *(
        "inf",
        "-inf",
        "nan",
        "true",
        "-1",
        "0",
        "1e400",
        "1e-400",
        "9" * 30,
        "9" * 400,
        "9" * 5000,
        "0x7f",
        "1_0",
        "8.0",
    ),
    *('""', '"x"', '"' + "x" * 900 + '"', '"\\u202e"', "'''a\nb'''", "[]", "[[]]", "[[1], [2]]", "{}", "{a = 1}"),
    *("{weights = {}}", "[{}]", "2026-11-26", "07:32:00", "[1, 1]", '["dense", 3]', "[" * 300 + "]" * 300, "[" * 900),
    *('"dense"', '"small"', '"int4"', "1", "0.5", '"int9"', '"file:nowhere"', "[0, 1, 2]", "18446744073709551616"),
]
NAMES = ["runs", "sizes", "defaults", "exclude", "lr_factor", "colour", "seed", '""', "sizes.small", "runs.a", "a.b.c"]


def attempt(rng, folder):
    path = folder / "sweep.toml"
    content = damaged(rng, written(rng))
    path.write_bytes(content)
    try:
        configs = sweeps.read(path)
    except ValueError as error:
        lines = str(error).splitlines()
        assert str(path) in lines[0] and len(lines) <= LINES and max(map(len, lines)) <= WIDTH
        return "refused"
    assert configs and len({config.id for config in configs}) == len(configs)
    assert all(Config(**asdict(config)) == config and config.steps >= 1 for config in configs)
    units = sweep.units(configs)
    assert sorted(one.id for unit in units for one in unit) == sorted(one.id for one in configs)
    assert 0 < sum(map(sweep.flops, configs)) < float("inf")
    asked = tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))
    if not asked.get("exclude"):
        assert len(configs) == sum(runs(block, asked.get("defaults", {})) for block in asked["runs"])
    return "read"


def runs(block, defaults):
    """How many a block asks for."""
    return int(np.prod([len(value) for value in (defaults | block).values() if isinstance(value, list)]))


def written(rng):
    """The text of a sweep file: most of it right."""
    wrong = rng.random() < 0.4

    def value(right):
        return str(rng.choice(ODD)) if wrong and rng.random() < 0.1 else right

    def table(entries):
        lines = [f"{key} = {value(right)}" for key, right in entries.items()]
        if wrong and rng.random() < 0.1:
            lines.insert(0, f"{rng.choice(NAMES)} = {rng.choice(ODD)}")
        if wrong and lines and rng.random() < 0.05:
            lines.pop(rng.integers(len(lines)))
        return lines

    text = ["[defaults]", *table(DEFAULTS)]
    for name, size in SIZES.items():
        text += [value(f"[sizes.{name}]"), *table(size)] if rng.random() < 0.97 else ["[[sizes]]"]
    if rng.random() < 0.5:
        text += ["[lr_factor]", *table({'"2:4"': "0.5", "int4": "2"})]
    for _ in range(rng.integers(1, 3)):
        block = {"size": '"small"'}
        for axis in rng.choice(list(AXES), rng.integers(0, 4), replace=False):
            chosen = rng.choice(AXES[axis], rng.integers(1, 4), replace=True)
            block[axis] = f"[{', '.join(dict.fromkeys(chosen))}]" if len(chosen) > 1 else str(chosen[0])
        text += [value("[[runs]]"), *table(block)]
    if rng.random() < 0.2:
        text += ["[[exclude]]", *table({"seed": "[1, 2]"})]
    return "\n".join(text) + "\n"


def damaged(rng, text):
    """The bytes of a text, at times with a fault of its own."""
    raw = bytearray(text.encode())
    place = int(rng.integers(len(raw)))
    match rng.integers(30):
        case 0:
            raw[place] = rng.integers(256)
        case 1:
            del raw[place:]
        case 2:
            del raw[place : place + int(rng.integers(40))]
        case 3:
            raw[place:place] = raw[: int(rng.integers(300))]
        case 4:
            raw = bytearray(b"\xef\xbb\xbf" + raw)
        case 5:
            raw = raw.replace(b"\n", b"\r\n")
        case 6:
            raw = bytearray(f"# größe\n{text}".encode("latin-1"))
        case 7:
            raw = bytearray(text.encode("utf-16"))
        case 8:
            raw[place:place] = b"\n" + b"a." * int(rng.integers(100_000)) + b"a = 1\n"
        case 9:
            raw = bytearray(rng.bytes(int(rng.integers(300))))
        case 10:  # more runs than anyone trains
            axis = f"[{', '.join(map(str, range(300)))}]"
            axes = [f"{name} = {axis}" for name in ("seed", "tokens", "batch_tokens", "lr")]
            raw += "\n".join(["[[runs]]", "size = 'small'", *axes, ""]).encode()
    return bytes(raw)
