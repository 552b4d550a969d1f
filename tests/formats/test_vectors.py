"""Vector elements: nearest is nearest, codebooks are optimal, a trellis decodes what it stores, rotation is undone."""

import dataclasses
import math
import re
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling import some

import rholaw as rl
from rholaw import tables
from rholaw.formats import vectors
from rholaw.formats.grids import lloyd_max
from rholaw.formats.optimal import gaussian_scale

STORED = vectors.stored_codebooks()
CODEBOOKS = [vectors.vector_codebook(dim, count) for dim, count in STORED]
ELEMENTS = [*CODEBOOKS, vectors.E8P(), vectors.Trellis(2, window=8)]
LOOKED_UP = [element for element in ELEMENTS if element.points is not None]


def name(element):
    return getattr(element, "name", str(element))


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@lru_cache
def gmse(element, count=2**16, seed=1):
    """On ``count`` values, with its standard error; relative to their own mean square, which takes out most noise."""
    x = normal(count // element.dim, element.dim, seed=seed)
    error, power = (element.round(x) - x).square().mean(1).double(), x.square().mean(1).double()
    value = float(error.mean() / power.mean())
    return value, float((error - value * power).std()) / math.sqrt(len(x))


def recorded(dim, count):
    title = tables.manifest(f"codebooks/vq{dim}_{count}").title
    return map(float, re.search(r"GMSE ([\d.]+) ± ([\d.]+)", title).groups())


# --- nearest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("element", LOOKED_UP, ids=name)
@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_nearest_against_brute_force(element, spread):
    x = normal(40, element.dim, dtype=torch.float64) * spread
    distances = torch.cdist(x, torch.as_tensor(element.points), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.allclose((element.round(x) - x).norm(dim=1), distances.min(1).values, atol=1e-12)


@given(values=st.lists(st.floats(-6, 6, width=32), min_size=8, max_size=8))
@pytest.mark.parametrize("element", LOOKED_UP, ids=name)
def test_nearest_on_any_vector(element, values):
    x = torch.tensor(values[: element.dim], dtype=torch.float64)
    nearest = torch.as_tensor(element.points).sub(x).square().sum(1).min()
    assert float((element.round(x) - x).square().sum()) == pytest.approx(float(nearest), abs=1e-10)


@pytest.mark.parametrize("element", LOOKED_UP, ids=name)
def test_points_stay(element):
    points = torch.as_tensor(element.points)[:2000]
    assert torch.allclose(element.round(points), points, atol=1e-12)


def test_a_tie_goes_to_the_lowest_index():
    points = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
    assert vectors.nearest(torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 3.0], [1.0, -1.0]]), points).tolist() == [
        0,
        0,
        0,
        1,
    ]


@pytest.mark.parametrize("element", ELEMENTS, ids=name)
def test_shape_type_and_chunks(element, monkeypatch):
    x = normal(2, 3, element.dim, dtype=torch.float64)
    whole = element.round(x)
    assert whole.shape == x.shape and whole.dtype == x.dtype
    assert element.round(x.float()).dtype == torch.float32
    transposed = x.transpose(0, 1)
    assert torch.equal(element.round(transposed), whole.transpose(0, 1))
    monkeypatch.setattr(vectors, "SCORES", 1)
    assert torch.equal(element.round(x), whole)


@pytest.mark.parametrize("element", [element for element in ELEMENTS if element.dim > 1], ids=name)
def test_a_row_that_cannot_be_cut_is_refused(element):
    with pytest.raises(ValueError, match=f"{element.dim} weights together"):
        element.round(torch.zeros(2, element.dim + 1))


@pytest.mark.parametrize("element", ELEMENTS, ids=name)
def test_elements_are_values(element):
    twin = dataclasses.replace(element)
    assert element == twin and hash(element) == hash(twin)
    assert gaussian_scale(element, None) == 1.0


# --- codebooks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 16, 255])
def test_one_dimension_is_lloyd_max(count):
    """A grid, whose error is exact; the same numbers as lmB where there are 2^B, alone and in blocks."""
    one = rl.parse(f"vq1_{count}")
    assert one.element.values == lloyd_max(count) and one.bits == math.log2(count)
    assert rl.gmse(one).method == rl.gmse(f"vq1_{count}/g64").method == "exact"
    if count == 16:
        x = normal(4, 64)
        for block in ("", "/g32:fp32"):
            assert torch.equal(rl.parse(f"vq1_16{block}").quantize(x), rl.parse(f"lm4{block}").quantize(x))


@pytest.mark.parametrize(("dim", "count"), STORED)
def test_stored_codebooks_have_their_shape_and_bits(dim, count):
    codebook = vectors.vector_codebook(dim, count)
    assert codebook.points.shape == (count, dim)
    assert codebook.bits == math.log2(count) / dim
    assert len(np.unique(codebook.points, axis=0)) == count


@pytest.mark.parametrize(("dim", "count"), some(STORED, 3))
def test_the_recorded_error_is_measured_again(dim, count):
    (value, stderr), (known, known_stderr) = gmse(vectors.vector_codebook(dim, count)), recorded(dim, count)
    assert abs(value - known) < 4 * math.hypot(stderr, known_stderr)


@pytest.mark.parametrize(("dim", "count"), some([(dim, count) for dim, count in STORED if count <= 512], 3))
def test_points_are_the_centroids_of_their_cells(dim, count):
    points = torch.as_tensor(vectors.vector_codebook(dim, count).points)
    x = normal(2**17, dim, dtype=torch.float64)
    cell = vectors.nearest(x, points)
    offset, number = x - points[cell], torch.bincount(cell, minlength=count)[:, None]
    mean = torch.zeros_like(points).index_add_(0, cell, offset) / number
    stderr = (torch.zeros_like(points).index_add_(0, cell, offset.square()) / number - mean**2).sqrt() / number.sqrt()
    z = mean / stderr
    # Squares of as many standard normal variables.
    assert abs(float(z.square().mean()) - 1) < 5 * math.sqrt(2 / z.numel())
    # Nor would all points together be better at another scale.
    product = (offset * points[cell]).sum(1)
    assert abs(float(product.mean())) < 4 * float(product.std()) / math.sqrt(len(x))


def test_more_dimensions_are_better():
    two_bits = [gmse(vectors.vector_codebook(dim, 4**dim)) for dim in (1, 2, 3, 4)]
    for (worse, a), (better, b) in pairwise(two_bits):
        assert worse - better > 4 * math.hypot(a, b)
    assert two_bits[-1][0] > 4.0**-2


def test_an_unknown_codebook_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match="no codebook 'vq2_17'; there are vq1_2 … vq1_256, vq2_16, "):
        vectors.vector_codebook(2, 17)


# --- the lattice ------------------------------------------------------------------------------------------------------


def test_e8p_is_65536_points_of_the_shifted_lattice():
    points = vectors.E8P().points / vectors.E8P_STEP
    assert len(np.unique(points.round(6), axis=0)) == len(points) == 2**16
    for shifted, shift in ((points[: 2**15], 0.25), (points[2**15 :], -0.25)):
        lattice = shifted - shift
        assert np.allclose(np.abs(lattice) % 1, 0.5)  # half-integers
        assert np.allclose(lattice.sum(1) % 2, 0)  # of an even sum
        squares, counts = np.unique(np.square(lattice).sum(1).round(6), return_counts=True)
        assert dict(zip(squares, counts // 2**7, strict=True)) == {2: 1, 4: 8, 6: 28, 8: 64, 10: 126, 12: 29}


def test_e8p_uses_an_optimal_step(monkeypatch):
    x = normal(2**12, 8)
    errors = []
    for step in (0.94, vectors.E8P_STEP, 0.99):
        monkeypatch.setattr(vectors, "E8P_STEP", step)
        errors.append(float((vectors.E8P().round(x) - x).square().mean()))
    assert errors[1] < min(errors[0], errors[2])


def test_e8p_error():
    value, stderr = gmse(vectors.E8P())
    assert abs(value - 0.09148) < 4 * stderr


# --- the trellis ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_a_trellis_decodes_what_it_stores(bits):
    trellis, x = vectors.Trellis(bits, window=8), normal(5, 256)
    path = trellis.encode(x)
    # What is stored: the newest bits of each window, in a ring of 256 · bits.
    new = path & 2**bits - 1
    ring = torch.stack([new >> bit & 1 for bit in reversed(range(bits))], 2).reshape(5, -1)
    read = torch.zeros_like(path)
    for place in range(8):
        read |= ring.roll(place, 1)[:, bits - 1 :: bits] << place
    assert torch.equal(read, path)
    assert torch.equal(torch.as_tensor(trellis.values, dtype=x.dtype)[read], trellis.round(x))


@pytest.mark.slow
def test_a_trellis_path_is_the_best_closed_one():
    """Against all 2^256 … of a small one: exact dynamic programming from each state in turn."""
    trellis, x = vectors.Trellis(1, window=4), normal(3, 256, dtype=torch.float64)
    best = torch.full((3,), torch.inf, dtype=torch.float64)
    for start in range(8):
        cost = torch.full((3, 8), torch.inf, dtype=torch.float64)
        cost[:, start] = 0
        for t in range(256):
            after = torch.full_like(cost, torch.inf)
            for window, value in enumerate(trellis.values):
                reach = cost[:, window >> 1] + (x[:, t] - value) ** 2
                after[:, window % 8] = torch.minimum(after[:, window % 8], reach)
            cost = after
        best = torch.minimum(best, cost[:, start])
    found = (trellis.round(x) - x).square().sum(1)
    assert (found > best - 1e-9).all()
    assert torch.allclose(found, best, rtol=0.01)


def test_a_longer_window_is_better_and_beats_scalars_and_the_lattice():
    errors = [gmse(vectors.Trellis(2, window), 2**14) for window in (6, 9, 12)]
    for (worse, a), (better, b) in pairwise(errors):
        assert worse - better > 4 * math.hypot(a, b)
    scalar, lattice = rl.gmse("vq1_4").value, gmse(vectors.E8P())[0]
    assert 4.0**-2 < errors[-1][0] < lattice < scalar


def test_the_default_trellis_is_near_the_bound():
    value, stderr = gmse(vectors.Trellis(2), 2**12)
    assert abs(value - 0.0705) < 4 * stderr + 0.0003


# --- rotation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 64, 128, 256, 512, 4096])
def test_hadamard_is_orthonormal_and_its_own_inverse(size):
    x = normal(3, 2 * size, dtype=torch.float64)
    y = vectors.hadamard(x, size)
    assert y.shape == x.shape
    assert torch.allclose(y.square().sum(1), x.square().sum(1))
    assert torch.allclose(vectors.hadamard(y, size), x)


@pytest.mark.parametrize("size", [2, 16, 1024])
def test_hadamard_is_sylvesters(size):
    index = np.arange(size)
    parity = np.array([[bin(i & j).count("1") % 2 for j in index[:16]] for i in index])
    ours = vectors.hadamard(torch.eye(size, dtype=torch.float64), size)[:, :16]
    assert np.allclose(ours, (1 - 2 * parity) / math.sqrt(size))


def test_hadamard_spreads_an_outlier():
    x = torch.zeros(1, 256)
    x[0, 130] = 16.0
    assert torch.allclose(vectors.hadamard(x, 128)[0].abs(), torch.cat([torch.zeros(128), torch.full((128,), 2**0.5)]))


@pytest.mark.parametrize(("length", "size"), [(128, 256), (96, 64), (96, 3), (8, 0)])
def test_a_block_that_does_not_fit_is_refused(length, size):
    with pytest.raises(ValueError, match="power of two that divides"):
        vectors.hadamard(torch.zeros(2, length), size)
