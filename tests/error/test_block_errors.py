"""The error of blocks: exact against a nested integral of its own, and against what quantize does."""

import math

import numpy as np
import pytest
import torch
from sampling import some

import rholaw as rl
from rholaw.distributions import source as named_source
from rholaw.error.blocks import exact_error
from rholaw.formats.optimal import squared_error

BLOCKED = {name: f for name, f in rl.catalogue().items() if f.block and f.element.dim == 1}
SAMPLED = {"int4/g32:mse", "int4/g128:mse", "uint4/g32:zero", "uint4/g128:zero", "nf4_dq", "nvfp4_46", "q4_1", "q5_1"}

INTEGRATED = [name for name, f in BLOCKED.items() if name not in SAMPLED and f.block.size != "tensor"]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_no_integral_is_lost():
    """By name which blocks have none: rules that search, zero points, double quantisation, an affine scale in fp16."""
    unknown = {
        name
        for name, f in BLOCKED.items()
        if exact_error(f.element, f.block, f.sparsity, named_source("normal")) is None
    }
    assert unknown == SAMPLED


@pytest.mark.parametrize("name", some(INTEGRATED, 8))
def test_exact_is_what_quantize_does(name):
    """Within 4.5 standard errors on samples of their own; rows as long as is assumed."""
    exact, sampled = rl.gmse(BLOCKED[name]), rl.gmse(BLOCKED[name], normal(256, 4096, seed=1))
    assert exact.method == "exact"
    assert abs(exact.value - sampled.value) < 4.5 * sampled.stderr


EXTRA = ["e2m1/g32:e8m0-even", "e2m1/g8:e8m0-rceil", "int3/g16:bf16", "s0.5+sint4/g32", "1:4+sint4/g32", "2:4+q4_0"]
EXTRA += ["e2m1/g16:e4m3+out0.02", "s0.5+e2m1/g32:e8m0", "sint4/g1:fp32", "uint2/g4:fp32", "2:4+nf4/g64:fp32"]


@pytest.mark.parametrize("text", some(EXTRA, 6))
@pytest.mark.parametrize("source", ["normal", "laplace"])
def test_exact_is_what_quantize_does_off_the_catalogue(text, source):
    x = torch.from_numpy(named_source(source).distribution.rvs((256, 4096), random_state=3)).float()
    exact, sampled = rl.gmse(text, source), rl.gmse(text, x)
    assert exact.method == "exact"
    # relative to the variance of these samples, whose own scatter the standard error of a ratio includes
    assert abs(exact.value - sampled.value) < 4.5 * sampled.stderr + 1e-12


def pieces(edges, order=16):
    """Nodes and weights of Gauss and Legendre between neighbours of ``edges`` (…, n): both (…, (n − 1) · order)."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[..., None] / 2
    shape = (*edges.shape[:-1], -1)
    return (edges[..., :-1, None] + half * (1 + nodes)).reshape(shape), (half * weights).reshape(shape)


def direct(levels_of, length, jumps=()):
    """The error of an absmax block as a double integral: over the largest magnitude, then over the others."""
    data = named_source("normal").distribution

    def error(x, levels):
        return np.square(x[:, :, None] - levels[:, None]).min(2)

    m, weight = pieces(np.unique([1e-12, 12, *np.linspace(0.25, 8, 32), *jumps]))
    levels = np.array([levels_of(largest) for largest in m])
    midpoints = np.abs(levels[:, 1:] + levels[:, :-1]) / 2
    x, w = pieces(np.sort(np.concatenate([np.zeros((len(m), 1)), np.minimum(midpoints, m[:, None]), m[:, None]], 1)))
    inner = (w * error(x, levels) * data.pdf(x)).sum(1)
    inside = 1 - 2 * data.sf(m)
    own = error(m[:, None], levels)[:, 0]
    given = 2 * data.pdf(m) * inside ** (length - 2) * (inside * own + (length - 1) * 2 * inner)
    return float(weight @ given)


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
    sampled = rl.gmse("tq2_0", samples=2**20)
    assert abs(sampled.value - 0.65126) < 5 * sampled.stderr
    assert rl.gmse("ternary").value == pytest.approx(0.1901740392479015, rel=1e-9)


def test_longer_blocks_hurt_and_wider_scales_do_not_matter():
    by_size = [rl.gmse(f"sint4/g{size}").value for size in (8, 16, 32, 64, 128, 256)]
    assert by_size == sorted(by_size)
    assert rl.gmse("sint4/g32:fp16").value == pytest.approx(rl.gmse("sint4/g32:fp32").value, rel=1e-4)


def test_one_scale_a_tensor_by_its_rms_is_the_format_without_a_block():
    assert rl.gmse("int4/tensor:fp32:rms").value == pytest.approx(rl.gmse("int4").value, rel=1e-12)


def test_the_scale_of_a_tensor_is_rounded_as_it_is_stored():
    """√(2/π) = 0.79788 lies beside 0.796875 in bf16."""
    value = squared_error(np.array([-1.0, 0.0, 1.0]) * 0.796875, None, named_source("normal"))
    assert rl.gmse("ternary/tensor:bf16:absmean").value == pytest.approx(value, rel=1e-12)
    assert rl.gmse("ternary/tensor:fp32:absmean").value != pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    "text",
    ["sint4/g128+out0.3", "s0.5+int4/g128:fp32+out0.3", "int3/g128+out0.4", "ternary/g128+out0.3", "int3/g128+out0.9",
     "sint4/g8+out0.5", "q4_0+out0.3", "sint8/tensor+out0.01", "binary+out0.9", "int3+out0.7", "s0.9+out0.05"],
)  # fmt: skip
def test_outliers_take_nothing_from_the_range_of_the_integral(text):
    """Many outliers leave small magnitudes only: the largest of a block then lies far below where it usually does."""
    measured = rl.gmse(text)
    again = rl.gmse(text, normal(192, 4096, seed=3))
    assert measured.method == "exact"
    assert abs(measured.value - again.value) < 5 * again.stderr + 0.01 * (text.count("/tensor") * measured.value)
