"""Folders as the hub lays them out: any part of config.json, of the index and of the cache other, and odd files.

Configs of public models as well, of every family: what they come to, whatever key is other or of another family.
"""

import json
import os
from math import isfinite

import torch
from mutations import ODD, as_json, bytes_changed, part_changed, refusal
from safetensors.torch import save_file

from rholaw import checkpoints, tables
from rholaw.checkpoints import counting
from rholaw.checkpoints.config import KEYS, alike

PROMISE = "what the files say, of this folder alone, or a refusal in a short sentence"
SECONDS = 5
MEGABYTES = 500
SLICE = 30
CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "head_dim": 16}
CONFIG |= {"num_key_value_heads": None, "intermediate_size": 88, "vocab_size": 280, "rms_norm_eps": 1e-6}
CONFIG |= {"rope_theta": 1e4, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "tie_word_embeddings": True}
CONFIG |= {"torch_dtype": "bfloat16", "quantization_config": {"bits": 4, "modules": ["q", "k"]}, "limit": [0.0, 1e300]}
PUBLIC = [(json.loads(row.config), row.params) for row in tables.read("hardware/configs").itertuples()]


def attempt(rng, folder):
    """A folder is written, and one thing in it changed; what opens has the tensors of its own shards."""
    if rng.random() < 0.4:
        return _counted(rng, folder)
    place, names = _written(rng, folder)
    way = [_nothing, *[_config] * 3, *[_index] * 3, _files, _cache][rng.integers(9)]
    path = way(rng, place) or place
    described, config = _tried(lambda: checkpoints.described(path))
    opened, tensors = _tried(lambda: _opened(path))
    assert way is not _nothing or (described == opened == "read")
    if described == "read":
        _compare(config, place / "config.json")
    if opened == "read" and way is not _files:
        assert sorted(tensors) == names or (way is _index and set(tensors) < set(names))  # those that it names
    return f"{described}, {opened}"


def _counted(rng, folder):
    """A public config without weights, of which some keys are other: a number of parameters, or a refusal."""
    config, params = PUBLIC[rng.integers(len(PUBLIC))]
    values, changes = config, int(rng.integers(3))
    for _ in range(changes):
        other = PUBLIC[rng.integers(len(PUBLIC))][0]
        key = list(other)[rng.integers(len(other))]
        values = part_changed(rng, values) if rng.random() < 0.7 else values | {key: other[key]}
        if not isinstance(values, dict):
            break
    values = {"model_type": "llava", "text_config": values} if rng.random() < 0.3 else values
    (folder / "config.json").write_bytes(as_json(rng, values) if changes else json.dumps(values).encode())
    said, model = _tried(lambda: counting.geometry(folder))
    assert changes or model.total == params
    if model:
        assert 0 < model.active <= model.total < 2**200 and model.linear > 0
        sizes = [model.sequence_bytes(tokens) for tokens in (0, 1, 10, 10**6)]
        assert model.kv_bytes() >= 0 and sizes == sorted(sizes) and isfinite(sizes[-1])
        sizes = [sum(matrix.read(tokens) for matrix in model.body.matrices) for tokens in (1, 2, 10**6)]
        assert 0 < sizes[0] * (1 - 1e-9) <= sizes[1] <= model.linear * (1 + 1e-9) >= sizes[2]
    return f"counted: {said}"


def _tried(read):
    try:
        return "read", read()
    except ValueError as error:
        return refusal(error), None


def _opened(path):
    with checkpoints.open(path) as checkpoint:
        return [tensor.name for tensor in checkpoint.tensors if tensor.read() is not None]


def _compare(config, file):
    """All numbers are those that Python's own reader of JSON finds in the file, and numbers to calculate with."""
    values = json.loads(file.read_text(encoding="utf-8"))
    for name, (key, _) in KEYS.items():
        value = getattr(config, name)
        assert value == alike(values.get(key)), key
        assert value is None or (type(value) in (int, float) and isfinite(value) and value > 0), key
    assert config.tied == bool(values.get("tie_word_embeddings")) and config.family == values.get("model_type")


def _written(rng, folder):
    """(the folder of a checkpoint in one, two or three files, the names of its tensors)."""
    place = folder / "cache" / "snapshots" / "abc" if rng.random() < 0.5 else folder / "model"
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(CONFIG))
    count, index = int(rng.integers(1, 4)), {}
    for i in range(1, count + 1):
        file = f"model-{i:05}-of-{count:05}.safetensors" if count > 1 else "model.safetensors"
        index |= {f"{i}.{j}": file for j in range(3)}
        save_file({name: torch.ones(1) for name in list(index)[-3:]}, place / file)
    if count > 1 and rng.random() < 0.7:
        (place / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return place, sorted(index)


# --- ways: (rng, folder) → the path to open, or None for the folder ---------------------------------------------------


def _nothing(rng, place):
    if "snapshots" in place.parts:
        return [place, place.parents[1]][rng.integers(2)]


def _changed(rng, file):
    content = file.read_bytes()
    if rng.random() < 0.3:
        return file.write_bytes(bytes_changed(rng, content))
    value = json.loads(content)
    for _ in range(rng.integers(1, 3)):
        value = part_changed(rng, value)
    file.write_bytes(as_json(rng, value))


def _config(rng, place):
    _changed(rng, place / "config.json")


def _index(rng, place):
    file = place / "model.safetensors.index.json"
    if not file.exists():
        file.write_text(json.dumps({"weight_map": {f"1.{j}": "model.safetensors" for j in range(3)}}))
    _changed(rng, file)
    return file if rng.random() < 0.3 else None


def _files(rng, place):
    """Links, pipes, folders, devices and other names where files are due."""
    file = sorted(place.iterdir())[rng.integers(len(list(place.iterdir())))]
    way = rng.integers(8)
    if way < 6:
        file.unlink()
    if way == 0:
        file.symlink_to(file.name)
    elif way == 1:
        file.symlink_to(["/dev/zero", "/etc/passwd", "..", "/dev/null", "nowhere", "/proc/self/mem"][rng.integers(6)])
    elif way == 2:
        os.mkfifo(file)
    elif way == 3:
        file.mkdir()
    elif way == 4:
        file.write_bytes(rng.bytes(int(rng.integers(100))))
    elif way == 6:
        numbers = [(0, 0), (0, 2), (3, 2), (1, 99_999), (99_999, 99_999), (1, 1)][rng.integers(6)]
        file.rename(place / "model-{:05}-of-{:05}.safetensors".format(*numbers))
    elif way == 7:
        return place / str(ODD[rng.integers(len(ODD))]) if rng.random() < 0.5 else "~" * int(rng.integers(1, 5000))


def _cache(rng, place):
    """The revision in use, in words of any sort, and further revisions."""
    if "snapshots" not in place.parts:
        return None
    (refs := place.parents[1] / "refs").mkdir()
    words = ["abc", "abc\n", "..", "../..", "/", "", "a" * 5000, "abc\0", "def", str(ODD[rng.integers(len(ODD))])]
    (refs / "main").write_bytes(words[rng.integers(len(words))].encode("utf-8", "surrogatepass"))
    if rng.random() < 0.3:
        (place.parent / "def").mkdir()
    return place.parents[1]
