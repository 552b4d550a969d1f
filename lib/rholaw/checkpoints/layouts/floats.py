"""Layouts whose codes are values of their own: bytes times a scale, and floats of 4 bits with scales for blocks.

scaled   F8 or I8 × scale          compressed-tensors, DeepSeek, ModelOpt, ComfyUI, CTranslate2, torchao, quanto
int8     I8 × SCB / 127            bitsandbytes, LLM.int8()
nvfp4    E2M1 × E4M3 × scale       ModelOpt; compressed-tensors divides by its global scale
mxfp4    E2M1 × 2^(scale − 127)    gpt-oss, and whatever stores OCP's MXFP4
"""

from dataclasses import replace

import torch

from ..tensors import BITS, PLAIN, Tensor
from .grouping import REAL, Group
from .settings import Settings
from .unpacking import E2M1, Rows, code_rows, expect, refuse_wiped, scale, unpacked

TELLING, UNLIKE = 512, 0.2  # bytes, at least; and |E exp(2πi b/16)|, below 1e-5 for wide numbers, .6 for two codes
TILE = (128, 4)  # scales in a tile of cuBLAS's order, 32 × 4 × 4: docs.nvidia.com/cuda/cublas, 1D block scaling
CLEARLY = 1.5  # times as like; of 222 matrices of three real models, as they lie, at most 1.23, and swizzled 207 above
SWIZZLERS = ("torchao", "comfyui")
IN_ORDER = ("compressed-tensors", "modelopt", "nvfp4", "mxfp4", "mxfp8", "quark", "auto-round", "fp8")  # by their code
INT8 = 127  # the code of the largest weight of a row


def scaled(group: Group, settings: Settings) -> Tensor | None:
    """Bytes times the scale of their block, row or matrix, less a zero point where there is one."""
    codes = group.codes
    is_float = codes.quantised and (codes.dtype in PLAIN or codes.dtype not in BITS)  # the latter are GGUF's
    if "scale" not in group.parts or not (is_float or codes.dtype in ("I8", "I16")):
        return None
    group.only("scale", maybe=("zero_point", "comfy_quant"))
    if not is_float and group.parts["scale"].dtype not in REAL:
        raise ValueError("bytes with such scales may hold two codes each")
    about, (first, *rest) = group.parts["scale"], codes.shape
    if settings.method == "fbgemm_fp8" and len(rest) == 2 and about.shape == (first, rest[1], 1):
        about = replace(about, shape=(first, 1, rest[1]))  # of experts in × out, each output has one
    factors, name = scale(about, codes.shape, settings.block)
    note = _order(settings) if name == "g32" and about.dtype not in REAL else ""
    zeros, halved = _zeros(group, settings), codes.dtype == "I8" and settings.bits == 4

    def rows(first: int, last: int) -> torch.Tensor:
        if name == "g32" and about.dtype not in REAL:
            _refuse_swizzled(group, about)
        stored = code_rows(codes, first, last)
        if halved and stored.numel() and not -8 <= stored.min() <= stored.max() <= 7:
            raise ValueError("codes, not measured: of 4 bits by the config, and these bytes hold more, as two codes")
        if codes.dtype == "I8" and _hold_two(stored):
            raise ValueError("codes, not measured: the halves of these bytes are as of two codes of 4 bits each")
        values, factor = stored.float() - zeros(first, last), factors(first, last)
        refuse_wiped(values, factor)
        return values / factor if settings.divides else values * factor

    tensor = group.tensor(codes.shape, f"{codes.dtype}/{name}", rows)
    return replace(tensor, note=note, scale=about if about.count == 1 and not settings.divides else None)


def int8(group: Group, settings: Settings) -> Tensor | None:
    """LLM.int8(): the largest magnitude of each row has the code 127."""
    if "SCB" not in group.parts:
        return None
    group.only("SCB", maybe=("format",))
    codes, largest = group.codes, group.parts["SCB"]
    if codes.dtype != "I8" or len(codes.shape) != 2:
        raise ValueError(f"they are {codes.dtype}, where bitsandbytes has a matrix of I8")
    expect(largest, codes.shape[:1], "SCB")

    def rows(first: int, last: int) -> torch.Tensor:
        if "format" in group.parts and group.parts["format"].read().float().any():
            raise ValueError("codes, not measured: their weight_format is not 0, which is rows one after another")
        values, factor = code_rows(codes, first, last).float(), (largest.load(first, last).float() / INT8)[:, None]
        refuse_wiped(values, factor)
        return values * factor

    return group.tensor(codes.shape, "bnb int8/row", rows)


def nvfp4(group: Group, settings: Settings) -> Tensor | None:
    """NVIDIA's FP4: E2M1 in blocks of 16, whose E4M3 scales have a scale for the matrix."""
    block, codes = group.parts.get("scale"), group.codes
    if codes.dtype != "U8" or block is None or block.dtype != "F8_E4M3":
        return None
    divides = "global_scale" in group.parts  # compressed-tensors keeps its reciprocal
    second = "global_scale" if divides else "scale_2"
    group.only("scale", second)
    note = "" if divides else _order(settings)
    shape = (*codes.shape[:-1], 2 * codes.shape[-1])
    expect(block, (*shape[:-1], -(-shape[-1] // 16)), "scale")
    factors, _ = scale(block, shape, (1, 16))
    whole, _ = scale(group.parts[second], shape)

    def rows(first: int, last: int) -> torch.Tensor:
        _refuse_swizzled(group, block)
        values, factor = fours(codes, first, last) * factors(first, last), whole(first, last)
        refuse_wiped(values, factor)
        return values / factor if divides else values * factor

    return replace(group.tensor(shape, "NVFP4", rows), note=note)


def mxfp4(group: Group, settings: Settings) -> Tensor | None:
    """OCP's MXFP4: E2M1 in blocks of 32, whose scales are powers of two; gpt-oss keeps each block apart."""
    blocks = "scales" in group.parts and group.codes.name.endswith("blocks")
    key, codes = "scales" if blocks else "scale", group.codes
    if codes.dtype != "U8" or key not in group.parts or group.parts[key].dtype not in ("U8", "F8_E8M0"):
        return None
    group.only(key)
    if blocks and (len(codes.shape) < 3 or codes.shape[-1] != 16):
        raise ValueError("their blocks are not of 16 bytes each")
    note = "" if blocks else _order(settings)
    shape = (*codes.shape[:-2], codes.shape[-2] * 32) if blocks else (*codes.shape[:-1], codes.shape[-1] * 2)
    expect(group.parts[key], (*shape[:-1], -(-shape[-1] // 32)), "scale")
    factors, _ = scale(group.parts[key], shape, (1, 32))

    def rows(first: int, last: int) -> torch.Tensor:
        if not blocks:
            _refuse_swizzled(group, group.parts[key])
        return fours(codes, first, last, shape[-1] // 2) * factors(first, last)

    return replace(group.tensor(shape, "MXFP4", rows), note=note)


def _order(settings: Settings) -> str:
    """A note where nothing says in which order the scales of small blocks lie; ValueError where they may lie in two.

    torchao and ComfyUI swizzle them, or not, and no shape shows it where rows are a multiple of 128.
    """
    if settings.method in SWIZZLERS:
        raise ValueError(f"{settings.method} may keep such scales in another order (swizzled)")
    if settings.method in IN_ORDER:
        return ""
    who = f"how {settings.method:.30} orders them is not known"
    who = who if settings.method else "no config.json says who wrote it"
    return f"{who}: its scales are taken in the order of their blocks; some weights of the model itself would show it"


def _refuse_swizzled(group: Group, scales: Tensor) -> None:
    """ValueError where scales of blocks are like their row and column in the order of cuBLAS, and not as they lie.

    Where rows and columns differ in neither order, the blocks are alike, and their errors are the same in both.
    """

    def prepared() -> tuple[bool]:
        height, across = scales.shape[-2:]
        if height % TILE[0] or across % TILE[1]:
            return (False,)  # padded, they would not fit
        stored = scales.load(0, height * across)  # of the first expert
        values = stored.float() if stored.dtype == torch.uint8 else stored.float().clamp(min=2.0**-127).log2()
        tiles = values.view(height // TILE[0], across // TILE[1], 32, 4, 4)
        ordered = tiles.permute(0, 3, 2, 1, 4).reshape(height, across)
        return (_like_neighbours(ordered) > CLEARLY * _like_neighbours(values.view(height, across)),)

    if group.latest.of(group, prepared)[0]:
        raise ValueError(
            "codes, not measured: the scales of their blocks lie in the order of a kernel (swizzled), by which they "
            "are like others of their row and column, and not as they lie"
        )


def _like_neighbours(values: torch.Tensor) -> float:
    """The share of a matrix's variance that the means of its rows and columns have."""
    parts = values.mean(1).var(correction=0) + values.mean(0).var(correction=0)
    return float(parts / values.var(correction=0).clamp(min=1e-9))


def fours(codes: Tensor, first: int, last: int, width: int | None = None) -> torch.Tensor:
    """Rows of E2M1, two in a byte, the lower one first; ``width``: the bytes of a row."""
    width = codes.shape[-1] if width is None else width
    stored = codes.load(first * width, last * width).view(last - first, width)
    return E2M1[unpacked(stored, 4).long()]


def _hold_two(stored: torch.Tensor) -> bool:
    """Whether bytes are two codes of 4 bits: their lower halves are not alike often, as those of wide numbers are."""
    values = stored.double().flatten()
    if len(values) < TELLING or values.std() < 16:
        return False
    turned = values * (2 * torch.pi / 16)
    return bool(turned.cos().mean().hypot(turned.sin().mean()) > UNLIKE)


def _zeros(group: Group, settings: Settings) -> Rows:
    """What is subtracted from codes before they are scaled."""
    if "zero_point" not in group.parts:
        return lambda first, last: torch.zeros(())
    zeros = group.parts["zero_point"]
    if zeros.dtype == "U8" or zeros.dtype in REAL:
        raise ValueError(f"their zero_point is {zeros.dtype}, and may be in another unit than the codes")
    return scale(zeros, group.codes.shape, settings.block)[0]
