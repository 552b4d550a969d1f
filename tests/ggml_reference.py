"""What ggml's C library makes of a sample: a row for each of its types."""

import csv
from pathlib import Path

import numpy as np

# Written from the dequantised values of ggml 0.13.1 (libggml-base in pywhispercpp 1.5.1, x86-64, no importance matrix;
# for iq1, iq2 and iq3, whose values differ, a matrix of ones).
with open(Path(__file__).parent / "reference" / "ggml.csv") as file:
    REFERENCE = {row["type"]: row for row in csv.DictReader(file)}
"""Type → its bits, mean squared error and hash of values; "input" → that of the sample."""


def samples(blocks=32):
    """Rows of 256 values of N(0,1); the reference is of the 32."""
    return np.random.default_rng(20250601).standard_normal((blocks, 256), dtype=np.float32)
