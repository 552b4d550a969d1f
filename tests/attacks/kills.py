"""Work that lasts, killed (SIGKILL) at random moments and called again until it ends: sweeps, surveys, tables."""

import atexit
import contextlib
import csv
import json
import shutil
import signal
import tempfile
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import fake_training
from tiny_llama import TEXT, hub, trained

import rholaw as rl
from rholaw import tables
from rholaw.fidelity import atlas, entries
from rholaw.train import trainer
from rholaw.train.config import Config
from rholaw.train.sweeps import run as sweep
from rholaw.train.sweeps.store import Store

PROMISE = "called again it ends in the bytes of an undisturbed run, a sweep's but for times, and leaves nothing beside"
SECONDS = 20
MEGABYTES = 1000
SLICE = 2

FORMATS = ("int4/g8", "2:4", "fp8_row")
KILLS = 4  # in one attempt, at most: what is called later goes on from what is left by an earlier one
TIMES = ("seconds", "started", "tokens_per_s", "mfu")  # of a record: all else is the same to the last digit
SHAPE = {"layers": 1, "heads": 1, "width": 8, "hidden": 24, "context": 8, "vocabulary": 300, "batch_tokens": 32}
SHAPE |= {"tokens": 480, "lr": 0.02}
ROW = {
    **{"source": "mine", "model": "Own-1B", "family": "Own", "n_params": "1000000000", "format": "q4_k"},
    **{"given": "Q4_K pure", "bits": "4.5", "purity": "pure", "method": "ggml", "activations": "q8 in kernels"},
    **{"metric": "kl", "value": "0.031", "stderr": "0.0004", "reference": "bf16", "corpus": "WikiText-2 test"},
    **{"context": "512", "engine": "llama.cpp", "place": "own measurement", "licence": "MIT", "date": "2026-11-26"},
    "credit": "a reader",
}


def attempt(rng, folder):
    name = str(rng.choice(list(SUBJECTS)))
    expected, seconds = undisturbed(name)
    prepare(folder)
    killed = 0
    for _ in range(KILLS):
        workers = [fake_training.forked(SUBJECTS[name], folder) for _ in range(2 if name == "sweep" else 1)]
        with contextlib.ExitStack() as started:
            processes = [started.enter_context(worker) for worker in workers]
            processes[0].join(rng.uniform(0, 1.3 * seconds))
        codes = {process.exitcode for process in processes}
        assert codes <= {0, -signal.SIGKILL}
        killed += -signal.SIGKILL in codes
    finish(name, folder)
    after = contents(folder)
    assert not [name for name in expected | after if after.get(name) != expected.get(name)], name
    return f"{name}, {killed} kills"


@cache
def undisturbed(name):
    """(what the files hold in the end, seconds that it takes) without kills."""
    fit()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        start = time.monotonic()
        finish(name, Path(folder))
        return contents(Path(folder)), time.monotonic() - start


def prepare(folder):
    """What the subjects read: a text, a model, and tables of which one does not agree with its manifest yet."""
    shutil.copytree(stock(), folder, dirs_exist_ok=True)


@cache
def stock():
    """A folder with what `prepare` copies."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    fake_training.token_file(folder / "tokens")
    hub(folder / "model", trained()[1])
    (folder / "text").write_text(TEXT)
    for name in (atlas.TABLE, "runs/cpu2026"):
        for ending in (".csv", ".toml"):
            (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tables.DATA / f"{name}{ending}", folder / "data" / f"{name}{ending}")
    runs = folder / "data/runs/cpu2026.csv"
    runs.write_bytes(b"".join(runs.read_bytes().splitlines(keepends=True)[:-1]))
    with open(folder / "mine.csv", "w") as file:
        lines = csv.DictWriter(file, atlas.COLUMNS, restval="", lineterminator="\n")
        lines.writeheader()
        lines.writerow(ROW)
    return folder


def finish(name, folder):
    """Call the subject in a process of its own, and leave it alone."""
    with fake_training.forked(SUBJECTS[name], folder) as process:
        process.join()
    assert process.exitcode == 0


def contents(folder):
    """{file: bytes} without claims, which are empty and stay; records by id and without times."""
    held = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    held = {name: content for name, content in held.items() if not name.startswith("store/")}
    assert not list(folder.glob("store/checkpoints/*"))
    assert all(one["status"] == "finished" for one in Store(folder / "store").records())
    records = [{k: v for k, v in one.items() if k not in TIMES} for one in Store(folder / "store").records()]
    return held | {"records": json.dumps(sorted(records, key=lambda one: one["id"]), sort_keys=True)}


def train(folder):
    """A worker of a sweep, whose training is saved after every step."""
    trainer.CHECKPOINT_SECONDS, trainer.HELD_OUT_TOKENS = 0, 512
    trainer.matmul_rate, trainer.revision = lambda *_: 1e9, lambda: "any"  # neither is a matter of the run
    run = Config(**SHAPE, corpus=f"file:{stock() / 'tokens'}")
    runs = [replace(run, weights=weights, seed=seed) for weights in ("dense", "int4", "s0.5") for seed in (0, 1)]
    sweep.work(sweep.units(runs, 2), folder / "store", trainer.train, "cpu")


@cache
def fit():
    """What a survey makes of errors."""
    return rl.fit("unified", rl.runs.one_estimator(rl.runs.load("quest2025")), n_bootstrap=0)


def survey(folder):
    """What formats do to the tensors of a model."""
    rl.survey(folder / "model", ", ".join(FORMATS), out=folder / "survey.csv", fit=fit(), progress=False)


def evaluate(folder):
    """What they do to its loss."""
    text = str(folder / "text")
    rl.evaluate(folder / "model", FORMATS, text, count=8, length=32, out=folder / "rises.csv", progress=False)


def update(folder):
    """A changed table is recorded in its manifest."""
    tables.DATA = folder / "data"
    tables.update("runs/cpu2026")


def add(folder):
    """A measurement is added to a table and to its manifest."""
    tables.DATA = folder / "data"
    try:
        entries.add(folder / "mine.csv")
    except ValueError as error:
        assert "there already, in the atlas" in str(error), error


SUBJECTS = {"sweep": train, "survey": survey, "evaluation": evaluate, "update": update, "add-fidelity": add}
