"""Compositions that went wrong once, each of a kind; ``attacks.compositions`` draws hundreds of others in every run."""

import warnings

import pytest
import torch
from attacks.compositions import disagreement
from sampling import some

import rholaw as rl
from rholaw.distributions import source
from rholaw.error import blocks, measure, sampling

NORMAL, SIZE = source("normal"), (128, 4096)
ONCE_WRONG = [
    # outliers beside blocks: the law of the largest that is left
    *("sint4/g128+out0.3", "e2m1/g128+out0.3", "ternary/g128+out0.3", "s0.5+int4/g128:fp32+out0.3", "int4/g64+out0.5"),
    *("int8/row+out0.01", "int4/g2048+out0.02", "int3/g128+out0.4", "sint5/g4096+out0.1", "fint5/row:signmax+out0.1"),
    *("hadamard32+e6m3/g256:e8m0-ceil+out0.5", "e6m5/row:fp16+out0.1", "s0.9+out0.05", "sint4/g8+out0.999"),
    # scales of a whole tensor or row, or stored relative to the largest of it
    *("fp8_tensor+out0.001", "fint3/tensor", "e1m5/tensor", "e1m6/tensor:bf16", "lm6/tensor:e4m3:absmax"),
    *("s0.3+int3/row", "s0.01+fint6/tensor:fp32", "hadamard1024+ternary/tensor:fp32:absmax", "sint8/tensor:e8m0"),
    *("int4/row:e4m3", "sint8/g32:e4m3+out0.05", "hadamard2+e2m5/g4:e4m3+out0.3", "uint4/tensor"),
    *("8:16+int2/g16:e8m0-rceil", "32:64+ternary/g64:e8m0-ceil", "uint3/tensor:bf16:zero"),
    *( "e2m1/tensor:e4m3:four-six", "2:4+int4/tensor:e8m0", "fint4/tensor:signmax"),
    "int4/16x16:e4m3+out0.00001",
    # outliers are stored in 16 bits; those of N:M lie among the survivors or not
    *("int8+out0.01:bf16", "lm8+out0.9", "binary+out0.9", "2:4+int4+out0.1", "1:2+int4+out0.45", "8:16+e5m2+out0.4"),
    # no such element, or minutes
    *("vq1_7", "vq1_16/g32", "2:4+sint8/g32", "hadamard16+e3m6/g1+out0.1", "e6m6/g8:e4m3", "sint8/g1", "2:4+q8_0"),
]  # fmt: skip


@pytest.mark.parametrize("text", some(ONCE_WRONG, 16))
def test_the_error_is_what_quantize_does(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        doubt, told = disagreement(rl.parse(text), SIZE, seed=1)
    assert doubt < 5, told


@pytest.mark.parametrize("text", ["int8/g65536:mse", "int4/tensor:mse", "e2m1/row:e4m3:mse", "int3/tensor:mse+out0.01"])
def test_a_search_in_long_blocks_is_what_quantize_does(text):
    doubt, told = disagreement(rl.parse(text), (4, 2**17), seed=1)
    assert doubt < 5, told


def test_the_value_says_for_how_many_weights_it_holds():
    assert rl.gmse("int4/g32").weights is rl.gmse("int4").weights is rl.gmse("2:4").weights is None
    assert rl.gmse("int4/row").weights == 4096 and rl.gmse("int4/row", weights=(8, 128)).weights == 128
    assert rl.gmse("int4/tensor").weights == rl.gmse("nvfp4").weights == 4096**2
    assert rl.gmse("int4/tensor") == rl.gmse("int4/tensor", weights=4096**2)
    assert rl.gmse("int4", weights=1024, samples=2**14).weights == 1024
    by_size = [rl.gmse("e1m5/tensor", weights=2**k).value for k in range(4, 40, 5)]
    assert by_size == sorted(by_size)
    assert rl.gmse("2:4+int4/tensor", weights=(1, 4)).method == rl.gmse("fp8_row", weights=(3, 7)).method == "exact"


@pytest.mark.parametrize(
    ("text", "weights"),
    [("int4/g32", 100), ("int4/g32", (4, 100)), ("int4/16x16", (8, 16)), ("int4", 0), ("int4", -1), ("int4", 0.5),
     ("int4", [4, 4]), ("int4", (2, 2, 2)), ("int4", True), ("int4", "many"), ("3:7", 4096)],
)  # fmt: skip
def test_weights_that_a_format_does_not_divide_are_refused(text, weights):
    with pytest.raises(ValueError, match=r"weights") as refused:
        rl.gmse(text, weights=weights)
    assert len(str(refused.value)) < 300


def test_weights_are_those_of_a_named_source():
    with pytest.raises(ValueError, match="named source"):
        rl.gmse("int4", torch.randn(4, 4), weights=16)


@pytest.mark.parametrize("text", ["s0.5+int4+out0.6", "s0.5+int4+out0.5", "s0.9+int8+out0.0999999", "8:16+e5m2+out0.5"])
def test_what_leaves_nothing_to_round_is_refused(text):
    with pytest.raises(ValueError, match="nothing is left to round"):
        rl.parse(text)


def test_what_no_matrix_has_is_refused():
    with pytest.raises(ValueError, match="up to 1048576 weights"):
        rl.parse("int4/2048x1024")
    with pytest.raises(ValueError, match="longer than any"):
        rl.parse("hadamard65536+int4/g1048575")


@pytest.mark.parametrize("exponent", [-1000, -300, 0, 300, 1000])
def test_samples_of_any_magnitude_have_an_error(exponent):
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert rl.gmse("int4", x * 2.0**exponent).value == pytest.approx(rl.gmse("int4", x).value, rel=1e-9)


@pytest.mark.parametrize("text", ["int4/g16", "sint8/g128+out0.01", "nvfp4", "2:4+sint4/g32", "fint4/g32:signmax"])
def test_steps_of_scales_between_whose_jumps_a_closed_form_holds_add_up(text, monkeypatch):
    """The same blocks, their scales taken for smooth: an integral over the largest magnitude, which sees no jumps."""
    format = rl.parse(text)
    stepped = rl.gmse(text).value
    monkeypatch.setattr(type(format.block.type), "smooth", True)
    smooth = blocks.exact_error(format.element, format.block, format.sparsity, NORMAL, format.outlier_share)
    assert smooth == pytest.approx(stepped, rel=2e-4 if format.block.type.name == "fp16" else 5e-3)


def test_a_tensor_stands_for_a_larger_one():
    """Sampled with few weights, the largest drawn by its law, it has the error that is exact."""
    format, shape = rl.parse("uint4/tensor:fp32"), (4096, 4096)
    exact = rl.gmse(format)
    value, stderr, n = sampling.sampled(format, NORMAL, shape, 2**20, 3, False)
    assert exact.method == "exact" and n < 2**21
    assert abs(value - exact.value) < 5 * stderr < 0.1 * exact.value
    exact = rl.gmse("sint3/g4096:e4m3")
    value, stderr, _ = sampling.sampled(rl.parse("sint3/g4096:e4m3"), NORMAL, shape, 2**20, 3, False)
    assert abs(value - exact.value) < 5 * stderr < 0.1 * exact.value


def test_an_integral_that_would_take_long_is_sampled(monkeypatch):
    exact = rl.gmse("sint4/g16", weights=(16, 16))
    monkeypatch.setattr(blocks, "LIMIT", 1000)
    measure._exact.cache_clear()
    measured = rl.gmse("sint4/g16", weights=(16, 16), samples=2**15)
    measure._exact.cache_clear()
    assert (exact.method, measured.method) == ("exact", "sampled")
    assert abs(exact.value - measured.value) < 5 * measured.stderr
