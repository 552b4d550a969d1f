"""How fast devices train: shares of arithmetic that public runs reach, and what FP8 gains, beside what was held out.

Hours and prices follow from 6 N D, of a mixture of experts with N the parameters that a token uses.
"""

from functools import cache

import numpy as np
import pandas as pd

from .. import tables
from ..formats.format import Format
from .devices import Device, devices
from .kernels import numbers

Spread = tuple[float, float, float]
"""Least, middle, most."""
ASSUMED = (1.0, 1.3, 2.0)
"""Times a step of 16 bits that one in another format takes, where nobody has reported it: rounding costs time."""


@cache
def mfu(device: str = "") -> Spread:
    """The share of the bf16 peak that runs in 16 bits reach, of data/hardware/training and training_speeds.

    device: its name: the middle is that of its own runs where there are any, as peaks are no equal measure: those of
    consumer cards are printed for halved arithmetic, of which they reach more.
    """
    whole = tables.read("hardware/training").query("role == 'range'")
    runs = pd.concat([whole, _reports().query("role == 'calibration' and weights == 'dense'")])
    least, middle, most = _spread(runs.mfu)
    own = runs[runs.device == device].mfu
    return (least, middle if own.empty else float(own.median()), most)


@cache
def _fp8() -> Spread:
    pairs = _pairs()
    return _spread(pairs[pairs.role == "calibration"].slowdown)


def slowdown(weights: Format | str, activations: Format | str, device: Device) -> Spread:
    """Times a step of 16 bits that one takes: as reported for FP8 where a Device multiplies in it, else ASSUMED."""
    fp8 = numbers(weights) == numbers(activations) == "fp8" and device.fp8 > 0
    return _fp8() if fp8 else ASSUMED


def speeds() -> pd.DataFrame:
    """A row per reported throughput that was held out: tokens/s as reported, predicted with its range, and times off.

    Columns: model, device, devices, weights, tokens_per_second, low, predicted, high, off, inside.  Of FP8 the ends are
    those of both ranges at once.
    """
    rows = _reports().query("role == 'validation'").copy()
    gain = np.where((rows.weights == "dense").to_numpy()[:, None], (1.0, 1.0, 1.0), _fp8())
    shares = np.array([mfu(device) for device in rows.device]).T
    for name, share, slower in zip(("low", "predicted", "high"), shares, gain.T[::-1], strict=True):
        rows[name] = rows.tokens_per_second * share / rows.mfu / slower
    rows["off"] = np.exp(np.abs(np.log(rows.predicted / rows.tokens_per_second)))
    rows["inside"] = rows.tokens_per_second.between(rows.low, rows.high)
    columns = [
        "model",
        "device",
        "devices",
        "weights",
        "tokens_per_second",
        "low",
        "predicted",
        "high",
        "off",
        "inside",
    ]
    return rows[columns].reset_index(drop=True)


def hours() -> pd.DataFrame:
    """A row per run whose device hours are known: hours by 6 N D at low, middle and high utilisation, and the error."""
    rows = tables.read("hardware/training").query("role == 'hours'").copy()
    peak = np.array([devices()[name].bf16 for name in rows.device])
    ideal = 6 * rows.n_params * rows.n_tokens / peak / 3600
    rows["implied_mfu"] = ideal / rows.device_hours
    shares = np.array([mfu(device) for device in rows.device]).T
    for name, share in zip(("high", "predicted", "low"), shares, strict=True):
        rows[name] = ideal / share
    rows["error"] = rows.predicted / rows.device_hours - 1
    rows["inside"] = rows.device_hours.between(rows.low, rows.high)
    columns = ["model", "device", "device_hours", "low", "predicted", "high", "error", "inside", "implied_mfu"]
    return rows[[*columns, "source"]].reset_index(drop=True)


@cache
def _reports() -> pd.DataFrame:
    """Of data/hardware/training_speeds, with ``mfu``: 6 N tokens/s over the bf16 peak, whatever the format."""
    rows = tables.read("hardware/training_speeds")
    peak = np.array([devices()[name].bf16 for name in rows.device]) * rows.devices
    return rows.assign(mfu=6 * rows.n_active * rows.tokens_per_second / peak)


def _pairs() -> pd.DataFrame:
    """A row per run that was reported in both: ``slowdown``, time in FP8 over that in 16 bits."""
    rows = _reports().set_index(["model", "device", "devices", "role"])
    speed = {name: rows[rows.weights == name].tokens_per_second for name in ("dense", "fp8_tensor")}
    return (speed["dense"] / speed["fp8_tensor"]).dropna().rename("slowdown").reset_index()


def _spread(values: pd.Series) -> Spread:
    return float(values.min()), float(values.median()), float(values.max())
