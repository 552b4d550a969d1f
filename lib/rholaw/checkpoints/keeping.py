"""A cache of keys and values that gives back rounded what a layer of the package transformers puts into it."""

import inspect
from dataclasses import dataclass

import torch
from torch import nn

from .layered import Kept

NAMES = ("cache", "past_key_values", "past_key_value", "layer_past")  # that families and versions give it


@dataclass
class Cache:
    """The cache of one layer, for a text that passes at once: it keeps nothing.

    used: whether the layer went through it.  Raises ValueError where a layer asks more of it than to keep keys and
    values, as those with a state do.
    """

    layer: int
    kept: Kept
    used: bool = False

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: object, **__: object) -> tuple[torch.Tensor, ...]:
        """Keys and values (1, heads, T, channels) as attention reads them back; ValueError for latents of both."""
        if keys.shape != values.shape:
            raise ValueError(f"layer {self.layer} keeps no keys and values of heads, but latents of both")
        self.used = True
        return self.kept[0](keys), self.kept[1](values)

    def __getattr__(self, name: str) -> object:
        raise ValueError(f"layer {self.layer} keeps more than keys and values, which cannot be rounded ({name})")


def given(layer: nn.Module, beside: tuple[tuple, dict], cache: Cache) -> tuple[tuple, dict]:
    """What a layer is given beside the hidden states, with this cache; ValueError where it takes none."""
    args, more = beside
    names = list(inspect.signature(layer.forward).parameters)
    name = next((name for name in NAMES if name in names or name in more), None)
    if name is None:
        raise ValueError(f"layer {cache.layer} takes no cache of keys and values that could be rounded")
    place = names.index(name) - 1 if name in names else len(args)
    if place < len(args):
        return (*args[:place], cache, *args[place + 1 :]), more
    return args, more | {name: cache}
