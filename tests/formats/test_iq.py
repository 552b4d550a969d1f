"""The codebook types of GGUF: what is stored is ggml's layout, and the best that the search promises."""

import numpy as np
import pytest
import torch
from ggml_reference import REFERENCE, samples

from rholaw.formats.iq import TYPES

NAMES = sorted(TYPES)


def fields(values, width, count):
    """(…, count) integers of so many bits a number, the first lowest: (n, m · count) → (n, m)."""
    return (values.reshape(len(values), -1, count) << (width * np.arange(count))).sum(-1)


def as_bytes(*parts):
    """(n, how many) arrays of whole numbers beside each other, as (values, bytes of each)."""
    return np.concatenate(
        [values.astype(f"<u{size}").view(np.uint8).reshape(len(values), -1) for values, size in parts], 1
    )


def packed(name, coded):
    """The blocks of ggml-common.h, (n, bytes)."""
    scale, steps = coded.scale.half().numpy().view(np.uint16).astype(int), (coded.steps.numpy().astype(int) - 1) // 2
    rows, minus = coded.rows.numpy(), (coded.signs.numpy() < 0).astype(int)
    low, high, bits = rows & 255, rows >> 8, fields(minus, 1, 8)
    d, sevens, nibbles = (scale, 2), bits & 127, fields(steps, 4, 2) if name != "iq1_m" else None
    if name == "iq2_xxs":
        runs = np.stack([fields(rows, 8, 4), fields(sevens, 7, 4) | steps << 28], -1)
        return as_bytes(d, (runs.reshape(len(rows), -1), 4))
    if name == "iq2_xs":
        return as_bytes(d, (rows | sevens << 9, 2), (nibbles, 1))
    if name == "iq2_s":
        return as_bytes(d, (low, 1), (bits, 1), (fields(high, 2, 4), 1), (nibbles, 1))
    if name == "iq3_xxs":
        return as_bytes(d, (rows, 1), (fields(sevens, 7, 4) | steps << 28, 4))
    if name == "iq3_s":
        return as_bytes(d, (low, 1), (fields(high, 1, 8), 1), (bits, 1), (nibbles, 1))
    below = (coded.shifts.numpy()[:, :: TYPES[name].shared] < 0).astype(int)
    if name == "iq1_s":
        return as_bytes(d, (low, 1), (fields(high, 3, 4) | steps << 12 | below << 15, 2))
    quarters = scale >> np.array([0, 4, 8, 12]) & 15
    return as_bytes((low, 1), (fields(high | below << 3, 4, 2), 1), (fields(steps, 3, 4) | quarters << 12, 2))


@pytest.mark.parametrize("name", NAMES)
def test_ggml_s_blocks_hold_what_is_stored_and_decode_to_the_same_bits(name):
    gguf = pytest.importorskip("gguf")
    type = gguf.GGMLQuantizationType[name.upper()]
    x = torch.from_numpy(samples(16)) * torch.logspace(-3, 3, 16)[:, None]
    blocks = packed(name, TYPES[name].encode(x))
    assert blocks.shape[1] == gguf.GGML_QUANT_SIZES[type][1] == TYPES[name].bits * 32
    assert np.array_equal(gguf.quants.dequantize(blocks, type), TYPES[name].round(x).numpy())


@pytest.mark.parametrize("name", NAMES)
def test_the_codebooks_are_those_of_gguf(name):
    gguf = pytest.importorskip("gguf")
    grid = getattr(gguf.quants, name.upper())
    grid.init_grid()
    assert np.array_equal(np.reshape(grid.grid, grid.grid_shape), TYPES[name].entries)


@pytest.mark.parametrize("name", NAMES)
def test_less_error_than_ggml_s_search_leaves(name):
    """With importances of one, which it cannot do without for three of these types."""
    x = torch.from_numpy(samples())
    ours, theirs = float((TYPES[name].round(x) - x).double().square().mean()), float(REFERENCE[name]["mse"])
    assert 0.8 * theirs < ours < 0.98 * theirs


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_other_row_shift_or_number_of_steps_is_much_better(name):
    """By brute force, at the scale that is stored; the search was at one that differs from it in the last step."""
    type, x = TYPES[name], torch.from_numpy(samples(16))
    coded, entries = type.encode(x), torch.from_numpy(type.entries)
    shared = type.shared or type.run
    least = []
    for steps in [coded.steps + more for more in (0, -2, 2)]:
        scale = (coded.scale * type.unit * steps).repeat_interleave(type.run, 1)
        for shift in (-0.125, 0.125) if type.shared else (0.0,):
            vectors = (x * coded.signs - scale * shift).view(-1, 1, entries.shape[1])
            points = scale.view(vectors.shape)[..., :1] * entries
            least.append((vectors - points).square().sum(-1).amin(1).view(-1, shared // entries.shape[1]).sum(1))
    best = torch.stack(least).view(3, -1, x.numel() // shared).amin(1).view(3, -1, type.run // shared).sum(2)
    taken = (type.round(x) - x).square().sum()
    assert taken < 1.005 * best[0].sum() and taken < 1.01 * best.amin(0).sum()
