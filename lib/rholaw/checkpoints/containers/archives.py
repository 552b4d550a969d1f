"""What ``torch.save`` writes, zip archives and the older pickles: tensors in dictionaries."""

import re
from collections.abc import Callable, Iterator

import torch

from ..tensors import NAMES, PLAIN, File, Tensor, unreadable

NAME = "PyTorch"
BEGINS = rb"PK\x03\x04(?!.\0\0\0\{)|\x80[\x02-\x05](?!.{3}\0\0\0\{)"  # no safetensors header of that length
STATE_KEYS = ("state_dict", "model_state_dict", "model", "module")  # where trainers keep the weights, beside the rest


def read(file: File) -> tuple[dict, list[Tensor]]:
    """({}, the tensors by their keys, joined by dots).

    By ``torch.load`` with weights_only, which builds tensors and plain containers and refuses everything else. Raises
    ValueError for what it refuses, and where no tensor has a name.
    """
    try:
        loaded = torch.load(file.path, map_location="cpu", weights_only=True, mmap=file.head.startswith(b"PK") or None)
    except Exception as error:  # whatever a damaged archive makes of itself
        asks = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {asks[1]}, which is no tensor" if asks else f"{error!s:.200}" or type(error).__name__
        raise ValueError(
            f"PyTorch refuses to load it as weights only: {reason}. Nothing in it was run; "
            f"whoever trusts it may save its tensors as safetensors"
        ) from None
    states = [loaded[key] for key in STATE_KEYS if isinstance(loaded, dict) and isinstance(loaded.get(key), dict)]
    named, owners = dict(_named(states[0] if states else loaded, "")), {}
    if not named:
        raise ValueError("it holds no tensors by name")
    tensors = []
    for name, value in named.items():
        value, dtype = value.detach(), NAMES.get(value.dtype, str(value.dtype))
        # Sparse, quantised and meta tensors are none, nor is one that repeats its storage, as large as it likes.
        whole = value.layout is torch.strided and dtype in PLAIN and value.device.type == "cpu"
        whole = whole and value.nbytes <= value.untyped_storage().nbytes()
        place = (value.data_ptr(), value.shape, value.stride()) if whole and value.numel() else name
        tied = owners.setdefault(place, name)
        load = _load(value) if whole else unreadable(f"{dtype} in a layout that cannot be read")
        bits, few = 8 * value.element_size(), dtype.startswith("F8") or not whole
        tensors.append(Tensor(name, tuple(value.shape), dtype, bits, few, load, tied if tied != name else ""))
    return {}, tensors


def _named(value: object, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor) for each tensor in nested dictionaries."""
    if torch.is_tensor(value):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _named(inner, f"{name}.{key}" if name else str(key))


def _load(value: torch.Tensor) -> Callable:
    if value.is_contiguous():
        return lambda start, stop: value.view(-1)[start:stop].clone()
    return lambda start, stop: value.reshape(-1)[start:stop]  # a transposed matrix is copied as a whole
