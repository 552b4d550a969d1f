"""Several devices as one: what they hold and share, and what the sums over their links take."""

import numpy as np
import pytest

from rholaw.formats.grammar import parse
from rholaw.hardware import geometry, links, observed, speed
from rholaw.hardware.devices import devices

H100 = devices()["H100 80GB SXM"]
LLAMA = geometry.named()["Llama-3.1-70B"]


@pytest.mark.parametrize(
    ("count", "engine", "ranks", "stages"),
    [(1, "vLLM", 1, 1), (8, "vLLM", 8, 1), (16, "vLLM", 8, 2), (12, "SGLang", 4, 3), (2, "llama.cpp", 1, 2)],
)
def test_a_machine_shares_products_and_more_follow_in_stages(count, engine, ranks, stages):
    own = links.together(H100, count, LLAMA, engine)
    assert (own.ranks, own.stages, own.memory) == (ranks, stages, count * H100.memory)
    assert own.bandwidth == ranks * H100.bandwidth and own.fp8 == ranks * H100.fp8 and own.link == H100.link


@pytest.mark.parametrize(("heads", "kv_heads", "can"), [(32, 8, [1, 2, 4, 8]), (24, 3, [1, 3, 6]), (28, 4, [1, 2, 4])])
def test_ranks_have_heads_alike_and_those_of_keys_and_values_may_be_repeated(heads, kv_heads, can):
    own = geometry.llama(2, 64, heads, kv_heads, 16, 128, 1000)
    assert [n for n in range(1, 9) if links.divides(own, n)] == can
    assert all(links.divides(geometry.of_size(8e9), n) for n in range(1, 9))  # whose heads nobody knows


def test_sums_by_hand():
    """Two a layer, of tokens × d_model numbers of two bytes, of which each rank sends 2 (n − 1) / n."""
    assert (links.sums(LLAMA, H100, np.array([1.0, 8192.0])) == 0).all()
    short, long = links.sums(LLAMA, links.together(H100, 8, LLAMA), np.array([1.0, 8192.0]))
    assert short == pytest.approx(2 * 80 * (5e-6 + 7 / 4 * 8192 * 2 / 270e9))
    assert long == pytest.approx(2 * 80 * (5e-6 + 7 / 4 * 8192 * 8192 * 2 / 270e9))
    bus = links.sums(LLAMA, links.together(devices()["L40S"], 2, LLAMA), np.array([1.0]))
    assert bus == pytest.approx(2 * 80 * (8e-6 + 8192 * 2 / 19.2e9))


def test_an_engine_that_rounds_first_gathers_fewer_bits_before_experts_and_sums_as_many_behind_them():
    mixture = observed.public()["Qwen3-30B-A3B"]
    eight = links.together(devices()["RTX PRO 6000 Server"], 8, mixture)
    nvfp4 = parse("nvfp4")
    assert [links.gathered(engine, nvfp4) for engine in ("TensorRT-LLM", "vLLM")] == [4.5, 16]
    assert links.gathered("TensorRT-LLM", parse("dense")) == 16
    whole, rounded = (links.sums(mixture, eight, np.array([8192.0]), gather=bits) for bits in (16, 4.5))
    moved = 48 * 7 / 8 * 8192 * 2048 / (0.4 * eight.link)
    assert whole - rounded == pytest.approx(moved * (16 - 4.5) / 8) and whole > moved * 4
    pair = links.together(H100, 2, LLAMA)
    assert links.sums(LLAMA, pair, np.array([8.0]), gather=4.5) == links.sums(LLAMA, pair, np.array([8.0]))


def test_a_link_that_nobody_knows_is_a_bus():
    orin = devices()["Jetson AGX Orin 64GB"]
    assert np.isnan(orin.link)
    assert links.sums(LLAMA, links.together(orin, 2, LLAMA), np.array([1.0])) == pytest.approx(
        2 * 80 * (8e-6 + 8192 * 2 / 19.2e9)
    )


def test_a_larger_model_has_more_and_longer_sums():
    pair = links.together(H100, 2, LLAMA)
    once, grown = (links.sums(LLAMA, pair, np.array([64.0]), size) for size in (1.0, 8.0))
    assert grown == pytest.approx(2 * 160 * 5e-6 + 4 * (once - 160 * 5e-6))


def test_split_by_layers_one_sequence_is_no_faster_and_two_are_twice_as_fast():
    fit = speed.Efficiency()
    alone, pair = H100, links.together(H100, 2, LLAMA, "llama.cpp")
    one, two = (speed.decode(LLAMA, own, fit, np.array([1.0, 2.0]), 0).dense(1.0) for own in (alone, pair))
    assert two[0] == pytest.approx(one[0]) and two[1] == pytest.approx(one[0])
    read = [speed.prefill(LLAMA, own, fit, np.array([8192.0]), 512).dense(1.0) for own in (alone, pair)]
    assert read[1] == pytest.approx(read[0] / 2)


def test_links_take_from_what_eight_devices_gain():
    fit, tokens = speed.Efficiency(), np.array([1.0])
    one, eight = (speed.decode(LLAMA, links.together(H100, n, LLAMA), fit, tokens, 1000) for n in (1, 8))
    gain = one.dense(1.0) / eight.dense(1.0)
    assert 4 < gain < 8 and eight.limits["links"] > 5e-4 and one.limits["links"] == 0
