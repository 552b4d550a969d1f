"""Facts about accelerators: devices, prices, which engine computes with which numbers, and measured matrix products.

All of it stands in ``data/hardware``; a CSV of your own overrides any value: columns device, property, value, and
source and as_of where you have them; prices are the properties price_low, price_mid, price_high and price_purchase.
"""

import datetime
import math
import re
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pandas as pd

from .. import tables
from ..formats.grammar import parse

PROPERTIES = {  # property → (field of Device, factor to its unit)
    "memory": ("memory", 1e9),
    "bandwidth": ("bandwidth", 1e9),
    "bf16": ("bf16", 1e12),
    "fp8": ("fp8", 1e12),
    "fp4": ("fp4", 1e12),
    "int8": ("int8", 1e12),
    "int4": ("int4", 1e12),
    "power": ("power", 1.0),
    "compute_capability": ("capability", 1.0),
}
PRICES = ("price_low", "price_mid", "price_high", "price_purchase")
STALE_DAYS = 90
STATUSES = ("native", "dequantising", "emulated", "removed", "none")
"""Of a kernel. Native computes in the format; dequantising stores in it and computes in 16 bits; emulated rounds, but
stores and computes in 16 bits; removed existed once; none: this project knows of none."""


@cache
def _table(name):
    """A table of data/hardware, read and checked once."""
    return tables.read(f"hardware/{name}")


@dataclass(frozen=True)
class Device:
    """An accelerator. memory: bytes; bandwidth: bytes/s; arithmetic: dense FLOP/s, 0 where absent, nan where unknown;
    power: watts at most; capability: CUDA compute capability, nan on other platforms."""

    name: str
    memory: float = math.nan
    bandwidth: float = math.nan
    bf16: float = math.nan
    fp8: float = math.nan
    fp4: float = math.nan
    int8: float = math.nan
    int4: float = math.nan
    power: float = math.nan
    capability: float = math.nan

    @property
    def platform(self):
        """ "cuda", "metal" or "other"."""
        return "cuda" if self.capability > 0 else "metal" if self.name.startswith("Apple") else "other"


def facts(overrides=None):
    """The rows of the tables that are used: device, property, value, unit, status, source, as_of.

    overrides: a path or DataFrame as the module says. Raises ValueError for an unknown column, property or value.
    """
    known = _known()
    if overrides is None:
        return known
    return pd.concat([known, _own(overrides)], ignore_index=True).drop_duplicates(["device", "property"], keep="last")


@cache
def _known():
    columns = ["device", "property", "value", "unit", "status", "source", "as_of"]
    price = _table("prices").assign(property=lambda t: "price_" + t.level)[columns]
    return pd.concat([_table("devices").query("used")[columns], price], ignore_index=True)


def _own(overrides):
    if isinstance(overrides, pd.DataFrame):
        own, where = overrides.copy(), "overrides"
    else:
        own, where = pd.read_csv(overrides, dtype={"device": str, "property": str}), str(overrides)
    wrong = set(own.columns) ^ {"device", "property", "value"}
    if wrong - {"source", "as_of"}:
        raise ValueError(f"{where}: the columns are device, property, value [, source, as_of], not {list(own.columns)}")
    allowed = [*PROPERTIES, *PRICES]
    for row in own.itertuples():
        if row.property not in allowed:
            raise ValueError(f"{where}, {row.device}: no property {row.property!r}; there are {', '.join(allowed)}")
        if not (isinstance(row.value, (int, float)) and math.isfinite(row.value) and row.value >= 0):
            raise ValueError(f"{where}, {row.device}, {row.property}: {row.value!r} is no number of 0 or more")
    return own.reindex(columns=["device", "property", "value", "source", "as_of"]).assign(status="yours", unit="")


def devices(overrides=None):
    """{name: Device} of all devices."""
    found = {}
    for row in facts(overrides).itertuples():
        if row.property in PROPERTIES:
            name, factor = PROPERTIES[row.property]
            found.setdefault(row.device, {})[name] = row.value * factor
    return {name: Device(name, **values) for name, values in found.items()}


@dataclass(frozen=True)
class Price:
    """What an hour of one device costs, USD. purchase: where it is bought instead, else nan; stale: days since, where
    more than 90."""

    low: float
    mid: float
    high: float
    purchase: float
    source: str
    as_of: str
    stale: int = 0


def price(device, today, overrides=None):
    """The Price of a device (nan where none is known); a middle that nobody gave is the geometric mean of the ends."""
    own = facts(overrides)
    rows = own[(own.device == device) & own.property.isin(PRICES)].set_index("property")
    value = {name: float(rows.value.get(name, math.nan)) for name in PRICES}
    ends = [v for v in (value["price_low"], value["price_mid"], value["price_high"]) if math.isfinite(v)]
    low, high = (min(ends), max(ends)) if ends else (math.nan, math.nan)
    mid = value["price_mid"] if math.isfinite(value["price_mid"]) else math.sqrt(low * high)
    dates = sorted(str(text) for text in rows.as_of.dropna())
    sources = "; ".join(dict.fromkeys(str(text) for text in rows.source.dropna()))
    age = (today - _date(dates[0])).days if dates else 0
    return Price(low, mid, high, value["price_purchase"], sources, dates[0] if dates else "", max(age, 0) * (age > 90))


def _date(text):
    """The first day that a date such as 2026-05 or 2026 may mean."""
    year, month, day = [*(int(part) for part in re.findall(r"\d+", text)[:3]), 1, 1][:3]
    return datetime.date(year, month, day)


# --- kernels ------------------------------------------------------------------------------------------------------


def numbers(format):
    """The kind of numbers that a kernel sees: "bf16", "int4", "fp8", "nvfp4", "mxfp4", "nf4", "lut", "ggml", …,
    headed by a sparsity, as in "2:4+int4"."""
    format = parse(format)
    prefix = str(format.sparsity) + ("+" if format.element is not None else "") if format.sparsity else ""
    if format.element is None:
        return prefix or "bf16"
    name, bits = format.element.name, format.element.bits
    scale = format.block.type if format.block else ""
    if match := re.fullmatch(r"[sfu]?int(\d)", name):
        kind = f"int{match[1]}"
    elif re.match(r"e\dm\d", name):
        vendor = {"e8m0": "mx", "e4m3": "nv"}.get(scale, "")
        kind = f"{vendor}fp{bits:.0f}" if vendor != "nv" or bits == 4 else f"fp{bits:.0f}"
    elif hasattr(format.element, "code"):
        kind = "ggml"
    else:
        kind = re.sub(r"\d+$", "", name) if name.startswith("trellis") else name
        kind = kind if kind in ("nf4", "binary", "ternary", "trellis") else "lut"
    return prefix + kind + ("+out" if format.outliers else "")


@dataclass(frozen=True)
class Kernel:
    """How an engine multiplies on a device. name: "weights x activations"; compute: the arithmetic it uses, a field of
    Device; status: one of STATUSES."""

    name: str
    status: str
    compute: str
    note: str = ""
    source: str = ""
    as_of: str = ""

    @property
    def runs(self):
        """Whether the option can be served at all."""
        return self.status not in ("removed", "none")


DENSE = Kernel("bf16 x bf16", "native", "bf16")


def kernel(weights, activations, device, engine, status="auto"):
    """The Kernel with which ``engine`` multiplies weights and activations of these formats on ``device``.

    status: "auto" looks it up in the table; one of STATUSES is taken at your word.
    """
    name = f"{numbers(weights)} x {numbers(activations)}"
    if name == DENSE.name:
        return DENSE
    if status != "auto":
        return _possible(Kernel(name, status, _compute(name, status), "status given by you", "scenario"), device)
    rows = _table("kernels")
    rows = rows[rows.engine == engine]
    sparse = name.partition("+")[0] if "+" in name else name.partition(" x ")[0]
    for row in rows[rows.kernel.isin([name, sparse])].itertuples():
        capability = device.capability if device.capability > 0 else -1
        inside = (np.isnan(row.min_capability) or capability >= row.min_capability) and (
            np.isnan(row.max_capability) or capability <= row.max_capability
        )
        if row.platform in ("any", device.platform) and inside:
            note = f"removed from {row.engine} {row.version}" if row.status == "removed" else row.note or ""
            found = Kernel(name, row.status, _compute(name, row.status), note, row.source, row.as_of)
            return _possible(found, device)
    return Kernel(name, "none", "bf16", f"no kernel of {engine} for {name} on {device.name} is known to this project")


def _possible(found, device):
    """The kernel, or none where the device lacks its arithmetic; where that is unknown, 16 bits are reckoned with."""
    rate = getattr(device, found.compute)
    if rate == 0:
        return replace(found, status="none", compute="bf16", note=f"{device.name} has no {found.compute} arithmetic")
    return found if rate > 0 else replace(found, compute="bf16")


def _compute(name, status):
    if status != "native":
        return "bf16"
    activations = re.sub(r"^(nv|mx)", "", name.partition(" x ")[2])
    return activations if activations in ("fp8", "fp4", "int8", "int4") else "bf16"


def engines():
    """The names of the engines of whose kernels the table knows."""
    return list(dict.fromkeys(_table("kernels").engine))


@dataclass(frozen=True)
class Speedups:
    """Measured speed-ups of one kernel over bf16 against m, the tokens in flight."""

    m: np.ndarray = field(repr=False)
    mid: np.ndarray = field(repr=False)
    low: np.ndarray = field(repr=False)
    high: np.ndarray = field(repr=False)
    source: str = ""

    def at(self, m):
        """(mid, low, high) at m, interpolated in log m and held beyond the ends."""
        where = np.log(np.maximum(m, 1))
        return tuple(np.exp(np.interp(where, np.log(self.m), np.log(y))) for y in (self.mid, self.low, self.high))


@cache
def measured_speedups(device, engine, kernel):
    """The Speedups of a kernel (its name) on a device (its name): of the engine if it was timed, else of another;
    None where nobody timed it."""
    rows = _newest(_table("gemm_speedups"), device, engine, kernel)
    if rows is None:
        return None
    rows = rows.sort_values("m")
    columns = (rows[name].to_numpy(float) for name in ("m", "speedup", "low", "high"))
    return Speedups(*columns, source=f"{rows.engine.iloc[0]} {rows.version.iloc[0]}")


@cache
def fitted_roofline(device, engine, kernel):
    """The row of data/hardware/roofline_fits for a kernel on a device (their names), as measured_speedups; or None."""
    rows = _newest(_table("roofline_fits"), device, engine, kernel)
    return None if rows is None else rows.iloc[0]


def _newest(rows, device, engine, kernel):
    kernel = "bf16" if kernel == DENSE.name else kernel
    rows = rows[(rows.device == device) & (rows.kernel == kernel)]
    if rows.empty:
        return None
    rows = rows[rows.engine == engine] if (rows.engine == engine).any() else rows
    newest = max(rows.version.unique(), key=lambda text: [int(n) for n in re.findall(r"\d+", text)])
    rows = rows[rows.version == newest]
    return rows[rows.engine == rows.engine.iloc[0]]
