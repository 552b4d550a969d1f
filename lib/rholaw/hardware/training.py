"""How fast devices train: shares of their arithmetic that public runs reach, what FP8 gains, and what was held out.

    t = (6 (N + head) / F + bytes / W + exchange) / share      a token: N parameters of its layers that it uses

F is the bf16 peak and W the bandwidth.  Between products norms, gates and sums read and write, forwards and twice on
the way back, what the products take and give: those bytes make narrow layers and small experts slow.  Tokens of a
mixture go to the devices of their experts and back, in training twice: 4 k d numbers of 16 bits a layer, for k experts
and a residual stream of width d, over the links of one machine.  The share is learnt as the speeds of engines are
(``residuals.fit``), from effects of the device, of mixtures and of the source: a device with few runs of its own is
believed to be much like others.
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


def work(geometry: Geometry, device: Device) -> float:
    """Times the arithmetic of its layers, at the peak, that a token of training takes where nothing is lost."""
    layers = 6 * geometry.active_body
    moved = 3 * sum(m.count * m.used * (m.inputs + m.outputs) * 2 for m in geometry.body.matrices)
    between = moved / device.bandwidth / (layers / device.bf16)
    return exchange(geometry, device) + 6 * geometry.vocabulary_matrix / layers + between


def mfu(geometry: Geometry, device: Device) -> Spread:
    """The share of the bf16 peak that 6 N FLOPs a token reach in training in 16 bits, N the parameters of the layers.

    Least and most are the ends of a triangle.
    """
    return tuple(value / work(geometry, device) for value in share(device.name, geometry.sparse))


@cache
def share(device: str = "", mixture: bool = False) -> Spread:
    """The share of the time of training that ``work`` explains; device: its name; a triangle as ``mfu`` has it."""
    middle, deviation = _predicted(device, mixture)
    ends = (math.exp(middle + side * SIDES * deviation) for side in (-1, 0, 1))
    return tuple(min(1.0, value) for value in ends)


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
    both = [_predicted(row.device, row.mixture) for row in rows.itertuples()]
    middle, deviation = np.array(both).T
    for name, z in (("low", -residuals.Z), ("predicted", 0.0), ("high", residuals.Z)):
        rows[name] = rows.tokens_per_second * np.exp(middle + z * deviation) / rows.share
    rows["off"] = np.exp(np.abs(np.log(rows.predicted / rows.tokens_per_second)))
    rows["inside"] = rows.tokens_per_second.between(rows.low, rows.high)
    said = ["model", "device", "devices", "weights", "tokens_per_second"]
    return rows[[*said, "low", "predicted", "high", "off", "inside", "mixture"]].reset_index(drop=True)


def hours() -> pd.DataFrame:
    """A row per run whose device hours are known: hours of ``work``, with P10 and P90 of its share, and the error."""
    rows = tables.read("hardware/training").query("role == 'hours'").copy()
    own = [(observed.public()[row.model], devices()[row.device]) for row in rows.itertuples()]
    peak = np.array([device.bf16 for _, device in own])
    rows["implied_mfu"] = 6 * rows.n_params * rows.n_tokens / peak / 3600 / rows.device_hours
    ideal = np.array([6 * shape.active_body * work(shape, device) for shape, device in own])
    ideal = ideal * rows.n_tokens / peak / 3600
    middle, deviation = np.array([_predicted(device.name, False) for _, device in own]).T
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
    of = [next(shape for name, shape in shapes.items() if name.startswith(model)) for model in rows.model]
    times = [work(shape, known[name]) for shape, name in zip(of, rows.device, strict=True)]
    peak = np.array([known[name].bf16 for name in rows.device]) * rows.devices
    gain = np.where(rows.weights == "dense", 1.0, _fp8()[1])
    share = 6 * rows.n_active * rows.tokens_per_second * times * gain / peak
    return rows.assign(mixture=[shape.sparse for shape in of], share=share)


def _pairs() -> pd.DataFrame:
    """A row per run that was reported in both: ``slowdown``, time in FP8 over that in 16 bits."""
    rows = tables.read("hardware/training_speeds").set_index(["model", "device", "devices", "role", "source"])
    speed = {name: rows[rows.weights == name].tokens_per_second for name in ("dense", "fp8_tensor")}
    return (speed["dense"] / speed["fp8_tensor"]).dropna().rename("slowdown").reset_index()


@cache
def _learnt() -> tuple[residuals.Fit, float]:
    """What the runs of data/hardware/training and the calibration rows of training_speeds say of shares; how wide."""
    whole = tables.read("hardware/training").query("role == 'range'").rename(columns={"mfu": "share"})
    known, shapes = devices(), observed.public()  # Megatron's sizes have no shape here: wide, they lose little
    times = [work(shapes[row.model], known[row.device]) if row.model in shapes else 1.0 for row in whole.itertuples()]
    whole = whole.assign(mixture=False, share=whole.share * times)
    rows = pd.concat([whole, _reports().query("role == 'calibration'")], ignore_index=True)
    rows["effects"] = [_effects(row.device, row.mixture) for row in rows.itertuples()]
    rows["log"] = np.log(rows.share.to_numpy(float))
    fit = residuals.fit(list(rows.effects), list(rows.source), rows["log"].to_numpy())
    return fit, residuals.widths(fit, rows.assign(all=""), "all")[""]


def _predicted(device: str, mixture: bool) -> tuple[float, float]:
    """Mean and deviation of the logarithm of the share that a run of a new source reaches."""
    fit, width = _learnt()
    mean, deviation = fit.predict([_effects(device, mixture)])
    return float(mean[0]), float(deviation[0]) * width


def _effects(device: str, mixture: bool) -> dict[str, float]:
    return dict.fromkeys(("all", f"device {device}", *(("mixture",) if mixture else ())), 1.0)
