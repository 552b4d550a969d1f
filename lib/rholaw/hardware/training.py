"""How fast devices train: shares of their arithmetic that public runs reach, what FP8 gains, and what was held out.

    t = (6 N / F + exchange) / share      a token: N parameters that it uses, F the bf16 peak

Tokens of a mixture go to the devices of their experts and back, in training twice: 4 k d numbers of 16 bits a layer,
for k experts and a residual stream of width d, over the links of one machine.  What is left is learnt as the speeds of
engines are (``residuals.fit``), from effects of the device, of mixtures and of the source: a device with few runs of
its own is believed to be much like others.
"""

import math
from functools import cache

import numpy as np
import pandas as pd

from .. import tables
from ..formats.format import Format
from . import observed, residuals
from .devices import Device, devices
from .geometry import Geometry
from .kernels import numbers
from .links import SHARE, link

Spread = tuple[float, float, float]
"""Least, middle, most."""
ASSUMED = (1.0, 1.3, 2.0)
"""Times a step of 16 bits that one in another format takes, where nobody has reported it: rounding costs time."""
SIDES = 2.318
"""Standard deviations from the middle to the ends of a triangle whose 10 % and 90 % lie where a Gaussian's do."""


def exchange(geometry: Geometry, device: Device) -> float:
    """Times the arithmetic at its peak that a token of training takes with the exchange of experts; 1 if dense."""
    experts = [m for m in geometry.body.matrices if m.routed and m.outputs == geometry.d_model]
    moved = 4 * sum(m.count * m.used for m in experts) * geometry.d_model * 2
    return 1 + moved / (SHARE * link(device)) / (6 * geometry.active_body / device.bf16)


@cache
def mfu(device: str = "", mixture: bool = False) -> Spread:
    """The share of the bf16 peak that training reaches in 16 bits, beside the exchange of a mixture's experts.

    device: its name; least and most are the ends of a triangle.
    """
    middle, deviation = _predicted(_learnt(), device, mixture)
    ends = (math.exp(middle + side * SIDES * deviation) for side in (-1, 0, 1))
    return tuple(min(1.0, share) for share in ends)


@cache
def _fp8() -> Spread:
    pairs = _pairs()
    values = pairs[pairs.role == "calibration"].slowdown
    return float(values.min()), float(values.median()), float(values.max())


def slowdown(weights: Format | str, activations: Format | str, device: Device) -> Spread:
    """Times a step of 16 bits that one takes: as reported for FP8 where a Device multiplies in it, else ASSUMED.

    MXFP8, whose scales Blackwell multiplies with, is taken to gain what FP8 does.
    """
    kind = numbers(weights)
    native = kind == "fp8" or (kind == "mxfp8" and device.capability >= 10)
    return _fp8() if kind == numbers(activations) and native and device.fp8 > 0 else ASSUMED


def speeds() -> pd.DataFrame:
    """A row per reported throughput that was held out: tokens/s as reported, predicted with P10 and P90, and times off.

    Columns: model, device, devices, weights, tokens_per_second, low, predicted, high, off, inside, and mixture.
    """
    rows = _reports().query("role == 'validation'").copy()
    fit = _learnt()
    both = [_predicted(fit, row.device, row.mixture) for row in rows.itertuples()]
    middle, deviation = np.array(both).T
    for name, z in (("low", -residuals.Z), ("predicted", 0.0), ("high", residuals.Z)):
        rows[name] = rows.tokens_per_second * np.exp(middle + z * deviation) / rows.share
    rows["off"] = np.exp(np.abs(np.log(rows.predicted / rows.tokens_per_second)))
    rows["inside"] = rows.tokens_per_second.between(rows.low, rows.high)
    said = ["model", "device", "devices", "weights", "tokens_per_second"]
    return rows[[*said, "low", "predicted", "high", "off", "inside", "mixture"]].reset_index(drop=True)


def hours() -> pd.DataFrame:
    """A row per run whose device hours are known: hours by 6 N D, with P10 and P90 of utilisation, and the error."""
    rows = tables.read("hardware/training").query("role == 'hours'").copy()
    peak = np.array([devices()[name].bf16 for name in rows.device])
    ideal = 6 * rows.n_params * rows.n_tokens / peak / 3600
    rows["implied_mfu"] = ideal / rows.device_hours
    middle, deviation = np.array([_predicted(_learnt(), name, False) for name in rows.device]).T
    for name, z in (("low", residuals.Z), ("predicted", 0.0), ("high", -residuals.Z)):
        rows[name] = ideal / np.exp(middle + z * deviation)
    rows["error"] = rows.predicted / rows.device_hours - 1
    rows["inside"] = rows.device_hours.between(rows.low, rows.high)
    columns = ["model", "device", "device_hours", "low", "predicted", "high", "error", "inside", "implied_mfu"]
    return rows[[*columns, "source"]].reset_index(drop=True)


@cache
def _reports() -> pd.DataFrame:
    """Of data/hardware/training_speeds, with ``mixture`` and ``share``: that of 16 bits, of FP8 by its median gain."""
    rows, known, shapes = tables.read("hardware/training_speeds"), devices(), observed.public()
    of = [next((shape for name, shape in shapes.items() if name.startswith(model)), None) for model in rows.model]
    times = [
        1.0 if shape is None else exchange(shape, known[name]) for shape, name in zip(of, rows.device, strict=True)
    ]
    peak = np.array([known[name].bf16 for name in rows.device]) * rows.devices
    gain = np.where(rows.weights == "dense", 1.0, _fp8()[1])
    share = 6 * rows.n_active * rows.tokens_per_second * times * gain / peak
    return rows.assign(mixture=[shape is not None and shape.sparse for shape in of], share=share)


def _pairs() -> pd.DataFrame:
    """A row per run that was reported in both: ``slowdown``, time in FP8 over that in 16 bits."""
    rows = tables.read("hardware/training_speeds").set_index(["model", "device", "devices", "role", "source"])
    speed = {name: rows[rows.weights == name].tokens_per_second for name in ("dense", "fp8_tensor")}
    return (speed["dense"] / speed["fp8_tensor"]).dropna().rename("slowdown").reset_index()


@cache
def _learnt() -> residuals.Fit:
    """What the runs of data/hardware/training and the calibration rows of training_speeds say of shares."""
    whole = tables.read("hardware/training").query("role == 'range'").rename(columns={"mfu": "share"})
    rows = pd.concat([whole.assign(mixture=False), _reports().query("role == 'calibration'")])
    effects = [_effects(row.device, row.mixture) for row in rows.itertuples()]
    return residuals.fit(effects, list(rows.source), np.log(rows.share.to_numpy(float)))


def _predicted(fit: residuals.Fit, device: str, mixture: bool) -> tuple[float, float]:
    """Mean and deviation of the logarithm of the share that a run of a new source reaches."""
    mean, deviation = fit.predict([_effects(device, mixture)])
    return float(mean[0]), float(deviation[0])


def _effects(device: str, mixture: bool) -> dict[str, float]:
    return dict.fromkeys(("all", f"device {device}", *(("mixture",) if mixture else ())), 1.0)
