"""Scenario files: keys and values changed, the text damaged, TOML and YAML; what is accepted is planned."""

import datetime
import json
import math
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import yaml

import rholaw as rl
from rholaw.planning.inputs import Option
from rholaw.planning.scenario import PARTS

PROMISE = "refused in less than 10 kB that name the file, or a plan whose numbers are finite or missing"
SECONDS = 2
MEGABYTES = 300
SLICE = 250

EDGES = [
    0,
    -1,
    1,
    2,
    0.5,
    1e-9,
    1e3,
    1e9,
    1e15,
    1e308,
    -0.0,
    math.inf,
    -math.inf,
    math.nan,
    10**400,
    True,
    None,
    "",
    "8e9",
]
EDGES += ["70 %", "1,000", "x" * 1500, "<b>", [], [1, 2, 3], [3, 2, 1], [0.5, 0.5, 0.5], [1, 2], {}, {"a": 1}, [[]]]
EDGES += [datetime.date(2026, 11, 24), "2026-11-24", "dense", "int4", "nvfp4", "L40S", "cloud\nedge"]
DAMAGE = [
    "\t",
    "\0",
    "\ufeff",
    "&a ",
    "*a",
    "!!int ",
    "<<: ",
    "[" * 50,
    "0",
    "_",
    ".",
    "'",
    '"',
    "%",
    "\u00e9",
    "- ",
    ": ",
    "#",
    "\n",
]


def attempt(rng: np.random.Generator, folder: Path) -> str:
    """A scenario with up to three changes, some in files that it names, its text damaged one time in four."""
    data = _right(rng)
    for _ in range(rng.integers(4)):
        _change(data, rng)
    if rng.random() < 0.2 and isinstance(data.get("model"), dict) and isinstance(data.get("hardware"), dict):
        _beside(data, rng, folder)
    ending = ("toml", "yaml")[rng.integers(2)]
    text = _toml(data) if ending == "toml" else yaml.safe_dump(data, allow_unicode=True)
    raw = text.encode()
    for _ in range(rng.integers(3) if rng.random() < 0.25 else 0):
        place, piece = (
            rng.integers(len(raw) + 1),
            str(rng.choice(DAMAGE)).encode(("utf-8", "latin-1")[rng.integers(2)], "replace"),
        )
        raw = raw[:place] + piece + raw[place + rng.integers(5) :]
    path = folder / f"mine.{ending}"
    path.write_bytes(raw)
    try:
        scenario = rl.Scenario.read(path)
    except rl.ScenarioError as error:
        lines = str(error).splitlines()
        assert str(path) in lines[0] and max(map(len, lines)) <= 500, str(error)[:2000]
        assert len(str(error).encode()) < 10_000, len(str(error))
        return "refused"
    try:
        plan = rl.plan(scenario.replace(run={"samples": 100, "today": "2026-11-24"}))
    except rl.ScenarioError as error:  # of a model that is unlike all that were measured
        assert "nothing is known" in str(error) and len(str(error)) <= 500
        return "nothing is known"
    numbers = plan.table.select_dtypes(float)
    costs = numbers[[name for name in numbers if name.startswith(("cost_month", "saving", "npv", "dloss", "memory"))]]
    endless = np.isinf(costs.to_numpy()).any(axis=0)  # where no number of parameters will do, which is told
    assert not endless.any() or "as low as 0" in plan.recommendation, costs.columns[endless].tolist()
    assert len("".join([plan.recommendation, plan.summary_en, plan.summary_ja])) < 10_000
    return plan.verdict


def _right(rng: np.random.Generator) -> dict:
    """A scenario that is accepted."""
    weights = rng.choice(["fp8_row", "sint4/g128", "nvfp4", "2:4+int4", "q4_k"], rng.integers(1, 3), replace=False)
    shape = [{"geometry": "Llama-3.1-8B"}, {"params": float(10 ** rng.uniform(8, 11))}][rng.integers(2)]
    hardware = {"devices": [str(rng.choice(["L40S", "H100 80GB SXM", "RTX 4090"]))], "batches": [1, 32]}
    kind = str(rng.choice(["train", "qat", "post-training"]))
    return {
        "model": shape,
        "formats": [{"weights": str(name)} for name in weights],
        "hardware": hardware,
        "traffic": {"utilisation": [0.3, 0.5, 0.7]},
        "project": {"kind": kind},
    }


def _change(data: dict, rng: np.random.Generator) -> None:
    """Another value of any key, a misspelt key, or a part that is no table."""
    part = str(rng.choice([*PARTS, "formats"]))
    kind = Option if part == "formats" else PARTS[part]
    known = [item.name for item in fields(kind) if item.name not in ("checkpoint", "overrides", "samples")]
    key, value = str(rng.choice(known)), _value(rng)
    if rng.random() < 0.1:
        key = key[1:]
    if rng.random() < 0.03:
        data[part] = value
    elif part == "formats" and isinstance(data.get(part), list):
        if data[part] and isinstance(data[part][0], dict):
            data[part][0][key] = value
    elif isinstance(data.setdefault(part, {}), dict):
        data[part][key] = value


def _beside(data: dict, rng: np.random.Generator, folder: Path) -> None:
    """What else says the shape, the machine or the speed: a table, or a file, with one value changed."""
    shape = {"layers": 32, "d_model": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128, "d_ff": 14336}
    shape |= {"vocabulary": 128256}
    config = {"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32}
    config |= {"num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256}
    kind = ("geometry", "config", "overrides", "rise", "bench")[rng.integers(5)]
    if kind == "geometry":
        data["model"] = {"geometry": shape | {str(rng.choice(list(shape))): _value(rng)}}
    elif kind == "config":
        changed = config | {str(rng.choice(list(config))): _value(rng)}
        (folder / "config.json").write_text(json.dumps(changed, default=str))
        data["model"] = {"checkpoint": "."}
    elif kind == "overrides":
        row = [str(rng.choice(["L40S", "mine", "", "a,b"])), str(rng.choice(["memory", "fp8", "price_mid", "speed"]))]
        (folder / "own.csv").write_text(f"device,property,value\n{','.join(row)},{_value(rng)}\n")
        data["hardware"]["overrides"] = "own.csv"
    elif kind == "rise":
        data["model"]["measured"] = [{"weights": "q4_k", "rise": 0.03}, {"weights": "q6_k", "rise": _value(rng)}]
    else:
        speed = {"model_id": "m", "max_concurrency": 8, "output_throughput": 900.0, "total_input_tokens": 8000}
        speed |= {"total_output_tokens": 4000, "num_prompts": 16, "completed": 16, "duration": 9.0}
        changed = speed | {str(rng.choice(list(speed))): _value(rng)}
        (folder / "bench.json").write_text(json.dumps(changed, default=str))
        data["hardware"]["measured"] = ["bench.json"]


def _value(rng: np.random.Generator) -> object:
    if rng.random() < 0.6:
        number = float(10 ** rng.uniform(-3, 4))
        return sorted([number, number * rng.uniform(1, 2), number * 2]) if rng.random() < 0.3 else number
    return EDGES[rng.integers(len(EDGES))]


def _toml(data: dict) -> str:
    return "\n".join(_lines(data)) + "\n"


def _lines(data: dict) -> Iterator[str]:
    yield from (f"{key} = {_literal(value)}" for key, value in data.items() if not isinstance(value, dict))
    for key, value in data.items():
        if isinstance(value, dict):
            yield f"[{key}]"
            yield from (f"{name} = {_literal(one)}" for name, one in value.items())


def _literal(value: object) -> str:
    """A value in TOML; None is no value there."""
    if isinstance(value, float) or value is None:
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_literal(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return value.isoformat() if isinstance(value, datetime.date) else json.dumps(value)
