"""Attacks what the library promises, kind by kind, for a given time; tests/attacks/ holds the kinds.

    .venv/bin/python bench/attack.py --minutes 60 --record     # then: python -m rholaw data update measured/attacks
    .venv/bin/python bench/attack.py --kind gguf --seed 7 --number 4211     # one attempt again, with its traceback

Every kind has an equal share of the time and a process of its own.  A finding is what an attempt raises, a warning too;
a process that dies; and an attempt that takes more time or memory than its kind allows, twice.  Ends with 1 after a
finding.  Linux only: it reads the memory of a process from /proc.
"""

import argparse
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pandas as pd
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import attacks
from sampling import SEED

from rholaw import files, tables

TABLE = "measured/attacks"
PATIENCE = 30  # times the seconds of a kind pass on the clock before its process counts as hanging
MOST = 8e9  # bytes for data beyond those at the start: a bomb ends the attempt, not the machine


def held(line: str = "VmRSS") -> float:
    """Megabytes in memory now, or with "VmHWM" the most since the last reset (proc(5))."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{line}:")[2].split()[0]) * 1024 / 1e6


def measured(kind: str, seed: int, number: int) -> tuple[str, float, float]:
    """(outcome, seconds of a processor, megabytes beyond those before) of an attempt."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, start = held(), time.process_time()
    outcome = attacks.attempt(kind, seed, number)
    return outcome, time.process_time() - start, held("VmHWM") - before


def work(kind: str, seed: int, number: int, minutes: float, report: Connection) -> None:
    """In a process of its own: attempts from ``number`` on, (number, outcome, finding) of each."""
    warnings.simplefilter("error")
    os.setpgrp()  # so that what an attempt starts dies with it
    resource.setrlimit(resource.RLIMIT_DATA, (int(held() * 1e6 + MOST), resource.RLIM_INFINITY))
    about, end = attacks.module(kind), time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        outcome, finding = "", ""
        try:
            for _ in range(
                2
            ):  # the first attempt of a process also loads what it needs; a busy machine is slow at times
                outcome, seconds, megabytes = measured(kind, seed, number)
                dear = seconds > about.SECONDS or megabytes > about.MEGABYTES
                if not dear:
                    break
            if dear:
                finding = f"took {seconds:.1f} s and {megabytes:.0f} MB"
        except BaseException:
            finding = traceback.format_exc()
        report.send((number, outcome, finding))
        number += 1


def attack(kind: str, seed: int, minutes: float, progress: tqdm) -> tuple[Counter, list[str]]:
    """(how often each outcome was, findings) of a kind within its time."""
    outcomes, findings, number, end = Counter(), [], 0, time.monotonic() + 60 * minutes
    again = f"bench/attack.py --kind {kind} --seed {seed} --number"
    spawn = multiprocessing.get_context("spawn")
    while (left := end - time.monotonic()) > 0:
        here, there = spawn.Pipe(duplex=False)
        process = spawn.Process(target=work, args=(kind, seed, number, left / 60, there), daemon=False)
        process.start()
        there.close()
        try:
            while here.poll(60 + PATIENCE * attacks.module(kind).SECONDS):
                number, outcome, finding = here.recv()
                outcomes[outcome or "finding"] += 1
                if finding:
                    findings.append(f"{again} {number}\n{finding}")
                    progress.write(findings[-1])
                number += 1
                progress.update()
            findings.append(f"{again} {number}\nhangs")
        except EOFError:
            process.join()
            if process.exitcode:
                findings.append(f"{again} {number}\nits process died: {process.exitcode}")
        if process.is_alive() or process.exitcode:
            number += 1
            if process.exitcode is None:
                os.killpg(process.pid, signal.SIGKILL)
            progress.write(findings[-1])
        process.join()
    return outcomes, findings


def main() -> int:
    """Parses the arguments, attacks, prints and records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", action="append", choices=attacks.KINDS, help="only this one; may be given repeatedly")
    parser.add_argument("--minutes", type=float, default=10, help="of all kinds together, on the clock (10)")
    parser.add_argument("--processes", type=int, default=1, help="kinds at a time (1)")
    parser.add_argument("--seed", type=int, default=SEED, help="of all that is drawn (the date)")
    parser.add_argument("--number", type=int, help="this attempt alone, with its traceback")
    parser.add_argument("--record", action="store_true", help=f"into data/{TABLE}.csv, for what it has of these kinds")
    chosen = parser.parse_args()
    kinds = chosen.kind or list(attacks.KINDS)
    if chosen.number is not None:
        warnings.simplefilter("error")
        print(*(measured(kind, chosen.seed, chosen.number) for kind in kinds))
        return 0
    share = chosen.minutes * chosen.processes / len(kinds)
    with ThreadPoolExecutor(chosen.processes) as pool, tqdm(unit=" attempts", mininterval=5) as progress:
        results = list(pool.map(lambda kind: attack(kind, chosen.seed, share, progress), kinds))
    rows = [
        {
            "kind": kind,
            "what": " ".join(attacks.module(kind).__doc__.split("\n\n")[0].split()),
            "promise": attacks.module(kind).PROMISE,
            "tried": outcomes.total(),
            "outcomes": "; ".join(f"{outcome} x {count}" for outcome, count in outcomes.most_common()),
            "findings": len(findings),
            "minutes": round(share, 1),
            "seed": chosen.seed,
        }
        for kind, (outcomes, findings) in zip(kinds, results, strict=True)
    ]
    frame = pd.DataFrame(rows)
    print(frame.drop(columns=["what", "promise"]).to_string(index=False, max_colwidth=100))
    if chosen.record:
        path = tables.DATA / f"{TABLE}.csv"
        earlier = pd.read_csv(path) if path.exists() else frame[:0]
        frame = pd.concat([earlier[~earlier.kind.isin(kinds) & earlier.kind.isin(attacks.KINDS)], frame])
        files.write(path, frame.sort_values("kind").to_csv(index=False, lineterminator="\n"))
    return int(any(findings for _, findings in results))


if __name__ == "__main__":
    sys.exit(main())
