"""The files that checkpoints come in → metadata and tensors; each module here reads one kind, and none else names it.

NAME          what such files are called
BEGINS        a pattern of their first bytes, 16 at most, that fits no other kind
read(file)    → (metadata, [Tensor]) of a File; ValueError says what is wrong and what to do
ENDING        where such files have one of their own: what ends so and begins otherwise is a damaged one

Only headers are read, and nothing in a file is run.
"""

import gc
import pkgutil
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from ...checked import shown
from ...untrusted import refusals
from .. import foreign
from ..tensors import LENGTH, File, Tensor

KINDS: list[ModuleType] = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
POINTER = rb"version https:"


def endings() -> list[str]:
    """The endings of file names that belong to one kind, as ".safetensors"."""
    return [kind.ENDING for kind in KINDS if hasattr(kind, "ENDING")]


def contents(file: File) -> tuple[dict, list[Tensor]]:
    """(metadata, tensors) of a File. Raises ValueError that says what is wrong and what to do."""
    if re.match(POINTER, file.head):
        raise ValueError(f"{file.path.name}: a pointer of Git LFS in place of the file: fetch it by git lfs pull")
    kinds = [kind for kind in KINDS if re.match(kind.BEGINS, file.head, re.DOTALL)]
    if not kinds and (sentence := foreign.told(file.path.name, file.head)):
        raise ValueError(f"{file.path.name} is {sentence}")
    kinds += [kind for kind in KINDS if file.path.suffix == getattr(kind, "ENDING", None)]
    if not kinds:
        raise ValueError(
            f"{file.path.name} begins with {file.head[:8]!r}, as no file of {', '.join(kind.NAME for kind in KINDS)} "
            f"does: it is empty, encrypted, damaged, or no checkpoint"
        )
    with refusals(file.path.name), _no_collection():
        metadata, tensors = kinds[0].read(file)
        if long := next((tensor.name for tensor in tensors if len(tensor.name) > LENGTH), None):
            raise ValueError(f"the tensor {shown(long)} has a name of {len(long)} characters, at most {LENGTH} may be")
        return metadata, tensors


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's collector of cycles stands still: it would take two thirds of the time that 100,000 tensors need."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
