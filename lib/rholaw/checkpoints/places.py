"""A path → the files of one checkpoint: in a folder as the hub lays it out, one of a set of shards, or their index."""

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ..checked import listed, shown
from . import containers, foreign
from .config import json_object

# What a folder is searched for, the first that it has: shards with an index before single files.  The endings that
# containers claim for themselves come last.
PREFERENCE = ("model.safetensors.index.json", "*.safetensors.index*.json", "model.safetensors", "*.safetensors")
PREFERENCE += ("*.bin.index*.json", "pytorch_model.bin", "*.gguf", "model.bin", "*.bin", "*.pt", "*.pth", "*.ckpt")
SHARD = r"(.*[^0-9])?([0-9]{1,5})([-_]of[-_])([0-9]{1,5})(\..+)"
HUB = r"\w[\w.-]*/((?!.*\.(safetensors|gguf|bin|pth?|ckpt|npz|json)$)[\w.-]+)"  # a name there: owner and model
SHARDS = 10_000  # of one checkpoint, at most
# One of several files that each hold a part of every matrix, or of the model.
RANK = r"(?:^|[-_.])rank[-_]?(\d+)"
SLICE = rf"{RANK}|^consolidated\.(\d+)|^model(\d+)(?=-mp)|[-_.]part[-_]?(\d+)"
STATE = r"((optim(izer)?|(lr_)?scheduler|(grad_)?scaler|sampler|training_args|rng_state|random_states|common)"
STATE += r"([_-]?\d+)*\.\w+)"
SPARE = r"(consolidated|adapter_model|pytorch_adapter|pytorch_lora_weights|mmproj|imatrix)[.-]"  # if there is no other


@dataclass(frozen=True)
class Place:
    """The ``files`` of one checkpoint; where an ``index`` speaks, {tensor: its file}; ``beside`` them, not read."""

    files: tuple[Path, ...]
    index: dict[str, Path]
    named: str  # the file that was meant: the index, a checkpoint, or the first of its shards
    beside: tuple[str, ...] = ()


def located(path: str | Path) -> Path:
    """The file or folder that is meant, of the hub's cache the folder of the revision in use; else ValueError."""
    if "://" in str(path):
        raise ValueError(f"{path} is a URL: download it first, for instance by hf download, and give the folder")
    path = Path(os.path.expanduser(path))  # Path's own raises RuntimeError where there is no such home
    if not path.exists():
        own = "/".join(path.parts[-2:])  # a scenario's names are looked for from where it lies
        name = None if path.parent.exists() else re.fullmatch(HUB, own)
        hint = f"; if the hub has it, hf download {own} --local-dir {name[1]}, and give that folder" if name else ""
        raise ValueError(f"there is no file or folder {path}{hint}")
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


def place(path: Path) -> Place:
    """The Place of a file, one of its shards, their index, or the folder that holds them.

    Raises ValueError where it is open which is meant, for shards that are not there, and for a part of what several
    processes saved.
    """
    if not path.is_dir():
        return _of(path)
    there = sorted(file for file in path.iterdir() if file.is_file())
    for spare in (False, True):
        files = [file for file in there if not _apart(file) and bool(re.match(SPARE, file.name)) is spare]
        for pattern in _patterns():
            if matching := [file for file in files if fnmatchcase(file.name, pattern)]:
                chosen = _of(_one(path, matching))
                others = [file.name for file in there if _holds_weights(file) and file not in chosen.files]
                return Place(chosen.files, chosen.index, chosen.named, tuple(others))
    raise ValueError(_nothing(path, there))


def holds(folder: Path) -> bool:
    """Whether there are files of checkpoints in the folder itself, be they of a model or not."""
    return any(_holds_weights(file) for file in folder.iterdir())


def _of(file: Path) -> Place:
    """The Place of a file that was named or chosen."""
    if (sentence := foreign.told(file.name)) in foreign.DISTRIBUTED:
        raise ValueError(f"{file.name} is {sentence}")
    if ".index" in file.name and file.name.endswith(".json"):
        return _indexed(file)
    _refuse_slices(file)
    for index in sorted(file.parent.glob("*.index*.json"))[:10] if re.fullmatch(SHARD, file.name) else ():
        try:
            indexed = _indexed(index)
        except ValueError:  # it is of other files, or damaged: the names of the shards say which belong together
            continue
        if file in indexed.files:
            return indexed
    files = _present(_set(file))
    return Place(tuple(files), {}, file.name, _numbered(file) if len(files) == 1 else ())


def _numbered(file: Path) -> tuple[str, ...]:
    """What lies beside a file, called as it is but for a number: other parts of it, or other models."""
    pattern = re.sub(r"\d+", r"\\d+", re.escape(file.name))
    names = [other.name for other in file.parent.iterdir() if other.name != file.name] if r"\d" in pattern else []
    return tuple(sorted(name for name in names if re.fullmatch(pattern, name))[:10])


def _refuse_slices(file: Path) -> None:
    """ValueError for one of several files, or folders, in which several processes saved their part of a model."""
    for part, marks in ((file, SLICE), (file.parent, RANK)):  # Megatron has a folder for each process
        for match in re.finditer(marks, part.name):
            start, end = match.span(match.lastindex)
            pattern = re.escape(part.name[:start]) + r"\d+" + re.escape(part.name[end:])
            if (count := sum(bool(re.fullmatch(pattern, other.name)) for other in part.parent.iterdir())) > 1:
                raise ValueError(
                    f"{part.name} is one of {count}, each with a part of the model or a slice of every matrix: join "
                    "them by the tool of whoever wrote them, as transformers' convert_llama_weights_to_hf.py for a "
                    "Llama of Meta"
                )


def _one(folder: Path, files: list[Path]) -> Path:
    """Of files that a pattern matches the first, if they are of one set, or only one set is whole."""
    sets = {}
    for file in files:
        sets.setdefault(re.sub(f"^{SHARD}$", r"\1\3\4\5", file.name), []).append(file)
    whole = [part for part in sets.values() if not _missing(part[0])] if len(sets) > 1 else list(sets.values())
    if len(whole) != 1:
        _refuse_slices(files[0])
        raise ValueError(f"{folder} holds several checkpoints, name one: {listed(file.name for file in files)}")
    return whole[0][0]


def _set(file: Path) -> list[Path]:
    """All that are of one set with ``file``, by its name; the file alone where it is no shard."""
    match = re.fullmatch(SHARD, file.name)
    if not match:
        return [file]
    number, count, digits = int(match[2]), int(match[4]), len(match[2])
    if not 1 <= number <= count <= SHARDS:
        raise ValueError(f"{file.name} says shard {number} of {count}: they count from 1, to {SHARDS:,} at most")
    names = (f"{match[1] or ''}{i:0{digits}}{match[3]}{match[4]}{match[5]}" for i in range(1, count + 1))
    return [file.with_name(name) for name in names]


def _missing(file: Path) -> bool:
    try:
        return not all(shard.is_file() for shard in _set(file))
    except ValueError:
        return True


def _indexed(file: Path) -> Place:
    """The Place of an index of shards; they may lie in folders within its own, as an index of several parts has it."""
    names = json_object(file).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(f"{file.name} is no index: it needs a weight_map from tensors to file names")
    shards = sorted(set(names.values()))
    for name in shards:
        if {"", ".", ".."} & set(name.split("/")) or set(name) & set("\\:"):
            raise ValueError(f"{file.name} points to {shown(name)}, outside its own folder")
    if len(shards) > SHARDS:
        raise ValueError(f"{file.name} names {len(shards):,} shards, at most {SHARDS:,} may be")
    places = {name: file.parent / name for name in shards}
    files = _present(list(places.values()))
    return Place(tuple(files), {tensor: places[name] for tensor, name in names.items()}, file.name)


def _present(shards: list[Path]) -> list[Path]:
    """These, or ValueError where some are not there, or not whole: aria2 makes a file of the full size at once."""
    if missing := [shard.name for shard in shards if not shard.exists()]:
        raise ValueError(f"{len(missing)} of {len(shards)} shards are missing: {listed(missing[:5])}; download them")
    for shard in shards:
        if (control := shard.with_name(f"{shard.name}.aria2")).exists():
            raise ValueError(f"{shard.name} is a download that has not ended, by {control.name} beside it: complete it")
    return shards


# --- folders without a checkpoint -------------------------------------------------------------------------------------


def _patterns() -> dict[str, None]:
    return dict.fromkeys((*PREFERENCE, *(f"*{ending}" for ending in containers.endings())))


def _apart(file: Path) -> bool:
    """Whether it lies in folders of checkpoints, and is none."""
    return bool(re.fullmatch(STATE, file.name)) or foreign.told(file.name) != ""


def _holds_weights(file: Path) -> bool:
    named = any(fnmatchcase(file.name, pattern) for pattern in _patterns())
    return named and not file.name.endswith(".json") and not re.fullmatch(STATE, file.name)


def _nothing(folder: Path, there: list[Path]) -> str:
    """Why there is no checkpoint in a folder, and what to do."""
    folders = sorted(inner for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith("."))[:100]
    sharded = [inner.name for inner in folders if inner.name.startswith("global_step")]
    if sharded or any(file.name == "zero_to_fp32.py" for file in there):
        return f"{folder} holds {foreign.DEEPSPEED}"
    inside = {inner.name: list(inner.iterdir()) for inner in folders}
    holding = [name for name, files in inside.items() if any(map(_holds_weights, files))]
    foreigners = [file for files in inside.values() for file in files if foreign.told(file.name)]
    if any(file.name == "model_index.json" for file in there):
        return f"{folder} is a pipeline of diffusers: name the folder of one of its models: {listed(holding) or 'none'}"
    if lost := [file.name for file in folder.iterdir() if file.is_symlink() and not file.exists()]:
        return f"{folder} holds links to files that are not there, as {lost[0]}: download them again"
    parts = [file for file in foreigners if foreign.told(file.name) == foreign.DCP]
    if told := next(((file.name, text) for file in there + parts if (text := foreign.told(file.name))), None):
        return f"{folder} holds no checkpoint; {told[0]} is {told[1]}"
    if states := [file.name for file in there if re.fullmatch(STATE, file.name)]:
        return f"{folder} holds no model, only what training keeps beside it: {listed(states)}"
    if holding:
        return f"{folder} holds no checkpoint itself: name one of its folders: {listed(holding)}"
    if foreigners:
        where = foreigners[0].relative_to(folder)
        return f"{folder} holds no checkpoint; {where} is {foreign.told(where.name)}"
    return f"{folder} holds no checkpoint: no file like {', '.join(_patterns())}"
