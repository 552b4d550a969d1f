"""GMSE(R): the error with which a format represents N(0,1) data, relative to its variance. Exact, or sampled."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from tqdm import tqdm

from .. import tables
from ..distributions import Source
from ..distributions import source as named_source
from ..formats.format import Format
from ..formats.grammar import parse
from ..formats.optimal import squared_error, survivors_energy
from ..formats.sparsity import NofM
from ..threads import alone
from . import blocks as block_integrals

ROW = block_integrals.ROW
CHUNK = 2**18  # weights sampled at once
SAMPLES, PRECISION = 2**21, 0.002
"""So many samples by default, and more until the standard error is below that share of the value."""


@dataclass(frozen=True)
class Measured:
    """A mean squared error / variance.

    ``method`` is "exact" (closed form or quadrature, ``stderr`` 0, ``n`` None) or "sampled" (``stderr`` the standard
    error of the mean over ``n`` values).
    """

    value: float
    stderr: float
    method: str
    n: int | None = None

    def __float__(self) -> float:
        return float(self.value)


def gmse(
    format: Format | str,
    source: str | ArrayLike | torch.Tensor = "normal",
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: bool = False,
) -> Measured:
    """The mean squared error of ``format`` on ``source``, divided by the variance.

    format: a Format or its text.  source: "normal", "laplace", "logistic", "student-t(ν)", all of unit variance, or an
    array or tensor of samples, which ``Format.quantize`` rounds.  For a named source the value is exact wherever an
    integral is known; else ``samples`` values are drawn, in rows of about 4096, or the recorded result is taken
    (data/measured/gmse).
    The scale is the format's own, a Gaussian constant times the RMS where it has no block, whatever the source: what
    ``quantize`` would do to such data.  Scales of a whole row or tensor are taken to cover 4096 or 4096² weights.
    Raises ValueError for an unknown source, for NaN or infinity, and for samples without variance.
    """
    format = parse(format)
    if not isinstance(source, str):
        return _of_samples(format, torch.as_tensor(source))
    data = named_source(source)
    if format.rotation and data.name == "normal":  # which looks alike from every side
        format = replace(format, rotation=0)
    value = _exact(replace(format, source=""), data)
    if value is not None:
        return Measured(value, 0.0, "exact")
    return _sampled(format, data, samples, seed, progress)


@lru_cache(maxsize=4096)
def _exact(format: Format, data: Source) -> float | None:
    """The value where an integral is known, else None."""
    element, block, sparsity = format.element, format.block, format.sparsity
    if not format.parts:
        return 0.0
    share = format.outliers.share if format.outliers else 0.0
    if format.rotation or (share and isinstance(sparsity, NofM)):
        return None
    end = float(data.magnitude_quantile(1 - share)) if share else np.inf
    if element is None:
        return squared_error(None, sparsity, data)
    if element.levels is None:
        return None
    if block is not None:
        return block_integrals.exact_error(element, block, sparsity, data, end)
    rms = math.sqrt(survivors_energy(sparsity, data, end) / (format.density - share))
    return squared_error(element.levels * (format.coder.constant * rms), sparsity, data, end)


def _of_samples(format: Format, samples: torch.Tensor) -> Measured:
    """Measured on samples as they are; neighbours that share a scale are one observation for the standard error."""
    if not samples.is_floating_point():
        raise ValueError(f"samples must be floating-point numbers, got {samples.dtype}")
    n = samples.numel()
    exact = samples.double()
    variances = (exact - exact.mean()).square() if n else exact
    if not (n and float(variances.mean()) > 0):
        _ = format.quantize(samples)  # a NaN is the more helpful complaint
        raise ValueError(f"{n} samples without variance: the relative error is undefined")
    return _ratio((format.quantize(samples).double() - exact).square(), variances, format, samples.shape)


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
def _sampled(format: Format, data: Source, samples: int, seed: int, progress: bool) -> Measured:
    recorded = _recorded().get((str(format), str(data), samples, seed))
    if recorded:
        return recorded
    row = max(ROW // format.multiple, 1) * format.multiple
    rows, chunks = CHUNK // ROW, max(round(samples / CHUNK), 1)
    generator = np.random.default_rng(seed)
    parts, value, stderr = [], 0.0, math.inf
    with alone(), tqdm(total=chunks, desc=str(format), unit="chunk", disable=not progress) as bar:
        while len(parts) < chunks or (samples >= SAMPLES and stderr > PRECISION * value and len(parts) < 8 * chunks):
            x = torch.from_numpy(data.distribution.ppf(generator.random((rows, row))).astype(np.float32))
            squares = (format.quantize(x).double() - x.double()).square()
            parts.append(_ratio(squares, torch.ones_like(squares), format, x.shape))
            value = math.fsum(part.value for part in parts) / len(parts)
            stderr = math.sqrt(math.fsum(part.stderr**2 for part in parts)) / len(parts)
            bar.update()
    return Measured(value, stderr, "sampled", len(parts) * rows * row)


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
    for format in formats:
        measured = gmse(format, samples=SAMPLES + 1, progress=progress)  # one more, which rounds away, is not recorded
        if measured.method == "sampled":
            rows.append(
                (str(format), "normal", SAMPLES, 0, f"{measured.value:.9g}", f"{measured.stderr:.3g}", measured.n)
            )
    return pd.DataFrame(rows, columns=["format", "source", "samples", "seed", "value", "stderr", "n"])
