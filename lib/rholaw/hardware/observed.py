"""Predicted against observed: speeds of whole engines and hours of training runs; and what calibrates a plan.

``system_efficiency`` and ``mfu`` come from the rows of data/hardware/observed and training that are marked for it; the
others are left for ``speeds`` and ``training``, which show every miss.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from .. import tables
from ..checkpoints import families
from ..checkpoints.config import from_json
from ..formats.grammar import parse
from . import geometry as shapes
from . import speed
from .devices import Device, devices
from .kernels import kernel

MOST_SEQUENCES = 2048  # TensorRT-LLM's default limit of a batch
PARALLEL = (0.6, 0.8, 1.0)
"""Share of the ideal speed of several devices, where nobody gave one: assumed, not measured."""
KV_SHARE = 0.9  # of the free memory, for the key-value cache


@cache
def system_efficiency(engine: str) -> tuple[float, float, float]:
    """(low, middle, high): least, median and largest share of an engine's time that the roofline explains, at most 1.

    Of an engine without calibration rows: over all engines.
    """
    return _share(_rooflines()[0], engine)


def _share(rows: pd.DataFrame, engine: str) -> tuple[float, float, float]:
    rows = rows[rows.role == "calibration"]
    rows = rows[rows.engine == engine] if (rows.engine == engine).any() else rows
    share = np.minimum(rows.tokens_per_second / rows.roofline, 1)
    return float(share.min()), float(share.median()), float(share.max())


@cache
def calibrated() -> frozenset[str]:
    """The engines that have calibration rows of their own."""
    return frozenset(tables.read("hardware/observed").query("role == 'calibration'").engine)


@cache
def mfu() -> tuple[float, float, float]:
    """(low, median, high) share of the bf16 peak that printed training runs reach."""
    rows = tables.read("hardware/training").query("role == 'range'")
    return float(rows.mfu.min()), float(rows.mfu.median()), float(rows.mfu.max())


@cache
def _speeds() -> pd.DataFrame:
    rows, requests = _rooflines()
    bands = [band(row, request) for row, request in zip(rows.itertuples(), requests, strict=True)]
    rows = rows.join(pd.DataFrame(bands, columns=["low", "predicted", "high"]))
    rows["error"] = rows.predicted / rows.tokens_per_second - 1
    rows["inside"] = rows.tokens_per_second.between(rows.low, rows.high)
    return rows


def band(row: tuple, request: tuple[float, Callable]) -> list[float]:
    """The plan's low, middle and high tokens/s of an observation; row, request: of ``rooflines``."""
    tokens, times = request
    together = PARALLEL if getattr(row, "devices", 1) > 1 else (1.0, 1.0, 1.0)
    cases = zip(system_efficiency(row.engine), (-1, 0, 1), (1.0, 0.5, 0.0), together, strict=True)
    return [tokens / times(share, z, place) * parallel for share, z, place, parallel in cases]


def speeds() -> pd.DataFrame:
    """A row per observed speed: predicted low, middle, high (tokens/s), rung, error of the middle, and ``inside``.

    error: predicted / observed − 1.  The band spans the system efficiency, the place of the overhead and the kernel.
    """
    return _speeds().copy()


def bands(table: pd.DataFrame) -> pd.DataFrame:
    """Of ``speeds`` or a part of it, a row per role and rung: how far off predictions are.

    runs; the median and largest |error|; inside: the share of observations inside their band.
    """
    size = table.assign(error=table.error.abs())
    return size.groupby(["role", "rung"]).agg(
        runs=("error", "size"), median=("error", "median"), largest=("error", "max"), inside=("inside", "mean")
    )


def accuracy() -> pd.DataFrame:
    """Of the observed speeds that took no part in calibration, two rows, "timed" and "untimed": by their products.

    runs; error: the median |error|; close: the share of observations within 25 %; inside: of those inside their band.
    """
    table = speeds().query("role == 'validation'")
    table = table.assign(
        error=table.error.abs(),
        close=table.error.abs() <= 0.25,
        products=np.where(table.rung == speed.Rung.MEASURED, "timed", "untimed"),
    )
    return table.groupby("products").agg(
        runs=("error", "size"), error=("error", "median"), close=("close", "mean"), inside=("inside", "mean")
    )


def memory() -> pd.DataFrame:
    """A row per published figure of memory: model, what, format, tokens, value and predicted in its unit, error.

    what: the checkpoint; the key-value cache ("kv") of so many tokens; or both, "in use", beside what else is held.
    """
    rows = tables.read("hardware/memory").copy()
    predicted = []
    for row in rows.itertuples():
        shape, stored = shapes.named()[row.model], parse(row.format)
        if row.what == "kv":
            predicted.append(shape.kv_bytes(stored.bits) * row.tokens)
        else:
            parts = shapes.memory(shape, stored.bits, 16, 1, np.nan_to_num(row.tokens), reserve=0)
            predicted.append(sum(parts.values()))
    rows["predicted"] = np.array(predicted) / rows.unit.map({"GB": 1e9, "MiB": 2.0**20, "GiB": 2.0**30})
    return rows.assign(error=rows.predicted / rows.value - 1)


def training() -> pd.DataFrame:
    """A row per run whose device hours are known: hours by 6 N D at low, middle and high utilisation, and the error."""
    rows = tables.read("hardware/training").query("role == 'hours'").copy()
    peak = np.array([devices()[name].bf16 for name in rows.device])
    ideal = 6 * rows.n_params * rows.n_tokens / peak / 3600
    rows["implied_mfu"] = ideal / rows.device_hours
    for name, share in zip(("high", "predicted", "low"), mfu(), strict=True):
        rows[name] = ideal / share
    rows["error"] = rows.predicted / rows.device_hours - 1
    rows["inside"] = rows.device_hours.between(rows.low, rows.high)
    columns = ["model", "device", "device_hours", "low", "predicted", "high", "error", "inside", "implied_mfu"]
    return rows[[*columns, "source"]].reset_index(drop=True)


@cache
def _rooflines() -> tuple[pd.DataFrame, tuple[tuple[float, Callable], ...]]:
    """The observations with what the roofline alone says of them; and (tokens, function for its time) of each."""
    return rooflines(tables.read("hardware/observed"))


def rooflines(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[tuple[float, Callable], ...]]:
    """Rows as those of data/hardware/observed with ``sequences``, ``rung`` and ``roofline`` (tokens/s) beside them.

    And of each (tokens, seconds as a function of the system efficiency, the kernel's quantile, the overhead's place).
    Rows may have ``devices``, of which the roofline takes the memory, bandwidth and arithmetic together.
    """
    predictions, requests = zip(*(_request(row) for row in rows.itertuples()), strict=True)
    return rows.join(pd.DataFrame(predictions, rows.index)), requests


@cache
def _shapes() -> dict[str, shapes.Geometry]:
    public = tables.read("hardware/configs")
    names = public.model.str.rpartition("/")[2]
    read = {
        name: families.geometry(from_json(json.loads(text))) for name, text in zip(names, public.config, strict=True)
    }
    return read | shapes.named()


def _request(row: tuple) -> tuple[dict, tuple[float, Callable]]:
    """The batch, the rung and the tokens/s of an observation by the roofline; its tokens, and its time as a function
    of the system efficiency, the kernel's quantile and the place of the overhead."""
    device, shape = _together(devices()[row.device], getattr(row, "devices", 1)), _shapes()[row.model]
    weights, activations, kv = (parse(text) for text in (row.weights, row.activations, row.kv))
    own, fit = kernel(weights, activations, device, row.engine), speed.efficiency(device, row.engine)
    if not own.runs:  # it was run, so that there is one
        own = kernel(weights, activations, device, row.engine, "native" if activations.parts else "dequantising")
    bits = (weights.bits, activations.bits)
    batch = row.batch if row.batch > 0 else _batch(row, device, shape, weights.bits, kv.bits)
    together = min(speed.PREFILL_TOKENS, row.tokens_in * batch)
    read = speed.prefill(shape, device, fit, together, row.tokens_in)
    write = speed.decode(shape, device, fit, batch, row.tokens_in + row.tokens_out / 2, kv.bits)
    faster = [speed.speedup(shape, device, row.engine, own, bits, tokens) for tokens in (together, batch)]

    def times(share: float, z: float, place: float) -> float:
        """Seconds a request: of its prompt, of its output, or of both, as the observation counts."""
        prompt = read.seconds(faster[0].draw(z), share, place) / together * row.tokens_in
        output = write.seconds(faster[1].draw(z), share, place) / batch * row.tokens_out
        return float({"prefill": prompt, "decode": output, "mixed": prompt + output}[row.phase])

    tokens = row.tokens_in if row.phase == "prefill" else row.tokens_out
    rung = str(faster[0 if row.phase == "prefill" else 1].rung)
    return {"sequences": batch, "rung": rung, "roofline": tokens / times(1.0, 0, 0.0), "mixture": shape.sparse}, (
        tokens,
        times,
    )


def _together(device: Device, count: int) -> Device:
    """``count`` devices as if they were one."""
    sums = ("memory", "bandwidth", "bf16", "fp8", "fp4", "int8", "int4")
    return replace(device, **{name: getattr(device, name) * count for name in sums})


def _batch(row: tuple, device: Device, shape: shapes.Geometry, bits: float, kv_bits: float) -> int:
    """The sequences that fit in memory at their mean length, at most MOST_SEQUENCES."""
    need = shapes.memory(shape, bits, kv_bits, 1, row.tokens_in + row.tokens_out / 2)
    free = device.memory - need["weights"] - need["embeddings"] - need["reserve"]
    return max(1, min(MOST_SEQUENCES, int(KV_SHARE * free / need["kv"])))
