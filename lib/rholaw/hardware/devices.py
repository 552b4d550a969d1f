"""Facts about accelerators: devices and their prices.

All of it stands in ``data/hardware``; a CSV of your own overrides any value: columns device, property, value, and
source and as_of where you have them; prices are the properties price_low, price_mid, price_high and price_purchase.
"""

import datetime
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from .. import tables
from ..checked import LARGEST, limited, line, shortened, typed, unknown

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
    "link": ("link", 1e9),
}
UNITS = {"memory": "GB", "bandwidth": "GB/s", "link": "GB/s", "power": "W"} | dict.fromkeys(
    ("bf16", "fp8", "fp4"), "TFLOP/s"
)
UNITS |= dict.fromkeys(("int8", "int4"), "TOP/s")
MOST = 1e6  # of each: what is more was given in bytes or FLOP/s
PRICES = ("price_low", "price_mid", "price_high", "price_purchase")
PLATFORMS = {  # beginning of a device's name → what runs on it, where that is not CUDA
    **dict.fromkeys(("Apple", "Mac"), "metal"),
    **dict.fromkeys(("MI", "Instinct", "Radeon", "RX "), "rocm"),
    "Ryzen AI Max": "rdna",  # a GPU; what ran on an Instinct under ROCm is not known of it
    **dict.fromkeys(("Xeon", "EPYC", "Ryzen", "Core"), "x86"),
    **dict.fromkeys(("Raspberry", "Snapdragon", "Graviton"), "arm"),
    "TPU": "tpu",
}
MODEL = re.compile(r"\b[A-Z]+\d{2,}[A-Z]*\b")  # of a device, in its name: H100, B300, L40S
STALE_DAYS = 90  # after which a price is called old


@cache
def table(name: str) -> pd.DataFrame:
    """A table of data/hardware, read and checked once."""
    return tables.read(f"hardware/{name}")


Overrides = str | Path | pd.DataFrame | None
"""Values of your own: a CSV or a DataFrame with the columns device, property and value; None for none."""


@dataclass(frozen=True)
class Device:
    """An accelerator.

    memory: bytes; bandwidth: bytes/s; arithmetic (bf16, …): dense FLOP/s, 0 where absent, nan where unknown; power:
    watts at most; capability: CUDA compute capability, nan on other platforms; link: bytes/s to another device, each
    way, nan where unknown; ranks, stages: devices that share each product, and groups of them one after another, where
    several are taken as one (``links.together``).
    """

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
    link: float = math.nan
    ranks: int = 1
    stages: int = 1

    @property
    def platform(self) -> str:
        """What runs on it: "cuda", one of PLATFORMS, or "other"."""
        if self.capability > 0:
            return "cuda"
        return next((what for name, what in PLATFORMS.items() if self.name.startswith(name)), "other")


def facts(overrides: Overrides = None) -> pd.DataFrame:
    """The rows of the tables that are used: device, property, value, unit, status, source, as_of.

    overrides: a path or DataFrame as the module says. Raises ValueError for an unknown column, property or value.
    """
    known = _known()
    if overrides is None:
        return known
    return pd.concat([known, _own(overrides)], ignore_index=True).drop_duplicates(["device", "property"], keep="last")


@cache
def _known() -> pd.DataFrame:
    columns = ["device", "property", "value", "unit", "status", "source", "as_of"]
    price = table("prices").assign(property=lambda t: "price_" + t.level)[columns]
    return pd.concat([table("devices").query("used")[columns], price], ignore_index=True)


def _own(overrides: Overrides) -> pd.DataFrame:
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
            raise ValueError(f"{where}, {row.device}, {unknown(row.property, allowed, 'property')}")
        try:
            line(str(row.device))
            unit = UNITS.get(row.property, "as the tables give it")
            limited(typed(row.value, float), unit, high=MOST if row.property in UNITS else LARGEST)
        except ValueError as error:
            raise ValueError(f"{where}, {row.device}, {row.property}: {error}") from None
    return own.reindex(columns=["device", "property", "value", "source", "as_of"]).assign(status="yours", unit="")


def devices(overrides: Overrides = None) -> dict[str, Device]:
    """{name: Device} of all devices. Raises ValueError as ``facts`` does."""
    return dict(_listed()) if overrides is None else _devices(facts(overrides))


@cache
def _listed() -> dict[str, Device]:
    return _devices(_known())


def _devices(rows: pd.DataFrame) -> dict[str, Device]:
    values = {}
    for row in rows.itertuples():
        if row.property in PROPERTIES:
            name, factor = PROPERTIES[row.property]
            values.setdefault(row.device, {})[name] = row.value * factor
    return {name: Device(name, **properties) for name, properties in values.items()}


def unlisted(name: str, known: Iterable[str]) -> str:
    """What to say of a device that is not ``known``: which have a model in their names that stands in this one too."""
    kin = [one for one in known if any(word[0].lower() in name.lower() for word in MODEL.finditer(one))]
    if not kin:
        return unknown(name, list(known), "device")
    return f"{shortened(name)}: there is no such device; did you mean {' or '.join(kin)}?"


def kind(device: Device) -> str:
    """ "data centre", "consumer", or the platform where that is neither CUDA's nor a rack's."""
    if device.platform in ("cuda", "rocm", "tpu") and device.memory >= 40e9 and device.bandwidth >= 800e9:
        return "data centre"
    return "consumer" if device.platform == "cuda" else device.platform


def where(device: Device) -> str:
    """ "data centre" or "edge"."""
    return "data centre" if kind(device) == "data centre" else "edge"


@dataclass(frozen=True)
class Price:
    """What an hour of one device costs, USD.

    purchase: USD where it is bought instead, else nan; as_of: the date of the oldest quote; stale: days since, where
    they are more than STALE_DAYS, else 0.
    """

    low: float
    mid: float
    high: float
    purchase: float
    source: str
    as_of: str
    stale: int = 0


def price(device: str, today: datetime.date, overrides: Overrides = None) -> Price:
    """The Price of a device by its name, nan where none is known.

    A middle that nobody gave is the geometric mean of the ends. Raises ValueError as ``facts`` does.
    """
    own = facts(overrides)
    rows = own[(own.device == device) & own.property.isin(PRICES)].set_index("property")
    value = {name: float(rows.value.get(name, math.nan)) for name in PRICES}
    ends = [v for v in (value["price_low"], value["price_mid"], value["price_high"]) if math.isfinite(v)]
    low, high = (min(ends), max(ends)) if ends else (math.nan, math.nan)
    mid = value["price_mid"] if math.isfinite(value["price_mid"]) else math.sqrt(low * high)
    dates = sorted(str(text) for text in rows.as_of.dropna())
    sources = "; ".join(dict.fromkeys(str(text) for text in rows.source.dropna()))
    oldest = dates[0] if dates else ""
    return Price(low, mid, high, value["price_purchase"], sources, oldest, stale(oldest, today) if oldest else 0)


@cache
def dearest() -> float:
    """USD an hour of the dearest rent in the table of prices."""
    return float(table("prices").query("unit == 'USD/h'").value.max())


@cache
def rates() -> dict[str, tuple[float, float, float, float]]:
    """{code of a currency: (low, high, year_low, year_high)} of data/hardware/currencies, units a USD."""
    rows = table("currencies")
    return dict(zip(rows.currency, rows.drop(columns="currency").itertuples(index=False, name=None), strict=True))


def stale(as_of: str, today: datetime.date) -> int:
    """Days since a price was seen, where they are more than STALE_DAYS, else 0; as_of: a day, a month or a year."""
    age = (today - _date(as_of)).days
    return age if age > STALE_DAYS else 0


def _date(text: str) -> datetime.date:
    """The first day that a date such as 2026-05 or 2026 may mean."""
    year, month, day = [*(int(part) for part in re.findall(r"\d+", text)[:3]), 1, 1][:3]
    return datetime.date(year, month, day)
