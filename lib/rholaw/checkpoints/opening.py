"""A checkpoint on disk: a file, a set of shards, or a folder as the Hugging Face hub lays it out → its tensors.

with checkpoints.open("path/to/model") as checkpoint:
    for tensor in checkpoint.tensors:
        tensor.name, tensor.shape, tensor.dtype, tensor.read()
"""

import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ..checked import listed, shown
from ..untrusted import refusals
from . import containers, layouts
from .config import Config, from_gguf, from_json, json_object
from .tensors import File, Tensor

# What a folder is searched for, the first that it has: shards with an index before single files.  The endings that
# containers claim for themselves come last.
PREFERENCE = ("*.safetensors.index.json", "model.safetensors", "*.safetensors", "*.bin.index.json")
PREFERENCE += ("pytorch_model.bin", "*.gguf", "model.bin", "*.bin", "*.pt", "*.pth")
SHARD = r"(.*-)([0-9]{5})-of-([0-9]{5})(\..+)"
SHARDS = 10_000  # of one checkpoint, at most


@dataclass(frozen=True)
class Checkpoint:
    """Open ``files`` with their ``tensors``, in the order of the files, and ``metadata``.  ``with`` closes them.

    metadata: what the files say of themselves, such as GGUF's keys, and "config", a dict, where a config.json is there.
    """

    path: Path
    files: tuple[Path, ...]
    metadata: dict
    tensors: tuple[Tensor, ...]
    close: Callable = field(repr=False)

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
            raise ValueError(f"{self.files[0].name} does not say what it holds, and no config.json lies beside it")
        return from_json(config)

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@refusals()
def open(path: str | Path) -> Checkpoint:
    """The Checkpoint at ``path``: a file, one of a set of shards or their index, or a folder that holds such.

    Reads headers only.  Raises ValueError for a path that is a URL, is not there, or leaves open which file is meant,
    for a shard or tensor that an index names and that is not there, and for a file that is damaged or no checkpoint.
    """
    path = _located(path)
    main = _main_file(path)
    index = _index(main) if main.name.endswith(".index.json") else {}
    files = [main.with_name(name) for name in sorted(set(index.values()))] or _shards(main)
    metadata, tensors = {}, {}
    with ExitStack() as opened:
        for file in files:
            said, inside = containers.contents(opened.enter_context(File(file)))
            metadata |= said
            for tensor in inside:
                if tensors.setdefault(tensor.name, tensor) is not tensor:
                    raise ValueError(f"{path}: the tensor {shown(tensor.name)} is in more than one shard")
        if absent := sorted(index.keys() - tensors.keys()):
            raise ValueError(
                f"{main.name} names {len(absent)} tensors that no shard holds, the first {shown(absent[0])}"
            )
        if (beside := main.parent / "config.json").is_file():
            metadata["config"] = json_object(beside)
        weights = layouts.logical(tensors.values(), layouts.read(main.parent, metadata))
        return Checkpoint(path, tuple(files), metadata, tuple(weights), opened.pop_all().close)


@refusals()
def described(path: str | Path) -> Config:
    """What the checkpoint at ``path`` says of its decoder: any path that ``open`` takes, or a folder without weights.

    A config.json speaks for the files beside it, but for GGUF files that are named themselves. Raises ValueError as
    ``open``, and where nothing is said of a decoder, or what cannot be.
    """
    place = _located(path)
    beside = (place if place.is_dir() else place.parent) / "config.json"
    if beside.is_file() and place.suffix != ".gguf":
        return from_json(json_object(beside))
    with open(place) as checkpoint:
        return checkpoint.config


def has_weights(path: str | Path) -> bool:
    """Whether ``path`` is a checkpoint or a folder that holds one, and not a folder with a config.json alone."""
    place = _located(path)
    return not place.is_dir() or any(any(place.glob(pattern)) for pattern in _patterns())


def size(path: str | Path) -> int:
    """The bytes that the files of the checkpoint at ``path`` take. Raises ValueError as ``open``."""
    with open(path) as checkpoint:
        return sum(file.stat().st_size for file in checkpoint.files)


def _located(path: str | Path) -> Path:
    """The file or folder that is meant, of the hub's cache the folder of the revision in use."""
    if "://" in str(path):
        raise ValueError(f"{path} is a URL: download it first, for instance by hf download, and give the folder")
    path = Path(os.path.expanduser(path))  # Path's own raises RuntimeError where there is no such home
    if not path.exists():
        raise ValueError(f"there is no file or folder {path}")
    if not (path / "snapshots").is_dir():
        return path
    revisions, head = {place.name: place for place in (path / "snapshots").iterdir()}, path / "refs" / "main"
    used = list(revisions)  # they are kept side by side
    if head.is_file():
        with head.open("rb") as file:
            used = [file.read(200).decode().strip()]
    if len(used) != 1 or used[0] not in revisions or not revisions[used[0]].is_dir():
        raise ValueError(f"{path} holds the revisions {listed(sorted(revisions)) or 'none'}: name one")
    return revisions[used[0]]


def _main_file(path: Path) -> Path:
    """The one file that ``path`` means: an index, a checkpoint, or the first of its shards."""
    if not path.is_dir():
        return path
    for pattern in _patterns():
        files = sorted(file for file in path.glob(pattern) if file.is_file())
        sets = {re.sub(SHARD, r"\1\3\4", file.name) for file in files}
        if len(sets) > 1:
            raise ValueError(f"{path} holds several checkpoints, name one: {listed(file.name for file in files)}")
        if files:
            return files[0]
    raise ValueError(f"{path} holds no checkpoint: no file like {', '.join(_patterns())}")


def _patterns() -> list[str]:
    """What files of checkpoints are called, the likeliest first."""
    return [*dict.fromkeys((*PREFERENCE, *(f"*{ending}" for ending in containers.endings())))]


def _shards(file: Path) -> list[Path]:
    """The whole set where ``file`` is one of it, else the file alone."""
    match = re.fullmatch(SHARD, file.name)
    if not match:
        return [file]
    number, count = int(match[2]), int(match[3])
    if not 1 <= number <= count <= SHARDS:
        raise ValueError(f"{file.name} says shard {number} of {count}: they count from 1, to {SHARDS:,} at most")
    return _present([file.with_name(f"{match[1]}{i:05}-of-{count:05}{match[4]}") for i in range(1, count + 1)])


def _index(file: Path) -> dict[str, str]:
    """{tensor: file name} of an index of shards."""
    places = json_object(file).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise ValueError(f"{file.name} is no index: it needs a weight_map from tensors to file names")
    shards = sorted(set(places.values()))
    if outside := [name for name in shards if Path(name).name != name or name in ("", "..")]:
        raise ValueError(f"{file.name} points to {shown(outside[0])}, outside its own folder")
    if len(shards) > SHARDS:
        raise ValueError(f"{file.name} names {len(shards):,} shards, at most {SHARDS:,} may be")
    _present([file.with_name(name) for name in shards])
    return places


def _present(shards: list[Path]) -> list[Path]:
    """These, or ValueError where some are not there."""
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        raise ValueError(f"{len(missing)} of {len(shards)} shards are missing: {listed(missing[:5])}; download them")
    return shards
