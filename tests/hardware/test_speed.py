"""How long steps take: against hand counts and published critical batches."""

import json
import math

import numpy as np
import pytest

import rholaw as rl
from rholaw import tables
from rholaw.checkpoints import families
from rholaw.checkpoints.config import from_json
from rholaw.hardware import geometry, kernels, links, speed
from rholaw.hardware.devices import devices

DEVICES = devices()
LLAMA = geometry.named()["Llama-3.1-8B"]
SHAPES = [(m.inputs, m.outputs) for m in LLAMA.body.matrices]


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
    own = kernels.Kernel("", "native", compute)
    assert speed.critical_batch(DEVICES[device], bits, own) == pytest.approx(batch, abs=0.7)


def test_at_the_critical_batch_arithmetic_takes_as_long_as_the_weights():
    fit = speed.efficiency(DEVICES["H100 80GB SXM"], "vLLM")
    batch = speed.critical_batch(DEVICES["H100 80GB SXM"], 16, fit=fit)
    ((compute, bandwidth, _),) = speed.products(LLAMA, DEVICES["H100 80GB SXM"], batch, (16, 16), fit=fit)
    moved = batch * 32 * sum(2 * k + 2 * n for k, n in SHAPES)
    weights = 2 * LLAMA.linear
    assert compute == pytest.approx(bandwidth * weights / (weights + moved))


def test_decode_by_hand():
    device, fit = DEVICES["A100 80GB SXM"], speed.Efficiency(compute=0.5, bandwidth=0.8, overhead=1e-6)
    step = speed.decode(LLAMA, device, fit, 4, 1000)
    weights = (LLAMA.linear * 2 + 4 * 32 * 2 * sum(k + n for k, n in SHAPES)) / (2039e9 * 0.8) + 4 * 32 * 1e-6
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
        own = kernels.kernel(weights, activations, DEVICES[device], engine, status)
        bits = (rl.parse(weights).bits, rl.parse(activations).bits)
        return speed.speedup(LLAMA, DEVICES[device], engine, own, bits, np.array([1.0, 64, 4096]))

    measured = rung("fp8_row", "fp8_row", "H100 80GB SXM")
    assert measured.rung == "measured" and measured.source == "vLLM 0.24.0"
    rows = tables.read("hardware/gemm_speedups")
    own = rows[(rows.device == "H100 80GB SXM") & (rows.engine == "vLLM") & (rows.kernel == "fp8 x fp8")]
    median = own.set_index("m").speedup[[1, 64, 4096]].to_numpy()
    assert measured.mid == pytest.approx(median, rel=0.05)  # its matrices are about as large as those in the middle
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


def test_large_matrices_gain_more_than_the_median_of_those_that_were_timed_and_small_ones_less():
    device, bits = DEVICES["A100 80GB SXM"], (4.125, 16)
    own = kernels.kernel("sint4/g128", "dense", device, "vLLM")
    small, large = (geometry.named()[name] for name in ("Qwen3-1.7B", "Llama-3.1-70B"))
    median = float(kernels.measured_speedups(device.name, "vLLM", own.name).at(1.0)[0])
    least, most = (float(speed.speedup(shape, device, "vLLM", own, bits, 1.0).mid) for shape in (small, large))
    assert least < 0.6 * median and 1.5 * median < most < 16 / 4.125  # Qwen printed 1.2 and more than 2 times, whole
    eight = speed.speedup(large, links.together(device, 8, large), "vLLM", own, bits, 1.0)
    assert float(eight.mid) < 0.75 * most  # of which each has an eighth


def test_the_fitted_rung_where_only_a_fit_is_known(monkeypatch):
    monkeypatch.setattr(speed, "measured_speedups", lambda *_: None)
    device = DEVICES["H100 80GB SXM"]
    own = kernels.kernel("fp8_row", "fp8_row", device, "vLLM")
    found = speed.speedup(LLAMA, device, "vLLM", own, (8, 8), np.array([8192.0]))
    assert found.rung == "fitted" and found.low[0] < found.mid[0] < found.high[0]
    assert found.mid[0] == pytest.approx(0.4699 * 2 / 0.807, rel=0.02)  # ratio of what both reach of their peaks


def test_a_drawn_speed_up_has_its_ends_as_quantiles():
    own = speed.Speedup(np.array([2.0]), np.array([1.0]), np.array([3.0]), "measured")
    assert own.draw(0.0) == 2 and own.draw(1.2816) == pytest.approx(3) and own.draw(-1.2816) == pytest.approx(1)


# --- models that are no plain Llama -----------------------------------------------------------------------------------

PUBLIC = {row.model: json.loads(row.config) for row in tables.read("hardware/configs").itertuples()}
MIXTRAL = families.geometry(from_json(PUBLIC["mistralai/Mixtral-8x7B-v0.1"]))
NEXT = families.geometry(from_json(PUBLIC["Qwen/Qwen3-Next-80B-A3B-Instruct"]))
GEMMA = families.geometry(from_json(PUBLIC["google/gemma-3-27b-it"]))


def test_a_mixture_computes_with_few_experts_and_reads_those_that_are_hit():
    device, fit = DEVICES["H100 80GB SXM"], speed.Efficiency()
    for tokens, hit in ((1, 2), (2, 8 * (1 - 0.75**2)), (1000, 8)):
        terms = np.sum(speed.products(MIXTRAL, device, tokens, fit=fit), axis=0)
        compute, bandwidth, _ = terms
        attention, expert = 32 * (4096 * 6144 + 4096**2), 32 * 3 * 4096 * 14336
        assert compute == pytest.approx(2 * tokens * (attention + 2 * expert) / device.bf16)
        moved = 32 * 2 * (4096 + 6144 + 2 * 4096) + 32 * 2 * 2 * (4096 + 2 * 14336 + 14336 + 4096)
        assert bandwidth == pytest.approx((2 * (attention + hit * expert) + tokens * moved) / device.bandwidth)


def test_experts_have_rooflines_of_their_own_and_are_no_dense_products():
    device, tokens = DEVICES["H100 80GB SXM"], np.array([1.0, 256.0])

    def found(shape, weights, activations, engine="vLLM"):
        own = kernels.kernel(weights, activations, device, engine, "auto")
        bits = (rl.parse(weights).bits, rl.parse(activations).bits)
        return speed.speedup(shape, device, engine, own, bits, tokens)

    assert found(LLAMA, "fp8_row", "fp8_row").rung == found(GEMMA, "fp8_row", "fp8_row").rung == "measured"
    assert found(MIXTRAL, "fp8_row", "fp8_row").rung == found(NEXT, "fp8_row", "fp8_row").rung == "fitted"
    assert found(MIXTRAL, "sint3/g64", "dense", "llama.cpp").rung in ("nominal (upper bound)", "kernel not known")
    alone = found(NEXT, "mxfp4", "dense")  # timed on experts alone: the rest of the model gains nothing
    assert alone.rung == "fitted" and 1 < alone.mid[0] < 16 / 4.25


def test_a_layer_of_experts_takes_its_time_however_few_they_are():
    device = DEVICES["H100 80GB SXM"]
    fit = speed.efficiency(device, "vLLM")
    row = tables.read("hardware/roofline_fits").query(
        "device == @device.name and engine == 'vLLM' and kernel == 'experts bf16'"
    )
    _, (_, bandwidth, overhead) = speed.products(MIXTRAL, device, 1, fit=fit)
    assert overhead == pytest.approx(32 * row.overhead_us.item() * 1e-6)  # both products of a layer at once
    assert bandwidth * fit.experts.bandwidth == pytest.approx(
        (2 * 2 * 32 * 3 * 4096 * 14336 + 32 * 2 * 2 * (4096 + 2 * 14336 + 14336 + 4096)) / device.bandwidth
    )
    assert fit.experts.compute < 0.6 * fit.compute  # many small products


def test_latents_are_computed_with_where_they_are_not_read():
    device, fit = DEVICES["H200 SXM"], speed.Efficiency()
    shape = families.geometry(from_json(PUBLIC["deepseek-ai/DeepSeek-V3"]))
    cache = speed.decode(shape, device, fit, 100, 5000).limits["key-value cache"]
    work = 100 * 5000 * 61 * 2 * 128 * (2 * 512 + 64)
    assert cache == pytest.approx(work / device.bf16) and cache > 100 * 5000 * 61 * 576 * 2 / device.bandwidth
    assert speed.decode(LLAMA, device, fit, 100, 5000).limits["key-value cache"] == pytest.approx(
        100 * 5000 * LLAMA.kv_bytes() / device.bandwidth
    )


def test_a_step_that_is_launched_kernel_by_kernel_takes_so_long_whatever_its_format():
    device, fit = DEVICES["RTX 5090"], speed.Efficiency()
    step = speed.decode(geometry.named()["TinyLlama-1.1B"], device, fit, 1, 100, engine="bitsandbytes")
    (dense, nf4), server = (speed.LAUNCHED["bitsandbytes"][place] for place in ("edge", "data centre"))
    assert nf4 / dense == pytest.approx(server[1] / server[0], rel=0.01) and dense < server[0]
    assert step.dense(1.0) == pytest.approx(22 * 4 * dense) and step.seconds(4.0, 1.0, 0.0) == pytest.approx(88 * nf4)
    many = speed.decode(LLAMA, device, fit, 512, 4000, engine="bitsandbytes")
    assert many.dense(1.0) == speed.decode(LLAMA, device, fit, 512, 4000).dense(1.0)  # the device is what waits not


def test_decoding_reads_windows_and_states_and_no_more():
    device, fit = DEVICES["H100 80GB SXM"], speed.Efficiency()

    def cache(shape, context):
        return float(speed.decode(shape, device, fit, 3, context).limits["key-value cache"]) * device.bandwidth

    assert cache(GEMMA, 50_000) == pytest.approx(3 * 2 * 2 * 16 * 128 * (10 * 50_000 + 52 * 1024))
    assert cache(NEXT, 0) == pytest.approx(3 * 2 * 4 * NEXT.body.state)  # read and written, in float32
    assert cache(NEXT, 1000) - cache(NEXT, 0) == pytest.approx(3 * 1000 * 24576)


def test_prefill_attends_within_windows():
    device, fit = DEVICES["H100 80GB SXM"], speed.Efficiency()

    def attention(shape, prompt):
        return float(speed.prefill(shape, device, fit, 1, prompt).rest) * device.bf16

    assert attention(LLAMA, 1000) == pytest.approx(4 * 32 * 4096 * 500)
    assert attention(GEMMA, 1000) == pytest.approx(4 * 62 * 4096 * 500)
    seen = 10 * 25_000 + 52 * (1024 - 1024**2 / 100_000)
    assert attention(GEMMA, 50_000) == pytest.approx(4 * 4096 * seen)
    assert attention(NEXT, 1000) == pytest.approx(4 * 12 * 16 * 256 * 500 + 4 * NEXT.body.state)


def test_what_somebody_measured_holds_at_any_number_of_tokens():
    own = speed.given((1.2, 1.4, 1.5), np.array([1.0, 64.0]), "mine")
    assert (own.low.tolist(), own.mid.tolist(), own.high.tolist()) == ([1.2] * 2, [1.4] * 2, [1.5] * 2)
    assert own.source == "mine" and own.rung is speed.Rung.YOURS
