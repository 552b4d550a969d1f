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
