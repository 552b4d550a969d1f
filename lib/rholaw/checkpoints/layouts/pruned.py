"""torch.nn.utils.prune keeps a weight as two tensors, the original and a mask of what is left: together they are it.

up_proj.weight_orig × up_proj.weight_mask → up_proj.weight
"""

from collections.abc import Iterable
from dataclasses import replace

import torch

from ..tensors import Tensor, unreadable

ORIGINAL, MASK = "_orig", "_mask"


def masked(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The tensors in their order, an original and its mask as the one that they stand for, in the original's place.

    Where the mask has another shape the weight cannot be read, and says so.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    stems = {name.removesuffix(ORIGINAL) for name in by_name if name.endswith(ORIGINAL)}
    stems = {stem for stem in stems if stem + MASK in by_name and stem not in by_name}
    outside = {stem + MASK for stem in stems}
    kept = [tensor for tensor in by_name.values() if tensor.name not in outside]
    return [_product(tensor, by_name, stems) for tensor in kept]


def _product(tensor: Tensor, by_name: dict[str, Tensor], stems: set[str]) -> Tensor:
    """An original times its mask; any other tensor as it is."""
    stem = tensor.name.removesuffix(ORIGINAL)
    if stem == tensor.name or stem not in stems:
        return tensor
    mask = by_name[stem + MASK]
    if mask.shape != tensor.shape:
        return replace(tensor, name=stem, load=unreadable(f"{mask.name} has another shape, and says what is left"))

    def load(start: int, stop: int) -> torch.Tensor:
        values = tensor.load(start, stop)
        return values * mask.load(start, stop).to(values.dtype)

    return replace(tensor, name=stem, bits=tensor.bits + mask.bits, load=load)
