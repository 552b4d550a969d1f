"""Rounding that trains: forward exactly the format, backward as each estimator is defined."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling import some

import rholaw as rl
from rholaw.formats import vectors
from rholaw.train import masks
from rholaw.train.gradients import Compression, gaussian_scales

SLOW = {"trellis1", "trellis2", "trellis3", "trellis4", "e8p"}


def stack(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def passes(format, method, x, **masks_of):
    """The gradient that reaches x where 1 arrives everywhere."""
    x = x.clone().requires_grad_()
    Compression(rl.parse(format), method)(x, **masks_of).sum().backward()
    return x.grad


@pytest.mark.parametrize(
    ("name", "method"), some(itertools.product(sorted(set(rl.catalogue()) - SLOW), ["ste", "clip", "trust"]), 80)
)
def test_the_forward_value_is_the_format_exactly(name, method):
    format = rl.parse(name)
    x = stack(3, 2, 3072) * torch.tensor([0.02, 1.0, 30.0])[:, None, None]
    x[1, 0, :5] = 9.0  # beyond most grids
    assert torch.equal(Compression(format, method)(x), torch.stack([format.quantize(t) for t in x]))


@pytest.mark.parametrize(
    "text", ["hadamard64+int3", "2:4+int4/g64", "s0.5+e2m1", "hadamard32+s0.75+int2", "int4+out0.01"]
)
def test_the_forward_value_is_the_format_exactly_where_parts_compose(text):
    format, x = rl.parse(text), stack(2, 8, 128)
    assert torch.equal(Compression(format)(x), torch.stack([format.quantize(t) for t in x]))


@pytest.mark.parametrize("name", some(sorted(SLOW), 2))
def test_the_forward_value_of_long_codes(name):
    format, x = rl.parse(name), stack(1, 1, 256)
    assert torch.equal(Compression(format)(x)[0], format.quantize(x[0]))


@given(st.integers(1, 8), st.integers(0, 10**6), st.floats(0.5, 4.0))
def test_trust_passes_where_the_error_is_half_a_step_at_most(bits, seed, stretch):
    x = stack(2, 16, 16, seed=seed, dtype=torch.float64) * stretch
    format = rl.parse(f"int{bits}")
    step = gaussian_scales(x, format)[..., None]
    error = (Compression(format)(x) - x).abs()
    assert torch.equal(passes(format, "trust", x), (error <= step / 2 * (1 + 1e-12)).double())


@pytest.mark.parametrize("text", ["int1", "int4", "sint4/g16:mse", "e2m1", "lm3", "mxfp4", "fint4/g16:signmax"])
def test_clip_stops_beyond_the_last_level_and_trust_half_a_step_later(text):
    format, x = rl.parse(text), stack(1, 64, 64) * 2
    x[0, :, 0] *= 3
    scale = format.coder.scale(x) if format.block else gaussian_scales(x, format)
    scale = scale.expand(-1, x.numel() // len(scale)).reshape(x.shape)
    levels = format.element.levels
    y = x / scale
    for method, margin in (("clip", 0.0), ("trust", 0.5)):
        low = levels[0] - margin * (levels[1] - levels[0])
        high = levels[-1] + margin * (levels[-1] - levels[-2])
        inside = (y >= low) & (y <= high)
        close = ((y - low).abs() < 1e-5) | ((y - high).abs() < 1e-5)  # where the last digit decides
        assert ((passes(format, method, x) == inside) | close).all()
    assert (passes(format, "ste", x) == 1).all()


def test_the_gradient_turns_back_with_the_rotation():
    x, g = stack(1, 8, 64) * 3, stack(1, 8, 64, seed=1)
    format = rl.parse("hadamard64+int2")
    leaf = x.clone().requires_grad_()
    Compression(format)(leaf).backward(g)
    mask = passes("int2", "trust", vectors.hadamard(x, 64))
    assert 0.01 < 1 - mask.mean() < 0.2
    torch.testing.assert_close(leaf.grad, vectors.hadamard(mask * vectors.hadamard(g, 64), 64))


@pytest.mark.parametrize("name", ["vq2_16", "vq4_256"])
def test_vectors_are_trusted_inside_a_sphere(name):
    format, x = rl.parse(name), stack(1, 256, 16)
    gradient = passes(name, "clip", x)[0].view(-1, format.element.dim)
    assert ((gradient == gradient[:, :1]).all()) and 0.005 < 1 - gradient.mean() < 0.3
    norm = x[0].view(-1, format.element.dim).norm(dim=1) / x.square().mean().sqrt()
    radius = torch.as_tensor(format.element.points).norm(dim=1).max()
    assert norm[gradient[:, 0] == 1].max() <= radius * 1.00001 and norm[gradient[:, 0] == 0].min() >= radius * 0.99999
    assert passes(name, "trust", x).mean() > gradient.mean()


def test_the_learned_step_has_the_gradient_of_its_paper():
    x, g = stack(2, 8, 8, dtype=torch.float64) * 2, stack(2, 8, 8, seed=1, dtype=torch.float64)
    leaf, step = x.clone().requires_grad_(), torch.tensor([[0.3], [0.5]], dtype=torch.float64, requires_grad=True)
    value = Compression(rl.parse("sint3"), "lsq")(leaf, step=step)
    value.backward(g)
    for i, s in enumerate(step[:, 0].tolist()):
        v = x[i] / s
        inside = v.abs() <= 3
        torch.testing.assert_close(value[i], v.clamp(-3, 3).round() * s)
        torch.testing.assert_close(leaf.grad[i], g[i] * inside)
        slope = torch.where(inside, v.round() - v, 3 * v.sign())
        torch.testing.assert_close(step.grad[i, 0], (g[i] * slope).sum() / math.sqrt(64 * 3))


@pytest.mark.parametrize("text", ["int2", "int4"])
def test_noise_has_the_error_of_the_format(text):
    x, gmse = stack(2, 500, 400, dtype=torch.float64) * 3, rl.gmse(rl.parse(text)).value
    torch.manual_seed(7)  # another stream than x
    for method in ("noise", "channel"):
        value = Compression(rl.parse(text), method)(x)
        error = value - x
        assert abs(error.square().mean() / x.square().mean() / gmse - 1) < 0.02
        # The error of the channel is independent of its output, as that of centroids is; noise is of the input.
        against = value if method == "channel" else x
        assert abs((error * against).mean() / error.std() / against.std()) < 0.01
        assert (passes(text, method, x) == 1).all()


def test_pruned_weights_learn_where_the_backward_mask_lets_them():
    x = stack(2, 32, 32) * 2
    format = rl.parse("s0.5+int2")
    kept = torch.stack([format.sparsity.mask(t) for t in x])
    value = Compression(format)(x, kept)
    assert (value[~kept] == 0).all()
    alive = masks.backward_mask(masks.parse_backward("area-banded-rms:0.4"), x, kept)
    gradient = passes(format, "trust", x, kept=kept, alive=alive).bool()
    assert torch.equal(gradient[~kept], alive[~kept]) and 0.2 < alive[~kept].float().mean() < 0.8
    assert not gradient[kept].all()  # rounding clips some of the survivors
    assert torch.equal(passes(format, "trust", x, kept=kept).bool(), gradient & kept)
    assert torch.equal(passes("s0.5", "trust", x).bool(), kept)


@pytest.mark.parametrize("name", ["vq2_16", "hadamard16+int3"])
def test_half_precision_elsewhere_does_not_touch_the_rounding(name):
    x, compression = torch.randn(1, 64, 32), Compression(rl.parse(name))
    with torch.autocast("cpu", torch.bfloat16):
        inside = compression(x)
    assert inside.equal(compression(x))


def test_a_tensor_of_zeros_stays_zero():
    for text in ("int4", "e2m1", "mxfp4", "nvfp4", "vq2_16", "s0.5+int4"):
        assert not Compression(rl.parse(text))(torch.zeros(2, 8, 32)).any()
