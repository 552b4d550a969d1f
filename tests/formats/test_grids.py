"""Rounding: to the nearest level always, and bit for bit as ml_dtypes and torch do where they know the format."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling import some
from scipy import stats

import rholaw as rl
from rholaw.formats import grids

GRIDS = {f.element.name: f.element for f in rl.catalogue().values() if f.element and f.element.levels is not None}
ML_DTYPES = {
    "e2m1": "float4_e2m1fn",
    "e2m3": "float6_e2m3fn",
    "e3m2": "float6_e3m2fn",
    "e4m3fn": "float8_e4m3fn",
    "e5m2": "float8_e5m2",
}
TORCH = {"e4m3fn": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}


def every_float16():
    """All finite float16 values, as float32: every tie of the small formats is among them."""
    codes = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    values = codes.view(torch.float16).float()
    return values[values.isfinite()]


def same(ours, theirs):
    """Equal as numbers and in the sign of zero."""
    return torch.equal(ours, theirs) and torch.equal(ours.signbit(), theirs.signbit())


@pytest.mark.parametrize("name", ML_DTYPES)
def test_float_grids_round_as_ml_dtypes(name):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    grid = GRIDS[name]
    x = every_float16()
    # Their casts overflow to infinity or NaN beyond the largest value; ours saturates.
    x = x[x.abs() <= grid.largest]
    theirs = x.numpy().astype(getattr(ml_dtypes, ML_DTYPES[name])).astype(np.float32)
    assert same(grid.round(x), torch.from_numpy(theirs))


@pytest.mark.parametrize("name", ML_DTYPES)
def test_float_levels_are_those_of_ml_dtypes(name):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(getattr(ml_dtypes, ML_DTYPES[name]))
    codes = np.arange(2 ** GRIDS[name].bits, dtype=np.uint8)
    values = codes.view(dtype).astype(float)
    np.testing.assert_array_equal(np.unique(values[np.isfinite(values)]), GRIDS[name].levels)


@pytest.mark.parametrize("name", TORCH)
def test_float_grids_round_as_torch_casts(name):
    x = every_float16()
    x = x[x.abs() <= GRIDS[name].largest]
    assert same(GRIDS[name].round(x), x.to(TORCH[name]).float())


def test_integers_round_as_torch():
    x = torch.arange(-40, 40) / 4
    assert same(GRIDS["sint4"].round(x), x.round().clamp(-7, 7))


@pytest.mark.parametrize("name", some(GRIDS, 16))
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_rounds_to_the_nearest_level(name, values):
    grid, x = GRIDS[name], torch.tensor(values, dtype=torch.float64)
    levels = torch.from_numpy(grid.levels)
    rounded = grid.round(x)
    assert torch.isin(rounded, levels).all()
    nearest = (x[:, None] - levels).abs().min(dim=1).values
    torch.testing.assert_close((rounded - x).abs(), nearest, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", GRIDS)
def test_levels_are_increasing_as_many_as_codes_and_stay_put(name):
    grid = GRIDS[name]
    assert (np.diff(grid.levels) > 0).all()
    assert len(grid.levels) <= round(2**grid.bits, 9)
    x = torch.from_numpy(grid.levels)
    assert torch.equal(grid.round(x), x)
    assert torch.equal(grid.round(x.float()), x.float())


@pytest.mark.parametrize("name", GRIDS)
def test_rounding_is_monotone_and_saturates(name):
    grid = GRIDS[name]
    x = torch.linspace(-2, 2, 4001, dtype=torch.float64) * float(np.abs(grid.levels).max())
    rounded = grid.round(x)
    assert (rounded.diff() >= 0).all()
    assert (rounded[0], rounded[-1]) == (grid.levels[0], grid.levels[-1])


@pytest.mark.parametrize("exponent", range(1, 7))
@pytest.mark.parametrize("mantissa", range(7))
def test_every_layout_has_one_zero_and_a_value_for_every_other_code(exponent, mantissa):
    grid = grids.float_grid(exponent, mantissa)
    assert len(grid.levels) == 2**grid.bits - 1
    assert grid.levels[-1] == grid.largest
    x = torch.from_numpy(grid.levels)
    assert torch.equal(grid.round(x.float()), x.float())


@pytest.mark.parametrize(
    ("layout", "largest", "least"),
    [  # OCP MX v1.0 and OFP8 v1.0; the others decoded by hand from their last and first codes
        ("e2m1", 6, 0.5),
        ("e2m3", 7.5, 0.125),
        ("e3m2", 28, 0.0625),
        ("e3m0", 16, 0.25),
        ("e1m2", 3.5, 0.5),
        ("e4m3", 480, 2**-9),
        ("e4m1", 384, 2**-7),
        ("e4m3fn", 448, 2**-9),
        ("e5m2", 57344, 2**-16),
    ],
)
def test_layouts_end_where_their_standards_say(layout, largest, least):
    levels = rl.parse(layout).element.levels
    assert (levels[-1], levels[levels > 0].min()) == (largest, least)


def test_one_digit_ties_go_to_the_larger_magnitude():
    """IEEE 754-2019, 4.3.1: where neither neighbour is even."""
    grid = GRIDS["e3m0"]
    levels = grid.levels[grid.levels > 0]
    ties = torch.from_numpy((levels[1:] + levels[:-1]) / 2)
    assert torch.equal(grid.round(ties), torch.from_numpy(levels[1:]))


@pytest.mark.parametrize("count", [2, 3, 7, 16, 24, 256])
def test_lloyd_max_levels_are_the_centroids_of_their_cells(count):
    levels = np.array(grids.lloyd_max(count))
    upper = levels[count - count // 2 :]  # above zero, where tails lose no digits
    first = 0 if count % 2 == 0 else upper[0] / 2
    edges = np.concatenate([[first], (upper[1:] + upper[:-1]) / 2, [np.inf]])
    centroids = np.diff(stats.norm.pdf(edges)) / np.diff(stats.norm.sf(edges))
    np.testing.assert_allclose(upper, centroids, atol=1e-11)
    np.testing.assert_array_equal(levels, -levels[::-1])


def test_levels_that_a_reader_types():
    assert grids.parse_levels("-1, 0,1.5") == (-1.0, 0.0, 1.5)
    with pytest.raises(ValueError, match="separated by commas"):
        grids.parse_levels("-1; 0; 1")
    for text in ("0", "1, 0", "0, 0", "0, nan", "0, inf"):
        with pytest.raises(ValueError, match="at least two finite, increasing"):
            grids.parse_levels(text)
