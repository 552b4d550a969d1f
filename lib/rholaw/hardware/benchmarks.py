"""What you measured: files of benchmarks, read and laid beside what a plan reckons with.

read("bench.json")       a Run for each speed in it, checked: the files are untrusted
combined(runs)           repeats as one Run, with their spread
"""

from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..untrusted import LARGEST, refusals
from . import reports
from .reports import Run

WHAT = ("engine", "version", "model", "device", "weights", "activations", "kv", "gpus")


def read(path: str | Path) -> tuple[Run, ...]:
    """The Runs in a file. Raises ValueError that begins with its name: for what is no file of these tools, for numbers
    that are none or cannot be, for requests that failed, and for more than a file of this kind may hold."""
    name = Path(path).name
    with refusals(name):
        if not Path(path).is_file():
            raise ValueError("there is no such file")
        if (size := Path(path).stat().st_size) > LARGEST:
            raise ValueError(f"it has {size:,} bytes; at most {LARGEST:,} are read")
        runs = tuple(replace(run, file=name) for run in reports.runs(Path(path).read_bytes()))
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
