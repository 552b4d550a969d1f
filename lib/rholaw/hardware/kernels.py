"""Which engine multiplies with which numbers on which device, and how fast that was measured to be.

All of it stands in ``data/hardware``: kernels, gemm_speedups and roofline_fits.
"""

import re
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

import numpy as np
import pandas as pd

from ..formats.format import Format
from ..formats.grammar import parse
from .devices import Device, table

STATUSES = ("native", "dequantising", "emulated", "removed", "none", "unknown")
"""Of a kernel. Native computes in the format; dequantising stores in it and computes in 16 bits; emulated rounds, but
stores and computes in 16 bits; removed existed once; none: it does not run, as a source says or the device's arithmetic
does; unknown: no source here says whether it runs."""


EXPERTS_ALONE = "mxfp4"
"""Numbers that mixtures have in their experts alone: attention, embeddings and head of gpt-oss stay at 16 bits (OpenAI,
gpt-oss model card, 2025), and llama.cpp's type MXFP4_MOE stores them in Q8_0."""


def numbers(format: Format | str) -> str:
    """The kind of numbers that a kernel sees of a format: "bf16", "int4", "fp8", "nvfp4", "lut", "ggml", …

    Headed by a sparsity, as in "2:4+int4". Raises ValueError for a text that is no format.
    """
    format = parse(format)
    prefix = str(format.sparsity) + ("+" if format.element is not None else "") if format.sparsity else ""
    if format.element is None:
        return prefix or "bf16"
    kind, name, bits = format.element.kind, format.element.name, format.element.bits
    if kind == "integer":
        kind = f"int{bits}"
    elif kind == "float":
        vendor = {"e8m0": "mx", "e4m3": "nv"}.get(format.block.type.name, "") if format.block else ""
        kind = f"{vendor}fp{bits}" if vendor != "nv" or bits == 4 else f"fp{bits}"
    elif kind == "codebook":
        kind = name if name in ("nf4", "binary", "ternary") else "lut"
    return prefix + kind + ("+out" if format.outliers else "")


@cache
def caches() -> frozenset[tuple[str, str]]:
    """(engine, numbers of its key-value cache), of data/hardware/caches."""
    return frozenset(table("caches")[["engine", "cache"]].itertuples(index=False, name=None))


@dataclass(frozen=True)
class Kernel:
    """How an engine multiplies on a device.

    name: "weights x activations", each as ``numbers`` calls it; status: one of STATUSES; compute: the arithmetic it
    uses, a field of Device.
    """

    name: str
    status: str
    compute: str
    note: str = ""
    source: str = ""
    as_of: str = ""

    @property
    def runs(self) -> bool:
        """Whether the option is known to be served."""
        return self.known and self.status not in ("removed", "none")

    @property
    def known(self) -> bool:
        """Whether a source, the device or the scenario says whether it runs."""
        return self.status != "unknown"


DENSE = Kernel("bf16 x bf16", "native", "bf16")
EXPERTS = "experts "
"""Heads the name of a kernel in roofline_fits where it was timed on a layer's experts together."""


@lru_cache(maxsize=4096)
def kernel(
    weights: Format | str, activations: Format | str, device: Device, engine: str, status: str = "auto"
) -> Kernel:
    """The Kernel with which ``engine`` multiplies weights and activations of these formats on ``device``.

    status: "auto" looks it up in the table; one of STATUSES is taken at your word.
    """
    name = f"{numbers(weights)} x {numbers(activations)}"
    if name == DENSE.name:
        return DENSE
    if status != "auto":
        return _possible(Kernel(name, status, _compute(name, status), "status given by you", "scenario"), device)
    sparse = name.partition("+")[0] if "+" in name else name.partition(" x ")[0]
    later = None
    for row in _rows(engine):
        if row.kernel not in (name, sparse) or row.platform not in ("any", device.platform):
            continue
        below, above = device.capability < row.min_capability, device.capability > row.max_capability
        if not (below or above):
            note = f"removed from {row.engine} {row.version}" if row.status == "removed" else row.note
            own = Kernel(name, row.status, _compute(name, row.status), note, row.source, row.as_of)
            return _possible(own, device)
        later = row if below and row.status != "none" else later
    if later is not None:
        least = f"from compute capability {later.min_capability:g} on"
        note = f"{engine} has {name} {least}; {device.name} has {device.capability:g}"
        return Kernel(name, "none", "bf16", note, later.source, later.as_of)
    return Kernel(name, "unknown", "bf16", f"whether {engine} runs {name} on {device.name} is not known")


@cache
def _rows(engine: str) -> list[tuple]:
    rows = table("kernels")
    return list(rows[rows.engine == engine].fillna({"note": ""}).itertuples())


def _possible(own: Kernel, device: Device) -> Kernel:
    """The kernel, or none where the device lacks its arithmetic; where that is unknown, 16 bits are reckoned with."""
    rate = getattr(device, own.compute)
    if rate == 0:
        return replace(own, status="none", compute="bf16", note=f"{device.name} has no {own.compute} arithmetic")
    return own if rate > 0 else replace(own, compute="bf16")


def _compute(name: str, status: str) -> str:
    if status != "native":
        return "bf16"
    activations = re.sub(r"^(nv|mx)", "", name.partition(" x ")[2])
    return activations if activations in ("fp8", "fp4", "int8", "int4") else "bf16"


def vocabulary_bits(weights: Format | str, engine: str) -> float:
    """Stored bits of a weight of the embeddings and of the head: 16, but llama.cpp rounds these as well.

    llama-quantize stores the head in Q6_K, or in the format of the weights if that has more bits; beside experts in
    MXFP4 in Q8_0.
    """
    if numbers(weights) == EXPERTS_ALONE:
        return _beside_experts(engine)
    return max(parse(weights).bits, parse("q6_k").bits) if engine == "llama.cpp" else 16.0


def shared_bits(weights: Format | str, engine: str) -> float:
    """Stored bits of a weight of those matrices of a mixture that every token uses, its experts being in ``weights``.

    As many, but where files are made of EXPERTS_ALONE.
    """
    return _beside_experts(engine) if numbers(weights) == EXPERTS_ALONE else parse(weights).bits


def _beside_experts(engine: str) -> float:
    return parse("q8_0").bits if engine == "llama.cpp" else 16.0


def engines() -> list[str]:
    """The names of the engines of whose kernels the table knows."""
    return list(dict.fromkeys(table("kernels").engine))


@dataclass(frozen=True)
class Speedups:
    """Measured speed-ups of one kernel over bf16 against ``m``, the tokens in flight; arrays of one length.

    low, mid, high: the 10, 50 and 90 % quantiles over the shapes that were timed; engine, source: who was timed, and
    in which version.
    """

    m: np.ndarray = field(repr=False)
    mid: np.ndarray = field(repr=False)
    low: np.ndarray = field(repr=False)
    high: np.ndarray = field(repr=False)
    engine: str = ""
    source: str = ""

    def at(self, m: np.ndarray | float) -> tuple[np.ndarray, ...]:
        """(mid, low, high), each of the shape of ``m``: interpolated in log m and held beyond the ends."""
        where = np.log(np.maximum(m, 1))
        return tuple(np.exp(np.interp(where, np.log(self.m), np.log(y))) for y in (self.mid, self.low, self.high))


@cache
def measured_speedups(device: str, engine: str, kernel: str) -> Speedups | None:
    """The Speedups of a kernel on a device, all by their names; None where nobody timed it.

    Of the engine if it was timed, else of another; of its newest version.
    """
    rows = _newest("gemm_speedups", device, engine, kernel)
    if rows is None:
        return None
    rows = rows.sort_values("m")
    columns = (rows[name].to_numpy(float) for name in ("m", "speedup", "low", "high"))
    engine, version = rows.engine.iloc[0], rows.version.iloc[0]
    return Speedups(*columns, engine, f"{engine} {version}")


@cache
def fitted_roofline(device: str, engine: str, kernel: str, experts: bool = False) -> pd.Series | None:
    """The row of data/hardware/roofline_fits for a kernel on a device (their names), as measured_speedups; or None.

    experts: that of the kernel on a mixture's experts.
    """
    rows = _newest("roofline_fits", device, engine, kernel, EXPERTS if experts else "")
    return None if rows is None else rows.iloc[0]


def _newest(name: str, device: str, engine: str, kernel: str, of: str = "") -> pd.DataFrame | None:
    rows = _timed(name).get((device, of + ("bf16" if kernel == DENSE.name else kernel)))
    if rows is None:
        return None
    rows = rows[rows.engine == engine] if (rows.engine == engine).any() else rows
    newest = max(rows.version.unique(), key=lambda text: [int(n) for n in re.findall(r"\d+", text)])
    rows = rows[rows.version == newest]
    return rows[rows.engine == rows.engine.iloc[0]]


@cache
def _timed(name: str) -> dict[tuple[str, str], pd.DataFrame]:
    """The rows of a table of timings, by device and kernel."""
    return dict(iter(table(name).groupby(["device", "kernel"])))
