"""Facts about accelerators and their prices: one value of each, overrides, and what grows old."""

import datetime
import math

import pandas as pd
import pytest

from rholaw import tables
from rholaw.hardware import devices as hardware

DEVICES = hardware.devices()
TODAY = datetime.date(2026, 11, 24)


def test_conflicting_sources_stay_visible_and_one_is_used():
    rows = tables.read("hardware/devices").query("device == 'B300 SXM' and property == 'int8'")
    assert rows.value.max() / rows.value.min() > 29
    assert rows.used.sum() == 1 and (rows.status == "conflict").all()
    assert DEVICES["B300 SXM"].int8 == 153.5e12


def test_every_fact_is_used_once_in_the_unit_of_its_property():
    rows = tables.read("hardware/devices").query("used")
    assert not rows.duplicated(["device", "property"]).any()
    units = rows.groupby("property").unit.unique()
    assert units["memory"].tolist() == ["GB"] and units["bandwidth"].tolist() == ["GB/s"]
    assert all(units[name].tolist() == ["TFLOP/s"] for name in ("bf16", "fp8", "fp4", "int8", "int4"))
    for name, device in DEVICES.items():
        assert device.memory > 1e9 or name == "Xeon 6 6980P"
        assert device.bandwidth > 1e10 and not max(device.fp8, device.int8) > 4.01 * device.bf16


def test_a_csv_overrides_any_value(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("device,property,value\nL4,memory,23\nL4,price_mid,0.5\nMy chip,bf16,100\nMy chip,bandwidth,500\n")
    mine = hardware.devices(path)
    assert mine["L4"].memory == 23e9 and mine["L4"].bandwidth == DEVICES["L4"].bandwidth
    assert mine["My chip"].bf16 == 1e14 and math.isnan(mine["My chip"].memory)
    assert hardware.price("L4", TODAY, path).mid == 0.5


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            {"device": ["L4"], "property": ["memry"], "value": [1.0]},
            "memry: there is no such property; did you mean memory?",
        ),
        ({"device": ["L4"], "property": ["memory"], "value": [-1.0]}, "L4, memory: -1 must be at least 0"),
        (
            {"device": ["L4"], "property": ["memory"], "value": ["24 GB"]},
            "L4, memory: must be a finite number, not '24 GB'",
        ),
        ({"gpu": ["L4"], "property": ["memory"], "value": [1.0]}, "the columns are device, property, value"),
    ],
)
def test_a_wrong_override_is_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        hardware.devices(pd.DataFrame(rows))


def test_prices_have_a_middle_and_grow_stale():
    found = hardware.price("H100 80GB SXM", TODAY)
    assert (found.low, found.mid, found.high, found.as_of) == (1.65, 2.95, 6.88, "2026-04-22")
    assert found.stale == (TODAY - datetime.date(2026, 4, 22)).days == 216
    assert hardware.price("H100 80GB SXM", datetime.date(2026, 7, 21)).stale == 0  # 90 days after
    assert hardware.price("H200 SXM", TODAY).mid == pytest.approx(math.sqrt(2.5 * 7))  # nobody gave a middle
    assert math.isnan(hardware.price("TPU v5e", TODAY).mid)


@pytest.mark.parametrize(
    ("name", "platform", "kind"),
    [
        ("DGX Spark", "cuda", "consumer"),
        ("Ryzen AI Max+ 395", "rdna", "rdna"),
        ("Ryzen 7950X", "x86", "x86"),
        ("MI355X", "rocm", "data centre"),
        ("Apple M4 Pro", "metal", "metal"),
    ],
)
def test_a_device_runs_what_its_platform_does(name, platform, kind):
    assert (DEVICES[name].platform, hardware.kind(DEVICES[name])) == (platform, kind)
