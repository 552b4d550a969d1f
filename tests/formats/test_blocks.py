"""Scales of blocks: rules and types by hand, the limits of stored scales, and exact errors against other integrals."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

import rholaw as rl
from rholaw import distributions as sources

BLOCKED = {name: f for name, f in rl.catalogue().items() if f.block and f.element.dim == 1}


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def used_scale(text, largest):
    """The scale of a block of four with this largest magnitude, read off the least values that come back."""
    format = rl.parse(text)
    others = torch.from_numpy(np.geomspace(1e-7, 1, 3000)).float().view(-1, 3) * largest
    values = format.quantize(torch.cat([torch.full((1000, 1), -largest), others], 1)).abs()
    levels = np.abs(format.element.levels)
    return float(values[values > 0].min()) / levels[levels > 0].min()


@pytest.mark.parametrize(
    ("text", "largest", "scale"),
    [
        ("sint4/g4:fp32", 7.0, 1.0),
        ("int4/g4:fp32", 7.5, 1.0),
        ("fint4/g4:fp32", 7.5, 1.0),
        ("e2m1/g4:fp32", 6.0, 1.0),
        ("nf4/g4:fp32", 3.0, 3.0),
        ("sint4/g4", 7 * 0.1, float(torch.tensor(0.1).half())),
        ("e2m1/g4:e8m0", 7.9, 1.0),  # ⌊log2 7.9⌋ − 2
        ("e2m1/g4:e8m0", 8.0, 2.0),
        ("e2m1/g4:e8m0", 4.0, 1.0),
        ("e2m1/g4:e8m0-even", 6.9, 1.0),
        ("e2m1/g4:e8m0-even", 7.0, 2.0),  # 7 rounds to 8 with one mantissa bit
        ("e2m1/g4:e8m0-ceil", 4.1, 2.0),
        ("e2m1/g4:e8m0-ceil", 4.0, 1.0),
        ("e2m1/g4:e8m0-rceil", 6.0, 1.0),
        ("e2m1/g4:e8m0-rceil", 6.1, 2.0),
        ("e4m3fn/g4:e8m0", 448.0, 1.0),
        ("e4m3fn/g4:e8m0-rceil", 449.0, 2.0),
        ("sint8/g4:e8m0", 64.0, 1.0),
    ],
)
def test_scales_by_hand(text, largest, scale):
    assert used_scale(text, largest) == pytest.approx(scale, rel=1e-6)


def test_nvfp4_scales_hang_on_the_tensor():
    x = torch.zeros(2, 16)
    x[0, 0], x[1, 0] = 6.0, 3.0
    assert torch.equal(rl.parse("nvfp4").quantize(x), x)  # 448 and 224 are e4m3 numbers
    x[1, 0] = 6.0 * 2.0**-19  # its scale, 448 · 2^-19 before rounding, lies below the least e4m3 number
    assert rl.parse("nvfp4").quantize(x)[1].abs().max() == 0


def test_rules_by_hand():
    x = torch.tensor([[-8.0, 3.2, 0.4, 7.9]])
    assert rl.parse("fint4/g4:fp32:signmax").quantize(x).tolist() == [[-8, 3, 0, 7]]
    assert rl.parse("uint4/g4:fp32").quantize(torch.tensor([[1.0, 16.0, 3.4, 8.6]])).tolist() == [[1, 16, 3, 9]]
    assert rl.parse("uint4/g4:fp32:zero").quantize(torch.tensor([[-5.0, 10.0, 0.4, 3.6]])).tolist() == [[-5, 10, 0, 4]]
    y = rl.parse("ternary/tensor:fp32:absmean").quantize(torch.tensor([[2.0, -4.0, 0.5, 1.5]]))
    assert y.tolist() == [[2, -2, 0, 2]]


def test_mse_and_four_six_never_do_worse_than_absmax():
    x = normal(64, 256)
    for better, worse in [("int4/g32:mse", "int4/g32"), ("e2m1/g32:e8m0:mse", "mxfp4"), ("nvfp4_46", "nvfp4")]:
        errors = [((rl.parse(text).quantize(x) - x) ** 2).reshape(-1, 16).sum(1) for text in (better, worse)]
        blocks = [error.reshape(-1, rl.parse(better).block.size // 16).sum(1) for error in errors]
        assert (blocks[0] <= blocks[1] * (1 + 1e-5)).all()


@pytest.mark.parametrize("name", BLOCKED)
@pytest.mark.parametrize("seed", [0, 1])
def test_exact_is_what_quantize_does(name, seed):
    """Within 4.5 standard errors on samples of their own; whole rows and tensors as long as is assumed."""
    format = BLOCKED[name]
    exact = rl.gmse(format)
    if exact.method == "sampled" or format.block.size == "tensor":
        pytest.skip("no integral, or a tensor too large to sample")
    sampled = rl.gmse(format, normal(256, 4096, seed=seed))
    assert abs(exact.value - sampled.value) < 4.5 * sampled.stderr


EXTRA = ["e2m1/g32:e8m0-even", "e2m1/g8:e8m0-rceil", "int3/g16:bf16", "s0.5+sint4/g32", "1:4+sint4/g32", "2:4+q4_0"]
EXTRA += ["e2m1/g16:e4m3+out0.02", "s0.5+e2m1/g32:e8m0", "sint4/g1:fp32", "uint2/g4:fp32", "2:4+nf4/g64:fp32"]


@pytest.mark.parametrize("text", EXTRA)
@pytest.mark.parametrize("source", ["normal", "laplace"])
def test_exact_is_what_quantize_does_off_the_catalogue(text, source):
    x = torch.from_numpy(sources.source(source).distribution.rvs((256, 4096), random_state=3)).float()
    exact, sampled = rl.gmse(text, source), rl.gmse(text, x)
    assert exact.method == "exact"
    # relative to the variance of these samples, whose own scatter the standard error of a ratio includes
    assert abs(exact.value - sampled.value) < 4.5 * sampled.stderr + 1e-12


def direct(levels_of, length, jumps=(), source="normal"):
    """The error of an absmax block as a nested integral: over the largest magnitude, then over the others."""
    data = sources.source(source)

    def error(x, levels):
        return min((x - level) ** 2 for level in levels)

    def given(m):
        levels = levels_of(m)
        cells = [0, *sorted(e for e in {abs(a + b) / 2 for a, b in itertools.pairwise(levels)} if 0 < e < m), m]
        inner = sum(
            integrate.quad(lambda x: error(x, levels) * data.density(x), a, b, epsabs=1e-14, epsrel=1e-12)[0]
            for a, b in itertools.pairwise(cells)
        )
        inside = 1 - 2 * data.distribution.sf(m)
        return 2 * data.density(m) * inside ** (length - 2) * (inside * error(m, levels) + (length - 1) * 2 * inner)

    pieces = np.unique([1e-12, 12, *np.linspace(0.25, 8, 32), *jumps])
    return sum(integrate.quad(given, a, b, epsabs=1e-12, epsrel=1e-11)[0] for a, b in itertools.pairwise(pieces))


@pytest.mark.parametrize(
    ("text", "levels_of", "jumps"),
    [
        ("sint3/g4:fp32", lambda m: m / 3 * np.arange(-3, 4), ()),
        ("int2/g2:fp32", lambda m: m / 1.5 * np.array([-1.5, -0.5, 0.5, 1.5]), ()),
        (
            "e2m1/g4:e8m0",
            lambda m: (
                2.0 ** (math.floor(math.log2(m)) - 2)
                * np.array([-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6])
            ),
            np.concatenate([2.0 ** np.arange(-30, 4), 1.25 * 2.0 ** np.arange(-30, 4)]),  # jumps, and 5 s, a midpoint
        ),
    ],
)
def test_exact_agrees_with_a_nested_integral(text, levels_of, jumps):
    assert rl.gmse(text).value == pytest.approx(direct(levels_of, rl.parse(text).block.size, jumps), rel=1e-8)


def test_printed_rules_of_int4_differ():
    """±7, full range on 7.5, and signed maximum on −8: three formats, all called symmetric INT4 at g32."""
    values = [rl.gmse(text).value for text in ("sint4/g32", "fint4/g32", "q4_0")]
    assert values[0] == pytest.approx(0.009410, abs=5e-7)
    assert values[0] / values[2] == pytest.approx(1.276, abs=0.002)
    assert values == sorted(values, reverse=True)


def test_traps():
    assert rl.gmse("bitnet_b158").value == pytest.approx(0.2633817706615142, rel=1e-9)
    assert rl.gmse("tq2_0", samples=2**20).value == pytest.approx(0.651, abs=0.003)
    assert rl.gmse("ternary").value == pytest.approx(0.1901740392479015, rel=1e-9)


def test_longer_blocks_hurt_and_wider_scales_do_not_matter():
    by_size = [rl.gmse(f"sint4/g{size}").value for size in (8, 16, 32, 64, 128, 256)]
    assert by_size == sorted(by_size)
    assert rl.gmse("sint4/g32:fp16").value == pytest.approx(rl.gmse("sint4/g32:fp32").value, rel=1e-4)


@pytest.mark.parametrize("name", BLOCKED)
def test_rows_must_divide(name):
    size = BLOCKED[name].block.size
    if isinstance(size, int):
        with pytest.raises(ValueError, match=f"tensor of shape \\(2, {size + 1}\\).*no multiple of"):
            BLOCKED[name].quantize(normal(2, size + 1))


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("sint4/g4", 1e6, 7 * 65504.0),  # an fp16 scale saturates
        ("sint4/g4", 1e-9, 0.0),  # and underflows
        ("sint4/g4:bf16", 1e-9, 1e-9),
        ("mxfp4", 3e38, 3e38),
        ("mxfp4", 1e-38, 1e-38),
        ("mxint8", 1e-44, 0.0),  # below 2^-127 × the least level
    ],
)
def test_scales_saturate_and_underflow(text, value, expected):
    x = torch.full((1, rl.parse(text).multiple), value)
    assert rl.parse(text).quantize(x)[0, 0].item() == pytest.approx(expected, rel=0.3, abs=1e-44)


@pytest.mark.parametrize("name", BLOCKED)
def test_a_zero_block_among_others_stays_zero(name):
    format = BLOCKED[name]
    x = normal(4, format.multiple * 4)
    x[1] = 0
    assert torch.equal(format.quantize(x)[1], x[1])


def keeps_its_scale(format):
    """The largest magnitude is a level, or saturates within an unchanged scale. (On the full range it is neither.)"""
    rule, type = format.block.rule, format.block.type
    shrinks = format.element.name.startswith("fint") and rule.name == "absmax"
    kept_alone = type.needs == "nothing"  # others hang on all scales of the tensor
    return rule.name in ("absmax", "signmax", "minmax") and kept_alone and not shrinks


IDEMPOTENT = [name for name, format in BLOCKED.items() if keeps_its_scale(format) and not format.outliers]


@pytest.mark.parametrize("name", IDEMPOTENT)
@given(seed=st.integers(0, 99))
def test_storing_twice_changes_nothing(name, seed):
    once = BLOCKED[name].quantize(normal(4, 128 * 4, seed=seed))
    torch.testing.assert_close(BLOCKED[name].quantize(once), once, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", [n for n, f in BLOCKED.items() if not f.sparsity and not f.outliers])
@given(seed=st.integers(0, 99))
def test_rounding_is_monotone_within_a_block(name, seed):
    length = BLOCKED[name].multiple if BLOCKED[name].block.size not in ("row", "tensor") else 256
    x = normal(1, length, seed=seed).sort(dim=1).values
    assert (BLOCKED[name].quantize(x).diff(dim=1) >= 0).all()


@pytest.mark.parametrize("name", BLOCKED)
@given(seed=st.integers(0, 99), exponent=st.integers(-2, 6))
def test_a_power_of_two_scales_the_result(name, seed, exponent):
    x = normal(2, BLOCKED[name].multiple * 2, seed=seed)
    scaled = BLOCKED[name].quantize(x * 2.0**exponent)
    torch.testing.assert_close(scaled, BLOCKED[name].quantize(x) * 2.0**exponent, rtol=1e-6, atol=1e-7)


def test_outliers_are_kept_and_only_they():
    x = normal(64, 256)
    y = rl.parse("int2/g32+out0.01").quantize(x)
    kept = x.abs() >= x.abs().flatten().topk(round(0.01 * x.numel())).values[-1]
    assert torch.equal(y[kept], x[kept].half().float())
    assert (y[~kept] != x[~kept]).float().mean() > 0.9  # a block's largest may come back as it was
    assert torch.equal(rl.parse("int2+out0.5:bf16").quantize(x)[kept], x[kept].bfloat16().float())


def test_rotation_is_undone_and_spreads_an_outlier():
    x = normal(8, 256)
    assert ((rl.parse("hadamard128+sint8/g32:fp32").quantize(x) - x) ** 2).mean() < 1e-4
    x[:, 5] = 50
    plain, rotated = (((rl.parse(t).quantize(x) - x) ** 2).mean() for t in ("int4", "hadamard128+int4"))
    assert rotated < plain / 5


def test_survivors_alone_set_the_scale():
    x = torch.tensor([[4.0, 3.9, 0.0, 0.0, 8.0, 7.0, 0.1, 0.1]])
    assert rl.parse("2:4+sint4/g4:fp32").quantize(x).tolist()[0][4:] == [8.0, pytest.approx(48 / 7, rel=1e-6), 0, 0]
