"""The command line with the real trainer: plan, sweep, export, and one run on two processes."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from fake_training import record, tiny, token_file

from rholaw import runs, tables
from rholaw.__main__ import main
from rholaw.train import trainer
from rholaw.train.sweeps import forecast as plan
from rholaw.train.sweeps import run as sweep
from rholaw.train.sweeps import store as records
from rholaw.train.sweeps import workers

FILE = """
[defaults]
corpus = "file:{corpus}"
vocabulary = 300
context = 8
batch_tokens = 64
tokens = 1280
lr = 0.02
layers = 1
heads = 1
width = 8
[[runs]]
format = {formats}
seed = {seeds}
"""


@pytest.fixture
def write(tmp_path):
    corpus = token_file(tmp_path / "tokens")

    def written(formats, seeds):
        path = tmp_path / "sweep.toml"
        path.write_text(FILE.format(corpus=corpus, formats=json.dumps(formats), seeds=seeds), encoding="utf-8")
        return str(path)

    return written


@pytest.fixture
def data(tmp_path, monkeypatch):
    shutil.copytree(tables.DATA, tmp_path / "data")
    monkeypatch.setattr(tables, "DATA", tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_plan_sweep_and_export(write, tmp_path, data, capsys, monkeypatch):
    monkeypatch.setattr(trainer, "HELD_OUT_TOKENS", 512)
    monkeypatch.setitem(workers.ENGINES, "local", lambda job, *_: job())  # here; test_workers starts processes
    file, store = write(["dense", "int2"], [0, 1]), str(tmp_path / "store")
    assert main(["train", "plan", file, "--store", store, "--members", "3"]) == 0
    said = capsys.readouterr().out
    assert "N = 856 (layers 1, width 8, hidden 24" in said
    assert "in all: runs 4, units 2, tokens 5,120, FLOPs 1.01e+08" in said
    assert "    2 x int2\n" in said

    assert main(["train", "sweep", file, "--store", store, "--minutes", "0"]) == 3
    assert main(["train", "sweep", file, "--store", store]) == 0
    assert capsys.readouterr().out == "4 left\n4 finished\n"
    assert main(["train", "sweep", file, "--store", store]) == 0
    own = runs.load(store)
    assert own.groupby("weights")["loss"].mean().is_monotonic_increasing  # dense, then int2
    assert own["loss"].max() < 5.5  # of log 300 = 5.7 before training

    target = data / "runs/own.csv"
    assert main(["train", "export", store, str(target), "--title", "Four runs"]) == 0
    table = runs.load("own")
    assert tables.manifest("runs/own").title == "Four runs"
    assert table["loss"].tolist() == own["loss"].tolist()
    assert "context" not in table
    assert "vocabulary" not in table  # the same in all: in the manifest
    assert "vocabulary 300" in tables.manifest("runs/own").source


@pytest.mark.full  # starts processes that import torch
def test_torchrun_gives_the_same_loss_on_two_processes_as_on_one(write, tmp_path, capsys):
    file = write(["int4"], [0])
    assert main(["train", "run", file, "--store", str(tmp_path / "one")]) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "rholaw.train", "run", file, "--store", str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (one,), (two,) = (records.Store(tmp_path / name).records() for name in ("one", "two"))
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert [loss for _, loss in two["curve"]] == pytest.approx([loss for _, loss in one["curve"]], rel=1e-4)
    assert (one["processes"], two["processes"]) == (1, 2)
    capsys.readouterr()
    assert main(["train", "run", file, "--store", str(tmp_path / "two")]) == 2
    assert "is recorded in" in capsys.readouterr().err


def test_a_batch_that_cannot_be_shared_and_a_file_of_several_runs_are_refused(write, tmp_path, capsys, monkeypatch):
    assert main(["train", "run", write(["int4"], [0, 1]), "--store", str(tmp_path)]) == 2
    assert "names 2 runs: run trains a single one" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert main(["train", "run", write(["int4"], [0]), "--store", str(tmp_path)]) == 2
    assert "a batch of 8 rows cannot be shared by 3 processes evenly" in capsys.readouterr().err


def test_what_is_wrong_is_said_without_a_traceback(write, tmp_path, capsys):
    assert main(["train", "sweep", str(tmp_path / "none.toml"), "--store", str(tmp_path)]) == 2
    assert "none.toml" in capsys.readouterr().err
    assert main(["train", "export", str(tmp_path), str(tmp_path / "x.csv")]) == 2
    assert "there is no record in" in capsys.readouterr().err


def test_export_keeps_runs_without_loss_and_a_manifest_that_is_there(tmp_path, data):
    store = records.Store(tmp_path / "store")
    store.append(record(started="2025-01-02T03"), record(tiny(seed=1), loss=float("nan")))
    store.append({"id": "x", "status": "failed", "error": "no … memory", "config": {"seed": 2}})
    target = data / "runs/own.csv"
    records.export(store, target, "Three")
    assert tables.read("runs/own")["status"].tolist() == ["finished", "diverged", "failed"]
    assert len(runs.load("own")) == 1
    assert runs.load("own").attrs["provenance"][0]["left_out"] == {"diverged": 1, "failed": 1}
    about = tables.manifest("runs/own")
    assert about.unknown[:2] == tuple(
        f"1 runs {status}: what their loss would have been" for status in ("diverged", "failed")
    )
    store.append(record(tiny(seed=3)))
    records.export(store, target, "Four")
    assert tables.manifest("runs/own") == about
    with pytest.raises(ValueError, match="python -m rholaw update runs/own"):
        runs.load("own")
    assert len(tables.read(tables.update("runs/own").name)) == 4


def test_a_measured_plan_counts_what_is_left(tmp_path):
    calls = []

    def train(configs, device, progress):
        calls.append(configs)
        seconds = 0.1 * configs[0].steps  # 256 tokens a step and member
        return [{"seconds": seconds, "tokens_per_s": 256 * len(configs) / 0.1}]

    configs = [tiny(seed=seed, weights=weights, tokens=25_600) for weights in ("dense", "int4") for seed in range(4)]
    groups = sweep.units(configs, 2)
    seconds = plan.measured(groups, "cpu", train)
    assert [len(call) for call in calls] == [2, 2] * 2  # dense and int4, warm-up and measurement
    assert calls[1][0].steps == 20  # two seconds
    assert list(seconds.values()) == pytest.approx([10.0] * 4)
    records.Store(tmp_path).append(*[record(config) for config in configs[:3]])
    said = plan.report(groups, records.Store(tmp_path), seconds)
    assert "in all: runs 8, units 4, tokens 204,800" in said
    assert re.search(r"runs left 5, minutes of one worker 0\.4", said)


def test_a_label_says_how_a_run_differs_from_a_dense_one():
    assert plan.label(tiny()) == "dense"
    assert plan.label(tiny(weights="int4", activations="int8", method="ste")) == "int4 x int8 ste"
    assert plan.label(tiny(weights="s0.5", backward="rms:0.1")) == "s0.5 rms:0.1"
