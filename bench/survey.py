"""How fast a survey reads a checkpoint of a billion weights, beside the floor: to read the file and sum squares.

    python bench/survey.py [--params 1e9] [--repeat 5] [--threads 2] [--folder FOLDER] [format …]

The file is synthetic: matrices of 4096 × 4096 N(0, 0.02²) weights in bf16. First one survey of the whole file. Then
each format alone, on one matrix, in turns with the floor and with the packages of bench/oracles.py that know it, so
that a busy spell of the machine meets all of them; medians of CPU time, summed over threads. A format's own time is
what it adds to a survey without any.
"""

import argparse
import importlib.util
import os
import resource
import runpy
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw import checkpoints
from rholaw.checkpoints import streaming

FORMATS = ["int4", "int4/g128", "sint4/g32", "e2m1", "fp8_row", "mxfp4", "nvfp4", "2:4+int4/g128"]
SIDE = 4096
CPU = torch.device("cpu")
ORACLES = runpy.run_path(str(Path(__file__).parent / "oracles.py"))


def write(path, params):
    """About ``params`` weights: one random matrix after another, of which a few differ."""
    generator = torch.Generator().manual_seed(0)
    few = [torch.randn(SIDE, SIDE, generator=generator).mul_(0.02).bfloat16() for _ in range(4)]
    save_file({f"layers.{i}.mlp.weight": few[i % 4].clone() for i in range(max(1, round(params / SIDE**2)))}, path)


def floor(tensor, pool):
    """Reads it in chunks of the same size and sums the squares."""
    step = (streaming.CHUNK - 1) // SIDE

    def squares(start):
        x = tensor.rows(start, min(start + step, SIDE)).float().view(-1)
        return float(torch.dot(x, x))

    return sum(pool.map(squares, range(0, SIDE, step)))


def with_package(code):
    """What ``streaming.measured`` does, with the whole matrix and a package's own quantiser."""

    def run(tensor, pool):
        x = tensor.rows(0, SIDE).float()
        return float((code(x) - x).square().sum() / x.square().sum())

    return run


def packages(text):
    """Package → its run, for those that quantise as the format does and are installed."""
    found = {}
    for oracle in ORACLES["ORACLES"] + ORACLES["BY_HAND"]:
        if oracle.same and importlib.util.find_spec(oracle.package) and rl.parse(oracle.text) == rl.parse(text):
            found.setdefault(oracle.package, with_package(oracle.code))
    return found


def medians(runs, tensor, pool, repeat):
    """CPU seconds of each run, which take turns; the first round does not count."""
    times = {name: [] for name in runs}
    for _ in range(repeat + 1):
        for name, run in runs.items():
            start = time.process_time()
            run(tensor, pool)
            times[name].append(time.process_time() - start)
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def ours(texts):
    return lambda tensor, pool: streaming.measured(tensor, {t: rl.parse(t) for t in texts}, 0, CPU, pool)


def one_by_one(path, formats, threads, repeat):
    print("\nMillions of weights per second of CPU; × is time over that of the floor.\n")
    print("| format | floor | survey | × floor | other packages |\n|---|--:|--:|--:|---|")
    with checkpoints.open(path) as checkpoint, ThreadPoolExecutor(threads) as pool:
        tensor = checkpoint.tensors[0]
        for text in formats:
            others = packages(text)
            seconds = medians({"floor": floor, "none": ours([]), "": ours([text])} | others, tensor, pool, repeat)
            rate = {name: tensor.count / 1e6 / each for name, each in seconds.items()}
            own = max(seconds[""] - seconds["none"], 1e-9)
            rivals = ", ".join(f"{name} {rate[name]:.3g}" for name in others) or "–"
            columns = f"{rate['floor']:.0f} | {tensor.count / 1e6 / own:.0f} | {own / seconds['floor']:.1f}"
            print(f"| {text} | {columns} | {rivals} |", flush=True)
    print(f"\nThe moments, which no format is needed for, take {seconds['none'] / seconds['floor']:.1f} × the floor.")


def timed(run):
    """(seconds by the clock, seconds of CPU)."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def all_at_once(path, formats, threads, rotation):
    """One pass over the file; its memory is what the process grows by after a survey of one matrix."""

    def floors():
        with checkpoints.open(path) as checkpoint, ThreadPoolExecutor(threads) as pool:
            return [floor(tensor, pool) for tensor in checkpoint.tensors]

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "small.safetensors", 1)
        rl.survey(folder, formats, rotation=rotation, progress=False)
    before, least = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, timed(floors)
    wall, cpu = timed(lambda: rl.survey(path, formats, rotation=rotation))
    peak, millions = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, path.stat().st_size / 2e6
    print(
        f"{millions:.0f}M weights, {len(formats)} formats, rotation {rotation}, {threads} threads: {wall:.0f} s "
        f"({cpu:.0f} of CPU), a format {millions * len(formats) / wall:.0f}M weights per second. The floor is "
        f"{least[0]:.1f} s ({least[1]:.1f} of CPU): a format takes {wall / len(formats) / least[0]:.1f} of it by the "
        f"clock, {cpu / len(formats) / least[1]:.1f} by CPU.\n"
        f"Peak memory {peak / 2**10:.0f} MiB, {(peak - before) / 2**10:.0f} MiB above that of a survey of one matrix."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", default=FORMATS)
    parser.add_argument("--params", type=float, default=1e9)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rotation", type=int, default=0)
    parser.add_argument("--folder", default=None, help="where the file is written for the time of the run")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        path = Path(folder) / "model.safetensors"
        if os.fork() == 0:  # the memory that writing takes is not that of the survey
            write(path, chosen.params)
            os._exit(0)
        os.wait()
        torch.set_num_threads(chosen.threads)
        all_at_once(path, chosen.formats, chosen.threads, chosen.rotation)
        torch.set_num_threads(1)
        one_by_one(path, chosen.formats, chosen.threads, chosen.repeat)


if __name__ == "__main__":
    sys.exit(main())
