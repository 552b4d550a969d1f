"""The catalogue: every format that has a name, with the source of its definition.

A new format is one ``declare`` here; tests, tables and chapters iterate the catalogue.
"""

import math

from . import ggml, grids, iq, vectors
from .format import Format
from .grammar import NAMED, declare, declare_element


def catalogue() -> dict[str, Format]:
    """dict: name → Format, each with ``.source``, in order of declaration."""
    return dict(NAMED)


OCP_FP8 = "OCP 8-bit Floating Point Specification v1.0"
OCP_MX = "OCP Microscaling Formats (MX) Specification v1.0"
NVFP4 = "NVIDIA, Pretraining LLMs with NVFP4 (arXiv 2509.25149), section"
GGML = "ggml, ggml-quants.c and gguf-py: reference quantisers without importance matrix"

declare("dense", Format(), "16-bit floats: the reference that all else is measured against")

# --- one optimal scale a tensor -----------------------------------------------------------------------------------

for bits in range(1, 9):
    declare(f"int{bits}", f"int{bits}", "QuEST (arXiv 2502.05003), section 3: uniform, mid-rise")
for bits in range(2, 9):
    declare(f"sint{bits}", f"sint{bits}", "Jacob et al. 2018 (arXiv 1712.05877): symmetric, with a zero")
for bits in range(1, 9):
    declare(f"lm{bits}", f"lm{bits}", "Lloyd 1957; Max 1960: the optimal grid for N(0,1)")

declare_element(grids.Codebook("binary", 1, (-1.0, 1.0)), "BinaryConnect (arXiv 1511.00363): one sign a weight")
declare_element(
    grids.Codebook("ternary", math.log2(3), (-1.0, 0.0, 1.0)),
    "Ternary Weight Networks (arXiv 1605.04711), at the MSE-optimal scale",
)
declare_element(
    grids.Codebook(
        "nf4",
        4,
        (
            *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
            *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
            *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
            *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
        ),
    ),
    "QLoRA (arXiv 2305.14314), appendix E: 4-bit NormalFloat",
)
for layout in ("e1m2", "e2m1", "e3m0"):
    declare(layout, layout, f"4-bit float layouts; e2m1 is FP4 of {OCP_MX}, section 5.3.3")
for layout in ("e1m4", "e2m3", "e3m2", "e4m1"):
    declare(layout, layout, f"6-bit float layouts; e2m3 and e3m2 are FP6 of {OCP_MX}, section 5.3.2")
for layout in ("e1m6", "e2m5", "e3m4", "e4m3"):
    declare(layout, layout, "8-bit float layouts with every code finite")
declare_element(grids.float_grid(4, 3, "e4m3fn", largest=448.0), f"{OCP_FP8}: E4M3, largest value 448")
declare_element(grids.float_grid(5, 2, "e5m2", largest=57344.0), f"{OCP_FP8}: E5M2, largest value 57344")

# --- a scale for every block --------------------------------------------------------------------------------------

for name, text in {
    "mxfp4": "e2m1/g32:e8m0",
    "mxfp6_e2m3": "e2m3/g32:e8m0",
    "mxfp6_e3m2": "e3m2/g32:e8m0",
    "mxfp8_e4m3": "e4m3fn/g32:e8m0",
    "mxfp8_e5m2": "e5m2/g32:e8m0",
    "mxint8": "sint8/g32:e8m0",
}.items():
    declare(name, text, f"{OCP_MX}, table 1 and section 6.3 (scale rounded down)")
declare("nvfp4", "e2m1/g16:e4m3", f"{NVFP4} 2")
declare(
    "nvfp4_16x16", "e2m1/16x16:e4m3", f"{NVFP4} 4.3: weights in tiles, alike in both passes (kernels repeat scales)"
)
declare("nvfp4_46", "e2m1/g16:e4m3:four-six", "Four Over Six (arXiv 2512.02010): the better of two scales a block")
declare("fp8_tensor", "e4m3fn/tensor:fp32", "Micikevicius et al. 2022 (arXiv 2209.05433): one scale a tensor")
declare("fp8_128x128", "e4m3fn/128x128:fp32", "DeepSeek-V3 (arXiv 2412.19437), section 3.3.2: weights by tiles")
declare("fp8_row", "e4m3fn/row:fp32", "llm-compressor, FP8_DYNAMIC: one scale a row")
for bits in (4, 8):
    for size in ("g32", "g64", "g128", "row"):
        declare(
            f"sint{bits}/{size}",
            f"sint{bits}/{size}",
            "Symmetric integers with a zero, largest magnitude on the last level",
        )
for size in ("g32", "g128"):
    declare(f"int4/{size}", f"int4/{size}", "Mid-rise integers, largest magnitude on the last level")
    declare(f"int4/{size}:mse", f"int4/{size}:mse", "Mid-rise integers, the scale of least error")
    declare(f"uint4/{size}:zero", f"uint4/{size}:zero", "AWQ and GPTQ: scale and integer zero point a block")
declare("fint4/g32:fp32", "fint4/g32:fp32", "torchao and compressed-tensors: full range, largest magnitude on 7.5")
declare("fint4/g128:fp32", "fint4/g128:fp32", "torchao and compressed-tensors: full range, largest magnitude on 7.5")
declare("uint4/g128:fp32", "uint4/g128:fp32", "Scale and minimum a block")
declare("nf4/g64:fp32", "nf4/g64:fp32", "QLoRA (arXiv 2305.14314), without double quantisation")
declare("nf4_dq", "nf4/g64:dq8", "QLoRA (arXiv 2305.14314), section 3: double quantisation, as bitsandbytes has it")
declare(
    "bitnet_b158", "ternary/tensor:fp32:absmean", "BitNet b1.58 (arXiv 2402.17764), section 2: mean magnitude as scale"
)
declare(
    "ternary/tensor:fp32:absmax", "ternary/tensor:fp32:absmax", "Ternary with the largest magnitude as scale: a warning"
)

declare("q4_0", "fint4/g32:signmax", GGML)
declare("q4_1", "uint4/g32", GGML)
declare("q5_0", "fint5/g32:signmax", GGML)
declare("q5_1", "uint5/g32", GGML)
declare("q6_0", "fint6/g32:signmax", "ik_llama.cpp, block_q6_0 and quantize_row_q6_0_ref: as q5_0, with six bits")
declare("q8_0", "sint8/g32", GGML)
for coder in ggml.TYPES.values():
    declare_element(coder, GGML)
for coder in iq.TYPES.values():
    declare_element(coder, "ggml, ggml-common.h: layout and codebook; the search is this project's")

# --- vectors ------------------------------------------------------------------------------------------------------

HIGGS = "HIGGS (arXiv 2411.17525), section 4: optimal codebook for N(0, I), computed by this project"
for dim, count in vectors.stored_codebooks():
    declare(f"vq{dim}_{count}", f"vq{dim}_{count}", HIGGS)
declare("higgs_2", "hadamard1024+vq2_16/g1024", HIGGS)
declare("higgs_3", "hadamard1024+vq2_64/g1024", HIGGS)
declare("higgs_4", "hadamard1024+vq2_256/g1024", HIGGS)
declare_element(vectors.E8P(), "QuIP# (arXiv 2402.04396), section 4.2: E8P lattice codebook")
for bits in (2, 3, 4):
    declare(f"trellis{bits}", f"trellis{bits}", "QTIP (arXiv 2406.11235), section 3: bitshift trellis")

# --- sparsity, outliers, compositions -----------------------------------------------------------------------------

for share in ("0.25", "0.5", "0.75", "0.9"):
    declare(f"s{share}", f"s{share}", "Magnitude pruning of a whole tensor; survivors in 16 bits")
for pattern in ("1:4", "2:4", "4:8", "8:16"):
    declare(pattern, pattern, "N:M sparsity; 2:4 in Mishra et al. 2021 (arXiv 2104.08378); survivors in 16 bits")
for text in ("s0.5+int4", "s0.5+int2", "2:4+int4", "2:4+e2m1", "4:8+int4"):
    declare(text, text, "Sparsity, then quantisation: Panferov et al. 2025 (arXiv 2506.01863), section 4")
for text in ("2:4+sint4/g128", "2:4+fp8_row", "2:4+nvfp4"):
    declare(text, text, "Sparse kernels with quantised survivors, the scale over the survivors")
for text in ("int4+out0.01", "sint4/g128+out0.01", "int2+out0.01"):
    declare(text, text, "Outliers kept apart, as in SpQR (arXiv 2306.03078), by magnitude")
