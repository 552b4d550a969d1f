"""A format's bits, and quantize on every kind of tensor."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling import FULL, some

import rholaw as rl

CATALOGUE = rl.catalogue()
SLOW = {"trellis2", "trellis3", "trellis4"}  # whose windows are short in test_vectors
QUICK = [name for name in CATALOGUE if FULL or name not in SLOW]
sampled = pytest.mark.parametrize("name", some(QUICK, 16))
SCALED = [  # scales have a range of their own
    name for name, f in CATALOGUE.items() if f.block or (f.element and f.element.own_scales)
]
FREE = [name for name in QUICK if name not in SCALED and not CATALOGUE[name].outliers]


def normal(name, rows=4, seed=0, dtype=torch.float32, least=64):
    """N(0,1) rows as long as the format needs them."""
    length = CATALOGUE[name].multiple * max(1, least // CATALOGUE[name].multiple)
    return torch.randn(rows, length, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def normal_rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("dense", 16),
        ("int4", 4),
        ("sint4", 4),
        ("e2m1", 4),
        ("e4m3fn", 8),
        ("nf4", 4),
        ("binary", 1),
        ("ternary", math.log2(3)),
        ("s0.5", 8 + 1),
        ("2:4", 8 + math.log2(6) / 4),
        ("1:2", 8 + 0.5),
        ("2:4+int4", 2 + math.log2(6) / 4),
        ("sint4/g128", 4 + 16 / 128),
        ("e2m1/g32:e8m0", 4.25),
        ("nvfp4", 4.5),
        ("nvfp4_16x16", 4 + 8 / 256),
        ("nf4_dq", 4 + 8 / 64 + 32 / (64 * 256)),
        ("q4_0", 4.5),
        ("q4_1", 5),
        ("uint4/g128:zero", 4 + 20 / 128),
        ("q4_k", 4.5),
        ("q6_k", 6.5625),
        ("q6_0", 6.5),
        ("iq1_m", 1.75),
        ("iq2_xxs", 2.0625),
        ("iq3_s", 3.4375),
        ("int4/row", 4),
        ("vq2_16", 2),
        ("trellis3", 3),
        ("int4+out0.01", 4 + 0.16 - 0.99 * math.log2(0.99) - 0.01 * math.log2(0.01)),
        ("hadamard128+2:4+int4/g128", 2 + 0.125 + math.log2(6) / 4),
        ("s0.9+int2", 0.2 + -0.9 * math.log2(0.9) - 0.1 * math.log2(0.1)),
    ],
)
def test_bits(text, bits):
    assert rl.parse(text).bits == pytest.approx(bits, rel=1e-12)


def test_parts_and_families():
    assert [f.family for f in map(rl.parse, ("dense", "int4", "2:4", "2:4+int4"))] == [
        *("dense", "quantised", "sparse", "sparse-quantised")
    ]
    assert rl.parse("2:4+int4").parts == (rl.parse("2:4"), rl.parse("int4"))
    assert rl.parse("dense").parts == ()


@sampled
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_quantize_keeps_shape_type_and_input(name, dtype):
    x = normal(name, rows=6).reshape(3, 2, -1).to(dtype)
    before = x.clone()
    y = CATALOGUE[name].quantize(x)
    assert (y.shape, y.dtype, y.device) == (x.shape, x.dtype, x.device)
    assert torch.equal(x, before)
    assert y.data_ptr() != x.data_ptr()


@sampled
def test_quantize_does_not_care_about_strides(name):
    x = normal(name, rows=16)
    other = x.T.contiguous().T
    assert not other.is_contiguous()
    assert torch.equal(CATALOGUE[name].quantize(other), CATALOGUE[name].quantize(x))
    wide = torch.cat([x, x + 1], dim=1)
    assert torch.equal(CATALOGUE[name].quantize(wide[:, ::2]), CATALOGUE[name].quantize(wide[:, ::2].contiguous()))


@sampled
def test_empty_and_zero_tensors(name):
    for shape in [(0,), (3, 0), (2, CATALOGUE[name].multiple)]:
        zeros = torch.zeros(shape)
        assert torch.equal(CATALOGUE[name].quantize(zeros), zeros)


@sampled
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_values_are_refused_with_their_position(name, value):
    x = torch.ones(2, 16 * CATALOGUE[name].multiple)
    x[1, 3] = x[1, 5] = value
    with pytest.raises(ValueError, match=r"(a NaN|an infinity) at index \(1, 3\)"):
        CATALOGUE[name].quantize(x)


def test_other_types_are_refused():
    for wrong in (torch.arange(4), [1.0, 2.0], None):
        with pytest.raises(TypeError, match="int4: needs a floating-point tensor"):
            rl.parse("int4").quantize(wrong)


@pytest.mark.parametrize("name", some(FREE, 10))
@given(exponent=st.integers(-100, 90), seed=st.integers(0, 9))
def test_scaling_by_a_power_of_two_scales_the_result(name, exponent, seed):
    x = normal(name, seed=seed)
    scaled = CATALOGUE[name].quantize(x * 2.0**exponent)
    assert torch.equal(scaled, CATALOGUE[name].quantize(x) * 2.0**exponent)


@sampled
def test_subnormal_and_huge_values_stay_finite(name):
    x = normal(name, seed=1)
    for factor in (1e-44, 1e-39, 1e37):
        assert CATALOGUE[name].quantize(x * factor).isfinite().all()


def symmetric(name):
    element = CATALOGUE[name].element
    return element is None or (element.levels is not None and (element.levels == -element.levels[::-1]).all())


@pytest.mark.parametrize("name", some(filter(symmetric, QUICK), 10))
@given(seed=st.integers(0, 99))
def test_symmetric_formats_commute_with_the_sign(name, seed):
    format = CATALOGUE[name]
    x = normal(name, seed=seed, dtype=torch.float64)  # float64: no ties
    assert torch.equal(format.quantize(-x), -format.quantize(x))


@sampled
@given(seed=st.integers(0, 99))
def test_never_worse_than_storing_nothing_on_gaussian_data(name, seed):
    x = normal(name, rows=16, seed=seed, least=256)
    assert (CATALOGUE[name].quantize(x) - x).square().sum() < x.square().sum()


def test_no_gradient_flows():
    x = torch.randn(8, requires_grad=True)
    assert not rl.parse("int4").quantize(x).requires_grad


def test_outliers_are_kept_and_only_they():
    x = normal_rows(64, 256)
    y = rl.parse("int2/g32+out0.01").quantize(x)
    kept = x.abs() >= x.abs().flatten().topk(round(0.01 * x.numel())).values[-1]
    assert torch.equal(y[kept], x[kept].half().float())
    assert (y[~kept] != x[~kept]).float().mean() > 0.9  # a block's largest may come back as it was
    assert torch.equal(rl.parse("int2+out0.5:bf16").quantize(x)[kept], x[kept].bfloat16().float())


def test_rotation_is_undone_and_spreads_an_outlier():
    x = normal_rows(8, 256)
    assert ((rl.parse("hadamard128+sint8/g32:fp32").quantize(x) - x) ** 2).mean() < 1e-4
    x[:, 5] = 50
    plain, rotated = (((rl.parse(t).quantize(x) - x) ** 2).mean() for t in ("int4", "hadamard128+int4"))
    assert rotated < plain / 5


@pytest.mark.parametrize(
    ("text", "one"),
    [("int4", True), ("sint4/row", True), ("e2m1/tensor:fp32:absmax", True), ("sint4/g128", False), ("q4_k", False),
     ("nvfp4_16x16", False), ("hadamard128+int4", False), ("2:4", False)],
)  # fmt: skip
def test_one_scale_is_that_of_a_row_or_more_which_nothing_spreads(text, one):
    assert rl.parse(text).one_scale is one
