"""What the values of a model's matrices say of it: ternary or binary, it was trained so; one number, it is none."""

from collections.abc import Iterable

import torch

from .changes import BLANK, NONE, ROUNDS, Change
from .roles import UNTOLD, among, is_matrix
from .tensors import Tensor

SAMPLED = 8  # matrices
RUN = 32  # values of a row that are looked at: some files scale small groups


def ternary(tensors: Iterable[Tensor]) -> Change:
    """That its matrices are so, where some of its layers' hold 0 and one magnitude of both signs along a row, or NONE.

    Matrices whose values cannot be had, or which are all zeros, say nothing.
    """
    few = [_is_ternary(values) for values in _begun(tensors) if values.any()]
    if not few or not all(few):
        return NONE
    return Change(ROUNDS, "its matrices hold 0 and one magnitude, as of a model that was trained in 1 to 1.6 bits")


def blank(tensors: Iterable[Tensor]) -> Change:
    """That the model stands in for one, where each of some of its layers' matrices begins with one number, or NONE."""
    few = _begun(tensors)
    if not few or any(len(values.unique()) > 1 for values in few):
        return NONE
    return Change(BLANK, "each of its matrices holds one number throughout, as no trained model does")


def _begun(tensors: Iterable[Tensor]) -> list[torch.Tensor]:
    """The first values of some matrices of layers, where they are numbers."""
    tensors = list(tensors)
    does = among({tensor.name: tensor.shape for tensor in tensors})
    layers = [tensor for tensor in tensors if does[tensor.name] in UNTOLD and is_matrix(tensor.name, tensor.shape)]
    layers = [tensor for tensor in layers if min(tensor.shape[-1], tensor.matrix[1]) >= RUN]
    begun = []
    for tensor in layers[:: -(-len(layers) // SAMPLED) or 1]:
        try:
            begun.append(tensor.load(0, RUN))
        except ValueError:  # its values cannot be had
            continue
    return [values.float() for values in begun if values.is_floating_point()]


def _is_ternary(values: torch.Tensor) -> bool:
    return len(values.abs()[values != 0].unique()) == 1 and bool(values.min() < 0 < values.max())
