"""What the tests of records and sweeps share: small runs, a trainer that only pretends, and processes to kill."""

import contextlib
import errno
import hashlib
import json
import multiprocessing
import os
import signal
import time
import warnings
from dataclasses import asdict, replace

import numpy as np

from rholaw.texts import tokens as corpus
from rholaw.train.config import Config
from rholaw.train.sweeps.store import Store

TINY = Config(
    layers=1,
    heads=1,
    width=8,
    hidden=24,
    context=32,
    vocabulary=512,
    corpus="shakespeare",
    tokens=20_000,
    batch_tokens=256,
    lr=0.01,
)


def tiny(**changes):
    return replace(TINY, **changes)


def record(config=TINY, status="finished", loss=3.0, **more):
    """As the trainer makes them, with less in it."""
    return {
        "id": config.id,
        "config": asdict(config),
        "status": status,
        "parameters": config.parameters,
        "n_params": config.n_params,
        "n_tokens": config.steps * config.batch_tokens,
        "loss": loss,
        "loss_stderr": 0.01,
        "curve": [[256, 6.0], [20_224, loss]],
        "realised": [[256, 0.1], [20_224, 0.12]],
        "environment": {"torch": "2.13.0"},
        **more,
    }


def train(configs, device, checkpoint, progress):
    """Three steps of 5 ms, each noted in the checkpoint, as is every start and every step in a log beside it."""
    log = checkpoint.parent.parent / "log"
    done = json.loads(checkpoint.read_text()) if checkpoint.exists() else 0
    for step in range(done, 3):
        with open(log, "a") as file:
            file.write(f"{step} {' '.join(config.id for config in configs)}\n")
        time.sleep(0.005)
        draft = checkpoint.with_suffix(".tmp")
        draft.write_text(json.dumps(step + 1))
        os.replace(draft, checkpoint)
    return [record(config) for config in configs]


def train_slowly(configs, device, checkpoint, progress):
    time.sleep(0.2)
    return train(configs, device, checkpoint, progress)


def train_with_trouble(configs, device, checkpoint, progress):
    """Seed 3 cannot be trained, seed 4 diverges."""
    if any(config.seed == 3 for config in configs):
        raise ValueError("seed 3 is unlucky")
    return [record(config, loss=float("nan") if config.seed == 4 else 3.0) for config in configs]


def train_on_a_full_disk(configs, device, checkpoint, progress):
    """A step, and then the disk is full."""
    (checkpoint.parent.parent / "log").write_text(f"0 {' '.join(config.id for config in configs)}\n")
    checkpoint.write_text("1")
    raise OSError(errno.ENOSPC, "No space left on device", str(checkpoint))


def train_and_die_once(configs, device, checkpoint, progress):
    """The first process that trains seed 2 kills itself."""
    marker = checkpoint.parent.parent / "died"
    if any(config.seed == 2 for config in configs) and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return train_slowly(configs, device, checkpoint, progress)


def train_and_die(configs, device, checkpoint, progress):
    os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def forked(function, *arguments):
    """A process that calls the function, killed when the block ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads; these never call torch
        process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
        process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def wait_until(condition, seconds=60):
    """AssertionError when it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def hold(folder, ids, until):
    """Claim runs for a minute; a file tells when they are."""
    with Store(folder).claim(ids) as mine:
        assert mine
        until.touch()
        time.sleep(60)


def token_file(path):
    """A corpus for the real trainer: a periodic text, so that there is something to learn in a few steps."""
    ids = np.tile(np.arange(40, dtype="<u2"), 4000)
    header = {"name": "invented", "vocabulary": 300, "bytes_per_token": 2.0, "version": "1", "source": "made up"}
    header |= {"train": len(ids) // 2, "held_out": len(ids) // 2, "train_documents": 1, "held_out_documents": 1}
    header |= {
        "sha256": "0" * 64,
        "tokenizer_sha256": hashlib.sha256(b"{}").hexdigest(),
        "tokenizer": "{}",
        "format": corpus.FORMAT,
    }
    header["tokens_sha256"] = hashlib.sha256(ids.tobytes()).hexdigest()
    path.write_bytes(json.dumps(header).encode() + b"\n" + ids.tobytes())
    return path


class Sleeper:
    """A job that says who does it, then sleeps."""

    def __init__(self, file):
        self.file = file

    def __call__(self):
        self.file.with_suffix(".tmp").write_text(str(os.getpid()))
        self.file.with_suffix(".tmp").rename(self.file)
        time.sleep(60)
