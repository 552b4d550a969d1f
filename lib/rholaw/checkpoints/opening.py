"""A checkpoint on disk: a file, a set of shards, or a folder as the Hugging Face hub lays it out → its tensors.

with checkpoints.open("path/to/model") as checkpoint:
    for tensor in checkpoint.tensors:
        tensor.name, tensor.shape, tensor.dtype, tensor.read()
"""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ..checked import listed, shown
from ..untrusted import refusals
from . import containers, layouts, static, strays
from .changes import NONE, Change
from .config import Config, absent, beside, from_gguf, from_json
from .orientation import oriented
from .places import holds, located, place
from .tensors import File, Tensor


@dataclass(frozen=True)
class Checkpoint:
    """Open ``files`` with their ``tensors``, in the order of the files, and ``metadata``.  ``with`` closes them.

    metadata: what the files say of themselves, such as GGUF's keys, and "config", a dict, where a config.json is there.
    remarks: what lies in the files, or beside them, and is not among the tensors, or is there twice; a line each.
    scales: the static scales of inputs and cache.  rounds_more: where it says that an engine may round more than its
    weights, or "".  changes: what the model does beside its matrices, or in place of writing.
    """

    path: Path
    files: tuple[Path, ...]
    metadata: dict
    tensors: tuple[Tensor, ...]
    close: Callable = field(repr=False)
    remarks: tuple[str, ...] = ()
    scales: static.Scales = field(default_factory=lambda: static.Scales({}), repr=False)
    rounds_more: str = ""
    changes: Change = NONE

    def __getitem__(self, name: str) -> Tensor:
        """The Tensor of that name, or KeyError."""
        return {tensor.name: tensor for tensor in self.tensors}[name]

    @property
    def config(self) -> Config:
        """What it says of its decoder. Raises ValueError where it says nothing, or what cannot be."""
        if "general.architecture" in self.metadata:
            shapes = {tensor.name: tensor.shape for tensor in self.tensors}
            return from_gguf(self.metadata, shapes, self.files[0].name)
        config = self.metadata.get("config")
        if not isinstance(config, dict):  # a text where the file itself says something by that name
            raise ValueError(f"{self.files[0].name} does not say what it holds, and {absent(self.files[0].parent)}")
        return from_json(config)

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@refusals()
def open(path: str | Path) -> Checkpoint:
    """The Checkpoint at ``path``: a file, one of a set of shards or their index, or a folder that holds such.

    Reads headers only.  Where there is an index, a tensor is taken from the file that it names, and no other.  Raises
    ValueError for a path that is a URL, is not there, or leaves open which file is meant, for a shard or tensor that an
    index names and that is not there, for adapters and other files without a model, and for damage.
    """
    path = located(path)
    where = place(path)
    metadata, tensors, remarks, left = {}, {}, [], []
    with ExitStack() as opened:
        for file in where.files:
            said, inside = containers.contents(opened.enter_context(File(file)))
            remarks += said.pop("remarks", ()) if isinstance(said.get("remarks"), tuple) else ()
            metadata |= said
            for tensor in inside:
                if where.index and where.index.get(tensor.name) != file:
                    left.append(tensor.name)
                elif tensors.setdefault(tensor.name, tensor) is not tensor:
                    raise ValueError(f"{path}: the tensor {shown(tensor.name)} is in more than one shard")
        if absent := sorted(where.index.keys() - tensors.keys()):
            raise ValueError(
                f"{where.named} names {len(absent)} tensors that are not in their shards, the first {shown(absent[0])}"
            )
        if left:
            remarks.append(f"left out: {len(left)} that {where.named} does not name in their file, as {shown(left[0])}")
        if where.beside:
            remarks.append(f"not read: {listed(where.beside)}, which lie beside {where.named}")
        if type(parts := metadata.get("split.count")) is int and parts > len(where.files):
            raise ValueError(
                f"{where.named} is one of {parts} files: give them the names that llama-gguf-split gives, as "
                f"model-00001-of-{parts:05}.gguf, or join them by llama-gguf-split --merge"
            )
        kept, more = strays.kept(list(tensors.values()), metadata, where.named)
        folder = path if path.is_dir() else path.parent
        if (said := beside(folder)) is not None:
            metadata["config"] = said
        settings = layouts.read(folder, metadata)
        weights, cache = static.apart(layouts.logical(kept, settings), bool(settings.method))
        config = metadata["config"] if isinstance(metadata.get("config"), dict) else {}
        weights = oriented(weights, config)
        scales = static.Scales({tensor.name: tensor for tensor in weights}, cache, settings.cache)
        rounds_more = "" if "general.architecture" in metadata else layouts.rounds_more(folder, config)
        changes = settings.changes or strays.changes(weights, metadata)
        if settings.method and not settings.cache and not any(map(layouts.rounded, weights)):
            more.append(
                f"it is said to be quantised ({settings.method:.30}), and no matrix is: these may be values that were "
                "rounded before, or weights that are rounded when they are loaded"
            )
        told = tuple(dict.fromkeys(filter(None, [*remarks, *more, changes.told])))
        close = opened.pop_all().close
        return Checkpoint(path, where.files, metadata, tuple(weights), close, told, scales, rounds_more, changes)


@refusals()
def described(path: str | Path) -> Config:
    """What the checkpoint at ``path`` says of its decoder: any path that ``open`` takes, or a folder without weights.

    A config.json speaks for the files beside it, but for GGUF files that are named themselves. Raises ValueError as
    ``open``, and where nothing is said of a decoder, or what cannot be.
    """
    where = located(path)
    said = None if where.suffix == ".gguf" else beside(where if where.is_dir() else where.parent)
    if said is not None:
        return from_json(said)
    with open(where) as checkpoint:
        return checkpoint.config


def has_weights(path: str | Path) -> bool:
    """Whether ``path`` is a checkpoint or a folder that holds one, and not a folder with a config.json alone."""
    where = located(path)
    return not where.is_dir() or holds(where)


def size(path: str | Path) -> int:
    """The bytes that the tensors of the checkpoint at ``path`` take, as they are stored.

    Raises ValueError as ``open``, and where it holds no values.
    """
    with open(path) as checkpoint:
        if stored := sum(tensor.count * tensor.bits / 8 for tensor in checkpoint.tensors if not tensor.tied):
            return math.ceil(stored)
        raise ValueError(f"{path} holds no values: nothing can be measured")
