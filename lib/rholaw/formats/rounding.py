"""Passes over a tensor, in parts that stay in the cache of a core: rounding at given scales, masks, and extremes."""

import math

import torch
from torch import Tensor

from ..threads import over
from .element import Element
from .sparsity import CHUNK


def rounded(blocks: Tensor, element: Element, scale: Tensor, out: Tensor | None = None) -> Tensor:
    """Each row of ``blocks`` (n, length) divided by its ``scale`` (n, 1), rounded, and scaled back; 0 where that is 0.

    out: what may hold the result, ``blocks`` itself if need be (default: a new tensor).
    """
    if element.dim == 1 and blocks.shape[1] > CHUNK:
        out = torch.empty_like(blocks) if out is None else out
        parts = [t.split(CHUNK, 1) for t in (blocks, out)]
        over(lambda part, into: into.copy_(rounded(part, element, scale)), *parts)
        return out
    y = blocks / scale
    if scale.device.type != "cpu" or not scale.all():  # a GPU would have to wait for the answer
        y.masked_fill_(scale == 0, 0.0)
    return element.round_(y).mul_(scale)


def rms(y: Tensor, count: int) -> float:
    """The root mean square of ``count`` values of ``y``, the others being zero."""
    total = sum(over(lambda part: part.square().sum(dtype=torch.float64), y.reshape(-1).split(CHUNK)))
    return float((total / count).sqrt()) if count else 0.0


def masked(y: Tensor, mask: Tensor, out: Tensor | None = None) -> Tensor:
    """y × mask, in parts: a whole mask would become a tensor of floats first.  ``out`` may be ``y`` itself."""
    out = torch.empty_like(y, memory_format=torch.contiguous_format) if out is None else out
    parts = [t.reshape(-1).split(CHUNK) for t in (y, mask, out)]
    over(lambda part, kept, into: torch.mul(part, kept, out=into), *parts)
    return out


def extremes(x: Tensor) -> tuple[float, float]:
    """The least and the greatest value of a tensor; both nan where one of its values is not finite."""
    size = CHUNK if x.device.type == "cpu" else x.numel()  # a GPU has no such caches, and the host waits for each part
    ends = over(lambda part: (float(part.amin()), float(part.amax())), x.reshape(-1).split(size))
    low, high = zip(*ends, strict=True)
    return (min(low), max(high)) if all(map(math.isfinite, low + high)) else (math.nan, math.nan)


def ends(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest value of each row of ``blocks`` (n, length), of shape (n, 1) both."""
    return blocks.amin(dim=1, keepdim=True), blocks.amax(dim=1, keepdim=True)  # ten times as fast as aminmax


def largest(blocks: Tensor) -> Tensor:
    """The largest magnitude (n, 1) of each row of ``blocks`` (n, length)."""
    if blocks.numel() > CHUNK:  # their magnitudes would leave the cache
        low, high = ends(blocks)
        return torch.maximum(high, -low)
    magnitudes = blocks.abs()
    if blocks.shape[1] == 16:  # a vector register wide, where amax alone takes twice as long
        magnitudes = torch.maximum(magnitudes[:, :8], magnitudes[:, 8:])
    return magnitudes.amax(dim=1, keepdim=True)
