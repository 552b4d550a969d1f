"""Rounding that trains: the forward value is the format's, exactly; the gradient is one of several, by name.

`Compression` holds both for a stack of tensors, x[0], x[1], …, each rounded on its own as `Format.quantize` would.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import torch

from ..error.measure import gmse
from ..formats import vectors
from ..formats.format import Format


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

    def __call__(
        self,
        x: torch.Tensor,
        kept: torch.Tensor | None = None,
        alive: torch.Tensor | None = None,
        step: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The compressed stack, of x's shape and type.

        kept: the forward mask of a sparse format (default: its own); alive: where the gradient may pass (default:
        kept).  Both refer to the rotated tensor.  step: (M, 1), the learned steps of "lsq".
        """
        with _exactly(x.device.type):
            return self._compressed(x, kept, alive, step)

    @property
    def noisy(self) -> bool:
        """Whether the same tensor is compressed to another one every time."""
        return self.method in ("noise", "channel")

    def _compressed(
        self, x: torch.Tensor, kept: torch.Tensor | None, alive: torch.Tensor | None, step: torch.Tensor | None
    ) -> torch.Tensor:
        size = self.format.rotation
        y = vectors.hadamard(x, size) if size else x
        if step is not None:
            value = _LearnedStep.apply(y.reshape(len(y), -1), step, self.format.element).view_as(y)
        elif self.noisy:
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


def _exactly(device: str) -> AbstractContextManager:
    """No autocast: in half precision the products that rotate, and find the nearest vector, would find others."""
    return torch.autocast(device, enabled=False) if device in ("cpu", "cuda") else nullcontext()


@lru_cache
def _gaussian_error(format):
    return gmse(format).value


def _values(y, format, kept, method):
    """(values, passes): each y[i] rounded with the format's scales; where the gradient passes, None for everywhere."""
    coder = format.coder
    if coder.needs == "everything":  # of one tensor at a time; the scales span it
        return torch.stack([coder(y[i], None if kept is None else kept[i]) for i in range(len(y))]), None
    if coder.needs == "rms":
        scale = gaussian_scales(y, format, kept)
    else:
        top = y.reshape(len(y), -1).abs().amax(1, keepdim=True) if coder.needs == "largest" else None
        scale = coder.scale(y, kept, top)
    if scale is None:  # blocks and own scales of a stack are those of its tensors, and span what they round
        return coder(y, kept), None
    value = coder.at(y, scale)
    if coder.needs == "largest":  # saturates by the rounding of its scale alone
        return value, None
    return value, _passes(y.reshape(len(scale), -1), scale, format.element, method, y.shape)


def gaussian_scales(y: torch.Tensor, format: Format, kept: torch.Tensor | None = None) -> torch.Tensor:
    """(M, 1): what `Format.coder` scales each tensor by, without asking the device for a number."""
    rows = y.reshape(len(y), -1)
    count = rows.shape[1] if kept is None else kept.reshape(len(y), -1).sum(1, keepdim=True)
    total = rows.square().sum(1, keepdim=True, dtype=torch.float64)
    return format.coder.scale(y, known=(total / count).sqrt())


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
    if element.points is None:
        return None
    points = torch.as_tensor(element.points)
    norms = points.norm(dim=1)
    outermost = norms.argmax()
    gap = torch.sort((points - points[outermost]).norm(dim=1)).values[1]
    return (float(norms[outermost] + (gap / 2 if method == "trust" else 0.0)),)
