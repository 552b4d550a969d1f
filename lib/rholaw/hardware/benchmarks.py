"""What you measured: files of benchmarks, read and laid beside what a plan reckons with.

read("bench.json")       a Run for each speed in it, checked: the files are untrusted
combined(runs)           repeats as one Run, with their spread
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..untrusted import LARGEST, refusals
from . import reports, simulated
from .reports import Run

WHAT = ("engine", "version", "model", "device", "weights", "activations", "kv", "gpus", "simulated")


def read(path: str | Path) -> tuple[Run, ...]:
    """The Runs in a file. Raises ValueError that begins with its name: for what is no file of these tools, for numbers
    that are none or cannot be, for requests that failed, and for more than a file of this kind may hold."""
    name = Path(path).name
    with refusals(name):
        if not Path(path).is_file():
            raise ValueError("there is no such file")
        if (size := Path(path).stat().st_size) > LARGEST:
            raise ValueError(f"it has {size:,} bytes; at most {LARGEST:,} are read")
        data = Path(path).read_bytes()
        text = data.decode("utf-8", errors="replace")
        every = simulated.runs(text) if simulated.TITLE.search(text) else reports.runs(data)
        runs = tuple(replace(run, file=name) for run in every)
        if not runs:
            raise ValueError("there is no speed in it")
        return runs


def frame(runs: Iterable[Run]) -> pd.DataFrame:
    """A row for each Run."""
    return pd.DataFrame([vars(run) for run in runs], columns=[item.name for item in fields(Run)])


def combined(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Repeats, of the same at the same load, as one: the geometric mean, and their spread."""
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        key = (
            run.phase,
            round(run.concurrency),
            round(run.tokens_in),
            round(run.tokens_out),
            *(getattr(run, n) for n in WHAT),
        )
        groups.setdefault(key, []).append(run)
    return tuple(_mean(group) for group in groups.values())


def _mean(runs: list[Run]) -> Run:
    if len(runs) == 1:
        return runs[0]
    logs = np.log([run.tokens_per_second for run in runs])
    values = {
        name: float(np.mean([getattr(run, name) for run in runs])) for name in ("concurrency", "ttft_ms", "tpot_ms")
    }
    files = ", ".join(dict.fromkeys(run.file for run in runs))
    return replace(
        runs[0], tokens_per_second=float(np.exp(logs.mean())), spread=float(logs.std(ddof=1)), file=files, **values
    )


# --- whose speed it is --------------------------------------------------------------------------------------------

FORMS = {"sxm", "pcie", "nvl", "server", "hbm3", "hbm2e"}
"""Of a device, which the names of drivers may leave out."""
KINDS = {"ti", "super", "max", "pro", "ultra", "laptop", "mobile", "nvl", "pcie", "nano", "nx"}
"""Words that make another device of one."""
SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?) ?[bB]\b")
ALIKE = 0.4
"""How far the size in a model's name may be from its parameters: names round, and leave embeddings out."""
SAME = 0.05
"""How far the parameters that a tool counted may be from those of the same model."""


QUANTISED = {  # word in a model's name → numbers of its weights, the first that is there
    **{word: word for word in ("nvfp4", "mxfp4", "fp8")},
    **dict.fromkeys(("int8", "w8a8", "w8a16", "8bit"), "int8"),
    **dict.fromkeys(("int4", "w4a16", "awq", "gptq", "4bit"), "int4"),
    **dict.fromkeys(("bnb", "nf4"), "nf4"),
}


def quantised(model: str) -> str:
    """What the name of a model says of its weights, as ``kernels.numbers``; "" where it says nothing."""
    words = re.findall(r"[a-z0-9]+", model.lower())
    return next((what for word, what in QUANTISED.items() if word in words), "")


def device(text: str, known: Iterable[str]) -> str:
    """Which of the ``known`` devices a driver's name is, as in "NVIDIA H100 80GB HBM3"; "" for none of them."""
    words = set(re.findall(r"[a-z0-9]+", text.lower()))
    best = {}
    for name in known:
        own = set(re.findall(r"[a-z0-9]+", name.lower()))
        core = {word for word in own - FORMS if not re.fullmatch(r"\d+gb", word)}
        if core <= words and words & KINDS <= own:
            best[name] = len(own & words)
    return max(best, key=best.get) if best else ""


def other_model(run: Run, params: float) -> str:
    """What speaks against a Run's being of a model of so many parameters, all of them; "" if nothing does."""
    if run.params == run.params and abs(run.params / params - 1) > SAME:
        return f"{run.model or 'its model'} has {run.params:.4g} parameters"
    named = SIZE.search(run.model.rpartition("/")[2].replace("-", " ").replace("_", " "))
    if run.params != run.params and named and not 1 - ALIKE < float(named[1]) * 1e9 / params < 1 + ALIKE:
        return f"{run.model} is named after {named[1]} billion parameters"
    return ""


@dataclass(frozen=True)
class Shift:
    """What a measurement does to reckoned speeds: rate → median × factor × (rate / median)^keep × exp(error z).

    factor: of the median, at each number in flight or one number; keep: share of the spread of the logarithm that is
    left; error: what the measurement adds to it; source: the files.
    """

    factor: np.ndarray | float
    keep: float
    error: float
    source: str

    def applied(self, rates: np.ndarray, z: np.ndarray | float) -> np.ndarray:
        """Rates, with draws along the last axis, after the measurement."""
        median = np.median(rates, axis=-1, keepdims=True)
        return median * self.factor * (rates / median) ** self.keep * np.exp(self.error * np.asarray(z))
