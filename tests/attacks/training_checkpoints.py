"""States of training programs, damaged in every way a disk, a copy or a crash may, and gone on from."""

import tempfile
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from rholaw.train.config import Config
from rholaw.train.trainer import PLAIN, Program

PROMISE = "what is restored is a state that was saved, to the last bit, or it is passed over with a warning"
SECONDS = 2
MEGABYTES = 200
SLICE = 25

SHAPE = {"layers": 1, "heads": 1, "width": 8, "hidden": 24, "context": 8, "vocabulary": 64, "corpus": "invented"}
TINY = Config(**SHAPE, tokens=640, batch_tokens=32, lr=0.02)
RUNS = [  # units: one run, several of one shape, and one whose masks are a part of its state
    [TINY],
    [replace(TINY, weights="int4", seed=seed) for seed in range(3)],
    [replace(TINY, weights="s0.5", schedule="rigl:2")],
]
TEXT = np.tile(np.arange(40, dtype=np.uint16), 60)
CORPUS = SimpleNamespace(train=TEXT, held_out=TEXT, bytes_per_token=2.0, sha256="0" * 64, tokenizer_sha256="1" * 64)


def attempt(rng, folder):
    unit, path = int(rng.integers(len(RUNS))), folder / "unit.pt"
    known = dict(saved(unit))
    content = damaged(rng, list(known), [raw for other in range(len(RUNS)) for raw, _ in saved(other)])
    path.write_bytes(content)
    program = Program(RUNS[unit], corpus=CORPUS)
    begun = state(program)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        program.restore(path)
    after = state(program)
    if content in known:
        assert after == known[content] and not said
        return "restored"
    assert after == begun, "it is no state that was saved"
    if any(content == raw for other in range(len(RUNS)) for raw, _ in saved(other)):
        return "of other runs"
    assert "unit.pt is passed over" in str(said[0].message)
    return "damaged"


@cache
def saved(unit):
    """((what the file holds, the state), …) after some steps of a unit."""
    program, pairs = Program(RUNS[unit], corpus=CORPUS), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "unit.pt")
        for _ in range(4):
            program.advance()
            program.save(path)
            pairs.append((path.read_bytes(), state(program)))
    return tuple(pairs)


def state(program):
    """All that a step changes, as bytes."""
    tensors = [*program._tensors, *(mask for one in program.model.linears for mask in one.pruning.masks.values())]
    return (
        b"".join(tensor.numpy().tobytes() for tensor in tensors) + repr([getattr(program, n) for n in PLAIN]).encode()
    )


def damaged(rng, own, all_of_them):
    """The bytes of a file that may be there when a program begins: whole, damaged, or another's."""
    raw = bytearray(own[rng.integers(len(own))])
    place, other = int(rng.integers(len(raw))), int(rng.integers(len(raw)))
    match rng.integers(10):
        case 0 | 1 | 2:
            pass
        case 3:
            raw = all_of_them[rng.integers(len(all_of_them))]
        case 4:
            raw[place] ^= 1 << int(rng.integers(8))
        case 5:
            del raw[place:]
        case 6:  # a block that a crash left empty, or that belongs elsewhere
            size = int(rng.integers(1, 4096))
            raw[place : place + size] = bytes(size) if rng.random() < 0.5 else raw[other : other + size]
        case 7:  # the beginning of one state and the end of another
            raw[place:] = own[rng.integers(len(own))][place:]
        case 8:  # the sum of one state, the content of another
            raw[:place] = all_of_them[rng.integers(len(all_of_them))][:place]
        case 9:
            raw = bytearray(rng.bytes(int(rng.integers(200)))) if rng.random() < 0.5 else raw + rng.bytes(3)
    return bytes(raw)
