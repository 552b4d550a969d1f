"""What rounding leaves alone, of all the catalogue; tests/attacks/invariances.py says for which formats, and why."""

import numpy as np
import pytest
import torch
from attacks.invariances import again, alike, free, in_parts, normal, odd
from sampling import some

import rholaw as rl

CATALOGUE = {name: f for name, f in rl.catalogue().items() if not name.startswith("trellis")}
sampled = pytest.mark.parametrize("name", some(CATALOGUE, 12))


def tensors(format, count):
    return (normal(format, np.random.default_rng(seed), 2048) for seed in range(count))


@sampled
def test_rounding_twice_is_rounding_once_exactly_where_it_says(name):
    format = CATALOGUE[name]
    stays = all(alike(format.quantize(y), y) for y in map(format.quantize, tensors(format, 4)))
    assert again(format) in ("mostly", "same" if stays else "other")


def test_which_formats_change_when_rounded_twice():
    """One scale a tensor, from its RMS; a mean; the full range of integers; the rest has its largest on a level."""
    other = {name for name, f in CATALOGUE.items() if again(f) == "other"}
    one_scale = {name for name, f in CATALOGUE.items() if f.coder and f.coder.needs == "rms" and not f.outliers}
    scaled_by_rms = {name for name in one_scale if not CATALOGUE[name].rotation}
    assert other - scaled_by_rms == {"fint4/g32:fp32", "fint4/g128:fp32", "nf4_dq", "bitnet_b158"}
    assert scaled_by_rms <= other
    mostly = {name for name, f in CATALOGUE.items() if again(f) == "mostly"}
    assert mostly == {
        *("uint4/g32:zero", "uint4/g128:zero", "q4_1", "q5_1"),
        *("higgs_2", "higgs_3", "higgs_4", "int4+out0.01", "sint4/g128+out0.01", "int2+out0.01"),
        *(name for name, f in CATALOGUE.items() if f.element and f.element.kind == "ggml" and "tq" not in name),
    }


@sampled
def test_the_sign_comes_through_where_levels_are_symmetric(name):
    format = CATALOGUE[name]
    for x in tensors(format, 2):
        assert not odd(format) or alike(-format.quantize(-x), format.quantize(x))


@pytest.mark.parametrize("name", ["nf4", "fint4/g32:fp32", "q4_1", "q3_k", "vq2_16", "nf4/g64:fp32"])
def test_the_sign_does_not_come_through_where_they_are_not(name):
    format = rl.parse(name)
    assert not odd(format)
    assert not all(alike(-format.quantize(-x), format.quantize(x)) for x in tensors(format, 4))


@sampled
def test_a_power_of_two_comes_through_where_no_scale_is_fp16(name):
    format = CATALOGUE[name]
    for x in tensors(format, 2):
        assert not free(format) or alike(format.quantize(x * 2.0**-20) * 2.0**20, format.quantize(x))


@pytest.mark.parametrize("name", ["sint4/g128", "q4_k", "int4+out0.01"])
def test_a_power_of_two_does_not_come_through_fp16(name):
    x = next(tensors(rl.parse(name), 1))
    assert not free(rl.parse(name))
    assert not alike(rl.parse(name).quantize(x * 2.0**-20) * 2.0**20, rl.parse(name).quantize(x))


@pytest.mark.parametrize("type", ["e8m0", "e8m0-even", "e8m0-ceil", "e8m0-rceil"])
def test_powers_of_two_as_scales_do_not_hang_on_a_logarithm(type):
    """Just above 2^k a logarithm in float32 is k, the more often the larger k is."""
    format = rl.parse(f"e2m1/g2:{type}")
    x = torch.tensor([[1.0 + 2.0**-23, 0.36], [1.0, 0.36], [1.5, 0.36], [1.5 + 2.0**-22, 0.36]])
    for power in (-35, -3, 17, 38):
        assert torch.equal(format.quantize(x * 2.0**power) / 2.0**power, format.quantize(x))


@pytest.mark.parametrize(
    "name", some([n for n, f in CATALOGUE.items() if f.needs != "everything" and not f.rotation], 10)
)
def test_rows_apart_are_rounded_as_together(name):
    format = CATALOGUE[name]
    for x in tensors(format, 2):
        assert alike(in_parts(format, x), format.quantize(x), 0.0 if format.multiple == 1 else 1e-3)
