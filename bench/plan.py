"""Milliseconds a row, peak memory and the first plan's seconds, side by side with another revision.

    python bench/plan.py [--beside REVISION] [--repeat 3] [--short]

Each plan is made in a process of its own, after a first one of chapters/scenario.toml; revisions take turns, so that a
busy spell of the machine meets both, and the least of the repeats counts.  Seconds are CPU time, summed over threads.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ["fp8_row", "nvfp4", "mxfp4", "nf4/g64", "e2m1/g32", "int2/g64", "int3/g64", "int4/g128", "sint4/g128"]
WEIGHTS += ["sint4/g32", "sint8/g128", "mxfp8_e4m3", "q3_k", "q4_k", "q5_k", "q6_k"]
LIMITS = {"latency_ms": 50, "ttft_ms": 2000}
PLANS = {  # what it is → (number of devices, of counts of them a replica, number of batches, draws, kind, limits)
    "1,360 rows": (4, 2, 10, 2_000, "qat", {}),
    "13,600 rows": (20, 4, 10, 2_000, "qat", {}),
    "1,360 rows, limits": (4, 2, 10, 2_000, "qat", LIMITS),
    "1,360 rows, limits, post-training": (4, 2, 10, 2_000, "post-training", LIMITS),
    "408 rows of 100,000 draws": (4, 1, 6, 100_000, "qat", {}),
}


def scenario(devices, gpus, batches, samples, kind, limits):
    """The dicts of a scenario of so many rows: a row an option × device × number of devices × batch."""
    from rholaw.hardware.devices import devices as known

    return {
        "model": {"geometry": "Llama-3.1-8B"},
        "formats": [{"weights": name} for name in WEIGHTS],
        "hardware": {
            "devices": list(known())[:devices],
            "gpus": [2**i for i in range(gpus)],
            "batches": [2**i for i in range(batches)],
        },
        "traffic": limits,
        "project": {"kind": kind},
        "run": {"samples": samples, "today": "2026-11-24"},
    }


def run(name):
    """Prints what one plan took, as JSON; in a process of its own."""
    import rholaw as rl

    example = rl.Scenario.read(ROOT / "chapters" / "scenario.toml")
    start = time.process_time()
    rl.plan(example)
    first, start = time.process_time() - start, time.process_time()
    table = rl.plan(scenario(*PLANS[name])).table
    took = {"rows": len(table), "seconds": time.process_time() - start, "first_s": first}
    print(json.dumps(took | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def took(name, lib):
    """What a plan took by the code of a folder."""
    process = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--run", name],
        env=os.environ | {"PYTHONPATH": str(lib), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(process.stdout)


def main():
    """Parses the arguments, runs and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--beside", metavar="REVISION", help="of git, whose lib/ and data/ take turns with these")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="without the plans that take a minute")
    parser.add_argument("--run", choices=PLANS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        return run(chosen.run)
    names, rows = [name for name in PLANS if not chosen.short or name.startswith("1,360")], []
    with tempfile.TemporaryDirectory() as folder:
        libs = {"this": ROOT / "lib"}
        if chosen.beside:
            archive = subprocess.run(
                ["git", "archive", chosen.beside, "lib", "data"], cwd=ROOT, check=True, capture_output=True
            )
            subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
            libs = {chosen.beside: Path(folder) / "lib", **libs}
        for name in names:
            for _ in range(chosen.repeat):
                rows += [{"plan": name, "code": code} | took(name, lib) for code, lib in libs.items()]
    table = pd.DataFrame(rows)
    table["ms_a_row"] = 1000 * table.seconds / table["rows"]
    shown = table.groupby(["plan", "code"], sort=False)[["rows", "ms_a_row", "seconds", "first_s", "peak_mb"]].min()
    print(shown.round({"ms_a_row": 2, "seconds": 1, "first_s": 1, "peak_mb": 0}).to_string())


if __name__ == "__main__":
    main()
