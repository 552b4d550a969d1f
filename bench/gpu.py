"""A short stay on a lent GPU, which bench/gpu.sh starts: it measures, trains the runs of a sweep, and rounds what came.

Parts, each a process of its own that may fail or be ended without harm to the others: `speed` times the ways to run a
step; `train` runs the sweep, several programs side by side; `round` compresses the dense models that it leaves; the
first process watches the clock, brings a dead part back to life, and keeps OUT up to date.

OUT holds runs.jsonl (records, as a store's), rounded.csv (held-out loss of dense models in formats of the catalogue),
weights.safetensors (those models in bfloat16), speed.csv, provenance.json and log.txt.
"""

import argparse
import csv
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import rholaw as rl
from rholaw.error.measure import gmse
from rholaw.texts import tokens as corpora
from rholaw.train import trainer
from rholaw.train.captured import Captured
from rholaw.train.config import Config
from rholaw.train.model import sort_key
from rholaw.train.provenance import environment, matmul_rate, revision
from rholaw.train.sweeps import file as sweeps
from rholaw.train.sweeps.store import Store
from rholaw.train.trainer import Program

MARGIN = 8  # seconds that are left for the last copies
SPEED_SHARE, SPEED_SECONDS = 0.4, 60  # of the stay, and at most, for measuring
STEPS, AHEAD = 8, 4  # a turn of a program, and how many turns the host may be ahead of the device
DEATHS = 3  # of one part, after which it stays dead
WEIGHTS = 15_500_000  # bytes of all kept models
TOGETHER = 15  # formats that are rounded at a time
MODES: dict[str, Callable] = {
    "captured": Captured,
    "stacked": lambda configs, device, corpus: Captured(configs, device, corpus, capture=False),
    "plain": Program,
    "compiled": lambda configs, device, corpus: Program(configs, device, compile=True, corpus=corpus),
}
AGREE_STEPS, AGREE = 20, 0.02  # after so many steps a captured program may be so many nats from a plain one


# ---- what all parts share


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float, help="after which all is written and over")
    parser.add_argument("out", type=Path)
    parser.add_argument("--text", type=Path, required=True, help="a token file, of the corpus that the sweep names")
    parser.add_argument("--sweep", type=Path, default=Path("sweeps/gpu.toml"))
    parser.add_argument("--earlier", type=Path, help="runs.jsonl of a stay before")
    parser.add_argument("--side", type=int, default=3, help="programs side by side")
    parser.add_argument("--members", type=int, default=18, help="runs of one program, at most")
    parser.add_argument(
        "--mode",
        choices=[*MODES],
        help="how to train (default: the fastest of captured, stacked and plain, which are timed first)",
    )
    parser.add_argument("--measure", action="store_true", help="time all modes at length, before the training")
    parser.add_argument(
        "--tiny", action="store_true", help="one small layer and few steps, to try it all without a GPU"
    )
    parser.add_argument("--part", choices=["speed", "train", "round"], help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def read_sweep(options: argparse.Namespace) -> list[Config]:
    """The runs in the order of the file."""
    configs = sweeps.read(options.sweep)
    if not options.tiny:
        return configs
    trainer.HELD_OUT_TOKENS = 1024
    least = min(config.tokens for config in configs)
    shape = {"layers": 1, "heads": 2, "width": 32, "hidden": 96, "context": 32, "batch_tokens": 64}
    small = [replace(c, **shape, tokens=640 * c.tokens // least, dtype="float32") for c in configs]
    return list({config.id: config for config in small}.values())


def read_text(options: argparse.Namespace, config: Config) -> corpora.Corpus:
    """The tokens that travelled.  ValueError when they are not those that the runs name."""
    corpus = corpora.load(f"file:{options.text.absolute()}", config.vocabulary)
    if corpus.name != config.corpus:
        raise ValueError(f"{options.text} holds the text {corpus.name}, and the runs are of {config.corpus}")
    return corpus


def units(configs: list[Config], members: int) -> list[tuple[Config, ...]]:
    """Neighbours of one shape, at most so many together, those that are compressed alike beside each other."""
    parts = []
    for _, group in groupby(configs, key=lambda config: config.shape):
        runs = list(group)
        size = math.ceil(len(runs) / math.ceil(len(runs) / members))
        parts += [tuple(sorted(runs[i : i + size], key=sort_key)) for i in range(0, len(runs), size)]
    return parts


def append(path: Path, rows: list[dict]) -> None:
    """Add rows to a table, whose columns the first row names."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


# ---- speed


def speed(options: argparse.Namespace) -> None:
    """Time a step at the smallest and the largest of the first sizes; the best of three modes goes to work/best."""
    configs = read_sweep(options)
    corpus = read_text(options, configs[0])
    steps = 600 if device() == "cuda" else 40
    firsts = [
        tuple(replace(c, tokens=steps * c.batch_tokens) for c in unit) for unit in units(configs, options.members)[:3]
    ]
    ordered = sorted(firsts, key=lambda unit: unit[0].n_params)
    small, large = ordered[0], ordered[-1]
    rates: dict[str, float] = {}
    for mode in ("plain", "stacked", "captured"):  # the best so far stands, should the next one end the process
        rates[mode] = timed(options, "all formats", mode, [small], corpus)
        if mode != "plain" and rates[mode] and (gap := disagreement(mode, small, corpus)) > AGREE:
            print(f"{mode} programs are {gap:.3g} nats from plain ones: not used")
            rates[mode] = 0.0
        best = max(rates, key=rates.__getitem__)
        (options.work / "best").write_text(best)
    dense = tuple(replace(large[0], weights="dense", seed=seed) for seed in range(8))
    kinds = {"all formats": large, "dense": dense, "int4": tuple(replace(config, weights="int4") for config in dense)}
    for mode in (best,) if not options.measure else MODES:
        for what, unit in kinds.items():
            timed(options, what, mode, [unit], corpus)
        if mode == "captured":
            timed(options, "all formats", mode, [small] * options.side, corpus)
            timed(options, "all formats", mode, [large] * options.side, corpus)


def timed(options: argparse.Namespace, what: str, mode: str, members: list[tuple], corpus: corpora.Corpus) -> float:
    """Tokens a second of programs side by side, 0 where they fail; a row of speed.csv."""
    config, runs = members[0][0], sum(map(len, members))
    row = {"what": what, "mode": mode, "n_params": config.n_params, "programs": len(members), "members": runs}
    rate, begun = 0.0, time.perf_counter()
    try:
        programs = [MODES[mode](unit, device(), corpus=corpus) for unit in members]
        for _ in range(5):
            advance(programs)
        wait_for_device()
        ready, steps = time.perf_counter(), 0
        while steps < 10 or (time.perf_counter() - ready < 0.7 and programs[0].step < config.steps):
            advance(programs)
            steps += 1
        wait_for_device()
        seconds = (time.perf_counter() - ready) / steps
        rate = runs * config.batch_tokens / seconds
        row |= {"setup_seconds": round(ready - begun, 2), "ms_per_step": round(1e3 * seconds, 3), "error": ""}
    except Exception as error:  # whatever it is, other modes may work
        row |= {"setup_seconds": "", "ms_per_step": "", "error": f"{type(error).__name__}: {error}"[:400]}
        traceback.print_exc()
    row |= {"tokens_per_s": round(rate), "tflops": round(rate * config.flops_per_token / 1e12, 3)}
    append(options.out / "speed.csv", [row])
    print(*row.values(), sep="\t")
    return rate


def advance(programs: list[Program]) -> None:
    for program in programs:
        program.advance()


def disagreement(mode: str, unit: tuple[Config, ...], corpus: corpora.Corpus) -> float:
    """How far the losses of a program are from those of a plain one after some steps, at most."""
    losses = []
    for one in ("plain", mode):
        program = MODES[one](unit, device(), corpus=corpus)
        for _ in range(AGREE_STEPS):
            program.advance()
        wait_for_device()
        losses.append(program.held_out().mean(1))
    return float((losses[0] - losses[1]).abs().max())


# ---- train


class Task:
    """A program under way, with the claim on its runs."""

    def __init__(self, unit: tuple[Config, ...], mode: str, corpus: corpora.Corpus, claim: ExitStack):
        self.unit, self.claim, self.begun, self.events = unit, claim, time.perf_counter(), deque()
        self.program = MODES[mode](unit, device(), corpus=corpus)
        self.stream, self.ready = getattr(self.program, "stream", None), None

    def turn(self) -> bool:
        """Some steps more; False, and none, when the device has still enough to do."""
        while self.events and self.events[0].query():
            self.events.popleft()
        if len(self.events) >= AHEAD:
            return False
        for _ in range(min(STEPS, self.program.config.steps - self.program.step)):
            self.program.advance()
        if device() == "cuda":
            self.events.append(torch.cuda.Event())
            self.events[-1].record(self.stream or torch.cuda.current_stream())
        self.ready = self.ready or time.perf_counter()
        return True

    @property
    def over(self) -> bool:
        return self.program.step == self.program.config.steps

    def pace(self) -> float:
        """Seconds a step, beside others, without those of the first turn, which sets up."""
        return (time.perf_counter() - self.ready) / max(1, self.program.step - STEPS)

    def finish(self, store: Store, weights: Path) -> None:
        """Write the records, and keep the weights of a dense run of seed 0 beside compressed ones, if there is room.

        The seconds of a record are those of the clock, while other programs had their share of the device.
        """
        with torch.cuda.stream(self.stream) if self.stream else nullcontext():
            if self.stream:
                self.stream.synchronize()
            self.program.seconds = time.perf_counter() - self.begun
            store.append(*self.program.records())
            compressed = any(config.weights != "dense" for config in self.unit)
            for member, config in enumerate(self.unit):
                if config.weights == "dense" and config.seed == 0 and compressed:
                    parameters = self.program.model.named_parameters()
                    keep({name: p[member].detach().bfloat16().cpu() for name, p in parameters}, config, weights)

    def close(self) -> None:
        self.claim.close()
        self.program = None


def keep(weights: dict[str, torch.Tensor], config: Config, folder: Path) -> None:
    kept = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if kept + 2 * sum(weight.numel() for weight in weights.values()) < WEIGHTS:
        draft = folder / f"{config.id}.part"
        save_file(weights, draft, {"config": json.dumps(asdict(config))})
        draft.rename(folder / f"{config.id}.safetensors")


def train(options: argparse.Namespace) -> None:
    """Train what has no record and can still finish, in the order of the sweep, several programs side by side."""
    store, configs = Store(options.work / "store"), read_sweep(options)
    corpus = read_text(options, configs[0])
    for weights in {config.weights for config in configs}:
        gmse(rl.parse(weights))  # which the records name
    while not (options.work / "mode").exists():  # until all is measured
        time.sleep(0.1)
    mode = (options.work / "mode").read_text()
    matmul_rate(torch.device(device()), configs[0].dtype)  # while nothing else runs
    queue = deque(piece for unit in units(configs, options.members) for piece in pieces(unit, options.work, store))
    active: list[Task] = []
    pace: dict[int, float] = {}  # by size
    side = options.side if mode == "captured" else 1
    while queue or active:
        if time.time() > options.until:
            return
        while queue and len(active) < side:
            unit = queue.popleft()
            try:
                if task := started(unit, mode, corpus, store, pace, options.until):
                    active.append(task)
            except Exception as error:
                queue.extendleft(after(error, unit, options.work, store))
        turns = 0
        for task in list(active):
            try:
                turns += task.turn()
                if not task.over:
                    continue
                task.finish(store, options.work / "weights")
                pace[task.unit[0].n_params] = task.pace()
                took = time.perf_counter() - task.begun
                print(f"{options.until - time.time():.0f} s left, {told(task.unit)} took {took:.1f} s")
            except Exception as error:
                queue.extendleft(after(error, task.unit, options.work, store))
            active.remove(task)
            task.close()
        if not turns:
            time.sleep(5e-4)


def started(
    unit: tuple[Config, ...], mode: str, corpus: corpora.Corpus, store: Store, pace: dict[int, float], until: float
) -> Task | None:
    """The runs of a unit that have no record, begun, unless others claim them or they would not finish in time."""
    settled = store.settled()
    unit = tuple(config for config in unit if config.id not in settled)
    if not unit:
        return None
    needed = unit[0].steps * pace.get(unit[0].n_params, 0.0)
    if time.time() + needed > until:
        print(f"{until - time.time():.0f} s left, too few for {told(unit)}, which take {needed:.0f} s")
        return None
    claim = ExitStack()
    try:
        if claim.enter_context(store.claim([config.id for config in unit])):
            return Task(unit, mode, corpus, claim)
    except BaseException:
        claim.close()
        raise
    return None


def told(unit: tuple[Config, ...]) -> str:
    formats = ", ".join(dict.fromkeys(config.weights for config in unit))
    return f"{len(unit)} runs of N = {unit[0].n_params:,}, D = {unit[0].tokens:,} ({formats})"


def after(error: Exception, unit: tuple[Config, ...], work: Path, store: Store) -> list[tuple[Config, ...]]:
    """Note the failure of a unit, and give what of it is still to be tried; exit where the device is lost."""
    traceback.print_exc()
    with (work / "failures.jsonl").open("a") as file:
        file.write(
            json.dumps({"ids": [config.id for config in unit], "error": f"{type(error).__name__}: {error}"}) + "\n"
        )
    try:
        wait_for_device()
    except Exception:  # an error of CUDA that lasts as long as the process
        os._exit(3)
    return pieces(unit, work, store)


def pieces(unit: tuple[Config, ...], work: Path, store: Store) -> list[tuple[Config, ...]]:
    """A unit whole if it never failed, else format by format; a format that failed on its own is recorded as failed."""
    path = work / "failures.jsonl"
    failures = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    times = Counter(run for failure in failures for run in failure["ids"])
    if not any(times[config.id] for config in unit):
        return [unit]
    parts = []
    for _, group in groupby(unit, key=sort_key):
        runs = tuple(group)
        if max(times[config.id] for config in runs) < 2:
            parts.append(runs)
            continue
        error = [failure["error"] for failure in failures if runs[0].id in failure["ids"]][-1]
        known = {"status": "failed", "error": error[:500], "device": device()}
        store.append(*({"id": c.id, "config": asdict(c), "n_params": c.n_params} | known for c in runs))
    return parts


# ---- round


def round_all(options: argparse.Namespace) -> None:
    """Round every dense model that training leaves, until it leaves no more."""
    configs, done = read_sweep(options), set()
    corpus = read_text(options, configs[0])
    while True:
        last = (options.work / "trained").exists()
        paths = sorted(set((options.work / "weights").glob("*.safetensors")) - done)
        for path in paths:
            round_one(path, corpus, options.out / "rounded.csv")
        done.update(paths)
        if last and not paths:
            return
        time.sleep(0.5)


@torch.no_grad()
def round_one(path: Path, corpus: corpora.Corpus, table: Path) -> None:
    """Held-out loss of a dense model, and of itself in formats of the catalogue: rows of a table, nats a token."""
    with safe_open(path, "pt") as file:
        config = Config(**json.loads(file.metadata()["config"]))
    weights, rows = load_file(path), (config.width, config.hidden)
    fitting = [
        (name, format)
        for name, format in rl.catalogue().items()
        if name != "dense" and format.multiple < 256 and not any(row % format.multiple for row in rows)
    ]
    for first in range(0, len(fitting), TOGETHER):
        formats = fitting[first : first + TOGETHER]
        program = Program((config,) * (1 + len(formats)), device(), corpus=corpus)  # the first stays as it is
        for name, parameter in program.model.named_parameters():
            parameter.copy_(weights[name].to(parameter).expand_as(parameter))
        errors = [rounded(program, member, format) for member, (_, format) in enumerate(formats, start=1)]
        losses = program.held_out()
        rises = losses - losses[0]
        for member, ((name, format), error) in enumerate(zip(formats, errors, strict=True), start=1):
            row = {"id": config.id, "n_params": config.n_params, "n_tokens": config.steps * config.batch_tokens}
            row |= {"format": name, "bits": round(format.bits, 4), "dense_loss": float(losses[0].mean())}
            failed = isinstance(error, str)
            row |= {"loss": "" if failed else float(losses[member].mean())}
            row |= {"rise": "" if failed else float(rises[member].mean())}
            row |= {"rise_stderr": "" if failed else float(rises[member].std() / math.sqrt(losses.shape[1]))}
            row |= {"relative_error": "" if failed else error, "failed": error if failed else ""}
            append(table, [row])
    print(f"rounded N = {config.n_params:,}, D = {config.tokens:,} in {len(fitting)} formats")


def rounded(program: Program, member: int, format: rl.Format) -> float | str:
    """Round one member's layers in place: their squared error over their squares, or what went wrong."""
    error = square = 0.0
    try:
        for linear in program.model.linears:
            weight = linear.weight[member].clone()
            linear.weight[member] = format.quantize(weight)
            error += float((linear.weight[member] - weight).double().square().sum())
            square += float(weight.double().square().sum())
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"[:300]
    return error / square


# ---- the first process


class Part:
    """A process of this script that does one part, and is started again when it dies."""

    def __init__(self, name: str, options: argparse.Namespace, *more: str):
        self.name, self.deaths = name, 0
        given = ["--part", name, "--work", str(options.work), "--until", str(options.until), *more]
        self.command = [sys.executable, __file__, *sys.argv[1:], *given]
        self.log = options.out / "log.txt"
        self.start()

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT)

    def over(self) -> bool:
        """Whether it has ended for good."""
        if self.process.poll() and self.deaths < DEATHS:
            self.deaths += 1
            print(f"{self.name} ended with {self.process.returncode}; again")
            self.start()
        return self.process.poll() is not None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def main(options: argparse.Namespace) -> None:
    """Measure, train and round within the time; print what came of it."""
    begun = float(os.environ.get("BEGUN", time.time()))
    options.until, options.work, options.kept = begun + options.seconds - MARGIN, Path(tempfile.mkdtemp()), 0
    for folder in (options.out, options.work / "store", options.work / "weights"):
        folder.mkdir(parents=True, exist_ok=True)
    if options.earlier:  # what failed then is tried again
        records = map(json.loads, options.earlier.read_text().splitlines())
        Store(options.work / "store").append(*(record for record in records if record["status"] != "failed"))
    about = provenance(options)
    trainers = [Part("train", options)]
    if options.measure or not options.mode:
        measuring = Part("speed", options)
        try:
            measuring.process.wait(min(SPEED_SECONDS * (1 + options.measure), SPEED_SHARE * options.seconds))
        except subprocess.TimeoutExpired:
            print("measuring took too long; what it has is in speed.csv")
        measuring.kill()
    best = options.work / "best"
    mode = options.mode or (best.read_text() if best.exists() else "plain")
    (options.work / "mode.part").write_text(mode)
    (options.work / "mode.part").rename(options.work / "mode")
    print(f"{time.time() - begun:.0f} s: training, {mode}")
    if mode != "captured":  # one program a process, or the host is too slow for the device
        trainers += [Part("train", options) for _ in range(options.side - 1)]
    rounder = Part("round", options)
    try:
        while time.time() < options.until:
            time.sleep(1)
            bring(options)
            if sum(part.over() for part in trainers) == len(trainers):  # every one is asked, and brought back
                (options.work / "trained").touch()
            if rounder.over() and (options.work / "trained").exists():
                break
    finally:
        for part in (*trainers, rounder):
            part.kill()
        bring(options)
    about |= {"mode": mode, "seconds": round(time.time() - begun, 1)}
    (options.out / "provenance.json").write_text(json.dumps(about, indent=1))
    summary(options, about)
    shutil.rmtree(options.work)


def bring(options: argparse.Namespace) -> None:
    """OUT as of now: the records, and all kept models in one file (names: the run's id, then the parameter's)."""
    runs, models = options.work / "store" / "runs.jsonl", options.out / "weights.safetensors"
    if runs.exists():
        shutil.copy(runs, options.out / "runs.jsonl")
    kept, configs = {}, {}
    for path in sorted((options.work / "weights").glob("*.safetensors")):
        kept |= {f"{path.stem}/{name}": weight for name, weight in load_file(path).items()}
        with safe_open(path, "pt") as file:
            configs[path.stem] = file.metadata()["config"]
    if kept and len(configs) != options.kept:
        save_file(kept, models, configs)
        models.chmod(0o644)
        options.kept = len(configs)


def provenance(options: argparse.Namespace) -> dict:
    """What the numbers may depend on, written at once."""
    about = {
        "command": " ".join(sys.argv),
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": os.environ.get("COMMIT") or revision(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor(),
        "driver": said("nvidia-smi", "--query-gpu=driver_version,memory.total", "--format=csv,noheader"),
        "cuda": torch.version.cuda,
        "cores": os.cpu_count(),
        "text_sha256": said("sha256sum", str(options.text)).split(" ")[0],
        **environment(),
    }
    (options.out / "provenance.json").write_text(json.dumps(about, indent=1))
    return about


def said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def summary(options: argparse.Namespace, about: dict) -> None:
    """A table of the mean losses, and what the stay cost."""
    frame = Store(options.out).frame()
    if frame.empty:
        print("no run has a record; log.txt says why")
        return
    print(frame["status"].value_counts().to_dict())
    columns = ["weights", "lr"] if frame.groupby("n_params")["lr"].nunique().max() > 1 else ["weights"]
    table = frame.pivot_table("loss", ["n_params", "n_tokens"], columns, "mean")
    with pd.option_context("display.width", 200, "display.max_columns", None, "display.max_rows", None):
        print(table.round(4).to_string())
    tokens = frame["n_tokens"].sum()
    print(f"{len(frame)} runs, {tokens:.3g} tokens, {frame['flops'].sum():.3g} FLOPs in {about['seconds']} s")


if __name__ == "__main__":
    options = read_options()
    {"speed": speed, "train": train, "round": round_all, None: main}[options.part](options)
