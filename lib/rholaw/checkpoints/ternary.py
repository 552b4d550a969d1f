"""Whether the matrices of a model are ternary or binary by their values: such a model was trained so, and runs so."""

from collections.abc import Iterable

from .changes import NONE, ROUNDS, Change
from .roles import UNTOLD, among, is_matrix
from .tensors import Tensor

SAMPLED = 8  # matrices
RUN = 32  # values of a row that are looked at: some files scale small groups


def ternary(tensors: Iterable[Tensor]) -> Change:
    """That its matrices are so, where some of its layers' hold 0 and one magnitude of both signs along a row, or NONE.

    Matrices whose values cannot be had, or which are all zeros, say nothing.
    """
    tensors = list(tensors)
    does = among({tensor.name: tensor.shape for tensor in tensors})
    layers = [tensor for tensor in tensors if does[tensor.name] in UNTOLD and is_matrix(tensor.name, tensor.shape)]
    layers = [tensor for tensor in layers if min(tensor.shape[-1], tensor.matrix[1]) >= RUN]
    few = [_is_ternary(tensor) for tensor in layers[:: -(-len(layers) // SAMPLED) or 1]]
    told = [one for one in few if one is not None]
    if not told or not all(told):
        return NONE
    return Change(ROUNDS, "its matrices hold 0 and one magnitude, as of a model that was trained in 1 to 1.6 bits")


def _is_ternary(tensor: Tensor) -> bool | None:
    """Whether the values of its first row are; None where they cannot be had or are zeros."""
    try:
        values = tensor.load(0, RUN)
    except ValueError:
        return None
    if not values.is_floating_point() or not (values := values.float()).any():
        return None
    return len(values.abs()[values != 0].unique()) == 1 and bool(values.min() < 0 < values.max())
