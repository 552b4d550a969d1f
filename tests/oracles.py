"""What other packages make of a format: its text here, and the tensor that they return for the same weights.

``ORACLES`` needs the extra ``oracles``; ``bench/oracles.py`` adds the packages that are installed by hand.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

import rholaw as rl


@dataclass(frozen=True)
class Oracle:
    """``code`` maps float32 weights (rows, columns) to what ``package`` gives back for the format ``text``.

    ``remark`` is empty where the values must be the same bits, and says elsewhere why they are not.  ``same`` is False
    where the definitions themselves differ, so that not even the errors agree.
    """

    text: str
    package: str
    code: Callable
    remark: str = ""
    same: bool = True

    def __str__(self):
        return f"{self.text} · {self.package}"


@dataclass(frozen=True)
class Comparison:
    """Values that differ, and both errors on the same N(0,1) weights; ``stderr`` of theirs, over independent rows."""

    largest: float
    share: float
    ours: float
    theirs: float
    stderr: float


def compare(oracle, x):
    """Both sides on ``x``, rows of N(0,1) weights."""
    ours, theirs = rl.parse(oracle.text).quantize(x), oracle.code(x)
    rows = (theirs - x).double().square().mean(1)
    return Comparison(
        float((ours - theirs).abs().max()),
        float((ours != theirs).double().mean()),
        float((ours - x).double().square().mean()),
        float(rows.mean()),
        float(rows.std()) / len(rows) ** 0.5,
    )


# --- torch: a cast is a format ------------------------------------------------------------------------------------


def torch_float8(dtype, per_row):
    def code(x):
        largest = x.abs().amax(1, keepdim=True) if per_row else x.abs().max()
        scale = largest / torch.finfo(dtype).max
        return (x / scale).to(dtype).float() * scale

    return code


def torch_e8m0_cast(x):
    """MXFP4 with a scale that a plain cast rounds: to the nearest power of two, so that blocks saturate or waste."""
    blocks = x.view(-1, 32)
    scale = (blocks.abs().amax(1, keepdim=True) / 6).to(torch.float8_e8m0fnu).float()
    return (_e2m1(blocks / scale) * scale).view(x.shape)


def _e2m1(x):
    """The nearest of 0, ½, 1, 1½, 2, 3, 4, 6, ties to the even code."""
    magnitude = x.abs().clamp(max=6)
    step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))
    return (magnitude / step).round() * step * x.sign()


# --- torchao ------------------------------------------------------------------------------------------------------


def torchao_mx(element, mode="FLOOR"):
    def code(x):
        from torchao.prototype.mx_formats.mx_tensor import MXTensor, ScaleCalculationMode

        return MXTensor.to_mx(x, element, 32, ScaleCalculationMode[mode]).dequantize(torch.float32)

    return code


def torchao_nvfp4(x):
    from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor, per_tensor_amax_to_scale

    return NVFP4Tensor.to_nvfp4(x, per_tensor_scale=per_tensor_amax_to_scale(x.abs().max())).dequantize(torch.float32)


def torchao_float8(dtype, per_row):
    def code(x):
        from torchao.quantization import quant_primitives as p

        scale = p._choose_scale_float8(x, [1 if per_row else len(x), x.shape[1]], dtype)
        return p._dequantize_affine_float8(p._quantize_affine_float8(x, scale, dtype), scale, torch.float32)

    return code


def torchao_integer(size, low, high, mapping="SYMMETRIC"):
    def code(x):
        from torchao.quantization import quant_primitives as p

        block, kind = (1, size), torch.int8 if low < 0 else torch.uint8
        scale, zero = p.choose_qparams_affine(x, p.MappingType[mapping], block, kind, low, high)
        codes = p.quantize_affine(x, block, scale, zero, kind, low, high)
        return p.dequantize_affine(codes, block, scale, zero, kind, low, high)

    return code


def torchao_two_of_four(x):
    from torchao.sparsity.utils import mask_creator

    return x * mask_creator(x, 2, 4)


def torchao_nf4(x):
    from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import to_nf4

    return to_nf4(x, 64, 256).get_original_weight()


# --- gguf: the quantisers in NumPy --------------------------------------------------------------------------------


def gguf_type(name):
    def code(x):
        import gguf

        kind = gguf.GGMLQuantizationType[name]
        return torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(x.numpy(), kind), kind).copy())

    return code


TIE = "multiplies by 1 / scale, so that the largest, on the tie at 7.5, may round to another code as far away"
EARLY = "chooses codes with the scale before that is rounded to fp16"
NEAREST = "a cast to float8_e8m0fnu rounds to the nearest power of two, OCP's scale down"

ORACLES = [
    *(
        Oracle(f"{name}/{size}:fp32", package, make(dtype, size == "row"))
        for name, dtype in (("e4m3fn", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2))
        for size in ("tensor", "row")
        for package, make in (("torch", torch_float8), ("torchao", torchao_float8))
    ),
    Oracle("2:4", "torchao", torchao_two_of_four),
    Oracle(
        "mxfp4", "torch", torch_e8m0_cast, "a cast to float8_e8m0fnu rounds to nearest, OCP's scale down", same=False
    ),
    *(
        Oracle(f"{text}/g32:e8m0{suffix}", "torchao", torchao_mx(element, mode))
        for text, element in (
            ("e2m1", torch.float4_e2m1fn_x2),
            ("e2m3", "fp6_e2m3"),
            ("e3m2", "fp6_e3m2"),
            ("e4m3fn", torch.float8_e4m3fn),
            ("e5m2", torch.float8_e5m2),
        )
        for suffix, mode in (("", "FLOOR"), ("-even", "EVEN"), ("-ceil", "CEIL"), ("-rceil", "RCEIL"))
    ),
    Oracle("nvfp4", "torchao", torchao_nvfp4),
    # It multiplies by 1 / scale here too, which moves a near-tie of a weight in 10^6 or so at 8 bits.
    Oracle("sint4/g32:fp32", "torchao", torchao_integer(32, -7, 7)),
    Oracle("sint8/g32:fp32", "torchao", torchao_integer(32, -127, 127)),
    Oracle("sint4/g128:fp32", "torchao", torchao_integer(128, -7, 7)),
    Oracle("fint4/g32:fp32", "torchao", torchao_integer(32, -8, 7), TIE),
    Oracle("fint8/g32:fp32", "torchao", torchao_integer(32, -128, 127), TIE),
    Oracle("uint4/g128:fp32:zero", "torchao", torchao_integer(128, 0, 15, "ASYMMETRIC")),
    Oracle("nf4/g64:fp32", "torchao", torchao_nf4, "quantises its scales to 8 bits, and its levels have 4 decimals"),
    *(
        Oracle(text, "gguf", gguf_type(name), EARLY)
        for text, name in {
            "fint4/g32:fp16:signmax": "Q4_0",
            "uint4/g32:fp16": "Q4_1",
            "fint5/g32:fp16:signmax": "Q5_0",
            "uint5/g32:fp16": "Q5_1",
            "sint8/g32:fp16": "Q8_0",
        }.items()
    ),
    Oracle("tq1_0", "gguf", gguf_type("TQ1_0")),
    Oracle("tq2_0", "gguf", gguf_type("TQ2_0")),
    Oracle("mxfp4", "gguf", gguf_type("MXFP4")),
]
