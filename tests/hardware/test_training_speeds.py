"""What public runs say of training: how much of the arithmetic they reach, what FP8 gains, and what was held out."""

import hashlib

import numpy as np
import pytest

from rholaw import tables
from rholaw.hardware import training
from rholaw.hardware.devices import devices


def test_half_of_the_runs_is_held_out_by_a_hash_with_both_formats_of_each_together():
    rows = tables.read("hardware/training_speeds")
    what = rows[["model", "device", "devices"]].astype(str).agg("|".join, axis=1)
    order = sorted({hashlib.sha256(text.encode()).hexdigest() for text in what})
    place = [order.index(hashlib.sha256(text.encode()).hexdigest()) for text in what]
    assert rows.role.tolist() == [("calibration", "validation")[i % 2] for i in place]
    assert set(rows.device) <= set(devices()) and (rows.tokens_per_second > 0).all() and len(rows) == 48


def test_fp8_trains_faster_where_a_device_multiplies_in_it_and_nowhere_else():
    known = devices()
    for name in ("H100 80GB SXM", "L40S", "RTX 4090"):
        low, mid, high = training.slowdown("fp8_row", "fp8_row", known[name])
        assert 1 / 1.7 < low < 1 / 1.4 < mid < 1 / 1.25 < high < 1
    for weights, activations, name in (
        ("fp8_row", "fp8_row", "A100 80GB SXM"),
        ("fp8_row", "dense", "H100 80GB SXM"),
        ("nvfp4", "nvfp4", "B200 SXM"),
    ):
        assert training.slowdown(weights, activations, known[name]) == training.ASSUMED


def test_held_out_runs_are_predicted_but_a_mixture_is_missed():
    rows = training.speeds()
    assert len(rows) == 23 and rows.off.median() <= 1.4 and rows.inside.mean() > 0.8
    mixture = rows[rows.model == "Mixtral-8x7B"]
    assert not mixture.inside.any() and mixture.off.item() > 1.5  # its experts' tokens cross between devices
    one = rows[(rows.model == "Qwen2.5-7B") & (rows.device == "H100 80GB SXM") & (rows.weights == "dense")]
    assert one.predicted.item() == pytest.approx(training.mfu("H100 80GB SXM")[1] * 989e12 / (6 * 6.53e9))


def test_a_device_with_runs_of_its_own_reaches_their_share_and_held_out_ones_are_nearer():
    pooled, rows = training.mfu(), training.speeds()
    assert training.mfu("no such device") == pooled and training.mfu("RTX 4090")[::2] == pooled[::2]
    assert training.mfu("RTX 4090")[1] > 0.6 > 0.45 > training.mfu("H100 80GB SXM")[1]
    shares = np.array([training.mfu(name)[1] for name in rows.device])
    off = np.exp(np.abs(np.log(rows.predicted * pooled[1] / shares / rows.tokens_per_second)))
    assert rows.off.median() < off.median() and rows.off.max() < off.max()


def test_hours_of_training_and_the_misses():
    rows = training.hours().set_index("model")
    assert rows.inside.sum() == 4 and not rows.inside["Llama-3.1-8B"]
    assert rows.implied_mfu["Llama-2-7B"] == pytest.approx(6 * 6.74e9 * 2e12 / (184320 * 3600 * 312e12))
    assert rows.error["Llama-3.1-8B"] < -0.5  # what its hours hold beside 6 N D is not said
    assert np.isfinite(rows.low).all()
