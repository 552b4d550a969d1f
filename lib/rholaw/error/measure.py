"""GMSE(R): the error with which a format represents N(0,1) data, relative to its variance. Exact, or sampled."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from numbers import Integral

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from .. import tables
from ..distributions import Source
from ..distributions import source as named_source
from ..formats.format import OUTLIER_TYPES, Format, Outliers
from ..formats.grammar import parse
from ..formats.optimal import clipped_error, squared_error, survivors_rms
from ..formats.sparsity import TopK
from .blocks import LONG, SQUARE, Shape, exact_error
from .sampling import SAMPLES, sampled, unlike_its_parts

PRECISION = 0.002
"""What is recorded has a standard error below that share of its value."""


@dataclass(frozen=True)
class Measured:
    """A mean squared error / variance.

    ``method`` is "exact" (closed form or quadrature, ``stderr`` 0, ``n`` None) or "sampled" (``stderr`` the standard
    error of the mean, ``n`` how many weights were drawn).  ``weights``: how many a tensor has for which the value
    holds, or a row where scales cover one; None where that does not matter.
    """

    value: float
    stderr: float
    method: str
    n: int | None = None
    weights: int | None = None

    def __float__(self) -> float:
        return float(self.value)


def gmse(
    format: Format | str,
    source: str | ArrayLike | torch.Tensor = "normal",
    *,
    weights: int | tuple[int, int] | None = None,
    samples: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Measured:
    """The mean squared error of ``format`` on ``source``, divided by the variance.

    format: a Format or its text.  source: "normal", "laplace", "logistic", "student-t(ν)", all of unit variance, or an
    array or tensor of samples, which ``Format.quantize`` rounds.  For a named source the value is exact wherever an
    integral of a second or two is known; else the recorded result is taken (data/measured/gmse), or about ``samples``
    weights are drawn (default: 2^21, or as many as that time allows).
    The scale is the format's own, a Gaussian constant times the RMS where it has no block, whatever the source: what
    ``quantize`` would do to such data.  weights: how many the tensor has, in rows of 4096 or the next shorter that
    divide them, or its (rows, columns); a scale of a row or a tensor depends on it, a scale that is stored relative to
    others, and which weights are outliers (default: about 4096 × 4096).  From 65536 on, means and shares are those of
    tensors without end.
    Raises ValueError for an unknown source, for ``weights`` that the format does not divide, and among samples for
    NaN, infinity, and no variance.  What samples share a scale of the whole tensor have no scatter of it: there the
    standard error is that of the rounding alone.
    """
    format = parse(format)
    if not isinstance(source, str):
        if weights is not None:
            raise ValueError("weights says how many a tensor of a named source has; samples are as many as they are")
        return _of_samples(format, torch.as_tensor(source))
    return _of_source(format, named_source(source), _shape(format, weights), weights is None, samples, seed, progress)


def _shape(format: Format, weights: int | tuple[int, int] | None) -> Shape:
    """Rows and columns of a tensor of so many weights."""
    multiple, rows = format.multiple, format.block.tile[0] if format.block and format.block.tile else 1
    if weights is None:
        columns = max(SQUARE[1] // multiple, 1) * multiple
        return max(math.prod(SQUARE) // (columns * rows), 1) * rows, columns
    counts = weights if isinstance(weights, tuple) else (weights,)
    whole = all(isinstance(count, Integral) and not isinstance(count, bool) and 0 < count < 2**53 for count in counts)
    if not whole or len(counts) > 2:
        raise ValueError(f"weights must be a whole number or (rows, columns), from 1 to 2^53, not {weights!r:.60}")
    total, most = math.prod(map(int, counts)), min(SQUARE[1] // multiple, counts[0] // multiple)
    able = (k * multiple for k in range(most, 0, -1) if total % (k * multiple * rows) == 0)
    columns = int(counts[1]) if len(counts) == 2 else next(able, multiple)
    if columns % multiple or total % (columns * rows):
        raise ValueError(
            f"{format} does not divide a tensor of {weights} weights: it needs multiples of {rows} rows "
            f"and of {multiple} columns"
        )
    return total // columns, columns


def _holds_for(format: Format, data: Source, shape: Shape) -> int | None:
    """As ``Measured.weights``."""
    weights, block, element = math.prod(shape), format.block, format.element
    rms = element is not None and block is None and not element.own_scales
    if weights < LONG and (rms or format.outliers or isinstance(format.sparsity, TopK)):
        return weights
    if block is None:
        return None
    if block.type.needs != "nothing" or format.outliers:
        return weights
    if block.size == "tensor":
        return weights if weights < LONG or block.rule.limit(element, data) is None else None
    return shape[1] if block.size == "row" else None


@lru_cache(maxsize=4096)
def _of_source(
    format: Format, data: Source, shape: Shape, usual: bool, samples: int | None, seed: int, progress: bool
) -> Measured:
    """As ``gmse`` says; usual: whether the shape is the one for which nobody asked."""
    if format.rotation and data.name == "normal":  # which looks alike from every side
        format = replace(format, rotation=0)
    format = replace(format, source="")
    value = _exact(format, data, shape)
    if value is not None:
        return Measured(float(value), 0.0, "exact", weights=_holds_for(format, data, shape))
    if usual and unlike_its_parts(format, shape):
        shape = max(min(shape[0], 4 * LONG // shape[1]), 1), shape[1]
    return _sampled(format, data, shape, usual, samples, seed, progress)


@lru_cache(maxsize=4096)
def _exact(format: Format, data: Source, shape: Shape) -> float | None:
    """The value where an integral is known, else None."""
    element, block, sparsity = format.element, format.block, format.sparsity
    if not format.parts:
        return 0.0
    endless = math.prod(shape) >= LONG
    if format.rotation or (isinstance(sparsity, TopK) and not endless) or (format.outliers and not endless):
        return None
    share = format.outlier_share
    end = float(data.beyond(share)) if share else np.inf
    apart = _stored_apart(format.outliers, data, end) if share else 0.0
    if element is None:
        return squared_error(None, sparsity, data, end) + apart
    if element.levels is None:
        return None
    if block is not None:
        value = exact_error(element, block, sparsity, data, share, shape)
        return None if value is None else value + apart
    if not endless:
        return None
    levels = element.levels * (format.coder.constant * survivors_rms(sparsity, data, end))
    return squared_error(levels, sparsity, data, end) + apart


@lru_cache
def _stored_apart(outliers: Outliers, data: Source, end: float) -> float:
    """E[(X − Q(X))²; |X| > end] of outliers, which 16 bits hold."""
    dtype = OUTLIER_TYPES[outliers.type].dtype
    numbers = torch.arange(2**15, dtype=torch.int16).view(dtype).double().numpy()
    numbers = numbers[np.isfinite(numbers) & (numbers > end / 2)]
    return float(clipped_error(np.append(-numbers[::-1], numbers), end, np.inf, data))


def _of_samples(format: Format, samples: torch.Tensor) -> Measured:
    """Measured on samples as they are; neighbours that share a scale are one observation for the standard error."""
    if not samples.is_floating_point():
        raise ValueError(f"samples must be floating-point numbers, got {samples.dtype}")
    n = samples.numel()
    exact = samples.double()
    largest = float(exact.abs().max()) if n else 0.0
    unit = 2.0 ** math.floor(math.log2(largest)) if 0 < largest < math.inf else 1.0  # squares stay within the range
    exact = exact / unit
    variances = (exact - exact.mean()).square() if n else exact
    if not (n and float(variances.mean()) > 0):
        _ = format.quantize(samples)  # a NaN is the more helpful complaint
        raise ValueError(f"{n} samples without variance: the relative error is undefined")
    return _ratio((format.quantize(samples).double() / unit - exact).square(), variances, format, samples.shape)


def _ratio(squares: torch.Tensor, variances: torch.Tensor, format: Format, shape: tuple[int, ...]) -> Measured:
    n, variance = squares.numel(), float(variances.mean())
    value = float(squares.mean()) / variance
    deviations = squares - value * variances
    tiles = format.block and format.block.spans_rows
    groups = format.block.split(deviations) if tiles else deviations.reshape(-1, _together(format, shape))
    error = float(groups.mean(dim=1).square().mean().sqrt()) / variance / math.sqrt(len(groups))
    return Measured(value, error, "sampled", n)


def _together(format: Format, shape: tuple[int, ...]) -> int:
    """How many neighbours of a row share a scale or a code; 1 where that is a whole tensor."""
    row = format.block.length(shape) if format.block and format.block.size == "row" else 1
    size = math.lcm(format.multiple, row)
    return size if math.prod(shape) % size == 0 and math.prod(shape) > size else 1


@lru_cache(maxsize=4096)
def _sampled(
    format: Format, data: Source, shape: Shape, usual: bool, samples: int | None, seed: int, progress: bool
) -> Measured:
    weights = _holds_for(format, data, shape)
    recorded = _recorded().get((str(format), str(data), samples or SAMPLES, seed)) if usual else None
    if recorded:
        return replace(recorded, weights=weights)
    value, stderr, n = sampled(format, data, shape, samples, seed, progress)
    return Measured(value, stderr, "sampled", n, weights)


TABLE = "measured/gmse"


@cache
def _recorded() -> dict[tuple[str, str, int, int], Measured]:
    """{(format, source, samples, seed): Measured}: what ``record`` computed once; a test samples some of it again."""
    if TABLE not in tables.names():
        return {}
    rows = tables.read(TABLE).itertuples(index=False)
    return {(r.format, r.source, r.samples, r.seed): Measured(r.value, r.stderr, "sampled", r.n) for r in rows}


def record(formats: Iterable[Format | str], progress: bool = True) -> pd.DataFrame:
    """A table with a row for each of ``formats`` whose GMSE has to be sampled, measured afresh."""
    rows = []
    for format in map(parse, formats):
        samples = SAMPLES + 1  # one more than is recorded
        while (measured := gmse(format, samples=samples, progress=progress)).stderr > PRECISION * measured.value:
            samples *= 2
        if measured.method == "sampled":
            numbers = f"{measured.value:.9g}", f"{measured.stderr:.3g}", measured.n
            rows.append((str(format), "normal", SAMPLES, 0, *numbers))
    return pd.DataFrame(rows, columns=["format", "source", "samples", "seed", "value", "stderr", "n"])
