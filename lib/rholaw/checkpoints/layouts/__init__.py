"""Codes and scales are one matrix: what the libraries that quantise write → Tensors of the weights that it stands for.

tensors = layouts.logical(tensors, layouts.read(folder, metadata))

A layout is a function of a Group and the Settings.  It returns the matrix, None where the group is none of its kind,
and raises ValueError with the reason where it is of its kind and cannot be read.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from ...checked import listed, shown
from ..tensors import Tensor, unreadable
from .floats import int8, mxfp4, nvfp4, scaled
from .grouping import INTEGERS, Group, Latest, grouped, orphan
from .integers import affine, awq, dense, floats, gptq
from .nibbles import bitsandbytes
from .products import products, smoothed
from .settings import Settings, read, rounds_more

__all__ = ["Settings", "logical", "read", "rounded", "rounds_more"]

LAYOUTS: tuple[Callable[[Group, Settings], Tensor | None], ...] = (
    *(bitsandbytes, int8, gptq, awq, dense, affine, floats, mxfp4, nvfp4, scaled),
)


def logical(tensors: Iterable[Tensor], settings: Settings) -> list[Tensor]:
    """The weights that the tensors of files stand for: codes with their companions are one Tensor, all others stay.

    Codes of an unknown layout, and those whose companions do not fit, are one Tensor that cannot be read and says why.
    Raises ValueError where two are called the same.
    """
    result, latest = {}, Latest()
    for item in grouped(products(tensors, latest), latest):
        tensor = _matrix(item, settings) if isinstance(item, Group) else item
        if orphan(tensor):
            tensor = replace(tensor, load=unreadable("a companion of codes that are not there"))
        if tensor.name in result:
            raise ValueError(f"{shown(tensor.name)} is there twice, as weights and as codes")
        result[tensor.name] = tensor
    return list(result.values())


def rounded(tensor: Tensor) -> bool:
    """Whether a weight has at most 8 bits, or is a matrix of whole numbers, which may be codes."""
    return tensor.quantised or (len(tensor.shape) > 1 and tensor.dtype in INTEGERS)


def _matrix(group: Group, settings: Settings) -> Tensor:
    """The one matrix that a group stands for."""
    try:
        if group.coded and len(group.codes.shape) < 2:
            raise ValueError("they are no matrix")
        for layout in LAYOUTS:
            if (tensor := layout(group, settings)) is not None:
                return smoothed(tensor)
    except ValueError as error:
        return group.unread(str(error))
    if not (group.coded or group.codes.quantised):
        others = [part for name, part in group.parts.items() if name not in group.beside]
        unknown = tuple(part.name[len(group.stem) + 1 :] for part in others)
        return smoothed(replace(group.codes, unapplied=unknown, beside=group.beside))
    if group.parts:
        return group.unread(f"no layout with {listed(group.parts)} is known")
    if group.certain and group.codes.name.endswith(("weight", "packed", "blocks")):  # the others may be indices, too
        return group.unread("no companion lies beside them")
    if group.codes.dtype.startswith("F8") and settings.method:
        return group.unread(f"the model is quantised ({settings.method:.30}), and no scale lies beside them")
    return group.codes
