"""Ends of the range: finite stays finite, scales saturate and underflow, what is no tensor of weights is refused."""

import math

import numpy as np
import pytest
import torch
from sampling import some

import rholaw as rl

CATALOGUE = {name: f for name, f in rl.catalogue().items() if not name.startswith("trellis")}
TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COMPOSED = [
    "hadamard64+int4",
    "hadamard16+sint4/g32:e4m3+out0.1",
    "2:4+uint4/g32:zero",
    "int4/row:mse",
    "sint8/g32:dq8",
]


def huge_and_tiny(format, type):
    """Rows at the edges of the range of a type."""
    info = torch.finfo(type)
    row = format.multiple * max(1, 64 // format.multiple)
    sign = 1 - 2 * (torch.arange(row) % 2).to(type)
    normal = torch.randn(4, row, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    normal /= normal.abs().max()
    for value in (info.max, info.max / 3, info.smallest_normal, info.smallest_normal * info.eps):
        yield torch.full((4, row), value, dtype=type)
        yield sign.expand(4, row) * value
        yield (normal * value).to(type)
        for place in (0, row - 1):
            x = torch.zeros(4, row, dtype=type)
            x[:, place] = -value
            yield x
    x = normal.to(type)
    x[0, 0] = info.max
    yield x


@pytest.mark.parametrize("text", [*some(CATALOGUE, 12), *COMPOSED])
@pytest.mark.parametrize("type", TYPES, ids=str)
def test_finite_in_finite_out(text, type):
    format = rl.parse(text)
    for x in huge_and_tiny(format, type):
        y = format.quantize(x)
        assert y.dtype == type and y.isfinite().all()


@pytest.mark.parametrize("text", ["int4", "s0.5+int2", "2:4+e2m1", "vq2_16", "hadamard16+int4"])
@pytest.mark.parametrize("type", TYPES[2:], ids=str)
def test_a_free_scale_knows_no_edge(text, type):
    """The error of the largest and the least numbers is that of ordinary ones."""
    format, info = rl.parse(text), torch.finfo(type)
    x = torch.randn(8, 64, generator=torch.Generator().manual_seed(1), dtype=type)
    x /= x.abs().max()
    expected = format.quantize(x)
    for scale in (2.0 ** (math.frexp(info.max)[1] - 1), info.smallest_normal * 2.0**30):
        fits = expected.abs() <= 1.5  # the others saturate at the largest number of the type
        assert torch.equal((format.quantize(x * scale) / scale)[fits], expected[fits])


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("n", [64, 1024])
def test_a_grid_without_zero_errs_by_half_a_step_where_all_but_one_are_zero(bits, n):
    """int4/row on one-hot rows of 1024: 4.5 times what storing nothing costs. It is the format; sint4 has a zero."""
    x = torch.zeros(3, n)
    x[:, 5] = 2.0
    error = lambda text: float((rl.parse(text).quantize(x) - x).square().sum() / x.square().sum())  # noqa: E731
    assert error(f"int{bits}/row:fp32") == pytest.approx((n - 1) / (2**bits - 1) ** 2, rel=1e-6)
    assert error("sint4/row:fp32") == 0


def test_a_grid_without_zero_gives_zeros_of_power_of_two_scales_half_the_least():
    x = torch.zeros(1, 64)
    x[0, 0] = 2.0**-149
    assert rl.parse("int4/g32:e8m0").quantize(x).abs().unique().tolist() == [2.0**-128]
    assert not rl.parse("sint4/g32:e8m0").quantize(x).any()


@pytest.mark.parametrize(
    ("text", "type", "value", "expected"),
    [
        ("sint4/g4", torch.float32, 3e38, 7 * 65504.0),  # the scale is the largest fp16
        ("sint4/g4", torch.float16, 65504.0, 65504.0),  # and 7 times it is the largest of the tensor's type
        ("sint4/g4", torch.float64, 1e300, 7 * 65504.0),
        ("sint4/g4:fp32", torch.float64, 1e300, 7 * torch.finfo(torch.float32).max),
        ("sint2/g4:e8m0", torch.float64, 1e300, 2.0**127),
        ("sint2/g16:e4m3", torch.float64, 1e300, 448 * torch.finfo(torch.float32).max),
        ("e2m1/g16:e4m3", torch.float32, 2.0**-149, 0.0),  # its fp32 factor underflows
        ("e2m1/g16:e4m3", torch.float32, 2.0**-126, 2.0**-126),
        ("uint4/g4", torch.float32, 3e38, 65504.0),  # the minimum saturates
        ("q4_k", torch.float32, -3e38, -63 * 65504.0),  # super-scales of fp16, where ggml decodes NaN
        ("int4+out0.25", torch.float32, 1e30, 65504.0),  # outliers of fp16, large and small
        ("int4+out0.25", torch.float32, 1e-30, 0.0),
        ("int4+out0.25:bf16", torch.float32, 1e30, 1e30),
    ],
)  # fmt: skip
def test_what_is_stored_saturates_and_underflows(text, type, value, expected):
    x = torch.full((1, max(16, rl.parse(text).multiple)), value, dtype=type)
    assert float(rl.parse(text).quantize(x)[0, 0]) == pytest.approx(expected, rel=0.04, abs=0)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: torch.zeros(4, 32, device="meta"), "device meta"),
        (lambda: torch.zeros(4, 32).to_sparse(), "layout torch.sparse_coo"),
        (lambda: torch.nested.nested_tensor([torch.zeros(32)], layout=torch.jagged), "nested tensor"),
        (lambda: torch.zeros(4, 32).to(torch.float8_e4m3fn), "torch.float8_e4m3fn"),
        (lambda: torch.zeros(4, 32, dtype=torch.complex64), "torch.complex64"),
        (lambda: torch.zeros(4, 32, dtype=torch.int8), "torch.int8"),
        (lambda: torch.zeros(4, 32, dtype=torch.bool), "torch.bool"),
        (lambda: np.zeros((4, 32)), "ndarray"),
        (lambda: None, "NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("text", ["int4", "dense", "q8_0"])
def test_what_is_no_tensor_of_weights_is_refused(text, make, what):
    with pytest.raises(TypeError, match=f"needs a floating-point tensor of 16, 32 or 64 bits, got .*{what}"):
        rl.parse(text).quantize(make())


@pytest.mark.parametrize("x", [torch.zeros(2, 33), torch.zeros(0, 33), torch.ones(3, 33), torch.tensor(1.0)], ids=repr)
@pytest.mark.parametrize("text", ["sint4/g32", "hadamard32+2:4", "e2m1/16x32", "vq2_16", "q8_0"])
def test_rows_that_do_not_fit_are_refused_whatever_they_hold(text, x):
    with pytest.raises(ValueError, match="weights are no multiple of"):
        rl.parse(text).quantize(x)


@pytest.mark.parametrize("name", some(CATALOGUE, 12))
def test_any_view_of_the_same_values_is_the_same_tensor(name):
    format = CATALOGUE[name]
    row = format.multiple * max(1, 32 // format.multiple)
    x = torch.randn(3, 2, row, generator=torch.Generator().manual_seed(0))
    y = format.quantize(x)
    mirrored = torch.complex(torch.zeros_like(x), -x).conj().imag  # a view that negates
    views = [
        x.transpose(0, 1).contiguous().transpose(0, 1),
        x.clone().requires_grad_(),
        torch.nn.Parameter(x),
        mirrored,
    ]
    for view in views:
        values = format.quantize(view)
        assert torch.equal(values, y) and not values.requires_grad
    if format.block is None or format.block.size != "tensor":
        images = x.reshape(1, 3, 2, row).contiguous(memory_format=torch.channels_last)
        assert torch.equal(format.quantize(images)[0], y)
    assert torch.equal(format.quantize(x[:, :1].expand(3, 2, row)), format.quantize(x[:, :1].repeat(1, 2, 1)))


def test_one_number_is_a_row():
    assert float(rl.parse("sint4/row:fp32").quantize(torch.tensor(3.0))) == pytest.approx(3.0)
    assert rl.parse("int4").quantize(torch.tensor(3.0)).shape == ()
