"""Static scales: what calibration fixed, and an engine rounds inputs, keys and values with, where others look at each.

weights, cache = apart(tensors)     remark(weights, cache)     rounded = step(tensor)(x)
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable

import torch

from ..checked import listed, shown
from ..formats.grammar import parse
from .tensors import Tensor

STATIC = "static"
CACHE = re.compile(r".+\.([qkv]|kv)_(scale|zero_point)")
INPUTS = ("input_scale", "scale_input", "input_global_scale")
LEVELS = {"F8_E4M3": ("fp8_tensor", 448.0), "NVFP4": ("nvfp4", 448.0 * 6)}
"""Codes of weights → the format of their inputs, and the largest magnitude over the scale."""


def apart(tensors: list[Tensor], quantised: bool) -> tuple[list[Tensor], list[Tensor]]:
    """(the weights, the scales of queries, keys and values that stand alone); quantised: the config says it is."""
    if not (quantised or any(tensor.quantised for tensor in tensors)):
        return tensors, []
    cache = [tensor for tensor in tensors if tensor.count == 1 and CACHE.fullmatch(tensor.name)]
    outside = {tensor.name for tensor in cache}
    return [tensor for tensor in tensors if tensor.name not in outside], cache


def remark(weights: Iterable[Tensor], cache: Iterable[Tensor]) -> str:
    """Which static scales are there, such as "input_scale 28 times", and what they do; "" without any."""
    names = Counter(name for tensor in weights for name in tensor.beside)
    names += Counter(tensor.name.rpartition(".")[2] for tensor in cache)
    if not names:
        return ""
    told = listed([f"{name} {count} times" for name, count in names.items()])
    return f"scales of inputs or cache lie beside them ({told}): engines round with these, and no weight needs them"


def step(tensor: Tensor) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """What rounds the inputs of a matrix with its static scale, as engines do; None for a matrix that is no codes.

    FP8: x / scale, clamped to ±448, to the nearest E4M3.  NVFP4: the scale is that of the E4M3 scales of 16 channels.
    INT8: x / scale and the zero point, to the nearest whole number from −128 to 127.  Raises ValueError for codes
    without such a scale, with others beside it, or of another kind.
    """
    if not (tensor.quantised or tensor.beside):
        return None
    name = next((name for name in INPUTS if name in tensor.beside), None)
    if name is None:
        raise ValueError(f"{shown(tensor.name)} has no static scale of its inputs")
    kind, about = tensor.dtype.partition("/")[0], tensor.beside[name]
    scale = float(about.read().float().reshape(-1)[0]) if about.count == 1 else 0.0
    scale = 1 / scale if name == "input_global_scale" and scale else scale
    if not 0 < scale < torch.inf:
        raise ValueError(f"{name} of {shown(tensor.name)} is no positive number by itself, as static scales are")
    if any("pre_quant" in other for other in tensor.beside):
        raise ValueError(f"the inputs of {shown(tensor.name)} are scaled by channels before they are rounded")
    if kind in LEVELS:
        format, top = LEVELS[kind]
        return lambda x: parse(format).coded(x, known=top * scale)
    if kind != "I8":
        raise ValueError(f"the inputs of {shown(tensor.name)}: to what they are rounded beside {kind} is not known")
    zero = tensor.beside.get("input_zero_point")
    offset = float(zero.read().float().sum()) if zero else 0.0
    return lambda x: ((x / scale).round_().add_(offset).clamp_(-128, 127) - offset).mul_(scale)
