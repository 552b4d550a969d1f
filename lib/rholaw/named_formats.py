"""The catalogue: every format that has a name, with the source of its definition.

A new format is one ``declare`` here; tests, tables and chapters iterate the catalogue.
"""

import math

from . import grids
from .formats import NAMED, Format, declare


def catalogue():
    """dict: name → Format, each with ``.source``, in order of declaration."""
    return dict(NAMED)


declare("dense", Format(), "16-bit floats: the reference that all else is measured against")

for bits in range(1, 9):
    declare(f"int{bits}", Format(grids.mid_rise(bits)), "QuEST (arXiv 2502.05003), section 3: uniform, mid-rise")
for bits in range(2, 9):
    declare(
        f"sint{bits}", Format(grids.mid_tread(bits)), "Jacob et al. 2018 (arXiv 1712.05877): symmetric, with a zero"
    )
for bits in range(1, 9):
    declare(f"lm{bits}", Format(grids.lloyd_max_grid(bits)), "Lloyd 1957; Max 1960: the optimal grid for N(0,1)")

BINARY = grids.Codebook("binary", 1, (-1.0, 1.0))
TERNARY = grids.Codebook("ternary", math.log2(3), (-1.0, 0.0, 1.0))
NF4 = grids.Codebook(
    "nf4",
    4,
    (
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ),
)
declare("binary", Format(BINARY), "BinaryConnect (arXiv 1511.00363): one sign a weight")
declare("ternary", Format(TERNARY), "Ternary Weight Networks (arXiv 1605.04711), at the MSE-optimal scale")
declare("nf4", Format(NF4), "QLoRA (arXiv 2305.14314), appendix E: 4-bit NormalFloat")

for layout in ("e1m2", "e2m1", "e3m0"):
    declare(layout, layout, "4-bit float layouts; e2m1 is FP4 of OCP Microscaling v1.0, section 5.3.3")
for layout in ("e1m4", "e2m3", "e3m2", "e4m1"):
    declare(layout, layout, "6-bit float layouts; e2m3 and e3m2 are FP6 of OCP Microscaling v1.0, section 5.3.2")
for layout in ("e1m6", "e2m5", "e3m4", "e4m3"):
    declare(layout, layout, "8-bit float layouts with every code finite")
E4M3FN = grids.float_grid(4, 3, "e4m3fn", largest=448.0)
E5M2 = grids.float_grid(5, 2, "e5m2", largest=57344.0)
declare("e4m3fn", Format(E4M3FN), "OCP 8-bit Floating Point v1.0: E4M3, largest value 448")
declare("e5m2", Format(E5M2), "OCP 8-bit Floating Point v1.0: E5M2, largest value 57344")

for share in ("0.25", "0.5", "0.75", "0.9"):
    declare(f"s{share}", f"s{share}", "Magnitude pruning of a whole tensor; survivors in 16 bits")
for pattern in ("1:4", "2:4", "4:8", "8:16"):
    declare(pattern, pattern, "N:M sparsity; 2:4 in Mishra et al. 2021 (arXiv 2104.08378); survivors in 16 bits")
for text in ("s0.5+int4", "s0.5+int2", "2:4+int4", "2:4+e2m1", "4:8+int4"):
    declare(text, text, "Sparsity, then quantisation: Panferov et al. 2025 (arXiv 2506.01863), section 4")
