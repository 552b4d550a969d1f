"""A captured program: what it learns, and, on torch's meta device, that its step asks nothing of the host."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from invented import IDS, TINY, Invented
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rholaw.texts.tokens import batches
from rholaw.train import captured, trainer
from rholaw.train.captured import Captured
from rholaw.train.trainer import Program

FORMATS = ["dense", "int4", "int2", "nvfp4", "mxfp4", "2:4", "s0.5", "vq2_16", "2:4+int4", "nf4/g32"]


@pytest.fixture(scope="module")
def corpus():
    return Invented(IDS[:12000], IDS[12000:])


@pytest.mark.slow
def test_a_captured_program_learns_what_a_plain_one_does(corpus, monkeypatch):
    monkeypatch.setattr(trainer, "HELD_OUT_TOKENS", 256)
    configs = [replace(TINY, tokens=160, weights=format, seed=seed) for format in sorted(FORMATS) for seed in (0, 1)]
    plain, other = Program(configs, corpus=corpus), Captured(configs, "cpu", corpus)
    for program in (plain, other):
        program.run(progress=False)
    torch.testing.assert_close(other.moments[0], plain.moments[0], rtol=1e-3, atol=1e-5)
    for one, same in zip(plain.records(), other.records(), strict=True):
        assert same["loss"] == pytest.approx(one["loss"], abs=1e-4)
        assert same["realised"][-1][1] == pytest.approx(one["realised"][-1][1], rel=1e-3)


def test_the_batches_on_the_device_are_those_of_every_run(corpus):
    config = replace(TINY, tokens=16_000, seed=3)  # more than an epoch
    starts = captured.starts(corpus.train, config, 3)
    assert starts.shape == (config.steps, config.rows)
    for step in range(config.steps):
        first = batches(corpus.train, config.context, config.rows, 3, step)[:, 0]
        assert torch.from_numpy(corpus.train[starts[step].numpy()].astype(np.int64)).equal(first)


class Waiting(TorchDispatchMode):
    """Notes the operations for which a GPU would wait: copies from the host, and numbers that the host wants."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given, made = (
            {tensor.device.type for tensor in tree_leaves(part) if isinstance(tensor, torch.Tensor)}
            for part in ((args, kwargs), result)
        )
        if ("meta" in made and given == {"cpu"}) or ("meta" in given and "cpu" in made) or "nonzero" in str(function):
            self.operations.append(str(function))
        return result


@pytest.mark.parametrize("format", FORMATS)
def test_a_step_asks_nothing_of_the_host(format, corpus):
    program = Captured([replace(TINY, weights=format, seed=seed) for seed in (0, 1)], "meta", corpus)
    program.work()
    with Waiting() as waiting:
        program.work()  # which raises where the host wants a number
    assert waiting.operations == []


@pytest.mark.parametrize(
    "kind",
    [
        {"method": "noise"},
        {"method": "lsq"},
        {"weights": "s0.5", "schedule": "gmp"},
        {"weights": "s0.5", "schedule": "rigl:3"},
    ],
)
def test_a_step_that_needs_the_host_is_not_captured(kind, corpus):
    with pytest.raises(ValueError, match="cannot be captured"):
        Captured([replace(TINY, **({"weights": "int4"} | kind))], "cpu", corpus)
