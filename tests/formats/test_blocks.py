"""Blocks of every rule and type: what holds of whatever they round."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling import some

import rholaw as rl

BLOCKED = {name: f for name, f in rl.catalogue().items() if f.block and f.element.dim == 1}
sampled = pytest.mark.parametrize("name", some(BLOCKED, 8))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@sampled
def test_rows_must_divide(name):
    size = BLOCKED[name].block.size
    if isinstance(size, int):
        with pytest.raises(ValueError, match=f"tensor of shape \\(2, {size + 1}\\).*no multiple of"):
            BLOCKED[name].quantize(normal(2, size + 1))


@sampled
def test_a_zero_block_among_others_stays_zero(name):
    format = BLOCKED[name]
    x = normal(4, format.multiple * 4)
    x[1] = 0
    assert torch.equal(format.quantize(x)[1], x[1])


def keeps_its_scale(format):
    """The largest magnitude is a level, or saturates within an unchanged scale. (On the full range it is neither.)"""
    rule, type = format.block.rule, format.block.type
    shrinks = format.element.levels[0] != -format.element.levels[-1] and rule.name == "absmax"
    kept_alone = type.needs == "nothing"  # others hang on all scales of the tensor
    return rule.name in ("absmax", "signmax", "minmax") and kept_alone and not shrinks


IDEMPOTENT = [name for name, format in BLOCKED.items() if keeps_its_scale(format) and not format.outliers]


@pytest.mark.parametrize("name", some(IDEMPOTENT, 5))
@given(seed=st.integers(0, 99))
def test_storing_twice_changes_nothing(name, seed):
    once = BLOCKED[name].quantize(normal(4, 128 * 4, seed=seed))
    torch.testing.assert_close(BLOCKED[name].quantize(once), once, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", some([n for n, f in BLOCKED.items() if not f.sparsity and not f.outliers], 10))
@given(seed=st.integers(0, 99))
def test_rounding_is_monotone_within_a_block(name, seed):
    length = BLOCKED[name].multiple if BLOCKED[name].block.size not in ("row", "tensor") else 256
    x = normal(1, length, seed=seed).sort(dim=1).values
    assert (BLOCKED[name].quantize(x).diff(dim=1) >= 0).all()


@sampled
@given(seed=st.integers(0, 99), exponent=st.integers(-2, 6))
def test_a_power_of_two_scales_the_result(name, seed, exponent):
    x = normal(2, BLOCKED[name].multiple * 2, seed=seed)
    scaled = BLOCKED[name].quantize(x * 2.0**exponent)
    torch.testing.assert_close(scaled, BLOCKED[name].quantize(x) * 2.0**exponent, rtol=1e-6, atol=1e-7)


@given(rows=st.integers(1, 40), columns=st.integers(1, 3), seed=st.integers(0, 99))
def test_a_tile_is_rounded_as_it_would_be_alone(rows, columns, seed):
    format, x = rl.parse("e2m1/16x8:fp32"), normal(rows, 8 * columns, seed=seed)
    y = format.quantize(x)
    for i in range(0, rows, 16):
        for j in range(0, 8 * columns, 8):
            tile = x[i : i + 16, j : j + 8]
            alone = rl.parse("e2m1/tensor:fp32").quantize(tile)
            torch.testing.assert_close(y[i : i + 16, j : j + 8], alone)


def test_square_tiles_round_a_matrix_and_its_transpose_alike():
    x = normal(48, 32)
    for text in ("nvfp4_16x16", "e4m3fn/16x16:fp32", "s0.5+sint4/16x16:e8m0"):
        assert torch.equal(rl.parse(text).quantize(x.T), rl.parse(text).quantize(x).T)
    assert torch.equal(rl.parse("nvfp4_16x16").quantize(x[None]), rl.parse("nvfp4_16x16").quantize(x)[None])
    with pytest.raises(ValueError, match="rows of 24 weights are no multiple of 16"):
        rl.parse("nvfp4_16x16").quantize(normal(16, 24))


def test_a_tile_higher_than_the_matrix_pads_nothing():
    x = normal(3, 4096)
    tall = rl.parse("int4/262144x4:fp32")
    assert tall.block.split(x).shape == (1024, 12)
    assert torch.equal(tall.quantize(x), rl.parse("int4/3x4:fp32").quantize(x))
    assert torch.equal(tall.quantize(x[0]), rl.parse("int4/g4:fp32").quantize(x[0]))
