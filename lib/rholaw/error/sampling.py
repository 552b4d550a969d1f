"""What no integral gives, sampled: independent tensors are drawn and rounded, and their scatter is the standard error.

A tensor, or a block, of very many weights is represented by some of them, the largest among these: that is drawn from
its law, an order statistic, the others from what lies below it, and it counts for as much as it is of the whole.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import betaincinv
from tqdm import tqdm

from ..distributions import Source
from ..formats.format import Format
from ..formats.optimal import survivors_rms
from ..formats.sparsity import NofM
from ..threads import alone
from .blocks import LONG, Shape, outliers_among, searched_errors

SAMPLES = 2**21
"""So many weights are drawn by default; fewer where an element takes long to round."""

_WORK = 2**24  # weights that are rounded to a plain grid in about a second
_LEAST = 2**11  # weights that stand for many
_TENSORS = 8, 32, 4096  # how many are drawn: at least, where they are large or slow, or else; at most
_BLOCKS = 2**8  # of a tensor whose scales are stored together


def sampled(
    format: Format, source: Source, shape: Shape, samples: int | None, seed: int, progress: bool
) -> tuple[float, float, int]:
    """The mean squared error in tensors of this shape, its standard error, and how many values were drawn.

    samples: about how many weights to draw, whatever the time (default: as ``SAMPLES`` says).
    """
    rng = np.random.default_rng(seed)
    element, block, reaches = format.element, format.block, _reaches(format)
    if reaches > 1 and block.length(shape) >= LONG and not unlike_its_parts(format, shape) and not format.rotation:
        levels = len(element.levels) * (40 if isinstance(format.sparsity, NofM) else 1)
        count = min(max(_WORK // (4 * reaches * levels), 32), samples or SAMPLES, _TENSORS[2])
        errors = searched_errors(element, block, format.sparsity, source, format.outlier_share, shape, rng, count)
        return float(errors.mean()), float(errors.std(ddof=1)) / math.sqrt(count), count
    work = max(1.0, reaches / 4) * (element.work if element else 1.0)
    total = samples or min(SAMPLES, max(int(_WORK / work), 8 * _LEAST))
    tensor = _tensor(format, source, shape, min(max(total // _TENSORS[1], _LEAST), LONG))
    least = _TENSORS[0] if work > 16 or tensor.weights > LONG else _TENSORS[1]
    count = min(max(total // tensor.weights, least), _TENSORS[2])
    with alone():
        errors = [tensor.error(rng) for _ in tqdm(range(count), desc=str(format), unit="tensor", disable=not progress)]
    return float(np.mean(errors)), float(np.std(errors, ddof=1)) / math.sqrt(count), count * tensor.weights


@dataclass(frozen=True)
class _Tensor:
    """What is drawn: a tensor of so many ``rows`` and ``columns``, all of it or for a larger one.

    ``of``: how many weights it stands for, or each of its rows where these are ``long`` blocks; 0 for no more than
    there are.  ``known``: what ``Format.coded`` needs to know, where that is known of a tensor without end.
    """

    format: Format
    source: Source
    rows: int
    columns: int
    of: int = 0
    long: bool = False
    known: float | None = None

    @property
    def weights(self) -> int:
        return self.rows * self.columns

    def error(self, rng: np.random.Generator) -> float:
        """The mean squared error of one more tensor."""
        runs = self.rows if self.long else 1
        x = np.concatenate([self._draw(rng, self.weights // runs) for _ in range(runs)])
        x = torch.from_numpy(x.astype(np.float32)).view(self.rows, self.columns)
        y = self.format.quantize(x) if self.known is None else self.format.coded(x, self.known)
        squares = (y.double() - x.double()).square()
        if not self.of:
            return float(squares.mean())
        # The largest, or the block that holds it, counts for as much as it is of the whole.
        squares = squares if self.long else self.format.block.split(squares)
        first, rest = squares.tensor_split([self._planted] if self.long else [1], dim=1 if self.long else 0)
        share = (self._planted if self.long else squares.shape[1]) / self.of
        return float(first.mean()) * share + float(rest.mean()) * (1 - share)

    @property
    def _planted(self) -> int:
        return 2 if self.format.block.rule.affine else 1

    def _draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Weights, first the largest of those that they stand for, and where it matters that of the other sign."""
        tails, signs = rng.random(count), rng.choice([-1.0, 1.0], count)
        if self.of:
            outliers, here = (outliers_among(weights, self.format.outlier_share) for weights in (self.of, count))
            top = second = least = betaincinv(outliers + 1, self.of - outliers, rng.random())
            if self._planted == 2:
                signs[1] = -signs[0]
                second = top - (1 - top) * np.expm1(2 / max(self.of - outliers - 1, 1) * np.log(rng.random()))
                least = np.where(signs == signs[1], second, top)
            tails = least + (1 - least) * tails
            tails[: self._planted] = [top, second][: self._planted]
            tails[rng.choice(np.arange(self._planted, count), here, replace=False)] = top * rng.random(here)
        return signs * self.source.beyond(tails)


def _reaches(format: Format) -> int:
    """How many scales a block tries."""
    grid = format.block is not None and format.element.levels is not None
    return len(format.block.rule.reaches(format.element, format.block.type)) if grid else 1


def _scales_of_all(format: Format) -> bool:
    """Whether scales look at all of a tensor."""
    return format.block is not None and (format.block.size == "tensor" or format.block.type.needs != "nothing")


def unlike_its_parts(format: Format, shape: Shape) -> bool:
    """Whether no smaller tensor says what one of this shape does, so that all of it has to be drawn."""
    if format.rotation:
        return _scales_of_all(format)
    apart = isinstance(format.sparsity, NofM) and format.outliers
    return bool(apart and format.block and _reaches(format) > 1 and format.block.length(shape) >= LONG)


def _tensor(format: Format, source: Source, shape: Shape, most: int) -> _Tensor:
    """Which tensor says what one of this shape would: itself up to LONG, else about ``most`` weights where possible."""
    block, weights, columns = format.block, math.prod(shape), shape[1]
    if weights <= LONG or unlike_its_parts(format, shape):
        return _Tensor(format, source, *shape)
    all_of_it = _scales_of_all(format)
    length, rows = (block.length(shape), block.tile[0] if block.tile else 1) if block else (1, 1)
    if length > LONG and not format.rotation and rows == 1:
        together = math.lcm(format.sparsity.group if format.sparsity else 1, format.element.dim)
        columns = max(min(most, 4 * _LEAST), together) // together * together  # rather more of the largest
        rows = 1 if block.type.needs == "nothing" else min(weights // length, _BLOCKS)
        of = 0 if block.rule.limit(format.element, source) is not None else length
        return _Tensor(replace(format, block=replace(block, size="row")), source, rows, columns, of, long=True)
    if all_of_it:
        most = max(most, 2 * length, min(_BLOCKS * length, LONG) if block.type.needs == "everything" else 0)
    if block is None or block.size != "row":
        columns = format.multiple * max(most // (format.multiple * rows), 1)
    rows *= max(most // (columns * rows), 1)
    known = survivors_rms(format.sparsity, source) if format.needs == "rms" and not format.rotation else None
    return _Tensor(format, source, rows, columns, weights if all_of_it else 0, known=known)
