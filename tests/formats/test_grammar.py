"""Text ↔ Format, the accounting of bits, and quantize on every kind of tensor."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rholaw as rl

CATALOGUE = rl.catalogue()
names = pytest.mark.parametrize("name", CATALOGUE)
SCALED = [
    name for name, f in CATALOGUE.items() if f.block or (f.element and f.element.own_scales)
]  # scales have a range of their own


def normal(name, rows=4, seed=0, dtype=torch.float32, least=64):
    """N(0,1) rows as long as the format needs them."""
    length = CATALOGUE[name].multiple * max(1, least // CATALOGUE[name].multiple)
    return torch.randn(rows, length, dtype=dtype, generator=torch.Generator().manual_seed(seed))


scalars = st.one_of(
    st.integers(1, 8).map("int{}".format),
    st.integers(2, 8).map("sint{}".format),
    st.integers(1, 8).map("lm{}".format),
    st.tuples(st.integers(1, 6), st.integers(0, 6)).map(lambda xy: f"e{xy[0]}m{xy[1]}"),
    st.sampled_from(["nf4", "ternary", "binary", "e4m3fn", "e5m2"]),
)
sparsities = st.one_of(
    st.tuples(st.integers(1, 63), st.integers(2, 64))
    .filter(lambda nm: nm[0] < nm[1])
    .map(lambda nm: f"{nm[0]}:{nm[1]}"),
    st.floats(1e-4, 0.9999).map(lambda s: f"s{s:.6f}"),
)
blocks = st.builds(
    "/{}:{}".format,
    st.one_of(st.integers(1, 9999).map("g{}".format), st.sampled_from(["row", "tensor"])),
    st.one_of(
        st.sampled_from(["fp32", "bf16", "e8m0-even", "e4m3", "mse"]),
        st.builds("{}:{}".format, st.just("fp32"), st.just("rms")),
    ),
)
elements = st.one_of(
    scalars,
    st.tuples(scalars, blocks).map("".join),
    st.sampled_from(["uint4/g32", "uint3/g8:zero", "fint4/g32:signmax", "vq2_16", "e8p", "q4_k", "trellis2", "mxfp4"]),
)
rotations = st.integers(1, 12).map(lambda k: f"hadamard{2**k}")
outliers = st.floats(1e-3, 0.5).map(lambda r: f"out{r:.4f}")
texts = st.one_of(
    elements,
    sparsities,
    st.tuples(sparsities, elements).map("+".join),
    st.tuples(rotations, sparsities, elements, outliers).map("+".join),
)


@given(texts)
def test_text_round_trips(text):
    format = rl.parse(text)
    assert rl.parse(str(format)) == format
    assert hash(rl.parse(str(format))) == hash(format)
    assert rl.parse(f" {text.upper()} ") == format


@names
def test_catalogue_names_parse_to_themselves_and_have_a_source(name):
    format = CATALOGUE[name]
    assert rl.parse(name) == format == rl.parse(str(format))
    assert len(format.source) > 10


def test_formats_differ():
    twice = {name for name, f in CATALOGUE.items() if sum(f == other for other in CATALOGUE.values()) > 1}
    assert twice == {"sint8/g32", "q8_0"}
    assert rl.parse("e4m3") != rl.parse("e4m3fn")
    assert rl.parse("2:4+dense") == rl.parse("2:4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int9", "'int9' is out of range.* 1 to 8"),
        ("sint1", "2 to 8"),
        ("e7m1", "1 to 6 and 0 to 6"),
        ("lm0", "1 to 8"),
        ("nf5", "'nf5' is no element. Did you mean 'nf4'"),
        ("", "'' is no element"),
        ("2:4+", "'' is no element"),
        ("+int4", "'' is no sparsity"),
        ("int4+2:4", "'int4' is no sparsity; right would be N:M"),
        ("4:2", "0 < N < M"),
        ("0:4", "0 < N < M"),
        ("2:", "no sparsity"),
        ("s1.5", "between 0 and 1"),
        ("s0", "between 0 and 1"),
        ("s0.5+int4+int4", "one part too many"),
        ("s0.5+2:4", "'2:4' has a sparsity already"),
        ("sint4.5", "no element"),
        ("int4/128", "'/128': a block is gK"),
        ("int4/g0", "a block is gK"),
        ("int4/g32:fp8", "'fp8' is neither a type (fp32"),
        ("int4/g32:absmin", "or a rule (absmax"),
        ("uint4", "has no sign"),
        ("uint4/g32:absmax", "has no sign"),
        ("int4/g32:zero", "'zero' does not go with int4"),
        ("sint4/g32:signmax", "'signmax' does not go with"),
        ("e2m1/g16:four-six", "'four-six' does not go with"),
        ("uint4/g32:e8m0", "needs scales in fp32, fp16 or bf16, not e8m0"),
        ("nf4/row:dq8", "dq8 go with blocks gK"),
        ("mxfp4/g64", "'mxfp4' has a block already"),
        ("q4_k/g64", "brings its own blocks of 256"),
        ("dense/g64", "has no scale"),
        ("vq2_16/g3", "codes 2 weights together"),
        ("vq2_17", "no codebook vq2_17"),
        ("hadamard100+int4", "power of two"),
        ("int4+hadamard128", "'int4' is no sparsity"),
        ("int4+out2", "between 0 and 1"),
        ("int4+out0.1:fp8", "in fp16 or bf16"),
        ("int4+out0.01+out0.01", "'int4' is no sparsity"),
    ],
)
def test_wrong_text_names_the_part_and_what_is_right(text, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        rl.parse(text)


@given(st.text(max_size=12))
def test_any_text_parses_or_says_what_is_wrong(text):
    try:
        rl.parse(text)
    except ValueError as error:
        message = str(error)
    else:
        return
    assert message.startswith(f"format {text!r}")


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
        ("nf4_dq", 4 + 8 / 64 + 32 / (64 * 256)),
        ("q4_0", 4.5),
        ("q4_1", 5),
        ("uint4/g128:zero", 4 + 20 / 128),
        ("q4_k", 4.5),
        ("q6_k", 6.5625),
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


@names
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_quantize_keeps_shape_type_and_input(name, dtype):
    x = normal(name, rows=6).reshape(3, 2, -1).to(dtype)
    before = x.clone()
    y = CATALOGUE[name].quantize(x)
    assert (y.shape, y.dtype, y.device) == (x.shape, x.dtype, x.device)
    assert torch.equal(x, before)
    assert y.data_ptr() != x.data_ptr()


@names
def test_quantize_does_not_care_about_strides(name):
    x = normal(name, rows=16)
    other = x.T.contiguous().T
    assert not other.is_contiguous()
    assert torch.equal(CATALOGUE[name].quantize(other), CATALOGUE[name].quantize(x))
    wide = torch.cat([x, x + 1], dim=1)
    assert torch.equal(CATALOGUE[name].quantize(wide[:, ::2]), CATALOGUE[name].quantize(wide[:, ::2].contiguous()))


@names
def test_empty_and_zero_tensors(name):
    for shape in [(0,), (3, 0), (2, CATALOGUE[name].multiple)]:
        zeros = torch.zeros(shape)
        assert torch.equal(CATALOGUE[name].quantize(zeros), zeros)


@names
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


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name not in SCALED and not CATALOGUE[name].outliers])
@given(exponent=st.integers(-100, 90), seed=st.integers(0, 9))
def test_scaling_by_a_power_of_two_scales_the_result(name, exponent, seed):
    x = normal(name, seed=seed)
    scaled = CATALOGUE[name].quantize(x * 2.0**exponent)
    assert torch.equal(scaled, CATALOGUE[name].quantize(x) * 2.0**exponent)


@names
def test_subnormal_and_huge_values_stay_finite(name):
    x = normal(name, seed=1)
    for factor in (1e-44, 1e-39, 1e37):
        assert CATALOGUE[name].quantize(x * factor).isfinite().all()


def symmetric(name):
    element = CATALOGUE[name].element
    return element is None or (element.levels is not None and (element.levels == -element.levels[::-1]).all())


@pytest.mark.parametrize("name", list(filter(symmetric, CATALOGUE)))
@given(seed=st.integers(0, 99))
def test_symmetric_formats_commute_with_the_sign(name, seed):
    format = CATALOGUE[name]
    x = normal(name, seed=seed, dtype=torch.float64)  # float64: no ties
    assert torch.equal(format.quantize(-x), -format.quantize(x))


@names
@given(seed=st.integers(0, 99))
def test_never_worse_than_storing_nothing_on_gaussian_data(name, seed):
    x = normal(name, rows=16, seed=seed, least=256)
    assert (CATALOGUE[name].quantize(x) - x).square().sum() < x.square().sum()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("n", [1, 7, 100, 1001])
def test_top_k_prunes_exactly_its_share_even_among_ties(share, n):
    x = torch.randint(-2, 3, (n,), generator=torch.Generator().manual_seed(n)).float()
    mask = rl.parse(f"s{share}").sparsity.mask(x)
    assert (~mask).sum() == round(share * n)
    if mask.any() and not mask.all():
        assert x[~mask].abs().max() <= x[mask].abs().min()


def test_of_equal_magnitudes_the_first_survive():
    x = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert rl.parse("s0.5").quantize(x).tolist() == [1, -1, 0, 0]
    assert rl.parse("2:4").quantize(x).tolist() == [1, -1, 0, 0]
    assert rl.parse("1:2").quantize(x).tolist() == [1, 0, 1, 0]


@given(st.lists(st.floats(-10, 10, width=32), min_size=16, max_size=16), st.sampled_from(["1:2", "2:4", "3:8", "7:16"]))
def test_n_of_m_keeps_the_largest(values, text):
    sparsity, x = rl.parse(text).sparsity, torch.tensor(values)
    for group, kept in zip(x.reshape(-1, sparsity.m), sparsity.mask(x).reshape(-1, sparsity.m), strict=True):
        assert kept.sum() == sparsity.n
        assert group[~kept].abs().max() <= group[kept].abs().min()


def test_n_of_m_needs_rows_it_divides():
    for shape in [(3, 6), (7,), ()]:
        with pytest.raises(ValueError, match="no multiple of 4"):
            rl.parse("2:4+int4").quantize(torch.ones(shape))


def test_pruned_weights_are_zero_also_on_a_grid_without_zero():
    y = rl.parse("2:4+int4").quantize(torch.randn(8, 64, generator=torch.Generator().manual_seed(0)))
    assert ((y == 0).reshape(-1, 4).sum(dim=1) == 2).all()


def test_no_gradient_flows():
    x = torch.randn(8, requires_grad=True)
    assert not rl.parse("int4").quantize(x).requires_grad
