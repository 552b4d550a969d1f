"""Tensors of every type of weights at the edges of its range, in formats of the catalogue and composed at random."""

import math
import pathlib

import numpy as np
import torch

import rholaw as rl

from .strings import composed

PROMISE = "what is finite stays finite, errs no more than in float64, and keeps its shape and type; the rest is refused"
SECONDS = 5
MEGABYTES = 500
SLICE = 40

TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
BITS = {torch.float16: np.int16, torch.bfloat16: np.int16, torch.float32: np.int32, torch.float64: np.int64}


def any_format(rng: np.random.Generator, weights: int = 4096) -> rl.Format:
    """One of the catalogue or a composition, whose rows need no more than so many weights."""
    while True:
        text = composed(rng) if rng.random() < 0.6 else str(rng.choice(list(rl.catalogue())))
        try:
            format = rl.parse(text)
        except ValueError:
            continue
        if format.multiple <= weights and (format.element is None or format.element.kind != "trellis"):
            return format


def any_shape(format: rl.Format, rng: np.random.Generator, weights: int = 4096) -> tuple[int, ...]:
    """Of no dimension to three, with rows that the format divides."""
    row = format.multiple * int(rng.integers(1, max(2, min(weights // format.multiple, 300))))
    rows = int(rng.integers(1, max(2, min(8, weights // row))))
    shapes = [(rows, row), (rows, row), (row,), (1, rows, row)] + ([()] if format.multiple == 1 else [])
    return shapes[rng.integers(len(shapes))]


def edges(shape: tuple[int, ...], type: torch.dtype, rng: np.random.Generator) -> torch.Tensor:
    """Values at an edge of the range of ``type``, or anywhere in it."""
    info = torch.finfo(type)
    least = info.smallest_normal * info.eps
    normal = torch.from_numpy(np.asarray(rng.standard_normal(shape)))
    normal = normal / normal.abs().max()
    sign = torch.from_numpy(np.asarray(rng.choice([-1.0, 1.0], shape)))
    scale = float(
        rng.choice([info.max, info.max / 2, 65504.0, info.smallest_normal, least, 4 * least, 1e-20, 1.0, 1e12])
    )
    scale = min(max(scale, least), info.max)
    kind = rng.integers(0, 8)
    if kind == 0:
        x = normal * scale
    elif kind == 1:
        x = torch.full(shape, scale, dtype=torch.float64) * (sign if rng.random() < 0.5 else 1.0)
    elif kind == 2:  # a few large ones among zeros, or among ordinary ones
        chosen = torch.from_numpy(np.asarray(rng.random(shape))) < 0.02
        x = torch.where(chosen, sign * scale, normal * float(rng.choice([0.0, 1.0, 1e-30])))
    elif kind == 3:
        ends = math.log2(least), math.log2(info.max)
        x = sign * torch.exp2(torch.from_numpy(np.asarray(rng.uniform(*ends, shape))))
    elif kind == 4:
        x = torch.from_numpy(np.asarray(rng.integers(-3, 4, shape))).double() * least
    elif kind == 5:  # ties
        x = torch.from_numpy(np.asarray(rng.integers(-16, 17, shape))).double() * float(2.0 ** rng.integers(-10, 6))
    elif kind == 6:
        x = torch.zeros(shape, dtype=torch.float64) * sign
    else:
        whole = np.iinfo(BITS[type])
        bits = np.asarray(rng.integers(whole.min, whole.max, shape, BITS[type], endpoint=True))
        x = torch.from_numpy(bits).view(type)
        return torch.where(x.isfinite(), x, torch.zeros((), dtype=type))
    return x.clamp(-info.max, info.max).to(type)


def error(values: torch.Tensor, x: torch.Tensor) -> float:
    """The squared error relative to the largest square, added up."""
    largest = x.double().abs().max()
    return float((values.double() / largest - x.double() / largest).square().sum())


def refused(format: rl.Format, x: torch.Tensor, rng: np.random.Generator) -> str:
    """What has no finite values of weights is refused in words."""
    wrong = x.clone().reshape(-1)
    wrong[rng.integers(len(wrong))] = float(rng.choice([math.nan, math.inf, -math.inf]))
    wrongs = [wrong.view(x.shape), x.to("meta"), x.to_sparse(), x.to(torch.float8_e5m2), x.to(torch.complex64)]
    wrongs += [
        x.int(),
        x.bool(),
        torch.nested.nested_tensor([x.reshape(-1)], layout=torch.jagged),
        x.numpy(force=True) if x.dtype != TYPES[1] else 1.0,
    ]
    which = int(rng.integers(len(wrongs)))
    try:
        format.quantize(wrongs[which])
    except (TypeError, ValueError) as refusal:
        assert isinstance(refusal, ValueError) == (which == 0), refusal
        assert len(str(refusal)) <= 500 and str(refusal).startswith(str(format)), refusal
        return "refused"
    raise AssertionError(f"{format}: {wrongs[which]} was taken")


def attempt(rng: np.random.Generator, folder: pathlib.Path) -> str:
    """Rounds a tensor, and compares with its double in float64, with another of its views and with itself before."""
    format, type = any_format(rng), TYPES[rng.integers(4)]
    x = edges(any_shape(format, rng), type, rng)
    if rng.random() < 0.1:
        return refused(format, x, rng)
    before, wide = x.clone(), torch.stack([x, -x], -1)[..., 0].requires_grad_(bool(rng.random() < 0.5))
    values = format.quantize(x)
    assert values.isfinite().all(), format
    assert (values.shape, values.dtype, values.device, values.requires_grad) == (x.shape, x.dtype, x.device, False)
    assert torch.equal(x, before) and values.data_ptr() != x.data_ptr()
    assert torch.equal(format.quantize(wide), values), format
    if not x.any():
        assert not values.any()
        return "zeros"
    reference = format.quantize(x.double())
    assert reference.isfinite().all(), format
    largest = torch.finfo(type).max
    # Saturation at the end only helps; rounding to the type costs most where the numbers are subnormal.
    expected = max(error(reference, x), error(reference.clamp(-largest, largest).to(type), x))
    assert error(values, x) <= 1.5 * expected + 1e-4, (str(format), type, error(values, x), expected)
    return str(type).removeprefix("torch.")
