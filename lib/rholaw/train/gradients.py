"""Rounding that trains: the forward value is the format's, exactly; the gradient is one of several, by name.

`Compression` holds both for a stack of tensors, x[0], x[1], …, each rounded on its own as `Format.quantize` would.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import torch

from ..error.measure import gmse
from ..formats import blocks as scales
from ..formats import vectors
from ..formats.grammar import Format


class _Passing(torch.autograd.Function):
    """Returns ``value``; the gradient reaches ``x`` where ``passes`` is true, everywhere where that is None."""

    @staticmethod
    def forward(ctx, x, value, passes):
        ctx.save_for_backward(passes)
        return value

    @staticmethod
    def backward(ctx, gradient):
        (passes,) = ctx.saved_tensors
        return (gradient if passes is None else gradient * passes), None, None


class _LearnedStep(torch.autograd.Function):
    """Esser et al. 2020, equation 3: rounding to ``element`` at a learned ``step`` (M, 1), with its gradient."""

    @staticmethod
    def forward(ctx, x, step, element):
        y = x / step
        low, high = float(element.levels[0]), float(element.levels[-1])
        inside = (y >= low) & (y <= high)
        level = element.round(y)
        ctx.save_for_backward(torch.where(inside, level - y, level), inside)
        ctx.rate = 1 / math.sqrt(x.shape[1] * high)  # balances the step's gradient against those of the weights
        return level * step

    @staticmethod
    def backward(ctx, gradient):
        slope, inside = ctx.saved_tensors
        return gradient * inside, (gradient * slope).sum(1, keepdim=True) * ctx.rate, None


@dataclass(frozen=True)
class Compression:
    """A format and the name of its gradient (`config.METHODS`), for stacks of tensors (M, …, row)."""

    format: Format
    method: str = "trust"

    def __call__(self, x, kept=None, alive=None, step=None):
        """The compressed stack, of x's shape and type.

        kept: the forward mask of a sparse format (default: its own); alive: where the gradient may pass (default:
        kept).  Both refer to the rotated tensor.  step: (M, 1), the learned steps of "lsq".
        """
        size = self.format.rotation
        y = vectors.hadamard(x, size) if size else x
        if step is not None:
            value = _LearnedStep.apply(y.reshape(len(y), -1), step, self.format.element).view_as(y)
        elif self.method in ("noise", "channel"):
            value = _Passing.apply(y, self._noisy(y), None)
        else:
            value = _Passing.apply(y, *self._rounded(y, kept, alive))
        return vectors.hadamard(value, size) if size else value

    @cached_property
    def _core(self):
        return replace(self.format, rotation=0)

    @torch.no_grad()
    def _noisy(self, y):
        error = _gaussian_error(self.format)
        spread = y.square().mean(dim=tuple(range(1, y.ndim)), keepdim=True).sqrt()
        if self.method == "noise":
            return y + math.sqrt(error) * spread * torch.randn_like(y)
        return (1 - error) * y + math.sqrt(error * (1 - error)) * spread * torch.randn_like(y)

    @torch.no_grad()
    def _rounded(self, y, kept, alive):
        core = self._core
        if kept is None and core.sparsity is not None:
            kept = torch.stack([core.sparsity.mask(t) for t in y])
        body = y if kept is None else y * kept
        value, inside = body, None
        if core.outliers is not None:  # they and their places are chosen tensor by tensor
            value = torch.stack([core.quantize(t) for t in y])
        elif core.element is not None:
            value, inside = _values(body, core, kept, self.method)
            value = value if kept is None else value * kept
        if kept is None:
            return value, inside
        alive = kept if alive is None else alive
        return value, (alive if inside is None else alive & (inside | ~kept))


@lru_cache
def _gaussian_error(format):
    return gmse(format).value


def _values(y, format, kept, method):
    """(values, passes): each y[i] rounded with the format's scales; where the gradient passes, None for everywhere."""
    element, block = format.element, format.block
    if hasattr(element, "code"):  # brings scales of its own, which span what they round
        return torch.stack([format.rounded(t, None if kept is None else k) for t, k in _pairs(y, kept)]), None
    if block is None:
        scale = gaussian_scales(y, format, kept)
        rows = y.reshape(len(y), -1)
        at_one = rows / scale.clamp_min(torch.finfo(y.dtype).tiny)  # a tensor of zeros has none, and stays zero
        value = (element.round(at_one) if element.dim > 1 else element.round_(at_one)).mul_(scale)
        return value.view_as(y), _passes(rows, scale, element, method, y.shape)
    if block.rule in ("minmax", "zero") or block.type == "dq8" or block.size == "tensor":  # they span the block
        return torch.stack([format.rounded(t, None if kept is None else k) for t, k in _pairs(y, kept)]), None
    length = block.length(y.shape)
    rows, mask = y.reshape(-1, length), None if kept is None else kept.reshape(-1, length)
    if block.type == "e4m3":  # with a factor that each tensor's largest magnitude decides
        largest = y.reshape(len(y), -1).abs().amax(1, keepdim=True)
        top = largest.expand(-1, len(rows) // len(y)).reshape(-1, 1)
        scale = scales.scale_of(rows, element, block, mask, top)
        return scales.rounded(rows, element, scale).view_as(y), None  # saturates by the rounding of its scale alone
    scale = scales.scale_of(rows, element, block, mask)
    value = scales.rounded(rows, element, scale).view_as(y)
    return value, _passes(rows, scale, element, method, y.shape)


def _pairs(y, kept):
    return zip(y, y if kept is None else kept, strict=True)


def gaussian_scales(y, format, kept=None):
    """(M, 1): what `Format.rounded` scales each tensor by, without asking the device for a number."""
    rows = y.reshape(len(y), -1)
    count = rows.shape[1] if kept is None else kept.reshape(len(y), -1).sum(1, keepdim=True)
    total = rows.square().sum(1, keepdim=True, dtype=torch.float64)
    constant = scales.gaussian_scale(format.element, format.sparsity)
    return (constant * (total / count).sqrt()).to(y.dtype)


def _passes(rows, scale, element, method, shape):
    """True where |x̂ − x| is no more than rounding makes it: "clip" ends at the last level, "trust" half a step on.

    For vectors: inside a sphere through the outermost point, or half a step on.
    """
    if method == "ste" or (span := _span(element, method)) is None:
        return None
    if element.dim > 1:
        (reach,) = span
        norm = rows.reshape(len(rows), -1, element.dim).square().sum(-1, keepdim=True)
        inside = norm <= (reach * scale[..., None]) ** 2
        return inside.expand(*inside.shape[:-1], element.dim).reshape(shape)
    low, high = span
    low, high = (low * scale, high * scale) if low == -high else _ordered(low * scale, high * scale)
    return ((rows >= low) & (rows <= high)).view(shape)


def _ordered(a, b):  # the scale of the rule signmax may be negative
    return torch.minimum(a, b), torch.maximum(a, b)


@lru_cache
def _span(element, method):
    """At scale 1, between which values the gradient passes; for vectors (radius,) of the sphere; None for trellises."""
    if element.dim == 1:
        levels = element.levels
        margin = (levels[1] - levels[0], levels[-1] - levels[-2]) if method == "trust" else (0.0, 0.0)
        return float(levels[0] - margin[0] / 2), float(levels[-1] + margin[1] / 2)
    if not hasattr(element, "points"):
        return None
    points = torch.as_tensor(element.points)
    norms = points.norm(dim=1)
    outermost = norms.argmax()
    gap = torch.sort((points - points[outermost]).norm(dim=1)).values[1]
    return (float(norms[outermost] + (gap / 2 if method == "trust" else 0.0)),)
