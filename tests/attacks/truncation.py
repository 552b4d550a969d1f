"""Checkpoints of every container that are cut, overwritten or replaced at any moment while they are opened and read."""

import os
import struct
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw import checkpoints

PROMISE = "a refusal in a short sentence, or values; all old or all new where another file took its name; no signal"
SECONDS = 5
MEGABYTES = 500
SLICE = 20


def attempt(rng, folder):
    """A checkpoint is written; at a call of a function while it is read, chosen at random, its file changes."""
    state = _state(rng)
    write = [_safetensors, _gguf, _ctranslate2, _archive, _legacy][rng.integers(5)]
    change = [_cut, _cut, _overwrite, _replace, _nothing][rng.integers(5)]
    (folder / "other").mkdir()
    path = write(state, folder)
    use = [_values, _values, _values, _survey][rng.integers(4)]
    if use is _survey:
        rl.survey(path, ["int4/g32"], progress=False)  # what is imported late is no matter here
    calls = use(path, _Moment(2**62, None))[0]  # how many there are where nothing happens
    other = {name: -value for name, value in state.items()}
    write(other, folder / "other")
    moment = _Moment(int(rng.integers(1, calls + 1)), lambda: change(rng, path))
    try:
        values = use(path, moment)[1]
    except ValueError as error:
        assert len(str(error)) <= 500 and change in (_cut, _overwrite), error
        return f"{change.__name__[1:]}: refused"
    if use is _values and change in (_replace, _nothing):
        assert any(all(torch.equal(values[name], one[name]) for name in state) for one in (state, other))
    return f"{change.__name__[1:]}: read"


class _Moment:
    """Within it, ``change`` happens at the ``number``th call of a function in Python or C; ``calls`` counts them."""

    def __init__(self, number, change):
        self.number, self.change, self.calls = number, change, 0

    def __call__(self, frame, event, argument):
        self.calls += event in ("call", "c_call")
        if self.calls == self.number and event in ("call", "c_call"):
            sys.setprofile(None)
            self.change()
            sys.setprofile(self)

    def __enter__(self):
        sys.setprofile(self)

    def __exit__(self, *_):
        sys.setprofile(None)


def _values(path, moment):
    with moment, checkpoints.open(path) as checkpoint:
        return moment.calls, {tensor.name: tensor.read() for tensor in checkpoint.tensors}


def _survey(path, moment):
    with moment:
        rl.survey(path, ["int4/g32"], progress=False)
    return moment.calls, None


# --- what happens to the file -------------------------------------------------------------------------------------


def _nothing(rng, path):
    pass


def _cut(rng, path):
    os.truncate(path, rng.integers(path.stat().st_size))


def _overwrite(rng, path):
    """Other bytes from a place on, where nothing moves."""
    with open(path, "r+b") as file:
        file.seek(rng.integers(path.stat().st_size))
        file.write(rng.bytes(int(10 ** rng.uniform(0, 4))))


def _replace(rng, path):
    """Another file takes its name; who reads goes on with the old one."""
    os.replace(path.parent / "other" / path.name, path)


# --- checkpoints ----------------------------------------------------------------------------------------------------


def _state(rng):
    """A few matrices, of some pages of memory together."""
    shapes = [(int(rng.integers(1, 40)), 32 * int(rng.integers(1, 16))) for _ in range(rng.integers(1, 5))]
    return {f"layer.{i}": torch.from_numpy(rng.standard_normal(s, dtype=np.float32)) for i, s in enumerate(shapes)}


def _safetensors(state, folder):
    save_file(state, folder / "a.safetensors")
    return folder / "a.safetensors"


def _gguf(state, folder):
    writer = gguf.GGUFWriter(folder / "a.gguf", "llama")
    writer.add_array("tokenizer.ggml.tokens", [f"token {i}" for i in range(300)])
    for name, value in state.items():
        writer.add_tensor(name, value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "a.gguf"


def _ctranslate2(state, folder):
    def text(words):
        return struct.pack("<H", len(words) + 1) + words.encode() + b"\0"

    out = struct.pack("<I", 6) + text("Spec") + struct.pack("<II", 3, len(state))
    for name, value in state.items():
        out += text(name) + struct.pack("<B2IBI", 2, *value.shape, 0, 4 * value.numel()) + value.numpy().tobytes()
    (folder / "model.bin").write_bytes(out + bytes(4))
    return folder / "model.bin"


def _archive(state, folder):
    torch.save(state, folder / "a.pt")
    return folder / "a.pt"


def _legacy(state, folder):
    torch.save(state, folder / "a.pt", _use_new_zipfile_serialization=False)
    return folder / "a.pt"
