"""One tensor, some rows at a time: its moments, and what formats err by, as if they had seen it as a whole.

A chunk stays in the cache of a core from the file to its squared errors, and threads share no more than the file. It is
read twice: a scale that a whole tensor shares follows from moments that are known only at its end.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from ..formats import blocks as scales
from ..formats.sparsity import CHUNK, NofM, TopK
from ..formats.vectors import hadamard

ON_DEVICE = 2**24  # weights sent to a GPU at once
SAFE = (1e-6, 1e6)  # magnitudes whose fourth powers float32 holds, and those of a thousandth of them


@dataclass(frozen=True)
class Moments:
    """Mean square, largest magnitude, excess kurtosis of all values and of rows scaled to one RMS, and peak in σ."""

    square: float
    largest: float
    kurtosis: float
    row_kurtosis: float
    peak: float


def measured(tensor, formats, rotation, device, pool):
    """What ``formats`` ({name: Format}) do to the ``matrix`` of a Tensor of floats: a dictionary.

    excess_kurtosis, row_kurtosis, peak, largest: as in Moments.  rotation: the largest power of two up to ``rotation``
    that divides the rows, or 0; with rotated_kurtosis and rotated_row_kurtosis.  errors: {name: (error, error after
    the rotation)} relative to Σ x²; the second is nan without a rotation and for formats that rotate, both are 0 for a
    tensor of zeros.  The ``multiple`` of each format must divide the rows.  pool: a ThreadPoolExecutor.
    Raises ValueError that says how many values are NaN or infinite and where the first one is.
    """
    rows, row = tensor.matrix
    size = CHUNK - 1 if device.type == "cpu" else ON_DEVICE  # one block more shall not exceed CHUNK
    step = max(1, size // row)
    chunks = [(start, min(start + step, rows)) for start in range(0, rows, step)]
    tried = math.gcd(rotation, row) if rotation and row % 2 == 0 else 0
    plain = _moments(partial(_part, tensor, device, 0), chunks, tensor, pool)
    found = {"excess_kurtosis": plain.kurtosis, "row_kurtosis": plain.row_kurtosis, "peak": plain.peak}
    found |= {"largest": plain.largest, "rotation": tried}
    if plain.square == 0:
        return found | {"errors": dict.fromkeys(formats, (0.0, 0.0))}

    # A format's own rotation is undone in the end, which changes no squared error: measure it among the rotated rows.
    jobs = {(name, False): (format.rotation, replace(format, rotation=0)) for name, format in formats.items()}
    if tried:
        jobs |= {(name, True): (tried, format) for name, format in formats.items() if not format.rotation}
    moments = {0: plain}
    for turn in {tried, *(turn for turn, _ in jobs.values())} - {0}:
        moments[turn] = _moments(partial(_part, tensor, device, turn), chunks, tensor, pool)
    if tried:
        turned = moments[tried]
        found |= {"rotated_kurtosis": turned.kurtosis, "rotated_row_kurtosis": turned.row_kurtosis}
    coders = {}
    for job, (turn, format) in jobs.items():
        coders[job] = _coder(format, moments[turn], partial(_part, tensor, device, turn), chunks, rows * row, pool)
    safe = SAFE[0] < math.sqrt(plain.square) < SAFE[1]

    def of_chunk(chunk):
        x = _part(tensor, device, 0, *chunk)
        parts = {turn: hadamard(x, turn) if turn else x for turn in moments}
        return {job: _squares(code(y := parts[jobs[job][0]]), y, safe) for job, code in coders.items() if code}

    def of_whole(job):
        turn, format = jobs[job]
        x = _part(tensor, device, turn, 0, rows)
        return {job: _squares(format.quantize(x), x, safe)}

    sums = dict.fromkeys(jobs, 0.0)
    for task, arguments in ((of_chunk, chunks), (of_whole, [job for job, code in coders.items() if not code])):
        for squares in pool.map(task, arguments):
            sums |= {job: sums[job] + value for job, value in squares.items()}
    relative = {job: value / (plain.square * rows * row) for job, value in sums.items()}
    return found | {"errors": {name: (relative[name, False], relative.get((name, True), math.nan)) for name in formats}}


def _part(tensor, device, turn, start, stop):
    """Rows of it, rotated by ``turn`` or not, in float64 where the file has that, else in float32."""
    x = tensor.rows(start, stop)
    x = x.to(device, torch.float64 if x.dtype == torch.float64 else torch.float32)
    return hadamard(x, turn) if turn else x


def _squares(q, x, safe):
    """Σ (q − x)²; ``q`` is overwritten."""
    error = q.sub_(x).view(-1)
    error = error if safe else error.double()
    return float(torch.dot(error, error))


def _moments(part, chunks, tensor, pool):
    sums = np.array(list(pool.map(lambda chunk: _sums(part(*chunk)), chunks)))
    low, high = float(sums[:, 0].min()), float(sums[:, 1].max())  # nan where one is
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(_non_finite(tensor, chunks))
    mean, square, cube, fourth, within = (sums[:, 2:].sum(axis=0) / tensor.count).tolist()
    variance, largest = square - mean**2, max(high, -low)
    if variance <= 1e-6 * square:  # a constant, as far as float32 can tell
        return Moments(square, largest, math.nan, math.nan, math.nan)
    central = fourth - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4
    peak = max(high - mean, mean - low) / math.sqrt(variance)
    return Moments(square, largest, central / variance**2 - 3, within - 3, peak)


def _sums(x):
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


def _non_finite(tensor, chunks):
    nan, infinite, first = 0, 0, None
    for start, stop in chunks:
        x = tensor.rows(start, stop).float()
        nan += int(x.isnan().sum())
        infinite += int(x.isinf().sum())
        if first is None and not x.isfinite().all():
            row, column = (~x.isfinite()).nonzero()[0].tolist()
            first = np.unravel_index((start + row) * x.shape[1] + column, tensor.shape or (1,))
    return f"{nan} NaN and {infinite} infinite values, the first at {[int(i) for i in first]}"


def _coder(format, moments, part, chunks, count, pool):
    """What rounds some rows as ``format`` rounds them among all; None where it has to see them all."""
    element, block, sparsity = format.element, format.block, format.sparsity
    if format.outliers or isinstance(sparsity, TopK):
        return None
    if element is None or hasattr(element, "code"):
        return format.quantize
    if block is None:
        if not 2.0**-40 < moments.largest < 2.0**40:
            return None
        square = moments.square
        if isinstance(sparsity, NofM):
            square = math.fsum(pool.map(lambda chunk: _survivors(part(*chunk), sparsity), chunks))
            square /= count * sparsity.density
        return partial(_rounded, element, sparsity, scales.gaussian_scale(element, sparsity) * math.sqrt(square))
    if block.type == "dq8" or (block.size == "tensor" and block.rule != "absmax"):
        return None
    if block.size == "tensor" or block.type == "e4m3":
        return partial(_beside, format, moments.largest)
    return partial(_blocks, format)


def _survivors(x, sparsity):
    """Σ x² over what survives."""
    return float(scales.masked(x, sparsity.mask(x)).square_().sum(dtype=torch.float64))


def _rounded(element, sparsity, scale, x):
    """By one scale for the tensor."""
    mask = sparsity.mask(x) if sparsity else None
    q = scales.rounded(x if mask is None else scales.masked(x, mask), element, x.new_full((1, 1), scale))
    return q if mask is None else scales.masked(q, mask, out=q)


def _blocks(format, x):
    """By blocks that need nothing from outside of them."""
    if format.sparsity:
        return format.quantize(x)
    return scales.apply(x.view(-1, format.block.length(x.shape)), format.element, format.block).view(x.shape)


def _beside(format, largest, x):
    """Together with one block more, which holds the largest magnitude of the tensor: it sets the scale of scales."""
    block = x.new_zeros(format.multiple)
    block[0] = largest
    rows = torch.cat([x.view(-1), block]).view(-1, format.multiple)
    return _blocks(format, rows).view(-1)[: x.numel()].view(x.shape)
