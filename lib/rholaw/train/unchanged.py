"""Weights that do not change for a while are compressed once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch

from .model import Linear


@contextmanager
def unchanged(layers: Sequence[Linear]) -> Iterator[None]:
    """For as long as neither the weights nor the masks of ``layers`` change: noise alone is still drawn every time."""
    own = {layer: layer.compressed for layer in layers if not any(group.weights.noisy for group in layer.groups)}
    for layer, compressed in own.items():
        layer.compressed = partial(_same, compressed())
    try:
        yield
    finally:
        for layer, compressed in own.items():
            layer.compressed = compressed


def _same(weight: torch.Tensor) -> torch.Tensor:
    return weight
