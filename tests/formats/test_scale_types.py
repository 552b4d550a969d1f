"""Scales as they are stored: by hand, within their limits, and shared by a tensor where a type says so."""

import numpy as np
import pytest
import torch

import rholaw as rl
from rholaw.formats.scale_types import TYPES


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


@pytest.mark.parametrize("type", [type for type in TYPES.values() if type.needs != "everything"], ids=str)
def test_a_scale_jumps_where_it_says(type):
    """Between two jumps it stands still, or moves by no more than fp32's last digit; across one it moves by more."""
    element, low, high = rl.parse("e2m1").element, 0.5, 4.0
    jumps = type.jumps(6.0, element, 4.0, low, high)
    jumps = jumps[(jumps > low) & (jumps < high)]
    assert type.smooth == (len(jumps) == 0)
    edges = torch.from_numpy(np.concatenate([[low], jumps, [high]]))
    ends = torch.stack([edges[:-1] * (1 + 1e-7), edges[1:] * (1 - 1e-7)], 1)
    scales = type.of_largest(ends.view(-1, 1), 6.0, element, 4.0).view(-1, 2)
    if type.smooth:
        assert torch.allclose(scales, ends / 6, rtol=1e-6)
    else:
        assert torch.equal(scales[:, 0], scales[:, 1])
        assert (scales[1:, 0] > scales[:-1, 1]).all()
