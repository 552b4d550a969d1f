"""Vocabulary matrices that lie in a checkpoint more than once: a head is the embedding, or a later layer has both."""

from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b

import torch

from ..formats.sparsity import CHUNK
from . import roles
from .tensors import Tensor

FEW = 256  # values that tell most tables apart


def among(tensors: Iterable[Tensor]) -> dict[str, str]:
    """{tensor: the one that it repeats}, which is an embedding rather than a head, else the first.

    By content, value for value, of what is called a vocabulary matrix; and what the file itself says is shared.
    """
    tensors = list(tensors)
    ties = {tensor.name: tensor.tied for tensor in tensors if tensor.tied}
    does = roles.among({tensor.name: tensor.shape for tensor in tensors})
    named = {name for name in does if roles.is_vocabulary(name) or does[name] == "head"}
    tables = [tensor for tensor in tensors if not tensor.tied and len(tensor.shape) > 1 and tensor.name in named]
    tables.sort(key=lambda table: does[table.name] == "head")
    for stop in (FEW, None):  # all values only of those that begin alike
        alike = defaultdict(list)
        for table in tables:
            alike[table.shape, table.dtype, _digest(table, stop)].append(table)
        tables = [table for same in alike.values() if len(same) > 1 for table in same]
    return ties | {table.name: same[0].name for same in alike.values() for table in same[1:]}


def _digest(table: Tensor, stop: int | None) -> bytes:
    """Of its first ``stop`` values, or of all; its name where it cannot be read, and whoever measures it says why."""
    digest, count = blake2b(), min(table.count, stop or table.count)
    try:
        for start in range(0, count, CHUNK):
            part = table.load(start, min(start + CHUNK, count))
            digest.update(part.contiguous().view(torch.uint8).numpy())
    except ValueError:
        return table.name.encode()
    return digest.digest() if count else table.name.encode()
