"""What public runs say of training: how much of the arithmetic they reach, what FP8 gains, and what was held out."""

import hashlib

import numpy as np
import pytest

from rholaw import tables
from rholaw.hardware import observed, training
from rholaw.hardware.devices import devices


def test_half_of_the_runs_is_held_out_by_a_hash_with_both_formats_of_each_together():
    rows = tables.read("hardware/training_speeds")
    for dealt, own in rows.groupby("dealt"):
        named = ["model", "device", "devices"] + (["source"] if dealt > 1 else [])
        what = [hashlib.sha256("|".join(text).encode()).hexdigest() for text in own[named].astype(str).to_numpy()]
        order = sorted(set(what))
        assert own.role.tolist() == [("calibration", "validation")[order.index(one) % 2] for one in what]
    assert set(rows.device) <= set(devices()) and (rows.tokens_per_second > 0).all() and len(rows) == 69


def test_fp8_trains_faster_where_a_device_multiplies_in_it_and_nowhere_else():
    known = devices()
    for name in ("H100 80GB SXM", "L40S", "RTX 4090"):
        low, mid, high = training.slowdown("fp8_row", "fp8_row", known[name])
        assert 1 / 1.7 < low < 1 / 1.4 < mid < 1 / 1.25 < high < 1
    gains = training.slowdown("mxfp8_e4m3", "mxfp8_e4m3", known["B200 SXM"])
    assert gains == training.slowdown("fp8_row", "fp8_row", known["B200 SXM"])
    for weights, activations, name in (
        ("mxfp8_e4m3", "mxfp8_e4m3", "H100 80GB SXM"),
        ("fp8_row", "fp8_row", "A100 80GB SXM"),
        ("fp8_row", "dense", "H100 80GB SXM"),
        ("nvfp4", "nvfp4", "B200 SXM"),
    ):
        assert training.slowdown(weights, activations, known[name]) == training.ASSUMED


def test_held_out_runs_are_predicted():
    rows = training.speeds()
    assert len(rows) == 33 and rows.off.median() <= 1.4 and 0.72 <= rows.inside.mean() <= 0.88
    own = rows[(rows.device == "H100 80GB SXM") & (rows.devices == 1)]
    assert own.off.median() < 1.4 and own.inside.all()  # of four reports that agree with one another
    one = own[(own.model == "Qwen2.5-7B") & (own.weights == "dense")]
    share = training.mfu(observed.public()["Qwen2.5-7B"], devices()["H100 80GB SXM"])[1]
    assert one.predicted.item() == pytest.approx(share * 989e12 / (6 * 6.53e9))
    mixture = rows[rows.model == "Mixtral-8x7B"]
    assert mixture.inside.all() and mixture.off.item() < 1.4


def test_few_runs_of_a_device_move_it_a_little_from_what_all_devices_reach():
    pooled = training.share("no such device")
    own = [training.share(name) for name in ("RTX 4090", "H100 80GB SXM", "L40S")]
    for low, middle, high in (pooled, *own):
        assert 0 < low < middle < high <= 1
    assert own[2][1] < own[1][1] < pooled[1] < own[0][1]
    assert np.log(pooled[1] / pooled[0]) > max(np.log(middle / low) for low, middle, _ in own)


def test_experts_that_are_small_cost_more_to_reach_in_training():
    known, shapes = devices(), observed.public()
    h100 = known["H100 80GB SXM"]
    moved = 4 * 48 * 8 * 2048 * 2 / (0.6 * 450e9)  # there and back, twice, of Qwen3-30B-A3B
    small = training.exchange(shapes["Qwen3-30B-A3B"], h100)
    assert small == pytest.approx(1 + moved / (6 * shapes["Qwen3-30B-A3B"].active_body / 989e12))
    assert 1 < training.exchange(shapes["Mixtral-8x7B-v0.1"], h100) < 1.2 < small
    assert training.exchange(shapes["Llama-3.1-8B"], h100) == 1
    assert training.share("H100 80GB SXM", True)[1] < 0.6 * training.share("H100 80GB SXM")[1]


def test_what_lies_between_products_and_the_head_cost_narrow_models_more():
    known, shapes = devices(), observed.public()
    h100, l40s = known["H100 80GB SXM"], known["L40S"]
    llama, narrow = shapes["Llama-3.1-8B"], shapes["Qwen2.5-1.5B"]
    moved = 3 * 2 * 32 * (4096 + 6144 + 4096 + 4096 + 4096 + 28672 + 14336 + 4096)
    layers = 6 * llama.active_body / h100.bf16
    by_hand = 1 + 128256 * 4096 / llama.active_body + moved / h100.bandwidth / layers
    assert training.work(llama, h100) == pytest.approx(by_hand)
    assert training.work(narrow, l40s) > training.work(llama, l40s) + 0.2
    assert training.mfu(llama, h100)[1] == pytest.approx(training.share(h100.name)[1] / by_hand)
    mixture = shapes["Qwen3-30B-A3B"]
    assert training.work(mixture, h100) > training.exchange(mixture, h100) + 0.3


def test_hours_of_training_and_the_misses():
    rows = training.hours().set_index("model")
    assert rows.inside.sum() == 4 and not rows.inside["Llama-3.1-8B"]
    assert rows.implied_mfu["Llama-2-7B"] == pytest.approx(6 * 6.74e9 * 2e12 / (184320 * 3600 * 312e12))
    assert rows.error["Llama-3.1-8B"] < -0.5  # what its hours hold beside 6 N D is not said
    assert np.isfinite(rows.low).all()
