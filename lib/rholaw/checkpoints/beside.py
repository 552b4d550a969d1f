"""What a layer of transformers is given beside hidden states: masks, positions, and nothing that changes."""

import torch

Beside = tuple[tuple, dict]
"""Arguments without names, and those with."""


def refuse_other(first: list[Beside], second: list[Beside], cause: str) -> None:
    """ValueError where layers are given something that is not the same for both, or that they could change."""
    for (args, more), (other_args, others) in zip(first, second, strict=True):
        pairs = [*zip((f"argument {place}" for place in range(1, len(args) + 1)), args, other_args, strict=True)]
        pairs += [(name, more[name], others.get(name)) for name in more]
        for name, one, other in pairs:
            if not _same(one, other):
                raise ValueError(
                    f"its layers are given {name}, which depends on {cause} or is shared by layers: none runs alone"
                )


def _same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, type(None) | bool | int | float | str | torch.dtype) and one == other
