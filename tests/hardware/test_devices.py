"""Facts about hardware, shapes and speeds: against hand counts, published totals and observed engines."""

import datetime
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rholaw as rl
from rholaw import tables
from rholaw.hardware import devices as hardware
from rholaw.hardware import geometry as shapes
from rholaw.hardware import observed, speed

DEVICES = hardware.devices()
LLAMA = shapes.named()["Llama-3.1-8B"]
TODAY = datetime.date(2026, 11, 24)


# --- devices and prices -------------------------------------------------------------------------------------------


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
        ({"device": ["L4"], "property": ["memry"], "value": [1.0]}, "no property 'memry'"),
        ({"device": ["L4"], "property": ["memory"], "value": [-1.0]}, "no number of 0 or more"),
        ({"device": ["L4"], "property": ["memory"], "value": ["24 GB"]}, "no number of 0 or more"),
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


# --- kernels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("dense", "bf16"),
        ("sint4/g128", "int4"),
        ("uint4/g128:zero", "int4"),
        ("fp8_row", "fp8"),
        ("mxfp8_e4m3", "mxfp8"),
        ("nvfp4", "nvfp4"),
        ("mxfp4", "mxfp4"),
        ("nf4_dq", "nf4"),
        ("higgs_2", "lut"),
        ("trellis2", "trellis"),
        ("q4_k", "ggml"),
        ("2:4", "2:4"),
        ("2:4+fp8_row", "2:4+fp8"),
        ("int4+out0.01", "int4+out"),
    ],
)
def test_what_a_kernel_sees_of_a_format(format, kind):
    assert hardware.numbers(format) == kind


@pytest.mark.parametrize(
    ("weights", "activations", "device", "engine", "status", "compute"),
    [
        ("dense", "dense", "Apple M4 Max", "vLLM", "native", "bf16"),
        ("fp8_row", "fp8_row", "H100 80GB SXM", "vLLM", "native", "fp8"),
        ("fp8_row", "fp8_row", "A100 80GB SXM", "vLLM", "none", "bf16"),  # no FP8 before compute capability 8.9
        ("fp8_row", "dense", "A100 80GB SXM", "vLLM", "dequantising", "bf16"),
        ("sint4/g128", "dense", "L40S", "vLLM", "dequantising", "bf16"),
        ("nvfp4", "nvfp4", "B200 SXM", "vLLM", "native", "fp4"),
        ("nvfp4", "nvfp4", "H200 SXM", "vLLM", "none", "bf16"),
        ("2:4+fp8_row", "fp8_row", "H100 80GB SXM", "vLLM", "removed", "bf16"),
        ("2:4", "dense", "H100 80GB SXM", "vLLM", "removed", "bf16"),
        ("2:4+sint4/g128", "dense", "RTX 4090", "Sparse-Marlin", "dequantising", "bf16"),
        ("2:4+sint4/g128", "dense", "H100 80GB SXM", "Sparse-Marlin", "none", "bf16"),
        ("higgs_2", "dense", "H100 80GB SXM", "torchao", "emulated", "bf16"),
        ("q4_k", "dense", "Snapdragon 8 Gen 3", "llama.cpp", "dequantising", "bf16"),
        ("int4+out0.01", "dense", "L40S", "vLLM", "none", "bf16"),
    ],
)
def test_which_kernel_an_engine_has(weights, activations, device, engine, status, compute):
    found = hardware.kernel(weights, activations, DEVICES[device], engine)
    assert (found.status, found.compute) == (status, compute)
    assert found.runs == (status not in ("none", "removed"))
    assert found.runs or found.note


def test_a_kernel_given_by_hand_needs_the_arithmetic():
    refused = hardware.kernel("fp8_row", "fp8_row", DEVICES["A100 80GB SXM"], "vLLM", "native")
    assert not refused.runs and "no fp8 arithmetic" in refused.note
    unknown = hardware.kernel("int4", "int4", DEVICES["B200 SXM"], "vLLM", "native")
    assert unknown.runs and unknown.compute == "bf16"  # the rate of INT4 is not known there


def test_the_table_of_kernels_says_what_the_library_reads():
    rows = tables.read("hardware/kernels")
    assert set(rows.status) <= set(hardware.STATUSES)
    known = {hardware.numbers(f) for f in rl.catalogue().values()}
    for name in rows.kernel:
        assert set(name.split(" x ")) <= known | {"bf16"}, name


# --- shapes and memory --------------------------------------------------------------------------------------------


def test_parameter_counts_are_those_of_the_published_checkpoints():
    published = tables.read("hardware/geometries").set_index("model").published_params
    assert len(published) >= 5
    for name, geometry in shapes.named().items():
        assert geometry.total == published[name], name


def test_memory_is_what_others_state():
    found = observed.memory()
    assert found.model.nunique() == 7 and set(found.what) == {"checkpoint", "kv", "in use"}
    use, held = found[found.what == "in use"], found[found.what != "in use"]
    assert use.model.nunique() == 3 and use.format.nunique() == 4 and (use.error < 0).all()  # there is always more
    missed = use[use.error < -0.05]
    assert missed.format.tolist() == ["fp8_row"] and missed.error.item() > -0.16  # nobody says what FP8 holds there
    rough = held.source.str.contains("measured|logged by vLLM")
    assert rough.sum() == 2 and held.error[rough].abs().max() < 0.035
    assert held.error[~rough].abs().max() < 0.004  # they print two to five digits


def tensors(shape):
    """(name, rows, columns, whether it is compressed) of every tensor of a checkpoint, one by one."""
    inner, shared = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "embed_tokens", shape.vocabulary, shape.d_model, False
    for _ in range(shape.layers):
        for name, width in (("q", inner), ("k", shared), ("v", shared)):
            yield f"{name}_proj.weight", width, shape.d_model, True
            if shape.qkv_bias:
                yield f"{name}_proj.bias", width, 1, False
        yield "o_proj", shape.d_model, inner, True
        yield "gate_proj", shape.d_ff, shape.d_model, True
        yield "up_proj", shape.d_ff, shape.d_model, True
        yield "down_proj", shape.d_model, shape.d_ff, True
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield name, shape.d_model, 1, False
        for name in ("q_norm", "k_norm") if shape.qk_norm else ():
            yield name, shape.head_dim, 1, False
    yield "norm", shape.d_model, 1, False
    if not shape.tied:
        yield "lm_head", shape.vocabulary, shape.d_model, False


@pytest.mark.parametrize("name", shapes.named())
def test_memory_counted_tensor_by_tensor(name):
    shape, sequences, context = shapes.named()[name], 7, 1234
    parts = shapes.memory(shape, rl.parse("sint4/g64").bits, 8, sequences, context)
    packed = kept = 0
    for _, rows, columns, compressed in tensors(shape):
        if compressed:  # four bits a weight, and a 16-bit scale for every 64 of a row
            packed += rows * columns // 2 + 2 * rows * (columns // 64)
        else:
            kept += 2 * rows * columns
    cache = sum(sequences * context * shape.head_dim for _ in range(shape.layers * shape.kv_heads) for _ in "kv")
    assert parts == {"weights": packed, "embeddings": kept, "kv": cache, "reserve": shapes.RESERVE}
    assert sum(rows * columns for _, rows, columns, _ in tensors(shape)) == shape.total


def test_memory_by_hand():
    parts = shapes.memory(LLAMA, 4.5, 8, 16, 2000, reserve=1e9)
    matrices = 32 * (4096 * 6144 + 4096 * 4096 + 3 * 4096 * 14336)
    assert parts["weights"] == matrices * 4.5 / 8
    assert parts["embeddings"] == 2 * (2 * 128256 * 4096 + 65 * 4096)
    assert parts["kv"] == 2 * 32 * 8 * 128 * 16 * 2000 and parts["reserve"] == 1e9


@given(st.floats(1e6, 1e13))
def test_a_shape_of_any_size_has_that_size(params):
    assert shapes.of_size(params).non_embedding == pytest.approx(params, rel=1e-9)


def test_growth_keeps_the_proportions():
    grown = shapes.of_size(8 * LLAMA.non_embedding)
    grow = shapes.factors(8.0)
    assert grown.linear / LLAMA.linear == pytest.approx(grow["linear"], rel=1e-3)
    assert grown.kv_bytes() / LLAMA.kv_bytes() == pytest.approx(grow["kv"], rel=1e-3)
    assert grown.vocabulary_matrix / LLAMA.vocabulary_matrix == pytest.approx(grow["vocabulary"], rel=1e-3)
    assert grown.layers / LLAMA.layers == pytest.approx(grow["products"], rel=1e-3)


def test_the_shape_of_a_checkpoint(tmp_path):
    config = {"model_type": "qwen2", "num_hidden_layers": 28, "hidden_size": 3584, "num_attention_heads": 28}
    config |= {"num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064, "tie_word_embeddings": False}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert shapes.of_checkpoint(tmp_path) == shapes.named()["Qwen2.5-7B"]
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 64}))
    with pytest.raises(ValueError, match="lacks num_hidden_layers, num_attention_heads"):
        shapes.of_checkpoint(tmp_path)
    with pytest.raises(ValueError, match=r"no .*config\.json"):
        shapes.of_checkpoint(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="layers must be positive"):
        shapes.Geometry(0, 1, 1, 1, 1, 1, 1)


# --- speeds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "bits", "compute", "batch"),
    [
        ("A100 80GB SXM", 16, "bf16", 153),  # the published critical batches of these chips
        ("A100 80GB SXM", 4.0625, "bf16", 39),
        ("H100 80GB SXM", 16, "bf16", 295),
        ("H100 80GB SXM", 8, "fp8", 295),
        ("H200 SXM", 16, "bf16", 206),
        ("L40S", 16, "bf16", 419),
        ("B200 SXM", 4.5, "fp4", 329),
        ("TPU v5e", 16, "bf16", 240),
        ("TPU v6e", 16, "bf16", 560),
    ],
)
def test_critical_batches(device, bits, compute, batch):
    own = hardware.Kernel("", "native", compute)
    assert speed.critical_batch(DEVICES[device], bits, own) == pytest.approx(batch, abs=0.7)


def test_at_the_critical_batch_arithmetic_takes_as_long_as_the_weights():
    fit = speed.efficiency(DEVICES["H100 80GB SXM"], "vLLM")
    batch = speed.critical_batch(DEVICES["H100 80GB SXM"], 16, fit=fit)
    compute, bandwidth, _ = speed.products(LLAMA, DEVICES["H100 80GB SXM"], batch, (16, 16), fit=fit)
    moved = batch * LLAMA.layers * sum(2 * k + 2 * n for k, n in LLAMA.shapes)
    weights = 2 * LLAMA.linear
    assert compute == pytest.approx(bandwidth * weights / (weights + moved))


def test_decode_by_hand():
    device, fit = DEVICES["A100 80GB SXM"], speed.Efficiency(compute=0.5, bandwidth=0.8, overhead=1e-6)
    step = speed.decode(LLAMA, device, fit, 4, 1000)
    weights = (LLAMA.linear * 2 + 4 * 32 * 2 * sum(k + n for k, n in LLAMA.shapes)) / (2039e9 * 0.8) + 4 * 32 * 1e-6
    head = 128256 * 4096 * 2 / (2039e9 * 0.8) + 1e-6
    cache = 4 * 1000 * 131072 / (2039e9 * 0.8)
    assert float(step.dense(0.6)) == pytest.approx((weights + head + cache) / 0.6, rel=1e-12)
    halved = speed.decode(LLAMA, device, fit, 4, 1000, kv_bits=8)
    fast = (weights / 2 + head + cache / 2) / 0.6
    slow = weights / 2 + head + cache / 2 + (weights + head + cache) * (1 / 0.6 - 1)
    assert float(halved.seconds(2.0, 0.6, 0.0)) == pytest.approx(fast)
    assert float(halved.seconds(2.0, 0.6, 1.0)) == pytest.approx(slow)
    assert float(halved.seconds(2.0, 0.6)) == pytest.approx(math.sqrt(fast * slow))


def test_without_known_arithmetic_prefill_is_unknown_and_decode_is_not():
    device, fit = DEVICES["Apple M3 Max"], speed.Efficiency()
    assert math.isnan(float(speed.prefill(LLAMA, device, fit, 100, 100).dense(1.0)))
    assert float(speed.decode(LLAMA, device, fit, 1, 100).dense(1.0)) > 2 * LLAMA.linear / 400e9


def test_the_ladder_of_speed_ups():
    def rung(weights, activations, device, engine="vLLM", status="auto"):
        own = hardware.kernel(weights, activations, DEVICES[device], engine, status)
        bits = (rl.parse(weights).bits, rl.parse(activations).bits)
        return speed.speedup(LLAMA, DEVICES[device], engine, own, bits, np.array([1.0, 64, 4096]))

    measured = rung("fp8_row", "fp8_row", "H100 80GB SXM")
    assert measured.rung == "measured" and measured.source == "vLLM 0.24.0"
    rows = tables.read("hardware/gemm_speedups")
    own = rows[(rows.device == "H100 80GB SXM") & (rows.engine == "vLLM") & (rows.kernel == "fp8 x fp8")]
    assert measured.mid.tolist() == pytest.approx(own.set_index("m").speedup[[1, 64, 4096]].tolist())
    borrowed = rung("sint4/g128", "dense", "A100 80GB SXM")
    assert borrowed.rung == "measured" and borrowed.source.startswith("TensorRT-LLM")
    assert borrowed.mid[0] > 1.5 > borrowed.mid[2]  # weights alone: a gain at small batches only
    nominal = rung("sint4/g128", "dense", "H100 80GB SXM")
    assert nominal.rung == "nominal (upper bound)"
    assert nominal.high[0] == pytest.approx(16 / 4.125, rel=0.01) and nominal.high[2] == 1
    assert nominal.mid == pytest.approx(np.sqrt(nominal.high)) and (nominal.low == 1).all()
    assert (rung("higgs_2", "dense", "H100 80GB SXM", "torchao").mid == 1).all()
    assert rung("2:4", "dense", "H100 80GB SXM").rung == "no kernel"
    assert rung("dense", "dense", "L4").rung == "dense"


def test_the_fitted_rung_where_only_a_fit_is_known(monkeypatch):
    monkeypatch.setattr(speed, "measured_speedups", lambda *_: None)
    device = DEVICES["H100 80GB SXM"]
    own = hardware.kernel("fp8_row", "fp8_row", device, "vLLM")
    found = speed.speedup(LLAMA, device, "vLLM", own, (8, 8), np.array([8192.0]))
    assert found.rung == "fitted" and found.low[0] < found.mid[0] < found.high[0]
    assert found.mid[0] == pytest.approx(0.4699 * 2 / 0.807, rel=0.02)  # ratio of what both reach of their peaks


def test_a_drawn_speed_up_has_its_ends_as_quantiles():
    own = speed.Speedup(np.array([2.0]), np.array([1.0]), np.array([3.0]), "measured")
    assert own.draw(0.0) == 2 and own.draw(1.2816) == pytest.approx(3) and own.draw(-1.2816) == pytest.approx(1)


def test_the_largest_version_of_an_engine_is_taken():
    assert hardware.fitted_roofline("L40S", "vLLM", "bf16 x bf16").version == "0.24.0"
    assert hardware.measured_speedups("L40S", "TensorRT-LLM", "fp8 x fp8").source == "TensorRT-LLM 1.3.0rc20"


# --- against observations -----------------------------------------------------------------------------------------


def test_whole_engines_are_predicted_within_the_band_that_the_book_states():
    found = observed.speeds().query("role == 'validation'")
    timed = found[found.rung == "measured"]
    broken = timed[(timed.engine == "torchao") & (timed.activations == "sint8/row")]
    assert (broken.error > 10).all()  # a kernel that was far slower than the products it is made of: a miss, kept
    rest = timed.drop(broken.index)
    assert len(rest) == 50 and (rest.error.abs() < 0.25).mean() >= 0.85 and rest.error.abs().max() < 0.35
    assert rest.inside.mean() > 0.85
    six = rest[(rest.engine == "vLLM")]
    assert len(six) == 6 and six.error.abs().max() < 0.16
    nominal = found[found.rung == "nominal (upper bound)"]
    assert (nominal[nominal.phase == "prefill"].error > 0.1).all()  # an upper bound, as it is called


def test_calibration_and_validation_do_not_mix():
    rows = tables.read("hardware/observed")
    assert set(rows.role) == {"calibration", "validation"}
    vllm = rows[(rows.engine == "vLLM") & (rows.role == "calibration")]
    assert (vllm.weights == "dense").all()
    low, middle, high = observed.system_efficiency("vLLM")
    assert 0.55 < low < middle < high < 0.7
    everywhere = observed.system_efficiency("an engine nobody timed")
    assert everywhere[0] == pytest.approx(low) and everywhere[2] == 1


def test_hours_of_training_and_the_misses():
    found = observed.training().set_index("model")
    assert found.inside.sum() == 4 and not found.inside["Llama-3.1-8B"]
    assert found.implied_mfu["Llama-2-7B"] == pytest.approx(6 * 6.74e9 * 2e12 / (184320 * 3600 * 312e12))
    assert found.error["Llama-3.1-8B"] < -0.5  # what its hours hold beside 6 N D is not said
