"""One run on several processes that torchrun starts: each takes its share of a batch, and gradients are averaged."""

import contextlib
import os
from pathlib import Path

import torch
from torch import distributed

from . import trainer
from .config import Config
from .sweeps.store import Store


def run(config: Config, folder: str | Path, device: str = "cpu", compile: bool = False) -> dict | None:
    """Train one run and give its record, which the store at `folder` then holds, or None to all but the first process.

    Under torchrun every process calls this, with gloo on "cpu" and nccl on "cuda", a GPU each; alone it is an ordinary
    run.  A checkpoint in the store lets the same call go on.  ValueError when the run is recorded or under way already,
    or when the rows of a batch cannot be shared out evenly.
    """
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if config.rows % ranks:
        raise ValueError(f"a batch of {config.rows} rows cannot be shared by {ranks} processes evenly")
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        torch.cuda.set_device(device)
    store = Store(folder)
    with _group(device, ranks), store.claim([config.id] if rank == 0 else []) as mine:
        if not _first_says(mine and config.id not in store.settled(), ranks):
            raise ValueError(f"the run {config.id} is recorded in {folder}, or trained by another process")
        checkpoint = store.checkpoint([config.id])
        (record,) = trainer.train([config], device, checkpoint, compile, progress=rank == 0)
        if rank:
            return None
        record |= {"processes": ranks, "mfu": record["mfu"] / ranks}
        store.append(record)
        store.forget(checkpoint)
        return record


@contextlib.contextmanager
def _group(device: str, ranks: int):
    """The processes of this run, joined while the block lasts."""
    if ranks > 1:
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield
    finally:
        if ranks > 1:
            distributed.destroy_process_group()


def _first_says(answer: bool, ranks: int) -> bool:
    """What the first process answers, in all."""
    answers = [answer]
    if ranks > 1:
        distributed.broadcast_object_list(answers)
    return answers[0]
