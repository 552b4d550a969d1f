"""How a grid is fitted to the data: one optimal scale a tensor, or a scale for every block of a row.

A block has a rule, which proposes a scale from its values, and a type, in which the scale is stored.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from ..distributions import source
from ..threads import over
from .optimal import squared_error
from .sparsity import CHUNK

TYPES = {
    "fp32": 32,
    "fp16": 16,
    "bf16": 16,
    "e8m0": 8,  # a power of two: ⌊log2 largest⌋ less the exponent of the grid's top (OCP MX v1.0, section 6.3)
    "e8m0-even": 8,  # the same after rounding the largest to the grid's mantissa
    "e8m0-ceil": 8,  # ⌈log2 largest⌉ less the exponent of the grid's top
    "e8m0-rceil": 8,  # the least power of two that saturates nothing
    "dq8": 8 + 32 / 256,  # less their mean, in 8 bits that share an fp32 factor per 256 scales (QLoRA, section 3)
    "e4m3": 8,  # with one fp32 factor a tensor, chosen so that its largest scale is 448
}
"""Scale type → bits that it takes per block."""

RULES = {
    "absmax": "the largest magnitude meets the end of the grid",
    "mse": "the least squared error of the block, among 48 scales below absmax",
    "signmax": "the value of largest magnitude, with its sign, meets the lowest level (GGUF)",
    "minmax": "a scale and a minimum, so that the grid spans the block",
    "zero": "a scale and an integer zero point, so that the grid spans the block and zero",
    "absmean": "the mean magnitude (BitNet b1.58)",
    "rms": "the optimal constant for N(0,1) times the root mean square",
    "four-six": "the largest magnitude meets 6 or 4, whichever errs less (NVFP4, adaptive)",
}

TYPE_LIMITS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
E4M3_LARGEST = 448.0


@dataclass(frozen=True)
class Block:
    """One scale per ``size`` consecutive weights, or per "row" or "tensor", by ``rule``, stored as ``type``."""

    size: int | str
    type: str = "fp16"
    rule: str = "absmax"

    def bits(self, element):
        """Stored bits per weight: the scale, and the minimum or zero point where the rule has one.

        A scale for a row or a tensor vanishes over its weights.
        """
        if not isinstance(self.size, int):
            return 0.0
        extra = {"minmax": TYPES[self.type], "zero": element.bits}.get(self.rule, 0)
        return (TYPES[self.type] + extra) / self.size

    def length(self, shape):
        """Weights per block in a tensor of this shape. Raises ValueError where the size does not divide the rows."""
        row = shape[-1] if len(shape) else 1
        if self.size == "tensor":
            return max(int(np.prod(shape)), 1)
        if self.size == "row":
            return row
        if row % self.size:
            raise ValueError(f"{self}: rows of {row} weights are no multiple of {self.size}")
        return self.size

    def __str__(self):
        return block_text(self, "absmax")


def block_text(block, default_rule):
    """The text of a block, without what is understood."""
    size = f"g{block.size}" if isinstance(block.size, int) else block.size
    rule = [] if block.rule == default_rule else [block.rule]
    return ":".join([size, *([block.type] if block.type != "fp16" or rule else []), *rule])


def apply(blocks, element, block, mask=None, out=None):
    """The dequantised ``blocks`` (n, length): each row scaled by the block's rule, rounded, and scaled back.

    mask: survivors of sparsity, or None; the others are already zero and come back as zero.
    out: what may hold the result, ``blocks`` itself if need be (default: a new tensor).
    """
    small = out is None and blocks.numel() <= CHUNK
    if small or element.dim > 1 or len(blocks) == 1 or block.type == "dq8":  # dq8 needs all scales at once
        return _apply(blocks, element, block, mask)
    out = torch.empty_like(blocks) if out is None else out
    top = _largest(blocks.view(1, -1)).view(()) if block.type == "e4m3" else None
    rows = max(1, CHUNK // blocks.shape[1])
    parts = blocks.split(rows)
    masks = [None] * len(parts) if mask is None else mask.split(rows)
    over(lambda part, kept, into: into.copy_(_apply(part, element, block, kept, top)), parts, masks, out.split(rows))
    return out


def _apply(blocks, element, block, mask=None, top=None):
    if block.rule == "minmax":
        return _affine(blocks, element, block.type)
    if block.rule == "zero":
        return _zero_point(blocks, element, block.type)
    return rounded(blocks, element, scale_of(blocks, element, block, mask, top))


def scale_of(blocks, element, block, mask=None, top=None):
    """The stored scale (n, 1) of each row of ``blocks``, for the rules that have no minimum or zero point."""
    if block.rule == "signmax":
        low, high = _extremes(blocks)
        signed = torch.where(high > -low, high, low)
        return _stored(signed / element.lowest, block.type)
    if block.rule in ("absmean", "rms"):
        return _stored(_mean_scale(blocks, element, block.rule, mask), block.type)
    largest = _largest(blocks)
    proposed = [absmax_scale(largest, reach, block.type, element, top) for reach in _reaches(element, block)]
    return _best(proposed, blocks, element)


def rounded(blocks, element, scale, out=None):
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
    return (element.round_(y) if element.dim == 1 else element.round(y)).mul_(scale)


def rms(y, count):
    """The root mean square of ``count`` values of ``y``, the others being zero."""
    total = sum(over(lambda part: part.square().sum(dtype=torch.float64), y.reshape(-1).split(CHUNK)))
    return float((total / count).sqrt()) if count else 0.0


def masked(y, mask, out=None):
    """y × mask, in parts: a whole mask would become a tensor of floats first."""
    out = torch.empty_like(y, memory_format=torch.contiguous_format) if out is None else out
    parts = [t.reshape(-1).split(CHUNK) for t in (y, mask, out)]
    over(lambda part, kept, into: torch.mul(part, kept, out=into), *parts)
    return out


def extremes(x):
    """The least and the largest value of a tensor, as floats; both nan where one of its values is not finite."""
    ends = over(lambda part: (float(part.amin()), float(part.amax())), x.reshape(-1).split(CHUNK))
    low, high = zip(*ends, strict=True)
    return (min(low), max(high)) if all(map(math.isfinite, low + high)) else (math.nan, math.nan)


def _extremes(blocks):
    return blocks.amin(dim=1, keepdim=True), blocks.amax(dim=1, keepdim=True)  # ten times as fast as aminmax


def _largest(blocks):
    if blocks.numel() > CHUNK:  # their magnitudes would leave the cache
        low, high = _extremes(blocks)
        return torch.maximum(high, -low)
    magnitudes = blocks.abs()
    if blocks.shape[1] == 16:  # a vector register wide, where amax alone takes twice as long
        magnitudes = torch.maximum(magnitudes[:, :8], magnitudes[:, 8:])
    return magnitudes.amax(dim=1, keepdim=True)


def absmax_scale(largest, reach, type, element, tensor_largest=None):
    """Stored scales of blocks whose largest magnitudes are ``largest`` (a tensor), where ``reach`` is to meet it.

    tensor_largest: for "e4m3", the largest magnitude of the whole tensor (default: of these blocks); blocks of several
    tensors have one each, (n, 1).
    """
    if type.startswith("e8m0"):
        return _power_of_two(largest, reach, type, element)
    if type == "e4m3":
        top = largest.max() if tensor_largest is None else tensor_largest
        factor = top / (E4M3_LARGEST * reach)
        return torch.where(torch.as_tensor(top) > 0, _e4m3(largest / reach / factor) * factor, 0.0)
    if type == "dq8":
        return _double_quantised(largest / reach)
    return _stored(largest / reach, type)


@lru_cache
def _dynamic_levels():
    """bitsandbytes' 8-bit dynamic map: seven decades, each with twice as many levels as the one below."""
    decades = [
        10.0 ** (i - 6) * (np.linspace(0.1, 1, 2**i + 1)[1:] + np.linspace(0.1, 1, 2**i + 1)[:-1]) / 2 for i in range(7)
    ]
    positive = np.concatenate(decades)
    return torch.from_numpy(np.concatenate([-positive[::-1], [0.0], positive, [1.0]]))


def _double_quantised(scale):
    offset = scale.mean()
    groups = torch.nn.functional.pad((scale - offset).view(-1), (0, -len(scale) % 256)).view(-1, 256)
    factor = groups.abs().amax(dim=1, keepdim=True)
    levels = _dynamic_levels().to(groups)
    middle = (levels[1:] + levels[:-1]) / 2
    codes = torch.bucketize(torch.where(factor > 0, groups / factor, 0.0), middle)
    return (levels[codes] * factor).view(-1)[: len(scale)].view_as(scale) + offset


def _stored(scale, type):
    """Rounded to fp32, fp16 or bf16 and saturated at its largest value."""
    dtype = TYPE_LIMITS[type]
    if scale.dtype == dtype:
        return scale
    limit = torch.finfo(dtype).max
    return scale.clamp(-limit, limit).to(dtype).to(scale.dtype)


def _e4m3(scale):
    return scale.clamp(max=E4M3_LARGEST).to(torch.float8_e4m3fn).to(scale.dtype)


def _power_of_two(largest, reach, type, element):
    exponent_of_top = np.floor(np.log2(reach))
    if type == "e8m0-rceil":
        exponent = torch.ceil(torch.log2(largest / reach))
    elif type == "e8m0-ceil":
        exponent = torch.ceil(torch.log2(largest)) - exponent_of_top
    else:
        # frexp is exact where a logarithm may round up to the next integer.
        fraction, power = torch.frexp(largest)
        if type == "e8m0-even":
            mantissa = getattr(element, "mantissa", 0)
            power = power + (fraction >= 1 - 2.0 ** -(mantissa + 2)).to(power.dtype)
        exponent = (power - 1).to(largest.dtype) - exponent_of_top
    exponent = torch.where(largest > 0, exponent, -127.0)
    return torch.exp2(exponent.clamp(-127, 127))


def _mean_scale(blocks, element, rule, mask):
    count = blocks.shape[1] if mask is None else mask.sum(dim=1, keepdim=True).clamp(min=1)
    power = 1 if rule == "absmean" else 2
    total = torch.linalg.vector_norm(blocks, power, dim=1, keepdim=True, dtype=torch.float64)  # sums of large values
    scale = total / count if power == 1 else total / count**0.5 * gaussian_scale(element, None)
    return scale.to(blocks.dtype)


def _affine(blocks, element, type):
    low, high = _extremes(blocks)
    scale, low = _stored((high - low) / (element.count - 1), type), _stored(low, type)
    return rounded(blocks - low, element, scale).add_(low)


def _zero_point(blocks, element, type):
    low, high = _extremes(blocks)
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _stored((high - low) / (element.count - 1), type)
    safe = torch.where(scale > 0, scale, 1.0)
    zero = (-low / safe).round().clamp(0, element.count - 1)
    return element.round_((blocks / safe).round_().add_(zero)).sub_(zero).mul_(scale)


def _reaches(element, block):
    """What the largest magnitude is to meet, one number a candidate."""
    if block.rule == "four-six":
        return element.reach, element.reach * 2 / 3
    if block.rule != "mse":
        return (element.reach,)
    # In e8m0 a step is a factor of two: the scale of absmax and its neighbours hold the optimum.
    factors = (0.5, 1.0, 2.0) if block.type.startswith("e8m0") else np.linspace(1.0, 0.45, 48)
    return tuple(element.reach / f for f in factors)


def _best(proposed, blocks, element):
    """Block by block the scale of least squared error, the first of equals."""
    best, least = proposed[0], None
    for scale in proposed if len(proposed) > 1 else ():
        error = rounded(blocks, element, scale).sub_(blocks).square_().sum(dim=1, keepdim=True)
        if least is None:
            least = error
        else:
            wins = error < least
            best, least = torch.where(wins, scale, best), torch.where(wins, error, least)
    return best


def best_scale(levels, sparsity=None, end=np.inf, data=None):
    """(scale, error): the scale that minimises the mean squared error on ``data`` (a Source; default N(0,1)).

    end: weights of larger magnitude are outliers, stored exactly.  The error of a float grid has a local minimum in
    every octave, so that log-MSE is first scanned over log-scale and the three best hollows are then polished.
    """
    data = data or source("normal")

    def log_error(log_scale):
        return np.log(squared_error(levels * np.exp(log_scale), sparsity, data, end))

    outer = np.log(max(levels[-1], -levels[0]))
    grid = np.log(np.geomspace(0.25, 64, 65)) - outer
    values = np.array([log_error(s) for s in grid])
    hollows = [i for i in range(1, 64) if values[i] <= min(values[i - 1], values[i + 1])]
    fits = [
        minimize_scalar(log_error, bounds=(grid[i - 1], grid[i + 1]), method="bounded", options={"xatol": 1e-11})
        for i in sorted(hollows, key=values.__getitem__)[:3]
    ]
    best = min(fits, key=lambda fit: fit.fun)
    return float(np.exp(best.x)), float(np.exp(best.fun))


@lru_cache
def gaussian_scale(element, sparsity, outliers=0.0):
    """The MSE-optimal scale for N(0,1) data of what is left after outliers and sparsity, in units of its RMS."""
    if element.dim > 1:
        return element.gaussian_scale
    data = source("normal")
    end = float(data.magnitude_quantile(1 - outliers)) if outliers else np.inf
    share = (sparsity.density if sparsity else 1.0) - outliers
    return best_scale(element.levels, sparsity, end)[0] / np.sqrt(survivors_energy(sparsity, data, end) / share)


def survivors_energy(sparsity, data, end=np.inf):
    """E[X²; X is rounded]: neither pruned nor an outlier."""
    inliers = 1 - 2 * data.tail_moments(end)[2]
    return inliers - (squared_error(None, sparsity, data) if sparsity else 0.0)
