"""How long an evaluation takes, said before its first layer."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from .layered import Layered
from .roundings import Rounding, matrices

SMALL = 10**11  # products of two numbers, which take a second or two: less needs no word
TRIED = 2**20  # weights that are read, rounded and used to know what all take
ROWS = 512  # tokens that they are used on


def estimate(model: Layered, roundings: Sequence[Rounding], left: int, states: torch.Tensor) -> str:
    """Such as "about 12 minutes: 16 layers × (1 + 3 formats)", or "" where it is too little to speak of.

    roundings: none and those of the formats.  left: layers to go.  states: what the first layer sees (B, T, width).
    A part of the largest matrix is read, rounded each way and used twice; attention, and what a model does element by
    element, come on top.
    """
    of_layers, tokens = matrices(model), states.shape[0] * states.shape[1]
    weights = sum(tensor.count for tensor in of_layers) * left / model.layers
    used = (
        sum(tensor.count * (model.used if "experts" in tensor.name else 1) for tensor in of_layers)
        * left
        / model.layers
    )
    products = (used + model.vocabulary * states.shape[-1]) * tokens * len(roundings)
    if products < SMALL:
        return ""
    largest = max(of_layers, key=lambda tensor: tensor.count)
    height, row = largest.matrix
    part = replace(largest, shape=(min(height, max(1, TRIED // row)), row), spans=1)
    reading = sum(_seconds(lambda way=way: way.read(states.device, part)) for way in roundings) / part.count
    weight, inputs = roundings[0].read(states.device, part), torch.randn(ROWS, row, device=states.device)
    using = _seconds(lambda: F.linear(inputs, weight)) / (part.count * ROWS)
    return f"{_spoken(weights * reading + products * using)}: {left} layers × (1 + {len(roundings) - 1} formats)"


def _seconds(work: Callable[[], torch.Tensor]) -> float:
    """What it takes the second time."""
    for _ in range(2):
        start = time.perf_counter()
        work().flatten()[0].item()  # which waits for a GPU
    return time.perf_counter() - start


def _spoken(seconds: float) -> str:
    """As people say it."""
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * size:
            return f"about {seconds / size:.2g} {unit}"
    return f"about {seconds:.0f} seconds"
