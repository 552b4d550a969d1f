"""Training with device="cuda", on a GPU that is pretended: what a forward pass needs lies there, masks too."""

from dataclasses import replace

import pytest
import torch
from invented import IDS, TINY, Invented
from pretend_gpu import PretendGPU

from rholaw.train import trainer
from rholaw.train.trainer import Program


@pytest.mark.parametrize(
    "kind",
    [
        {"weights": "int4", "activations": "int8"},
        {"weights": "2:4+nvfp4"},
        {"weights": "int4", "method": "lsq"},
        {"weights": "int4", "method": "noise"},
        {"weights": "s0.5", "schedule": "gmp"},
        {"weights": "s0.5", "schedule": "rigl:2"},
    ],
    ids=str,
)
def test_a_program_learns_there_what_it_learns_here(kind, monkeypatch):
    monkeypatch.setattr(trainer, "HELD_OUT_TOKENS", 64)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    corpus = Invented(IDS[:12000], IDS[12000:])
    configs = [replace(TINY, tokens=128, seed=seed, **kind) for seed in (0, 1)]
    here = Program(configs, corpus=corpus)
    here.run(progress=False)
    with PretendGPU() as gpu:
        there = Program(configs, "cuda", corpus=corpus)
        there.run(progress=False)
        loss = there.held_out()
    torch.testing.assert_close(loss, here.held_out(), rtol=1e-5, atol=1e-6)
    assert loss.device.type == "cpu" and there.flat.device.type == "cuda"
    assert gpu.waits == {"tolist": len(there.curve_steps) + len(there.error_steps), "cpu": 1}
