"""Layouts of whole numbers in words of 32 bits, with a scale and a zero or an offset for a group of a row.

gptq     (q − zero) · scale, by columns     AutoGPTQ, GPTQModel, AutoRound
awq      (q − zero) · scale, by columns     AutoAWQ's "gemm"
dense    (q − zero) · scale, by rows        compressed-tensors' "pack-quantized"
affine   q · scale + offset, by rows        MLX
floats   4 or 8 bits × scale, by rows       MLX's modes mxfp4, nvfp4, mxfp8
"""

from dataclasses import replace

import torch

from ...checked import shown
from ..tensors import NAMES, Tensor
from .grouping import Group
from .settings import Settings
from .unpacking import E2M1, code_rows, expect, refuse_wiped, scale, unpacked

WORD = 32
AWQ = torch.tensor([0, 4, 1, 5, 2, 6, 3, 7], dtype=torch.int32)  # the places in a word of eight columns in order
MODES = {"mxfp4": (32, 4), "nvfp4": (16, 4), "mxfp8": (32, 8)}  # of MLX: (group size, bits)


def gptq(group: Group, settings: Settings) -> Tensor | None:
    """GPTQ: words run along the inputs, and each input may belong to a group of its own (g_idx)."""
    codes, scales, zeros, order = (group.codes, *map(group.parts.get, ("scales", "qzeros", "g_idx")))
    if not _columns(group) or codes.shape[1] != scales.shape[1] or settings.method == "awq":
        return None
    group.only("scales", "qzeros", maybe=("g_idx",))
    if settings.gptq not in ("", "gptq", "gptq_v2", "auto_round"):
        raise ValueError(f"GPTQ's format {shown(settings.gptq)} is unknown")
    (words, height), groups = codes.shape, scales.shape[0]
    bits = next((bits for bits in (2, 3, 4, 8) if zeros.shape == (groups, height * bits / WORD)), 0)
    if not (bits and groups) or words * WORD % bits:
        raise ValueError(f"their qzeros have the shape {shown(zeros.shape)}, which fits none of 2, 3, 4 and 8 bits")
    expect(zeros, zeros.shape, "qzeros", "I32")
    width = words * WORD // bits
    if order is not None:
        expect(order, (width,), "g_idx", "I32", "I64")
    elif settings.ordered and groups > 1:
        raise ValueError("no g_idx lies beside them, and desc_act says that their groups are no neighbours")
    size = -(-width // groups)

    def prepared() -> tuple[torch.Tensor, ...]:
        place = torch.arange(width) // size if order is None else order.read().long()
        if place.min() < 0 or place.max() >= groups:
            raise ValueError(f"codes, not measured: their g_idx names other groups than the {groups} there are")
        stored = unpacked(zeros.read(), bits).float()
        half = [bool((stored == 2 ** (bits - 1) - less).all()) for less in (0, 1)]  # symmetric, in either version
        if settings.gptq == "auto_round" and not any(half):
            raise ValueError(
                "codes, not measured: AutoRound's own packing leaves open whether their zeros are one less"
            )
        unsaid = settings.gptq in ("", "auto_round") and half[0]
        shift = 0 if settings.gptq == "gptq_v2" or unsaid else 1
        zero = (stored + shift) % 2**bits
        if settings.symmetric and (zero != 2 ** (bits - 1)).any():
            raise ValueError(
                "codes, not measured: the config says that they are symmetric, and their zeros, in the version of GPTQ "
                "that it names, are not the middle"
            )
        return codes.read().T.contiguous(), scales.read().float().T.contiguous(), zero.T.contiguous(), place

    def rows(first: int, last: int) -> torch.Tensor:
        stored, factor, zero, place = group.latest.of(group, prepared)
        factor, zero = factor[first:last][:, place], zero[first:last][:, place]
        values = unpacked(stored[first:last], bits)[:, :width].float() - zero
        refuse_wiped(values, _largest(factor))
        return values * factor

    note = "" if settings.method else "no config.json says so: zeros are taken as AutoGPTQ keeps them, one less"
    return replace(group.tensor((height, width), f"GPTQ int{bits}/g{size}", rows), note=note)


def awq(group: Group, settings: Settings) -> Tensor | None:
    """AWQ: words run along the outputs, eight of 4 bits in an order of their own."""
    codes, scales, zeros = (group.codes, *map(group.parts.get, ("scales", "qzeros")))
    if not _columns(group) or codes.shape[1] * 8 != scales.shape[1] or not scales.shape[0]:
        return None
    group.only("scales", "qzeros")
    (width, words), groups = codes.shape, scales.shape[0]
    expect(zeros, (groups, words), "qzeros", "I32")
    size = -(-width // groups)

    def prepared() -> tuple[torch.Tensor, ...]:
        zero = _awq(zeros.read().T.contiguous()).float()
        return codes.read().T.contiguous(), scales.read().float().T.contiguous(), zero

    def rows(first: int, last: int) -> torch.Tensor:
        stored, factor, zero = group.latest.of(group, prepared)
        begin = first // 8
        values = _awq(stored[begin : -(-last // 8)])[first - 8 * begin : last - 8 * begin]
        factor, zero = (x[first:last].repeat_interleave(size, 1)[:, :width] for x in (factor, zero))
        refuse_wiped(values.float() - zero, _largest(factor))
        return (values.float() - zero) * factor

    return group.tensor((8 * words, width), f"AWQ int4/g{size}", rows)


def dense(group: Group, settings: Settings) -> Tensor | None:
    """compressed-tensors: signed numbers end to end in the words of a row, stored without their sign."""
    codes, about = group.codes, group.parts.get("shape")
    if codes.dtype != "I32" or "scale" not in group.parts or about is None:
        return None
    group.only("scale", "shape", maybe=("zero_point", "g_idx"))
    if about.dtype not in ("I64", "I32") or about.count != len(codes.shape):
        raise ValueError("their weight_shape is not the shape of a matrix")
    shape = tuple(about.read().tolist())
    height, width = shape[-2:]
    fits = [bits for bits in range(1, 9) if width > 0 and -(-width * bits // WORD) == codes.shape[-1]]
    if min(shape) < 1 or shape[:-1] != codes.shape[:-1] or not fits:
        raise ValueError(f"their weight_shape is {shape}, which words of the shape {codes.shape} do not hold")
    if len(fits) > 1:
        raise ValueError(f"rows of {width} weights do not tell their bits")
    bits, offset = fits[0], 2 ** (fits[0] - 1)
    factors, name = scale(group.parts["scale"], shape, settings.block)
    zero, order = group.parts.get("zero_point"), group.parts.get("g_idx")
    groups = (group.parts["scale"].shape or (1,))[-1]
    if zero is not None and zero.dtype == "I32":
        expect(zero, (-(-height * bits // WORD), groups), "zero_point")
    elif zero is not None:
        expect(zero, (height, groups), "zero_point", "I8")
    if order is not None:
        expect(order, (width,), "g_idx", "I32", "I64")
        expect(group.parts["scale"], (height, groups), "scale")

    def prepared() -> tuple[torch.Tensor, ...]:
        zeros = torch.zeros(1) if zero is None else zero.read()
        if zeros.dtype == torch.int32:
            zeros = unpacked(zeros.T, bits)[:, :height].T.float() - offset
        place = torch.arange(groups).repeat_interleave(-(-width // groups))[:width]
        if order is not None and (stated := order.read().long()).min() >= 0:  # -1 where none was written
            place = stated
        if place.max() >= groups:
            raise ValueError(f"codes, not measured: their g_idx names other groups than the {groups} there are")
        return zeros.float(), place

    def rows(first: int, last: int) -> torch.Tensor:
        values = unpacked(code_rows(codes, first, last), bits)[:, :width].float() - offset
        factor = factors(first, last)
        if zero is not None or order is not None:
            zeros, place = group.latest.of(group, prepared)
            factor = code_rows(group.parts["scale"], first, last).float()[:, place]
            values = values - (zeros if zero is None else zeros[first:last][:, place])
        refuse_wiped(values, _largest(factor))
        return values * factor

    return group.tensor(shape, f"packed int{bits}/{name}", rows)


def affine(group: Group, settings: Settings) -> Tensor | None:
    """MLX: words run along the inputs; each group has a scale and an offset."""
    codes, scales, offsets = group.codes, group.parts.get("scales"), group.parts.get("biases")
    if codes.dtype != "U32" or scales is None or offsets is None:
        return None
    group.only("scales", "biases")
    size, bits, mode = settings.mlx(group.stem)
    size, bits, note = size or 64, bits or 4, "" if bits else "no config.json says so: MLX's usual 4 bits are assumed"
    width = codes.shape[-1] * WORD // bits
    if mode not in ("", "affine") or not 2 <= bits <= 8 or codes.shape[-1] * WORD % bits or width % size:
        raise ValueError(f"{codes.shape[-1]} words a row are not groups of {size} of {bits} bits, {mode or 'affine'}")
    for part in (scales, offsets):
        expect(part, (*codes.shape[:-1], width // size), "scales or biases")
    shape = (*codes.shape[:-1], width)
    (factors, name), (offset, _) = scale(scales, shape, (1, size)), scale(offsets, shape, (1, size))

    def rows(first: int, last: int) -> torch.Tensor:
        return unpacked(code_rows(codes, first, last), bits).float() * factors(first, last) + offset(first, last)

    return replace(group.tensor(shape, f"MLX int{bits}/{name}", rows), note=note)


def floats(group: Group, settings: Settings) -> Tensor | None:
    """MLX's modes of floats: words run along the inputs, and the scale of each group is a byte."""
    codes, scales = group.codes, group.parts.get("scales")
    if codes.dtype != "U32" or scales is None or "biases" in group.parts:
        return None
    group.only("scales")
    *lead, words = codes.shape
    said = settings.mlx(group.stem)[2]
    modes = [mode for mode, (size, bits) in MODES.items() if scales.shape == (*lead, words * WORD // (size * bits))]
    if scales.dtype != "U8" or len(modes) != 1 or said not in ("", modes[0]):
        raise ValueError(f"their scales have the shape {shown(scales.shape)}, as no mode of MLX, {said or 'unsaid'}")
    shape = (*lead, words * WORD // MODES[modes[0]][1])
    size = MODES[modes[0]][0]
    factors, _ = scale(_view(scales, torch.float8_e4m3fn) if modes[0] == "nvfp4" else scales, shape, (1, size))

    def rows(first: int, last: int) -> torch.Tensor:
        stored = code_rows(codes, first, last).view(torch.uint8)
        values = stored.view(torch.float8_e4m3fn).float() if modes[0] == "mxfp8" else E2M1[unpacked(stored, 4).long()]
        return values * factors(first, last)

    return group.tensor(shape, f"MLX {modes[0]}", rows)


def _largest(factors: torch.Tensor) -> torch.Tensor:
    """The largest magnitude of each row, (n, 1): a small group may have a scale that is 0 in 16 bits, a row not."""
    return factors.abs().amax(1, keepdim=True)


def _columns(group: Group) -> bool:
    """Whether it has what GPTQ and AWQ have both."""
    codes, scales = group.codes, group.parts.get("scales")
    is_matrix = scales is not None and len(codes.shape) == len(scales.shape) == 2
    return is_matrix and codes.dtype == "I32" and codes.name.endswith("qweight")


def _view(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return replace(tensor, dtype=NAMES[dtype], load=lambda start, stop: tensor.load(start, stop).view(dtype))


def _awq(words: torch.Tensor) -> torch.Tensor:
    """Words (n, m) of eight numbers each as the numbers (8 n, m)."""
    return ((words[:, None] >> 4 * AWQ[:, None]) & 15).flatten(0, 1)
