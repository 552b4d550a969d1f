"""What the pickle of ``torch.save`` says of tensors: storages, which lie elsewhere in the file, and views of them.

pickles.load(stream, KNOWN, partial(storage, storages := {}))   → dictionaries of View; storages is filled
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch

from ..checked import shown
from . import pickles
from .tensors import DIMENSIONS, NAMES

DTYPES = {
    **{"Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16},
    **{"Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8},
    **{"Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128},
    **{"QInt8": torch.qint8, "QUInt8": torch.quint8, "QInt32": torch.qint32},
    **{"QUInt4x2": torch.quint4x2, "QUInt2x4": torch.quint2x4, "storage.Untyped": torch.uint8},
}


@dataclass(frozen=True)
class Storage:
    """``count`` values of the bytes that the file holds under ``key``, from the value ``start`` on."""

    key: str
    dtype: torch.dtype
    count: int
    start: int = 0


@dataclass(frozen=True)
class View:
    """A tensor whose values lie ``strides`` apart in a storage; without one it is of a kind that cannot be read."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...] = ()
    offset: int = 0
    storage: Storage | None = None


def storage(storages: dict[str, Storage], identity: tuple) -> Storage:
    """That of a persistent identity in the pickle; a whole one is entered into ``storages`` by its key.

    Raises ValueError where the identity is none of torch's, or disagrees with one before.
    """
    match identity:
        case ("storage", torch.dtype() as dtype, str() as key, _, count, *part) if _counts((count,)):
            whole = Storage(key, dtype, count)
        case _:
            raise ValueError("a storage in it has no type, no key or no size")
    if storages.setdefault(key, whole) != whole:
        raise ValueError(f"the storage {shown(key)} has two types or sizes")
    match part:
        case [] | [None]:
            return whole
        case [(_, start, count)] if _counts((start, count)) and start + count <= whole.count:  # torch before 0.4
            return Storage(key, dtype, count, start)
    raise ValueError(f"a part of the storage {shown(key)} lies outside it")


def reach(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How many values lie from the first of a tensor to its last, both included, where it has any."""
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def _counts(numbers: object) -> bool:
    """Whether it is a tuple of whole numbers from 0, no more than a tensor may have dimensions."""
    return (
        type(numbers) is tuple
        and len(numbers) <= DIMENSIONS
        and all(type(n) is int and 0 <= n < 2**63 for n in numbers)
    )


def _view(
    store: Storage, offset: int, shape: tuple, strides: tuple, dtype: torch.dtype, changes: object = None
) -> View:
    """A tensor. One that is larger than its storage cannot be read, nor one that is conjugated or negated."""
    if not (_counts((offset,)) and _counts(shape) and _counts(strides) and len(shape) == len(strides)):
        raise ValueError("a tensor in it has no shape, or no strides that fit it")
    room, count = store.count * store.dtype.itemsize, math.prod(shape)
    if count and (offset + reach(shape, strides)) * dtype.itemsize > room:
        raise ValueError(f"a tensor of shape {shown(shape)} lies outside its storage of {room} bytes")
    if changes or dtype not in NAMES or count * dtype.itemsize > room:
        return View(dtype, shape)
    return View(dtype, shape, strides, offset, store)


def _unreadable(dtype: torch.dtype, shape: tuple, *_: object) -> View:
    if not isinstance(dtype, torch.dtype) or not _counts(shape):
        raise ValueError("a tensor in it has no type or no shape")
    return View(dtype, shape)


def _sparse(layout: object, data: tuple) -> View:
    """Indices, values, shape, in any of the layouts."""
    for values, shape in pairwise(data[:6]):
        if type(shape) is tuple:
            return _unreadable(values.dtype, shape)
    raise ValueError("a sparse tensor in it has no shape")


def _with_attributes(function: object, kind: object, arguments: tuple, attributes: object) -> View:
    """A tensor with attributes, of which its values do not depend."""
    if function not in REBUILD.values() or type(arguments) is not tuple:
        raise ValueError("a tensor in it is to be built from what is none")
    return function(*arguments)


def _table(pairs: Iterable = ()) -> dict:
    """A dictionary of a class of its own; Python 2 gave it its entries."""
    table = {}
    for key, value in pairs.items() if isinstance(pairs, dict) else pairs:
        pickles.enter(table, key, value)
    return table


def _first(value: object = None, *_: object) -> object:
    return value


def _nothing(*_: object) -> dict:
    """What stands for an object without tensors, whose attributes are passed over."""
    return {}


REBUILD = {
    "tensor": lambda store, *place: _view(store, *place, store.dtype),
    "tensor_v2": lambda store, offset, shape, strides, gradient, hooks, *changes: _view(
        store, offset, shape, strides, store.dtype, *changes
    ),
    "tensor_v3": lambda store, offset, shape, strides, gradient, hooks, *rest: _view(
        store, offset, shape, strides, *rest
    ),
    "qtensor": lambda store, offset, shape, *_: _unreadable(store.dtype, shape),
    "meta_tensor_no_storage": _unreadable,
    "sparse_tensor": _sparse,
    **dict.fromkeys(("parameter", "parameter_with_state", "device_tensor_from_cpu_tensor"), _first),
}
NO_TENSORS = ("torch.Size", "torch.device", "torch.serialization._get_layout", "_codecs.encode", "builtins.bytearray")
NO_TENSORS += ("builtins.set", "builtins.complex", "pathlib.PosixPath", "pathlib.WindowsPath")
NO_TENSORS += ("pathlib._local.PosixPath", "pathlib._local.WindowsPath")  # as Python 3.13 calls them
OBJECTS = ("argparse.Namespace", "types.SimpleNamespace", "_io.BytesIO", "numpy.dtype")
OBJECTS += ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
KNOWN = {
    **{f"torch.{name}Storage": dtype for name, dtype in DTYPES.items()},
    **{str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype | torch.qscheme)},
    **{f"torch._utils._rebuild_{name}": function for name, function in REBUILD.items()},
    **dict.fromkeys(("collections.OrderedDict", "collections.Counter"), _table),
    **dict.fromkeys((*NO_TENSORS, "torch.nn.parameter.Parameter"), _first),
    **dict.fromkeys(OBJECTS, _nothing),
    "torch._tensor._rebuild_from_type_v2": _with_attributes,
    "torch.Tensor": None,
    "torch._utils._rebuild_wrapper_subclass": "a tensor in it is of a class of its own, as torchao's, whose values "
    "only that class knows: dequantise the model, or save it as safetensors",
}
"""What stands for the names that ``torch.load`` with weights_only allows: nothing of torch is called.

Of a call that makes no tensor, the first argument says enough.  Training programs keep OBJECTS beside the weights, as
their arguments or Transformer Engine's _extra_state.
"""
