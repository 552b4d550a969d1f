"""Formats of the catalogue and composed ones on Gaussian rows: again, mirrored, scaled, in parts, by two threads."""

import pathlib

import numpy as np
import torch

import rholaw as rl
from rholaw.formats.rounding import rms
from rholaw.formats.sparsity import CHUNK

from .numbers import any_format

PROMISE = "rounding again changes nothing, signs and powers of two come through, parts and threads make no difference"
SECONDS = 5
MEGABYTES = 500
SLICE = 60


def again(format: rl.Format) -> str:
    """Whether values that are rounded already stay as they are: "same", "other", or "mostly" where luck decides.

    They do where the largest of a block is met by a level: the same scale follows.
    """
    element, block = format.element, format.block
    if format.rotation or format.outliers:  # turned values lie beside the levels; a rounded one may become an outlier
        return "mostly"
    if element is None:
        return "same"
    if element.own_scales:  # scales are searched for, but for those of ternary types
        return "same" if element.name in ("tq1_0", "tq2_0") else "mostly"
    if block is None:  # the RMS of what was rounded is another
        return "other"
    rule, type = block.rule.name, block.type.name
    if rule in ("rms", "absmean") or type == "dq8":  # so is every mean
        return "mostly" if element.name == "binary" else "other"
    if rule == "signmax":
        return "same"
    if rule in ("minmax", "zero"):  # a minimum or a zero point is rounded by itself
        return "same" if rule == "minmax" and type == "fp32" else "mostly"
    if element.reach not in (element.levels[-1], -element.levels[0]):  # fintB: no level is so far from zero
        return "other"
    if type == "e4m3":  # so coarse that the largest may miss its level; with "mse" that of the tensor may saturate
        few = isinstance(block.size, int) and block.size < 16  # whose scales may lie below the normal numbers
        near = element.levels[-1] - element.levels[-2] < element.reach / 8
        return "mostly" if few or near or rule == "mse" else "same"
    if type.startswith("e8m0") and element.kind != "float":  # the largest may round across a power of two
        doubled = type in ("e8m0-ceil", "e8m0-rceil") and (element.levels == 0).any()  # so that half the scale will do
        return "same" if element.kind == "integer" and (type == "e8m0" or doubled) else "mostly"
    return "same"


def odd(format: rl.Format) -> bool:
    """Whether it surely takes −x to minus what it makes of x, where nothing lies on an edge between levels."""
    element, block = format.element, format.block
    if element is None or (block and block.rule.name == "signmax"):
        return True
    symmetric = element.levels is not None and (element.levels == -element.levels[::-1]).all()
    return bool(symmetric) and not (block and block.rule.affine)


def free(format: rl.Format) -> bool:
    """Whether powers of two come through: all but fp16, the scales of GGUF among them, have exponents to spare."""
    stored = [format.block.type.name] if format.block else []
    stored += [format.outliers.type] if format.outliers else []
    return "fp16" not in stored and not (format.element and format.element.own_scales)


def normal(format: rl.Format, rng: np.random.Generator, weights: int = 4096) -> torch.Tensor:
    """Rows of N(0,1) weights, of equal size or not; float32 or float64."""
    row = format.multiple * max(1, int(rng.integers(1, weights)) // format.multiple)
    x = torch.from_numpy(rng.standard_normal((max(2, weights // row), row)))
    x = x * torch.from_numpy(np.exp(rng.standard_normal((len(x), 1)))) if rng.random() < 0.5 else x
    return x if rng.random() < 0.5 else x.float()


def alike(a: torch.Tensor, b: torch.Tensor, few: float = 0.0) -> bool:
    """Equal to the last digits of float32; ``few``: but for this share of values."""
    return float(((a - b).abs() > 4e-6 * b.abs().max()).double().mean()) <= few


def in_parts(format: rl.Format, x: torch.Tensor) -> torch.Tensor:
    """Row by row, told of the whole what it needs to know."""
    kept = x * format.sparsity.mask(x) if format.sparsity else x
    known = {
        "rms": lambda: rms(kept, int(kept.count_nonzero())),
        "largest": lambda: float(x.abs().max()),
        "nothing": lambda: None,
    }[format.needs]()
    return torch.cat([format.coded(row[None], known) for row in x])


def by_threads(format: rl.Format, x: torch.Tensor, threads: int) -> torch.Tensor:
    """As rounded by so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return format.quantize(x)
    finally:
        torch.set_num_threads(before)


def attempt(rng: np.random.Generator, folder: pathlib.Path) -> str:
    """Tries one invariance that the format has."""
    format = any_format(rng)
    x = normal(format, rng)
    values = format.quantize(x)
    kind = rng.integers(0, 5)
    if kind == 0:
        if again(format) == "same":
            assert alike(format.quantize(values), values), format
            return "again"
        return "no promise"
    if kind == 1:
        if odd(format):
            assert alike(-format.quantize(-x), values), format
            return "mirrored"
        return "no promise"
    if kind == 2:
        if free(format):
            power = 2.0 ** int(rng.integers(-25, 25))
            assert alike(format.quantize(x * power) / power, values), format
            return "scaled"
        return "no promise"
    if kind == 3:
        if format.needs != "everything" and not format.rotation:
            assert alike(
                in_parts(format, x), values, 0.0 if format.element is None or format.element.dim == 1 else 1e-3
            )
            return "in parts"
        return "no promise"
    if format.element is not None and format.element.kind == "ggml":  # of which so many take seconds
        return "no promise"
    wide = normal(format, rng, 2 * CHUNK)
    assert torch.equal(by_threads(format, wide, 1), by_threads(format, wide, 2)), format
    return "by threads"
