"""As much of a corpus as a program of the trainer needs, and a run on it: a periodic text."""

from dataclasses import dataclass

import numpy as np

from rholaw.train.config import Config

IDS = np.tile(np.arange(40, dtype=np.uint16), 400)
TINY = Config(
    layers=1,
    heads=2,
    width=32,
    hidden=96,
    context=8,
    vocabulary=300,
    corpus="invented",
    tokens=640,
    batch_tokens=32,
    lr=1e-2,
)


@dataclass(frozen=True, eq=False)
class Invented:
    """The corpus: token ids to train on and those held out."""

    train: np.ndarray
    held_out: np.ndarray
    bytes_per_token: float = 2.0
    sha256: str = "0" * 64
    tokenizer_sha256: str = "1" * 64
