"""What ``rl.evaluate`` says on a CPU, beside what it says on another device: the same, within rounding.

    python bench/evaluate_devices.py [--device cuda] [--path FOLDER] [--text TEXT] [--count 4] [--length 64]

Without a path the small model that the book carries.  Ends with 1 where KL or rise are further apart than APART of them
and a tenth of their standard errors.  ``--device cpu`` holds it against itself.
"""

import argparse
import sys
import time

import pandas as pd

import rholaw as rl
from rholaw.checkpoints.packaged import carried

FORMATS = ["fp8_row", "int4/g32", "nvfp4", "2:4+int4/g32"]
WAYS = {"weights": {}, "and inputs": {"activations": "sint8/row"}, "and cache": {"cache": "fp8_row"}}
APART = {"weights": 1e-3, "and inputs": 0.05, "and cache": 0.05}  # a value near the middle of two may fall either way
MEASURED = ["kl", "rise"]


def timed(device, way, chosen):
    """(the table, seconds)."""
    start = time.perf_counter()
    sizes = {"count": chosen.count, "length": chosen.length, "device": device, "progress": False}
    table = rl.evaluate(chosen.path, FORMATS, chosen.text, **WAYS[way], **sizes)
    return table.set_index("format"), time.perf_counter() - start


def compared(way, chosen):
    """The rows of one way, and whether they are as close as they have to be."""
    (own, before), (other, after) = timed("cpu", way, chosen), timed(chosen.device, way, chosen)
    table = pd.DataFrame({"way": way, "cpu_s": before, f"{chosen.device}_s": after}, index=own.index)
    close = True
    for column, error in zip(MEASURED, ["kl_stderr", "stderr"], strict=True):
        table[column], table[f"{column}_there"] = own[column], other[column]
        apart = (own[column] - other[column]).abs()
        close &= bool((apart <= APART[way] * own[column].abs() + own[error] / 10).all())
    return table.assign(loss_apart=(own.loss - other.loss).abs()), close


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--path", default=next(iter(carried().values())))
    parser.add_argument("--text", default="shakespeare")
    for name, value in {"count": 4, "length": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    tables, close = zip(*(compared(way, chosen) for way in WAYS), strict=True)
    print(pd.concat(tables).to_string(float_format="{:.6g}".format))
    sys.exit(0 if all(close) else 1)


if __name__ == "__main__":
    main()
