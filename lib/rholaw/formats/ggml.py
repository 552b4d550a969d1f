"""The block types of GGUF whose scales are searched for and themselves quantised: K-quants, iq4 and ternary types.

They follow the quantisers of ggml without an importance matrix (``quantize_*`` in ``ggml/src/ggml-quants.c``) operation
by operation in float32, sums in their order: on a CPU the values come out bit for bit the same.  One thing differs: a
super-scale too large for fp16 saturates here, where ggml stores an infinity and decodes NaN.

Inside, a sub-block is a column: ``x`` has shape (sub-block length, how many), and a sum runs down its rows.
"""

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..threads import over
from .element import Element

_NEGLIGIBLE = 1e-15  # GROUP_MAX_EPS: a block whose magnitudes all lie below it is stored as zeros
_TINY = torch.finfo(torch.float32).tiny
_LARGEST = 2.0**30  # above what any type can store; squares and cubes beyond would overflow
_CHUNK = 2**19  # weights searched at once: many small operations, of which each has to be worth a turn of its thread
_IQ4 = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)  # kvalues_iq4nl of ggml-common.h
_IQ4_OF_HALVES = tuple(min(_IQ4, key=lambda level: (abs(half / 2 - level), -level)) for half in range(-256, 257))


@dataclass(frozen=True)
class Ggml(Element):
    """A block type: ``dim`` consecutive weights of a row share scales, and ``bits`` per weight count everything."""

    name: str
    bits: float
    dim: int
    kind: ClassVar[str] = "ggml"
    work: ClassVar[float] = 16.0
    own_scales: ClassVar[bool] = True

    def round(self, x: Tensor) -> Tensor:
        """As ``Element.round``, computed in float32."""
        if not x.numel():
            return x.clone()
        blocks = self.codes(x).float().clamp(-_LARGEST, _LARGEST)
        chunks = over(_CODERS[self.name], blocks.split(_CHUNK // self.dim))
        return torch.cat(chunks).to(x.dtype).view(x.shape)


def _columns(x, length):
    return x.reshape(-1, length).t().contiguous()


def _sum(terms):
    """The sum down the rows one by one, as a C loop adds them; ``torch.sum`` pairs them differently."""
    return reduce(torch.add, terms)


def _over(number, x):
    """number / x with one rounding; ``number / x`` of torch is a reciprocal and a product."""
    return torch.full_like(x, float(number)) / x


def _half(x):
    return x.clamp(-65504, 65504).half().float()


def _offsets(start, step, count):
    """start + step × 0, 1, …, rounded to float32 at every operation."""
    return np.float32(start) + np.float32(step) * np.arange(count, dtype=np.float32)


def _signed_extreme(x):
    """The entry of largest magnitude of every column, the first of equals, and where that is negligible."""
    extreme = x.gather(0, x.abs().argmax(0, keepdim=True))[0]
    return extreme, extreme.abs() < _NEGLIGIBLE


def _search_scale(x, codes, weights, trials, codes_first=False):
    """The scale of least weighted error among those that the trials imply.

    ``trials``: inverse scales; ``codes`` rounds x × inverse scale to the values that are stored.  Each trial's codes
    have a best scale, Σwxq / Σwq², which leaves the error Σwx² − (Σwxq)² / Σwq².
    """
    scale = best = None
    for inverse in trials:
        q = codes(x * inverse)
        product, square = _sum(weights * q * x if codes_first else weights * x * q), _sum(weights * q * q)
        fitted = torch.where(square > 0, product / square, 0.0)
        if scale is None:
            scale, best = fitted, fitted * product
        else:
            better = (square > 0) & (product * product > best * square)
            scale, best = torch.where(better, fitted, scale), torch.where(better, fitted * product, best)
    return scale


def _symmetric_scale(x, largest):
    """make_qx_quants: codes −largest … largest − 1, the extreme at −largest give or take 0.9; weights x²."""
    extreme, negligible = _signed_extreme(x)
    trials = [0, *range(-9, 0), *range(1, 10)]
    inverses = (-_over(np.float32(largest) + np.float32(0.1) * np.float32(trial), extreme) for trial in trials)
    scale = _search_scale(x, lambda v: v.round().clamp_(-largest, largest - 1), x * x, inverses)
    return scale.masked_fill_(negligible, 0.0)


def _descended_scale(x, largest):
    """make_q3_quants: codes −largest … largest − 1 moved one at a time while that lowers the error; weights x²."""
    extreme, negligible = _signed_extreme(x)
    q = (x * _over(-largest, extreme)).round_().clamp_(-largest, largest - 1).masked_fill_(negligible, 0.0)
    weights = x * x
    product, square = _sum(weights * x * q), _sum(weights * q * q)
    for _ in range(5):
        moved = False
        for i in range(len(x)):
            w, v, old = weights[i], x[i], q[i]
            rest, rest_square = product - w * v * old, square - w * old * old
            new = torch.where(rest > 0, v * rest_square / rest, 0.0).round_().clamp_(-largest, largest - 1)
            with_new, square_new = rest + w * v * new, rest_square + w * new * new
            better = (rest > 0) & (new != old) & (square_new > 0)
            better &= with_new * with_new * square > product * product * square_new
            product, square = torch.where(better, with_new, product), torch.where(better, square_new, square)
            q[i] = torch.where(better, new, old)
            moved |= bool(better.any())
        if not moved:
            break
    return torch.where((square > 0) & ~negligible, product / square, 0.0)


def _affine_scale(x, largest, weights, starts, absolute):
    """make_qkx2_quants: scale and minimum ≤ 0 for codes 0 … largest, by weighted regression on each trial's codes."""
    low, high = x.amin(0).clamp_(max=0.0), x.amax(0)
    flat = high == low
    span = torch.where(flat, 1.0, high - low)

    def error(scale, minimum, q):
        gap = scale * q + minimum - x
        return _sum(weights * (gap.abs() if absolute else gap * gap))

    inverse = _over(largest, span)
    scale, minimum = _over(1, inverse), low
    best = error(scale, minimum, (inverse * (x - low)).round_().clamp_(0, largest))
    sum_w, sum_x = _sum(weights), _sum(weights * x)
    for start in starts:
        # The codes are counted from the best minimum so far, which may have come up to a column's largest weight.
        span = (high - minimum).clamp_(min=_TINY)
        q = (_over(start + np.float32(largest), span) * (x - minimum)).round_().clamp_(0, largest)
        wq = weights * q
        sum_q, sum_qq, sum_xq = _sum(wq), _sum(wq * q), _sum(wq * x)
        determinant = sum_w * sum_qq - sum_q * sum_q
        fitted = (sum_w * sum_xq - sum_x * sum_q) / determinant
        offset = (sum_qq * sum_x - sum_q * sum_xq) / determinant
        fitted, offset = torch.where(offset > 0, sum_xq / sum_qq, fitted), offset.clamp_(max=0.0)
        trial = error(fitted, offset, q)
        better = (determinant > 0) & (trial < best)
        scale, minimum = torch.where(better, fitted, scale), torch.where(better, offset, minimum)
        best = torch.where(better, trial, best)
    return scale.masked_fill_(flat, 0.0), -minimum


def _affine(x, length, largest, sub, starts, absolute=False):
    """q2_K, q4_K, q5_K: codes 0 … largest of sub-blocks; their scales and minima have ``sub`` steps of an fp16 each."""
    columns = _columns(x, length)
    weights = columns.abs()
    if not absolute:
        # Through float64, because torch's float32 square root may be a unit in the last place off.
        weights = (_sum(columns * columns) / length).double().sqrt().float() + weights
    pair = []
    for real in _affine_scale(columns, largest, weights, starts, absolute):
        real = real.view(len(x), -1)
        top = real.amax(1, keepdim=True).clamp_(min=0.0)
        steps = torch.where(top > _NEGLIGIBLE, _over(sub, top) * real, 0.0).round_().clamp_(0, sub)
        pair.append((_half(top / sub) * steps).view(1, -1))
    scale, minimum = pair
    q = torch.where(scale > 0, (columns + minimum) / scale, 0.0).round_().clamp_(0, largest)
    return (scale * q - minimum).t().reshape(x.shape)


def _symmetric(x, find, largest, sub):
    """q3_K, q6_K: codes −largest … largest − 1 of 16 weights; their scales, −sub … sub − 1 steps of an fp16."""
    columns = _columns(x, 16)
    real = find(columns, largest).view(len(x), -1)
    extreme, negligible = _signed_extreme(real.t())
    inverse = _over(-sub, extreme).masked_fill_(negligible, 0.0)
    steps = (inverse[:, None] * real).round_().clamp_(-sub, sub - 1)
    unit = _half(torch.where(negligible, 0.0, _over(1, inverse)))
    scale = (unit[:, None] * steps).view(1, -1)
    q = torch.where(scale != 0, columns / scale, 0.0).round_().clamp_(-largest, largest - 1)
    return (scale * q).t().reshape(x.shape)


def _iq4_codes(x):
    """The nearest of ggml's sixteen unequal levels, the upper one of two as near.

    The edges between them are multiples of ½, so that a table over ⌊2x⌋ decides as a comparison would.
    """
    table = torch.tensor(_IQ4_OF_HALVES, dtype=x.dtype, device=x.device)
    halves = (x * 2).floor_().clamp_(-256, 256).add_(256).int()
    return table.index_select(0, halves.view(-1)).view(x.shape)


def _iq4_scale(x):
    extreme, negligible = _signed_extreme(x)
    extreme = extreme.masked_fill(negligible, 1.0)
    # The first trial puts the extreme at +127, beyond the top level, the others at −127 give or take 7.
    inverses = [_over(1, extreme / 127), *(_over(_IQ4[0] + trial, extreme) for trial in range(-7, 8))]
    return _search_scale(x, _iq4_codes, x * x, inverses, codes_first=True).masked_fill_(negligible, 0.0)


def _iq4_nl(x):
    columns = _columns(x, 32)
    scale = _iq4_scale(columns)
    q = _iq4_codes(torch.where(scale != 0, _over(1, scale), 0.0) * columns)
    return (_half(scale) * q).t().reshape(x.shape)


def _iq4_xs(x):
    """The scales of 32 weights are 6-bit integers times an fp16; codes are chosen before that is rounded to fp16."""
    columns = _columns(x, 32)
    real = _iq4_scale(columns).view(len(x), -1)
    unit = (_signed_extreme(real.t())[0] / -32)[:, None]
    steps = torch.where(unit != 0, _over(1, unit) * real, 0.0).round_().clamp_(-32, 31)
    scale = (unit * steps).view(1, -1)
    q = _iq4_codes(torch.where(scale != 0, _over(1, scale), 0.0) * columns)
    return ((_half(unit) * steps).view(1, -1) * q).t().reshape(x.shape)


def _ternary(x):
    """−1, 0, 1 times the largest magnitude of 256, where from half of it up a weight keeps its sign."""
    largest = x.abs().amax(1, keepdim=True)
    inverse = torch.where(largest > 0, _over(1, largest), 0.0)
    return _half(largest) * torch.where((x * inverse).abs() >= 0.5, x.sign(), 0.0)


_CODERS = {
    "q2_k": lambda x: _affine(x, 16, 3, 15, _offsets(-0.5, 0.1, 16), absolute=True),
    "q3_k": lambda x: _symmetric(x, _descended_scale, 4, 32),
    "q4_k": lambda x: _affine(x, 32, 15, 63, _offsets(-1, 0.1, 21)),
    "q5_k": lambda x: _affine(x, 32, 31, 63, _offsets(-0.5, 0.1, 16)),
    "q6_k": lambda x: _symmetric(x, _symmetric_scale, 32, 128),
    "iq4_nl": _iq4_nl,
    "iq4_xs": _iq4_xs,
    "tq1_0": _ternary,
    "tq2_0": _ternary,
}

# Bytes of a block in ggml-common.h (its codes, scales, minima and super-scales), and its weights.
_SIZES = {"q2_k": (84, 256), "q3_k": (110, 256), "q4_k": (144, 256), "q5_k": (176, 256), "q6_k": (210, 256)}
_SIZES |= {"iq4_nl": (18, 32), "iq4_xs": (136, 256), "tq1_0": (54, 256), "tq2_0": (66, 256)}

TYPES = {name: Ggml(name, 8 * size / block, block) for name, (size, block) in _SIZES.items()}
