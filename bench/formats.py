"""How fast a format quantises and dequantises, beside the packages that know it and a clone of the tensor.

    python bench/formats.py [--record] [--repeat 7] [format …]
    python bench/formats.py --neighbour [format …]       two threads against one, quiet and beside a busy process

A matrix of N(0,1) float32, 4096 × 4096 unless the format is slow. The entries of a format take turns, so that a busy
spell of the machine meets each of them; medians count. CPU time is that of all threads of the process. The packages are
those of bench/oracles.py, each where its definition is the format's; what is not installed is left out.
"""

import argparse
import contextlib
import csv
import ctypes
import datetime
import importlib.metadata
import importlib.util
import os
import runpy
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["NUMPY_MADVISE_HUGEPAGE"] = "0"  # or NumPy leaves huge pages behind, which triple a clone's speed

import torch

import rholaw as rl
from rholaw import tables, threads
from rholaw.formats.sparsity import CHUNK

HERE, OURS, NAME, COLUMNS = Path(__file__).parent, "rholaw", "measured/formats_speed", 4096
ORACLES = runpy.run_path(str(HERE / "oracles.py"))
ROWS = dict.fromkeys(("int4", "sint4", "e2m1", "e4m3fn", "sint4/g128:fp32", "int4/g128", "sint8/g32"), 4096)
ROWS |= dict.fromkeys(("fint4/g32:fp32", "q4_0", "uint4/g128:zero", "fp8_tensor", "fp8_row", "mxfp4"), 4096)
ROWS |= dict.fromkeys(("mxfp8_e4m3", "nvfp4", "nf4/g64:fp32", "lm4", "2:4", "2:4+int4", "8:16", "s0.5"), 4096)
ROWS |= {"int4+out0.01": 4096, "q4_k": 512, "iq4_nl": 512, "vq2_256": 256, "higgs_4": 256, "e8p": 64, "trellis2": 16}
HEADER = ("format", "package", "threads", "rows", "mparam_per_cpu_second", "mparam_per_second", "of_clone")


def packages(text):
    """Package → what quantises as the format does; ours and the clone first."""
    found = {OURS: rl.parse(text).quantize, "clone": torch.clone}
    for oracle in ORACLES["ORACLES"] + ORACLES["BY_HAND"]:
        installed = importlib.util.find_spec(oracle.package) is not None
        if oracle.same and installed and rl.parse(oracle.text) == rl.parse(text):
            found.setdefault(oracle.package, oracle.code)
    return found


def medians(codes, x, repeat):
    """Package → (CPU seconds, seconds), over ``repeat`` rounds after one that does not count."""
    times = {package: [] for package in codes}
    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: None)
    for _ in range(repeat + 1):
        for package, code in codes.items():
            trim(0)  # all find fresh memory: whether that of an earlier result is at hand decides over a clone's time
            cpu, wall = time.process_time(), time.perf_counter()
            code(x)
            times[package].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        package: [statistics.median(each) for each in zip(*runs[1:], strict=True)] for package, runs in times.items()
    }


def matrix(text):
    """What a format is timed on."""
    return torch.randn(ROWS.get(text, COLUMNS), COLUMNS, generator=torch.Generator().manual_seed(0))


def measure(text, width, repeat):
    """Records of the table, a package each."""
    torch.set_num_threads(width)
    x = matrix(text)
    rates = {
        package: [x.numel() / 1e6 / seconds for seconds in pair]
        for package, pair in medians(packages(text), x, repeat).items()
    }
    floor = rates["clone"][0]
    return [(text, package, width, len(x), *pair, pair[0] / floor) for package, pair in rates.items()]


def speedup(code, x, repeat):
    """Two threads over one, by the clock: the median of rounds in which they take turns."""
    ratios = []
    for _ in range(repeat + 1):
        seconds = []
        for width in (1, 2):
            torch.set_num_threads(width)
            start = time.perf_counter()
            code(x)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios[1:])


def copied(x):
    """A copy in the parts in which a format works: all that two threads gain where fresh memory has to be found."""
    out = torch.empty_like(x)
    with threads.alone():
        threads.over(torch.Tensor.copy_, out.split(CHUNK // COLUMNS), x.split(CHUNK // COLUMNS))
    return out


@contextlib.contextmanager
def neighbour():
    """A process that computes beside this one."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield
        process.kill()


def beside(formats, repeat):
    """Print the two-thread table; how many rows miss the aims: 1.7 when quiet, 0.8 beside a busy neighbour."""
    print("| format | rows | two threads over one, quiet | beside a busy process | |\n|---|--:|--:|--:|---|")
    misses = 0
    print(
        f"| a copy, by as many threads | {COLUMNS} | {speedup(copied, matrix('dense'), repeat):.2f} | | |", flush=True
    )
    for text in formats:
        work = rl.parse(text).quantize, matrix(text), repeat
        quiet = speedup(*work)
        with neighbour():
            busy = speedup(*work)
        missed = quiet < 1.7 or busy < 0.8
        misses += missed
        print(f"| {text} | {ROWS.get(text, COLUMNS)} | {quiet:.2f} | {busy:.2f} | {'missed' * missed} |", flush=True)
    return misses


def row(records):
    """A line for print: ours, and the fastest other package by CPU time."""
    (text, _, width, rows, cpu, wall, share), (*_, clone, _, _), *others = records
    others = sorted(((other[4], other[1]) for other in others), reverse=True)
    rivals = ", ".join(f"{package} {rate:.3g}" for rate, package in others)
    ratio = f"{cpu / others[0][0]:.2f}" if others else ""
    return (
        f"| {text} | {width} | {rows} | {cpu:.3g} | {wall:.3g} | {clone:.0f} | {1 / share:.1f} | {ratio} | {rivals} |"
    )


def machine():
    """In general words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = f"{len(models)} cores of {models[0]}" if models else "an unknown processor"
    return f"{cores}, shared; torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def record(records, repeat):
    others = sorted({package for _, package, *_ in records} - {OURS, "clone", "torch"})
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in others) or "no other package"
    folder = tables.DATA / "measured"
    folder.mkdir(exist_ok=True)
    with open(tables.DATA / f"{NAME}.csv", "w", newline="\n") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows((*entry[:4], *(f"{rate:.4g}" for rate in entry[4:])) for entry in records)
    (tables.DATA / f"{NAME}.toml").write_text(
        f'''title = "Speed of quantising and dequantising a matrix of N(0,1) float32, rows of {COLUMNS}"
class = "measured"
source = """measured by this project: python bench/formats.py --record; medians of {repeat} rounds, all packages in turn
on {machine()}
with {versions}"""
licence = "MIT"
date = "{datetime.date.today()}"
columns = {str(list(HEADER)).replace("'", '"')}
rows = {len(records)}
sha256 = "to be filled"
unknown = ["what else the machine did meanwhile", "other processors, where the ratios may differ"]
[units]
mparam_per_cpu_second = "10^6 weights per second of CPU, summed over threads"
mparam_per_second = "10^6 weights per second"
of_clone = "share of the rate of torch.clone on the same tensor, per CPU second"
''',
        encoding="utf-8",
    )
    tables.update(NAME)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", default=list(ROWS))
    parser.add_argument("--record", action="store_true", help=f"write data/{NAME}.csv")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--neighbour", action="store_true", help="two threads against one, quiet and beside a busy process"
    )
    chosen = parser.parse_args()
    if chosen.neighbour:
        print(f"{machine()}\n")
        print(f"\n{beside(chosen.formats, chosen.repeat)} of {len(chosen.formats)} rows miss an aim")
        return
    print(f"{machine()}\n\nIn 10^6 weights per second of CPU, but for one column.\n")
    print("| format | threads | rows | rate | by the clock | clone | slower than clone | × best rival | rivals |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|---|")
    records = []
    for count in chosen.threads:
        for text in chosen.formats:
            found = measure(text, count, chosen.repeat)
            print(row(found), flush=True)
            records += found
    if chosen.record:
        record(records, chosen.repeat)


if __name__ == "__main__":
    sys.exit(main())
