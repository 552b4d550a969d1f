"""Reported speeds: which are held out is decided by a hash, and each names what is known here."""

import hashlib

import pytest

from rholaw import tables
from rholaw.formats.grammar import parse
from rholaw.hardware import geometry
from rholaw.hardware.devices import devices
from rholaw.hardware.kernels import engines

WHAT = ["device", "devices", "engine", "model", "weights", "activations", "phase", "tokens_in", "tokens_out", "batch"]


def _hash(row):
    return hashlib.sha256("|".join(str(row[name]) for name in WHAT).encode()).hexdigest()


def test_every_second_report_of_a_phase_is_held_out_by_a_hash_that_nobody_chose():
    rows = tables.read("hardware/reports").astype(dict.fromkeys(WHAT, str))
    for _, part in rows.groupby(["phase", "dealt"]):
        roles = sorted((_hash(row), row.role) for _, row in part.iterrows())
        assert [role for _, role in roles] == [("calibration", "validation")[i % 2] for i in range(len(roles))]


def test_every_report_names_a_device_an_engine_a_model_and_formats_that_are_known():
    rows = tables.read("hardware/reports")
    models = set(geometry.named()) | {name.rpartition("/")[2] for name in tables.read("hardware/configs").model}
    assert set(rows.device) <= set(devices()) and set(rows.engine) <= set(engines()) and set(rows.model) <= models
    assert all(parse(text) for name in ("weights", "activations", "kv") for text in rows[name])
    assert (rows.tokens_per_second > 0).all() and len(rows) == 129


@pytest.mark.parametrize("name", ["H20", "H100 NVL", "RTX 3090", "Apple M2 Ultra", "Raspberry Pi 5", "Ryzen 7950X"])
def test_devices_that_people_plan_with_have_all_that_a_plan_needs(name):
    device = devices()[name]
    assert min(device.memory, device.bandwidth, device.bf16) > 0
