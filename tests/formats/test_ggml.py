"""ggml's block types against values frozen from its C library, and what holds of any block coder."""

import hashlib
from itertools import product

import numpy as np
import pytest
import torch
from ggml_reference import REFERENCE, samples
from sampling import some

from rholaw.formats import iq
from rholaw.formats.ggml import TYPES

EVERY = TYPES | iq.TYPES
NAMES = sorted(EVERY)


def digest(values):
    return hashlib.sha256((np.ascontiguousarray(values) + np.float32(0)).tobytes()).hexdigest()  # −0 becomes 0


def coded(name, x):
    """The values that come back for ``x``, of any shape that the block divides."""
    x = torch.as_tensor(x, dtype=torch.float32)
    return EVERY[name].round(x)


def relative_error(name, x):
    return float((coded(name, x) - x).double().square().mean() / x.double().square().mean())


@pytest.mark.parametrize("name", sorted(TYPES))
def test_bits_and_values_are_ggml_s(name):
    x = samples()
    assert digest(x) == REFERENCE["input"]["sha256"], "the generator has changed, not the coder"
    values = coded(name, x).numpy()
    assert TYPES[name].bits == float(REFERENCE[name]["bits"])
    # The error says how far off, should the bits differ: another CPU may contract a product and a sum.
    assert np.square(values - x, dtype=np.float64).mean() == pytest.approx(float(REFERENCE[name]["mse"]), rel=1e-3)
    assert digest(values) == REFERENCE[name]["sha256"]


@pytest.mark.parametrize("name", NAMES)
def test_shape_empty_and_any_number_of_blocks(name):
    block = EVERY[name].dim
    assert coded(name, torch.empty(0, block)).shape == (0, block)
    x = torch.from_numpy(samples(3).reshape(-1, block))
    assert torch.equal(coded(name, x), torch.cat([coded(name, row[None]) for row in x]))
    assert torch.equal(x, torch.from_numpy(samples(3).reshape(-1, block))), "the input was changed"


@pytest.mark.parametrize("name", NAMES)
def test_zeros_stay(name):
    assert not coded(name, torch.zeros(2, 256)).any()


@pytest.mark.parametrize("name", sorted(TYPES))
def test_constants_stay_nearly(name):
    for value in (1.0, -1.0):
        x = torch.full((1, 256), value)
        assert torch.allclose(coded(name, x), x, rtol=1e-3)  # a scale and a minimum of 11 significant bits


@pytest.mark.parametrize("name", sorted(TYPES))  # the others have no zero
def test_a_zero_sub_block_among_others_stays_zero(name):
    half_empty = torch.cat([torch.zeros(1, 128), torch.from_numpy(samples(1))[:, :128]], 1)
    assert not coded(name, half_empty)[:, :128].any()


@pytest.mark.parametrize(("name", "scale"), some(product(NAMES, [1e-38, 1e-20, 1e-7, 1e-3, 1e3, 1e6, 1e12, 1e30]), 24))
def test_finite_in_finite_out(name, scale):
    assert coded(name, torch.from_numpy(samples(4)) * scale).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_scale_by_a_power_of_two(name):
    x = torch.from_numpy(samples(4))
    assert torch.equal(coded(name, 4 * x), 4 * coded(name, x))


def test_fp16_super_scales_lose_small_weights():
    """q6_k's super-scale is the largest magnitude / 4096, which fp16 holds to fewer digits below 6e-5."""
    x = torch.from_numpy(samples(32))
    assert relative_error("q6_k", x * 1e-3) > 1.2 * relative_error("q6_k", x)
    assert relative_error("tq2_0", x * 1e-3) == pytest.approx(relative_error("tq2_0", x), rel=1e-3)


def test_more_bits_less_error():
    x = torch.from_numpy(samples())
    for family in (
        ("tq1_0", "q2_k", "q3_k", "iq4_xs", "iq4_nl", "q4_k", "q5_k", "q6_k"),
        ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs"),
    ):
        errors = [relative_error(name, x) for name in family]
        assert errors == sorted(errors, reverse=True)
