"""GMSE(R): the error with which a format represents N(0,1) data, relative to its variance. Exact, or sampled."""

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from . import block_integrals
from .formats import parse
from .integrals import squared_error
from .scales import gaussian_scale, survivors_energy
from .sources import source as named_source
from .sparsity import NofM

ROW = block_integrals.ROW
CHUNK = 2**18  # weights sampled at once
SAMPLES = 2**21
"""Samples by default: a standard error below 0.2 % of the value for every format of the catalogue but the trellises."""


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


def gmse(format, source="normal", *, samples=SAMPLES, seed=0, progress=False):
    """The mean squared error of ``format`` on ``source``, divided by the variance.

    format: a Format or its text.  source: "normal", "laplace", "logistic", "student-t(ν)", all of unit variance, or an
    array or tensor of samples, which ``Format.quantize`` rounds.  For a named source the value is exact wherever an
    integral is known; else ``samples`` values are drawn, in rows of 4096, and the result is kept in the user's cache.
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
def _exact(format, data):
    """The value where an integral is known, else None."""
    element, block, sparsity = format.element, format.block, format.sparsity
    if not format.parts:
        return 0.0
    share = format.outliers.share if format.outliers else 0.0
    grouped = isinstance(sparsity, NofM)
    if format.rotation or (share and grouped) or not (element is None or hasattr(element, "levels")):
        return None
    end = float(data.magnitude_quantile(1 - share)) if share else np.inf
    if element is None:
        return squared_error(None, sparsity, data)
    if block is None:
        rms = math.sqrt(survivors_energy(sparsity, data, end) / (format.density - share))
        levels = element.levels * (gaussian_scale(element, sparsity, share) * rms)
        return float(squared_error(levels, sparsity, data, end))
    if block.rule in ("absmax", "signmax"):
        if not grouped or block_integrals.assumed_length(block) % sparsity.m == 0:
            return block_integrals.absmax_error(element, block, sparsity, data, end)
    elif sparsity is None and not share:
        if block.rule == "minmax" and block.type == "fp32":
            return block_integrals.minmax_error(element, block, data)
        if block.rule == "absmean" and block.size == "tensor":
            return float(squared_error(element.levels * 2 * data.tail_moments(0.0)[1], None, data))
    return None


def _of_samples(format, samples):
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


def _ratio(squares, variances, format, shape):
    n, variance = squares.numel(), float(variances.mean())
    value = float(squares.mean()) / variance
    group = _together(format, shape)
    deviations = (squares - value * variances).reshape(-1, group).mean(dim=1)
    return Measured(value, float(deviations.square().mean().sqrt()) / variance / math.sqrt(n / group), "sampled", n)


def _together(format, shape):
    """How many neighbours share a scale or a code; 1 where that is a whole tensor."""
    row = format.block.length(shape) if format.block and format.block.size == "row" else 1
    size = math.lcm(format.multiple, row)
    return size if math.prod(shape) % size == 0 and math.prod(shape) > size else 1


def _sampled(format, data, samples, seed, progress):
    row = max(ROW // format.multiple, 1) * format.multiple
    rows = CHUNK // ROW
    chunks = max(round(samples / CHUNK), 1)
    samples = chunks * rows * row
    key = f"{format} | {data} | {samples} | {seed}"
    path = cache_folder() / (hashlib.sha256(f"{_fingerprint()} {key}".encode()).hexdigest()[:32] + ".json")
    if path.exists():
        return Measured(**json.loads(path.read_text()))
    generator = np.random.default_rng(seed)
    parts = []
    for _ in tqdm(range(chunks), desc=str(format), unit="chunk", disable=not progress):
        x = torch.from_numpy(data.distribution.ppf(generator.random((rows, row))).astype(np.float32))
        parts.append(_ratio((format.quantize(x).double() - x.double()).square(), torch.ones(x.shape), format, x.shape))
    value = math.fsum(part.value for part in parts) / len(parts)
    stderr = math.sqrt(math.fsum(part.stderr**2 for part in parts)) / len(parts)
    measured = Measured(value, stderr, "sampled", samples)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(asdict(measured)))
    os.replace(temporary, path)
    return measured


def cache_folder():
    """Where sampled values are kept: RHOLAW_CACHE, or the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rholaw"
    return Path(os.environ.get("RHOLAW_CACHE", default))


@cache
def _fingerprint():
    """Changes with the code that a sampled value depends on, and with torch."""
    here = Path(__file__).parent
    names = ("sources", "grids", "sparsity", "scales", "ggml", "vectors", "formats", "measure")
    digest = hashlib.sha256(torch.__version__.encode())
    for name in names:
        digest.update((here / f"{name}.py").read_bytes())
    for table in sorted((here.parents[1] / "data" / "codebooks").glob("*.csv")):
        digest.update(table.read_bytes())
    return digest.hexdigest()
