"""Static scales: what calibration fixed, and an engine rounds inputs, keys and values with, where others look at each.

scales = Scales({tensor.name: tensor for tensor in weights}, cache, "fp8")
rounded = scales.step(tensor)(x)     keys, values = scales.kept(0)     scales.remark

The rules are vLLM's: matrices that it joins have one scale for their inputs, those of FP8 one for their weights too,
and a layer has one for its keys and one for its values, or one for each head.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ..checked import listed, shown
from ..formats.grammar import parse
from .tensors import Tensor

STATIC = "static"
Step = Callable[[torch.Tensor], torch.Tensor]
CACHE = re.compile(r".+\.([qkv]|kv)_(scale|zero_point)")
KEPT = {"k": ("k_scale", "k_proj.output_scale", "kv_scale"), "v": ("v_scale", "v_proj.output_scale", "kv_scale")}
"""Endings of the names of scales of keys and of values."""
LAYER = re.compile(r"\.(\d+)\.")
FLOATS = ("", "fp8", "float8", "fp8_e4m3")
"""What a file says of a cache in FP8; nothing, too."""
JOINED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Matrices that vLLM makes one of, QKVParallelLinear and MergedColumnParallelLinear."""
INPUTS = ("input_scale", "scale_input", "input_global_scale")
LEVELS = {"F8_E4M3": ("fp8_tensor", 448.0), "NVFP4": ("nvfp4", 448.0 * 6)}
"""Codes of weights → the format of their inputs, and the largest magnitude over the scale."""


def apart(tensors: list[Tensor], quantised: bool) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """(the weights, the scales of queries, keys and values that stand alone); quantised: the config says it is."""
    if not (quantised or any(tensor.quantised for tensor in tensors)):
        return tensors, ()
    cache = {tensor.name: tensor for tensor in tensors if CACHE.fullmatch(tensor.name) and _is_list(tensor)}
    return [tensor for tensor in tensors if tensor.name not in cache], tuple(cache.values())


@dataclass(frozen=True)
class Scales:
    """The static scales of a checkpoint: beside its ``weights``, {name: Tensor}, and of its ``cache``.

    said: what the file says that keys and values are rounded to, or "".
    """

    weights: dict[str, Tensor]
    cache: tuple[Tensor, ...] = ()
    said: str = ""

    def __str__(self) -> str:
        return STATIC

    @property
    def remark(self) -> str:
        """Which static scales are there, such as "input_scale 28 times", and what they do; "" without any."""
        names = Counter(name for tensor in self.weights.values() for name in tensor.beside)
        names += Counter(tensor.name.rpartition(".")[2] for tensor in self.cache)
        if not names:
            return ""
        told = listed([f"{name} {count} times" for name, count in names.items()])
        return f"scales of inputs or cache lie beside them ({told}): engines use these while they run"

    @property
    def faults(self) -> list[str]:
        """Which matrices have a static scale of their inputs that cannot be, or none where others have one."""
        scaled = {name: tensor for name, tensor in self.weights.items() if tensor.beside.keys() & set(INPUTS)}
        kinds = {tensor.dtype for tensor in scaled.values()}
        coded = [name for name, tensor in self.weights.items() if tensor.quantised and tensor.dtype in kinds]
        broken = [name for name in scaled if not _is_scale(_named(scaled[name])[1])]
        lacking = [name for name in coded if name not in scaled]
        return [
            f"{what}, as {shown(names[0])} ({len(names)} in all)"
            for names, what in (
                (broken, "static scales of inputs are no positive numbers, of which engines make NaN"),
                (lacking, "matrices have no static scale of their inputs, and others of their kind have"),
            )
            if names
        ]

    @property
    def of_inputs(self) -> str:
        """The first matrix with a static scale of its inputs, "" where none has one."""
        return next((name for name, tensor in self.weights.items() if tensor.beside.keys() & set(INPUTS)), "")

    def step(self, tensor: Tensor) -> Step | None:
        """What rounds the inputs of a matrix, as engines do; None for a matrix that is no codes.

        FP8: x / scale, clamped to ±448, to the nearest E4M3.  NVFP4: the scale is that of the E4M3 scales of 16
        channels.  INT8: x / scale and the zero point, to the nearest whole number from −128 to 127.  Of matrices that
        an engine joins, the largest scale is that of all, as the file writes it: input_global_scale is one over the
        scale.  Ranges of INT8 with zero points are joined.  Raises ValueError for codes without such a scale, with
        others beside it, or of another kind.
        """
        if not (tensor.quantised or tensor.beside):
            return None
        kind = tensor.dtype.partition("/")[0]
        known = [_known(other) for other in self._joined(tensor) if other.beside]
        scale, zero = max(known)[0], 0
        if _named(tensor)[0] == "input_global_scale":
            scale = 1 / scale
        if kind in LEVELS:
            format, top = LEVELS[kind]
            return lambda x: parse(format).coded(x, known=top * scale)
        if kind != "I8":
            raise ValueError(f"the inputs of {shown(tensor.name)}: to what they are rounded beside {kind} is not known")
        if any(point for _, point in known):
            scale, zero = _spanned(known)
        return lambda x: ((x / scale).round_().add_(zero).clamp_(-128, 127) - zero).mul_(scale)

    def weight(self, tensor: Tensor, values: torch.Tensor) -> torch.Tensor:
        """The ``values`` of a matrix as vLLM has them: those of FP8 that it joins, of unlike scales, rounded anew."""
        scales = self._scales(tensor)
        if len(set(scales)) < 2:
            return values
        return parse("fp8_tensor").coded(values, known=448.0 * max(scales))

    @property
    def rounded_anew(self) -> int:
        """How many matrices vLLM rounds once more, for they have another scale than those that it joins them with."""
        return sum(len(set(self._scales(tensor))) > 1 for tensor in self.weights.values() if tensor.scale)

    def _scales(self, tensor: Tensor) -> list[float]:
        """The scales of FP8 codes, with one for a matrix, of those that an engine joins; [] where it is no such."""
        if tensor.scale is None or tensor.dtype != "F8_E4M3/tensor":
            return []
        joined = [other for other in self._joined(tensor) if other.scale is not None]
        return [float(other.scale.read().float().reshape(-1)[0]) for other in joined]

    def lacking(self, layers: int) -> list[int]:
        """The layers without scales of keys and values, where vLLM takes 1."""
        return [layer for layer in range(layers) if not any(self._of(layer, what) for what in KEPT)]

    def kept(self, layer: int) -> tuple[Step, Step]:
        """What rounds the keys and the values (B, heads, T, channels) of a layer: x / scale, clamped to ±448, to E4M3.

        Raises ValueError where the file says that they are rounded in another way, has a zero point or a scale of one
        of both alone, or another number of scales than heads.
        """
        if self.said not in FLOATS:
            raise ValueError(f"keys and values are {self.said[:30]} by its config, and static scales are known of FP8")
        keys, values = (self._of(layer, what) for what in KEPT)
        if bool(keys) != bool(values):
            raise ValueError(f"layer {layer} has static scales of {'keys' if keys else 'values'} alone")
        return _rounds(keys), _rounds(values)

    def _joined(self, tensor: Tensor) -> Iterator[Tensor]:
        """The matrices, one of them this, that an engine joins."""
        own = tensor.name.split(".")
        for names in JOINED:
            if len(own) > 1 and own[-2] in names:
                stems = [".".join([*own[:-2], name, own[-1]]) for name in names]
                yield from (self.weights[stem] for stem in stems if stem in self.weights)
                return
        yield tensor

    def _of(self, layer: int, what: str) -> Tensor | None:
        """The scale of the keys ("k") or values ("v") of a layer; ValueError for several, and for a zero point."""
        beside = [other for tensor in self.weights.values() for other in tensor.beside.values()]
        own = [other for other in (*self.cache, *beside) if _layer(other.name) == layer]
        for other in own:
            if re.search(rf"\.({what}|kv)_zero_point$", other.name) and other.read().any():
                raise ValueError(f"{shown(other.name)} is not zero: how keys and values are rounded then is not known")
        for ending in KEPT[what]:
            if scales := [other for other in own if other.name.endswith(f".{ending}")]:
                if len(scales) > 1:
                    raise ValueError(f"{listed(sorted(tensor.name for tensor in scales))} are of the same layer")
                return scales[0]
        return None


def _layer(name: str) -> int | None:
    """The number of the layer that a name says."""
    match = LAYER.search(name)
    return int(match[1]) if match else None


def _is_list(tensor: Tensor) -> bool:
    """Whether it is one number, or one for each of something."""
    return tensor.count == max(tensor.shape, default=1)


def _is_scale(tensor: Tensor) -> bool:
    """Whether it holds positive numbers alone."""
    values = tensor.read().float()
    return bool(((values > 0) & (values < math.inf)).all())


def _rounds(scale: Tensor | None) -> Step:
    """What rounds keys or values by their scale."""
    factors = torch.ones(1) if scale is None else scale.read().float().reshape(-1)
    if scale is not None and not _is_scale(scale):
        raise ValueError(f"{shown(scale.name)} is no positive number, as static scales are")
    store = parse("fp8_tensor").coded

    def step(x: torch.Tensor) -> torch.Tensor:
        if len(factors) not in (1, x.shape[1]):
            raise ValueError(
                f"{shown(scale.name)} has {len(factors)} scales, where {x.shape[1]} heads have keys and values"
            )
        by_head = factors.to(x.device)[:, None, None]
        return store(x / by_head, known=448.0).mul_(by_head)

    return step


def _named(tensor: Tensor) -> tuple[str, Tensor]:
    """(what the file calls the static scale of its inputs, that scale); ValueError where it has none."""
    for name in INPUTS:
        if name in tensor.beside:
            return name, tensor.beside[name]
    raise ValueError(f"{shown(tensor.name)} has no static scale of its inputs")


def _known(tensor: Tensor) -> tuple[float, int]:
    """(static scale of its inputs as the file writes it, zero point); ValueError where it has none that can be used."""
    name, about = _named(tensor)
    scale = float(about.read().float().reshape(-1)[0]) if about.count == 1 else 0.0
    if not 0 < scale < math.inf:
        raise ValueError(f"{name} of {shown(tensor.name)} is no positive number by itself, as static scales are")
    if any("pre_quant" in other for other in tensor.beside):
        raise ValueError(f"the inputs of {shown(tensor.name)} are scaled by channels before they are rounded")
    zero = tensor.beside.get("input_zero_point")
    return scale, int(zero.read().float().sum()) if zero else 0


def _spanned(known: list[tuple[float, int]]) -> tuple[float, int]:
    """The scale and zero point whose range is that of all; vLLM cuts the latter's fraction off."""
    if len(set(known)) == 1:
        return known[0]
    low, high = min(scale * (-128 - zero) for scale, zero in known), max(scale * (127 - zero) for scale, zero in known)
    scale = (high - low) / 255
    return scale, math.trunc(-128 - low / scale)
