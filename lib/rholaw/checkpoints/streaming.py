"""One tensor, some rows at a time: its moments, and what formats err by, as if they had seen it as a whole.

A chunk stays in the cache of a core from the file to its squared errors, and threads share no more than the file. It is
read twice: a scale that a whole tensor shares follows from moments that are known only at its end.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from .. import threads
from ..formats.format import Format
from ..formats.rounding import masked
from ..formats.sparsity import CHUNK, Sparsity
from ..formats.vectors import hadamard
from .tensors import Tensor

ON_DEVICE = 2**24  # weights sent to a GPU at once
LEAST, LARGEST = 2.0**-240, 2.0**240  # of a tensor's largest magnitudes
SAFE = (1e-6, 1e6)  # magnitudes whose fourth powers float32 holds, and those of a thousandth of them


class NotFinite(ValueError):
    """A tensor with NaN or infinite values; says how many, and where the first one is."""


@dataclass(frozen=True)
class Moments:
    """Mean square, least and largest value, excess kurtosis of all values and of rows scaled to one RMS, peak in σ."""

    square: float
    low: float
    high: float
    kurtosis: float
    row_kurtosis: float
    peak: float

    @property
    def largest(self) -> float:
        """The largest magnitude."""
        return max(-self.low, self.high)


@dataclass(frozen=True)
class Job:
    """What to measure: the error of a ``format`` that does not rotate, on rows turned by ``rotation``, 0 for none."""

    format: Format
    rotation: int


@dataclass(frozen=True)
class Measurement:
    """What formats do to a tensor of floats.

    plain: the Moments of its values.  rotation: the size of the rotation that was tried, or 0; rotated: the Moments
    after it, or None.  errors: {name of a format: (error, error after the rotation)} relative to Σ x²; the second is
    nan without a rotation and for formats that rotate, both are 0 for a tensor of zeros.
    """

    plain: Moments
    rotation: int
    rotated: Moments | None
    errors: dict[str, tuple[float, float]]


def measured(tensor: Tensor, formats: dict[str, Format], rotation: int, device: torch.device) -> Measurement:
    """What ``formats`` ({name: Format}) do to the ``matrix`` of a Tensor of floats, whose rows each can divide.

    rotation: the largest to try, a power of two, or 0; tried is the largest up to it that divides the rows.
    Raises NotFinite where values are NaN or infinite, and ValueError where their fourth powers are.
    """
    row = tensor.matrix[1]
    tried = math.gcd(rotation, row) if rotation and row % 2 == 0 else 0
    rows = Rows(tensor, device)
    plain = rows.moments(0)
    rows = replace(rows, wide=not Format.ordinary(plain.largest))  # a rotation may leave the range of float32
    if plain.square == 0:
        return Measurement(plain, tried, None, dict.fromkeys(formats, (0.0, 0.0)))

    # A format's own rotation is undone in the end, which changes no squared error: measure it among the rotated rows.
    direct = {name: Job(replace(format, rotation=0), format.rotation) for name, format in formats.items()}
    turned = {name: Job(format, tried) for name, format in formats.items() if tried and not format.rotation}
    jobs = dict.fromkeys([*direct.values(), *turned.values()])  # each once, in order
    moments = {0: plain}
    for turn in {tried, *(job.rotation for job in jobs)} - {0}:
        moments[turn] = rows.moments(turn)
    errors = {job: value / (plain.square * tensor.count) for job, value in _sums_of_squares(rows, jobs, moments)}
    pairs = {name: (errors[job], errors.get(turned.get(name), math.nan)) for name, job in direct.items()}
    return Measurement(plain, tried, moments.get(tried) if tried else None, pairs)


@dataclass(frozen=True)
class Rows:
    """The rows of a Tensor's matrix on a device, and the ``chunks`` of them that are looked at together.

    wide: in float64, even where the file has less.
    """

    tensor: Tensor
    device: torch.device
    wide: bool = False

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """[(first row, row behind the last)]."""
        rows, row = self.tensor.matrix
        size = CHUNK if self.device.type == "cpu" else ON_DEVICE
        step = max(1, size // row)
        return [(start, min(start + step, rows)) for start in range(0, rows, step)]

    def part(self, rotation: int, start: int, stop: int) -> torch.Tensor:
        """Rows turned by ``rotation`` or, with 0, as they are; in float32, or float64 where the file has that."""
        x = self.tensor.rows(start, stop)
        x = x.to(self.device, torch.float64 if self.wide or x.dtype == torch.float64 else torch.float32)
        return hadamard(x, rotation) if rotation else x

    def moments(self, rotation: int) -> Moments:
        """The Moments of all values after a rotation. Raises NotFinite, or ValueError where moments alone are not."""
        sums = np.array(threads.over(lambda chunk: _sums(self.part(rotation, *chunk)), self.chunks))
        low, high = float(sums[:, 0].min()), float(sums[:, 1].max())  # nan where one is
        if not (math.isfinite(low) and math.isfinite(high)):
            raise NotFinite(non_finite(self.tensor))
        if (largest := max(high, -low)) and not LEAST < largest < LARGEST:
            raise ValueError(f"the largest magnitude is {largest:.3g}, whose fourth power is beyond float64")
        mean, square, cube, fourth, within = (sums[:, 2:].sum(axis=0) / self.tensor.count).tolist()
        variance = square - mean**2
        if variance <= 1e-6 * square:  # a constant, as far as float32 can tell
            return Moments(square, low, high, math.nan, math.nan, math.nan)
        central = fourth - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4
        peak = max(high - mean, mean - low) / math.sqrt(variance)
        return Moments(square, low, high, central / variance**2 - 3, within - 3, peak)


def _sums_of_squares(rows: Rows, jobs: Iterable[Job], moments: dict[int, Moments]) -> Iterator[tuple[Job, float]]:
    """(job, Σ (q − x)²): chunk by chunk where a format can round some rows as among all, else of the whole tensor."""
    safe = SAFE[0] < math.sqrt(moments[0].square) < SAFE[1]
    coders, whole = {}, []
    for job in jobs:
        coder = _coder(job.format, moments[job.rotation], rows, job.rotation)
        if coder:
            coders[job] = coder
        else:
            whole.append(job)

    def of_chunk(chunk: tuple[int, int]) -> list[float]:
        x = rows.part(0, *chunk)
        turned = {turn: hadamard(x, turn) if turn else x for turn in moments}
        return [_squares(coder(turned[job.rotation]), turned[job.rotation], safe) for job, coder in coders.items()]

    def of_whole(job: Job) -> float:
        x = rows.part(job.rotation, 0, rows.tensor.matrix[0])
        return _squares(job.format.quantize(x), x, safe)

    by_chunk = threads.over(of_chunk, rows.chunks if coders else [])
    yield from zip(coders, map(math.fsum, zip(*by_chunk, strict=True)), strict=True)
    yield from zip(whole, threads.over(of_whole, whole), strict=True)


def _squares(q: torch.Tensor, x: torch.Tensor, safe: bool) -> float:
    """Σ (q − x)²; ``q`` is overwritten."""
    error = q.sub_(x).view(-1)
    error = error if safe else error.double()
    return float(torch.dot(error, error))


def _sums(x: torch.Tensor) -> tuple[float, ...]:
    """(least, largest, Σ x, Σ x², Σ x³, Σ x⁴, Σ x⁴ / (mean square of its row)²)."""
    low, high = float(x.amin()), float(x.amax())
    if low == high == 0 or not (math.isfinite(low) and math.isfinite(high)):
        return low, high, 0.0, 0.0, 0.0, 0.0, 0.0
    x = x if SAFE[0] < max(high, -low) < SAFE[1] else x.double()
    squares = x * x
    by_row, fourths = squares.sum(1), torch.linalg.vecdot(squares, squares)
    within = torch.where(by_row > 0, fourths / by_row.square(), 0.0).sum() * x.shape[1] ** 2
    sums = x.sum(), by_row.sum(), torch.dot(squares.view(-1), x.view(-1)), fourths.sum(), within
    return low, high, *map(float, sums)


def non_finite(tensor: Tensor) -> str:
    """How many of its values are NaN and infinite, and where the first one is."""
    nan, infinite, first = 0, 0, None
    for start, stop in Rows(tensor, torch.device("cpu")).chunks:
        x = tensor.rows(start, stop).float()
        nan += int(x.isnan().sum())
        infinite += int(x.isinf().sum())
        if first is None and not x.isfinite().all():
            row, column = (~x.isfinite()).nonzero()[0].tolist()
            first = np.unravel_index((start + row) * x.shape[1] + column, tensor.shape or (1,))
    return f"{nan} NaN and {infinite} infinite values, the first at {[int(i) for i in first]}"


def _coder(
    format: Format, moments: Moments, rows: Rows, rotation: int
) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """What rounds some rows as ``format`` rounds them among all; None where it has to see them all."""
    if format.needs == "everything" or not format.ordinary(moments.largest):
        return None
    known = moments.largest if format.needs == "largest" else None
    if format.needs == "rms":
        square = moments.square
        if format.sparsity:
            squares = threads.over(lambda chunk: _survivors(rows.part(rotation, *chunk), format.sparsity), rows.chunks)
            square = math.fsum(squares) / (rows.tensor.count * format.density)
        known = math.sqrt(square)
    return partial(format.coded, known=known)


def _survivors(x: torch.Tensor, sparsity: Sparsity) -> float:
    """Σ x² over what survives."""
    return float(masked(x, sparsity.mask(x)).square_().sum(dtype=torch.float64))
