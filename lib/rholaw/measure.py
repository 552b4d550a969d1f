"""GMSE(R): the error with which a format represents N(0,1) data, relative to its variance. Exact, or sampled."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from .formats import parse
from .integrals import squared_error
from .scales import gaussian_scale
from .sources import source as named_source


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

    def __float__(self):
        return self.value


def gmse(format, source="normal"):
    """The mean squared error of ``format`` on ``source``, divided by the variance.

    format: a Format or its text.  source: "normal", "laplace", "logistic", "student-t(ν)", all of unit variance, for
    which the value is exact; or an array or tensor of samples, which ``Format.quantize`` then rounds.  The scale is the
    format's own, a Gaussian constant times the RMS, whatever the source: what ``quantize`` would do to such data.
    Raises ValueError for an unknown source, for NaN or infinity, and for samples without variance.
    """
    format = parse(format)
    if isinstance(source, str):
        return _exact(format, named_source(source))
    return _sampled(format, torch.as_tensor(source))


@lru_cache(maxsize=4096)
def _exact(format, source):
    if not format.parts:
        return Measured(0.0, 0.0, "exact")
    levels = None
    if format.element is not None:
        rms = 1.0
        if format.sparsity is not None:
            rms = np.sqrt((1 - squared_error(None, format.sparsity, source)) / format.sparsity.density)
        levels = format.element.levels * (gaussian_scale(format.element, format.sparsity) * rms)
    return Measured(float(squared_error(levels, format.sparsity, source)), 0.0, "exact")


def _sampled(format, samples):
    if not samples.is_floating_point():
        raise ValueError(f"samples must be floating-point numbers, got {samples.dtype}")
    n = samples.numel()
    squares = (format.quantize(samples).double() - samples.double()).square()
    variances = (samples.double() - samples.double().mean()).square() if n else samples.double()
    variance = float(variances.mean()) if n else 0.0
    if not variance > 0:
        raise ValueError(f"{n} samples without variance: the relative error is undefined")
    value = float(squares.mean()) / variance
    spread = float((squares - value * variances).square().mean().sqrt())  # of a ratio of means
    return Measured(value, spread / (variance * math.sqrt(n)), "sampled", n)
