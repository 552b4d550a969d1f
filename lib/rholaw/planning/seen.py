"""What was seen of kernels beside 16 bits: the energy that they take, and those that were slower."""

from functools import cache

import pandas as pd

from .. import tables
from .cases import Case


def energy() -> tuple[tuple[str, float, float], ...]:
    """(numbers, least, most) of each kind: energy of a token over that of 16 bits, less one."""
    change = _energy().groupby("numbers").change
    return tuple(zip(change.min().index, change.min(), change.max(), strict=True))


def slow(case: Case) -> dict[str, str | float] | None:
    """Of a kernel that was slower than 16 bits wherever both were timed: its maker, and times; else None."""
    timed = _timed()
    makers = (case.scenario.hardware.engine, *case.kernel.note.split())
    ratio = (timed.speed / timed.speed_dense)[timed.engine.isin(makers) & (timed.numbers == case.kernel.name)]
    if ratio.empty or ratio.max() >= 1:
        return None
    return {"maker": timed.engine[ratio.index[0]], "low": ratio.min(), "high": ratio.max()}


@cache
def _energy() -> pd.DataFrame:
    """Of data/hardware/energy, which doubts about several options ask for."""
    return tables.read("hardware/energy")


@cache
def _timed() -> pd.DataFrame:
    """The rows of it that have a speed."""
    return _energy().query("speed > 0")
