"""Compare every shared format with what other packages make of it, value by value; prints a table.

    python bench/oracles.py [rows of 1024 weights, default 1024]

Packages that are not installed are left out. Those of the extra ``oracles`` are in the tests as well; bitsandbytes,
compressed-tensors, auto-round and pywhispercpp, whose libggml quantises every type of GGUF, are installed by hand
(``--no-deps`` keeps them from replacing torch).
"""

import ctypes
import importlib.util
import sys
from functools import cache
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from oracles import EARLY, ORACLES, Oracle, compare


def bitsandbytes_nf4(double):
    def code(x):
        from bitsandbytes.functional import dequantize_4bit, quantize_4bit

        return dequantize_4bit(*quantize_4bit(x, blocksize=64, quant_type="nf4", compress_statistics=double))

    return code


def compressed_tensors(bits, kind, size, **options):
    """The scales that its min-max observer proposes, and its fake quantisation."""

    def code(x):
        from compressed_tensors.quantization import QuantizationArgs
        from compressed_tensors.quantization.lifecycle.forward import fake_quantize
        from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

        nvfp4 = size == 16
        strategy = "tensor_group" if nvfp4 else "group"
        args = QuantizationArgs(num_bits=bits, type=kind, group_size=size, strategy=strategy, **options)
        factor = generate_gparam(x.min(), x.max()) if nvfp4 else None
        blocks = x.view(len(x), -1, size)
        scale, zero = calculate_qparams(blocks.amin(2), blocks.amax(2), args, factor)
        return fake_quantize(x, scale, zero, args, factor)

    return code


def auto_round(module, name, *arguments, **options):
    def code(x):
        function = getattr(importlib.import_module(f"auto_round.data_type.{module}"), name)
        return function(x.clone(), *arguments, **options)[0]

    return code


@cache
def libggml():
    folder = Path(importlib.util.find_spec("pywhispercpp").origin).parents[1]
    library = ctypes.CDLL(str(next(folder.glob("libggml-base.so*"))))
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, count, count, count, pointer]
    return library


# Number and name of a type in ggml.h, weights and bytes of its block.
GGML = {
    "fint4/g32:fp16:signmax": (2, "q4_0", 32, 18),
    "uint4/g32:fp16": (3, "q4_1", 32, 20),
    "fint5/g32:fp16:signmax": (6, "q5_0", 32, 22),
    "uint5/g32:fp16": (7, "q5_1", 32, 24),
    "sint8/g32:fp16": (8, "q8_0", 32, 34),
    "q2_k": (10, "q2_K", 256, 84),
    "q3_k": (11, "q3_K", 256, 110),
    "q4_k": (12, "q4_K", 256, 144),
    "q5_k": (13, "q5_K", 256, 176),
    "q6_k": (14, "q6_K", 256, 210),
    "iq2_xxs": (16, "iq2_xxs", 256, 66),
    "iq2_xs": (17, "iq2_xs", 256, 74),
    "iq3_xxs": (18, "iq3_xxs", 256, 98),
    "iq1_s": (19, "iq1_s", 256, 50),
    "iq4_nl": (20, "iq4_nl", 32, 18),
    "iq3_s": (21, "iq3_s", 256, 110),
    "iq2_s": (22, "iq2_s", 256, 82),
    "iq4_xs": (23, "iq4_xs", 256, 136),
    "iq1_m": (29, "iq1_m", 256, 56),
    "tq1_0": (34, "tq1_0", 256, 54),
    "tq2_0": (35, "tq2_0", 256, 66),
    "mxfp4": (39, "mxfp4", 32, 17),
    "nvfp4": (40, "nvfp4", 64, 36),
}
CODEBOOKS = [text for text in GGML if text.startswith(("iq1", "iq2", "iq3"))]
SEARCHED = [text for text in GGML if text.startswith(("fint", "uint", "q", "iq4"))]


def ggml(text, uniform=False):
    """``uniform`` passes an importance matrix of ones, which takes another, longer search."""
    number, name, block, size = GGML[text]

    def code(x):
        coded, values = torch.empty(x.numel() // block * size, dtype=torch.uint8), torch.empty_like(x)
        importance = torch.ones(x.shape[1])
        libggml().ggml_quantize_chunk(
            number, x.data_ptr(), coded.data_ptr(), 0, *x.shape, importance.data_ptr() if uniform else None
        )
        decode = getattr(libggml(), f"dequantize_row_{name}")
        decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        decode(coded.data_ptr(), values.data_ptr(), x.numel())
        return values

    return code


SEARCH = "searches 300 scales for the least error of the block"
IMPORTANCE = "with an importance matrix of ones, which takes another search with other weights"
WEIGHTED = "with an importance matrix of ones; its search weights errors by the size of the weights as well"
RECIPROCAL = "its factor for the tensor is the rounded reciprocal of ours: a unit in the last place apart"
ONE_LEVEL = "has no factor for the tensor, so that the scales are other e4m3 numbers"
BY_HAND = [
    Oracle("nf4/g64:fp32", "bitsandbytes", bitsandbytes_nf4(False)),
    Oracle("nf4/g64:fp32", "bitsandbytes", bitsandbytes_nf4(True), "double quantisation: 8-bit codes for the scales"),
    Oracle("fint4/g32:fp32", "compressed_tensors", compressed_tensors(4, "int", 32)),
    Oracle("fint8/g32:fp32", "compressed_tensors", compressed_tensors(8, "int", 32)),
    Oracle("uint4/g128:fp32:zero", "compressed_tensors", compressed_tensors(4, "int", 128, symmetric=False)),
    Oracle("e2m1/g32:e8m0-even", "compressed_tensors", compressed_tensors(4, "float", 32, scale_dtype=torch.uint8)),
    Oracle("e2m3/g32:e8m0-even", "compressed_tensors", compressed_tensors(6, "float", 32, scale_dtype=torch.uint8)),
    Oracle("e4m3fn/g32:e8m0-rceil", "compressed_tensors", compressed_tensors(8, "float", 32, scale_dtype=torch.uint8)),
    Oracle(
        "nvfp4", "compressed_tensors", compressed_tensors(4, "float", 16, scale_dtype=torch.float8_e4m3fn), RECIPROCAL
    ),
    Oracle("fint4/g32:fp16:signmax", "auto_round", auto_round("int", "quant_tensor_sym", 4, 32)),
    Oracle(
        "fint4/g32:fp16:signmax", "auto_round", auto_round("int", "quant_tensor_opt_rtn_sym", 4, 32), SEARCH, same=False
    ),
    Oracle("uint4/g128:fp16:zero", "auto_round", auto_round("int", "quant_tensor_asym", 4, 128)),
    *(
        Oracle(f"{text}/g32:e8m0{suffix}", "auto_round", auto_round("mxfp", name, 8, 32, data_type=kind))
        for text, kind in {
            "e2m1": "mx_fp4",
            "e2m3": "mx_fp6e2m3",
            "e3m2": "mx_fp6e3m2",
            "e4m3fn": "mx_fp8",
            "e5m2": "mx_fp8e5m2",
            "sint8": "mx_int8",
        }.items()
        for suffix, name in (("", "quant_mx"), ("-rceil", "quant_mx_rceil"))
    ),
    Oracle("nvfp4", "auto_round", auto_round("nvfp", "nv_fp4"), RECIPROCAL),
    *(
        Oracle(text, "pywhispercpp", ggml(text), EARLY if ":fp16" in text else "")
        for text in GGML
        if text not in ("nvfp4", *CODEBOOKS)
    ),
    *(Oracle(text, "pywhispercpp", ggml(text, uniform=True), WEIGHTED, same=False) for text in CODEBOOKS),
    Oracle("nvfp4", "pywhispercpp", ggml("nvfp4"), ONE_LEVEL),
    *(Oracle(text, "pywhispercpp", ggml(text, uniform=True), IMPORTANCE, same=False) for text in SEARCHED),
]


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    x = torch.randn(rows, 1024, generator=torch.Generator().manual_seed(7))
    print("| format | package | max difference | share differing | our GMSE | theirs | ratio | remark |")
    print("|---|---|--:|--:|--:|--:|--:|---|")
    for oracle in ORACLES + BY_HAND:
        if importlib.util.find_spec(oracle.package) is None:
            continue
        found = compare(oracle, x)
        numbers = f"{found.largest:.2g} | {found.share:.2g} | {found.ours:.5g} | {found.theirs:.5g}"
        ratio = f"{found.theirs / found.ours:.5f}"
        print(f"| {oracle.text} | {oracle.package} | {numbers} | {ratio} | {oracle.remark} |", flush=True)


if __name__ == "__main__":
    main()
