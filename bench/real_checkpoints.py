"""The matrices of three real checkpoints, as rl.survey finds them; writes data/measured/real_checkpoints.csv.

    python bench/real_checkpoints.py        # then: python -m rholaw update measured/real_checkpoints

Minutes on one core.  The checkpoints come as packages, see content.txt.
"""

import pandas as pd

import rholaw as rl
from rholaw import checkpoints, tables

FORMATS = "int4, int4/g64, mxfp4, nvfp4, 2:4"
COLUMNS = [
    "checkpoint",
    "name",
    "role",
    "parameters",
    "quantised",
    "excess_kurtosis",
    "row_kurtosis",
    "peak",
    "rotation",
]
COLUMNS += ["rotated_kurtosis", "rotated_row_kurtosis", "format", "error", "rotated_error", "gmse"]

parts = [rl.survey(path, FORMATS).assign(checkpoint=name) for name, path in checkpoints.installed().items()]
frame = pd.concat(parts)
frame = frame[(frame.parameters > 0) & frame.error.notna()][COLUMNS]
frame["quantised"] = frame.quantised.map({True: "true", False: "false"})
out = tables.DATA / "measured" / "real_checkpoints.csv"
frame.to_csv(out, index=False, lineterminator="\n", float_format="%.5g")
