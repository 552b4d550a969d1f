"""Every engine trains a sweep to its end, also when a worker is killed, and leaves no worker behind."""

import multiprocessing
import os
import signal

import fake_training
import pytest
from fake_training import forked, tiny, wait_until

from rholaw.train.sweeps import run as sweep
from rholaw.train.sweeps import workers as engines
from rholaw.train.sweeps.store import Store

SWEEP = [tiny(seed=seed) for seed in range(6)]


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(engines, "TICK", 0.05)
    for name in ("PYTHONPATH", "OMP_NUM_THREADS"):  # `start` sets them; the test's end takes them back
        monkeypatch.setenv(name, "")


def run(folder, train, engine, workers=2):
    counts = sweep.run(SWEEP, folder, engine=engine, workers=workers, members=1, train=train)
    ids = [record["id"] for record in Store(folder).records()]
    assert sorted(ids) == sorted(config.id for config in SWEEP)
    return counts


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # its threads are idle
@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.full)])
def test_a_local_worker_that_is_killed_is_replaced(tmp_path, capsys, monkeypatch, start):
    context = multiprocessing.get_context(start)  # a new process would import torch for seconds
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: context)
    assert run(tmp_path, fake_training.train_and_die_once, "local", workers=1) == {"finished": 6}
    assert (tmp_path / "died").exists()
    assert "of 6 runs 6 finished" in capsys.readouterr().err
    assert run(tmp_path, fake_training.train_and_die, "local") == {"finished": 6}  # nothing is left to train


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # its threads are idle
def test_a_worker_says_why_it_cannot_work_and_no_other_is_started(tmp_path, monkeypatch):
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: fork)
    with pytest.raises(RuntimeError, match=r"a worker stopped: OSError: \[Errno 28\] No space left .*\.pt'\. What has"):
        sweep.run(SWEEP, tmp_path, workers=2, train=fake_training.train_on_a_full_disk)
    assert not Store(tmp_path).records()


@pytest.mark.full  # starts processes that import torch
def test_workers_that_keep_dying_are_not_started_forever(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "DEATHS", 0)
    with pytest.raises(RuntimeError, match=r"1 workers died, the last of exit code -9. What has finished is kept"):
        sweep.run(SWEEP, tmp_path, train=fake_training.train_and_die)


@pytest.mark.full  # starts processes that import torch
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    job = fake_training.Sleeper(tmp_path / "pid")
    with forked(engines.local, job, 1, "cpu", tmp_path, lambda: None):
        wait_until((tmp_path / "pid").exists)
    worker = int((tmp_path / "pid").read_text())
    try:
        wait_until(lambda: not alive(worker))
    finally:
        if alive(worker):
            os.kill(worker, signal.SIGKILL)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.full  # starts processes that import torch
def test_ray_workers_finish_also_when_one_is_killed(tmp_path):
    pytest.importorskip("ray", reason="Ray is an option")
    assert run(tmp_path, fake_training.train_and_die_once, "ray") == {"finished": 6}
    assert (tmp_path / "died").exists()


@pytest.mark.full  # starts processes that import torch
def test_submitit_jobs_finish(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="submitit is an option")
    monkeypatch.setattr(engines, "CLUSTER", "local")  # the same jobs as processes: there is no Slurm here
    assert run(tmp_path, fake_training.train, "slurm", workers=1) == {"finished": 6}


def test_an_engine_that_nobody_knows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cloud: there is no such engine; there are local, ray, slurm"):
        sweep.run(SWEEP, tmp_path, engine="cloud")
