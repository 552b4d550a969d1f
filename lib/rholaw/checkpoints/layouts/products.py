"""Weights that a file keeps as what they are made of: factors by torch's own names → the weight itself.

pruned      up_proj.weight_orig × up_proj.weight_mask                      torch.nn.utils.prune
directions  conv.weight_g × conv.weight_v / its norm                       weight_norm, old and as a parametrization
            up_proj.weight_m × up_proj.weight_v / its norm                 DoRA, arXiv 2402.09353
spectral    conv.weight_orig / its largest singular value, uᵀ W v          spectral_norm, old and as a parametrization
smoothed    up_proj.weight × up_proj.pre_quant_scale of its inputs         ModelOpt's AWQ and SmoothQuant

Where factors do not fit, and for another parametrization, the weight cannot be read, and says so.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch

from ...checked import shown
from ..tensors import Tensor, unreadable
from .grouping import Latest

FACTORS = ("orig", "mask", "g", "m", "u", "v")
PARAMETRIZED = re.compile(r"(?:^|\.)parametrizations\.(\w+)\.(?:0\._)?(original[01]?|[uv])$")
Make = Callable[[dict[str, Tensor]], torch.Tensor]


def products(tensors: Iterable[Tensor], latest: Latest) -> list[Tensor]:
    """The tensors in their order, and in the place of its first factor each weight that is made of several."""
    tensors = list(tensors)
    parts: dict[str, dict[str, Tensor]] = {}
    for tensor in tensors:
        if said := _factor(tensor.name):
            parts.setdefault(said[0], {})[said[1]] = tensor
    names = {tensor.name for tensor in tensors}
    whole = {stem: _product(stem, parts[stem], latest) for stem in parts if stem not in names}
    result = {}
    for tensor in tensors:
        stem = (_factor(tensor.name) or ("",))[0]
        made = whole.get(stem) or tensor
        result[made.name] = made
    return list(result.values())


def smoothed(tensor: Tensor) -> Tensor:
    """A matrix whose inputs are scaled before they are rounded, as it is for inputs that are not."""
    name = next((name for name in tensor.beside if name.endswith("pre_quant_scale")), None)
    if name is None:
        return tensor
    factors, width = tensor.beside[name], tensor.shape[-1]
    if factors.count != width:
        reason = f"{name} beside it has {factors.count} numbers, where its inputs are {width}"
        return replace(tensor, load=unreadable(f"codes, not measured: {reason}"))

    def load(start: int, stop: int) -> torch.Tensor:
        return tensor.load(start, stop).float() * factors.read().float().reshape(-1)[torch.arange(start, stop) % width]

    return replace(tensor, load=load)


def _factor(name: str) -> tuple[str, str] | None:
    """(the weight, which factor of it) of a name of one, else None."""
    if match := PARAMETRIZED.search(name):
        return f"{name[: match.start()]}.{match[1]}".lstrip("."), match[2]
    stem, _, factor = name.rpartition("_")
    last = stem.rpartition(".")[2]
    return (stem, factor) if factor in FACTORS and ("weight" in last or last == "bias") else None


def _product(stem: str, parts: dict[str, Tensor], latest: Latest) -> Tensor | None:
    """The weight of these factors; None where they may be weights of their own."""
    if {"orig", "mask"} == parts.keys():
        return _pruned(stem, parts["orig"], parts["mask"])
    makers: dict[tuple[str, ...], Make] = {
        ("g", "v"): lambda p: _directed(p["g"], p["v"]),
        ("m", "v"): lambda p: _directed(p["m"], p["v"]),
        ("original0", "original1"): lambda p: _directed(p["original0"], p["original1"]),
        ("orig", "u", "v"): lambda p: _normed(p["orig"], p["u"], p["v"]),
        ("original", "u", "v"): lambda p: _normed(p["original"], p["u"], p["v"]),
    }
    main = next((parts[key] for key in ("original1", "original", "orig") if key in parts), parts.get("v"))
    make = makers.get(tuple(sorted(parts)))
    if make is None:
        reason = "a parametrization that is not known makes the weight of it"
        return replace(main, name=stem, load=unreadable(reason)) if main and "parametrizations." in main.name else None
    bits = sum(part.count * part.bits for part in parts.values()) / max(main.count, 1)

    def load(start: int, stop: int) -> torch.Tensor:
        return latest.of(parts, lambda: (make(parts),))[0].reshape(-1)[start:stop]

    return replace(main, name=stem, bits=bits, load=load)


def _pruned(stem: str, original: Tensor, mask: Tensor) -> Tensor:
    if mask.shape != original.shape:
        return replace(original, name=stem, load=unreadable(f"{mask.name} has another shape, and says what is left"))

    def load(start: int, stop: int) -> torch.Tensor:
        values = original.load(start, stop)
        return values * mask.load(start, stop).to(values.dtype)

    return replace(original, name=stem, bits=original.bits + mask.bits, load=load)


def _directed(magnitude: Tensor, direction: Tensor) -> torch.Tensor:
    """g v / ‖v‖, a norm for each number of g."""
    g, v = magnitude.read().float(), direction.read().float()
    shape = g.shape or (1,) * v.ndim
    if len(shape) != v.ndim or any(size not in (1, other) for size, other in zip(shape, v.shape, strict=True)):
        raise ValueError(f"{shown(magnitude.name)} is {shown(magnitude.shape)}, and gives no {shown(direction.shape)}")
    within = [place for place, size in enumerate(shape) if size == 1 and v.shape[place] != 1] or [v.ndim - 1]
    return v * (g.view(shape) / torch.linalg.vector_norm(v, dim=within, keepdim=True))


def _normed(original: Tensor, left: Tensor, right: Tensor) -> torch.Tensor:
    """W / (uᵀ W v), of W as a matrix of its first dimension and the rest."""
    weight, u, v = (part.read().float() for part in (original, left, right))
    matrix = weight.flatten(1) if weight.ndim > 1 else weight
    if matrix.ndim != 2 or u.shape != matrix.shape[:1] or v.shape != matrix.shape[1:]:
        raise ValueError(f"{shown(left.name)} and {shown(right.name)} are no singular vectors of its rows")
    return weight / torch.dot(u, matrix @ v)
