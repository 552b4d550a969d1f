"""Machines to rent: a catalogue of offers with the columns of the package gpuhunt, which you keep as a CSV.

read("aws.csv")                  a row an offer of devices
of(offers, device, spot=False)   those of one device, the cheapest first
"""

import csv
import io
from pathlib import Path

import pandas as pd

from ..checked import shortened, shown
from ..untrusted import LARGEST, refusals
from .devices import Device

COLUMNS = ("instance_name", "location", "price", "gpu_count", "gpu_name", "gpu_memory", "spot")
"""Of a catalogue those that are read: the price is USD an hour of the whole machine, the memory GB of one device."""
FORMS = ("SXM", "PCIe", "Server")
"""Words of a device's name that a catalogue does not have: of these forms it says the memory alone."""
NEAR = 0.1
"""Share by which the memory of an offer may differ from the device's: sellers count it in several ways."""


def read(path: str | Path) -> pd.DataFrame:
    """A row for each offer of devices in a catalogue: instance, location, gpus, name, memory (GB), spot, and price.

    price: USD an hour of one device, its share of a machine with several.  attrs: "file", its name; it does not say
    when its prices were asked.  Raises ValueError that begins with the file's name: for what is no such catalogue, one
    without offers of devices, and the first line that cannot be used.
    """
    name = Path(path).name
    with refusals(name):
        if not Path(path).is_file():
            raise ValueError("there is no such file")
        size = Path(path).stat().st_size
        if size > LARGEST:
            raise ValueError(f"it has {size:,} bytes; at most {LARGEST:,} are read")
        offers = _offers(Path(path).read_text("utf-8-sig"))
        offers.attrs = {"file": name}
        return offers


def of(offers: pd.DataFrame, device: Device, *, spot: bool) -> pd.DataFrame:
    """The offers of a Device, on demand or ``spot``, the cheapest first; known by its name and its memory."""
    words = [word for word in device.name.split() if word not in FORMS and not word.endswith("GB")]
    same = offers.name == "".join(words).lower()
    near = (offers.memory * 1e9 - device.memory).abs() <= NEAR * device.memory
    return offers[same & near & (offers.spot == spot)].sort_values("price", kind="stable", ignore_index=True)


def _offers(text: str) -> pd.DataFrame:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
            raise ValueError(f"a catalogue has the columns {', '.join(COLUMNS)}; it lacks {', '.join(missing)}")
        offers = [_offer(row, rows.line_num) for row in rows if row["gpu_name"]]
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num} is none of a CSV: {error}") from None
    if not offers:
        raise ValueError("no offer in it has a gpu_name")
    return pd.DataFrame(offers)


def _offer(row: dict[str, str], number: int) -> dict[str, object]:
    gpus, price, memory = (_positive(row, column, number) for column in ("gpu_count", "price", "gpu_memory"))
    if (spot := str(row["spot"]).lower()) not in ("true", "false"):
        raise ValueError(f"line {number}: spot must be True or False, not {shown(row['spot'])}")
    return {
        "instance": shortened(row["instance_name"], 60),
        "location": shortened(row["location"], 60),
        "gpus": gpus,
        "name": "".join(row["gpu_name"].split()).lower(),
        "memory": memory,
        "spot": spot == "true",
        "price": price / gpus,
    }


def _positive(row: dict[str, str], column: str, number: int) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = -1.0
    if not 0 < value < 1e6:
        raise ValueError(f"line {number}: {column} must be a number above 0, not {shown(row[column])}")
    return value
