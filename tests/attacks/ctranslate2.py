"""CTranslate2's model.bin, whole, with other bytes, and with any of its numbers and names other."""

import struct

import torch
from mutations import EDGES, bytes_changed, refusal

from rholaw import checkpoints

PROMISE = "the tensors and aliases that were written, or a refusal in a short sentence"
SECONDS = 5
MEGABYTES = 500
SLICE = 40
TYPES = [torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16]


def attempt(rng, folder):
    """A file is written as model_spec.py of CTranslate2 does, part by part, and changed."""
    state, aliases = _state(rng)
    parts, path, way = _parts(state, aliases, rng), folder / "model.bin", rng.integers(5)
    if way in (1, 2):
        for _ in range(rng.integers(1, 3)):
            _part_changed(rng, parts)
    content = b"".join(parts)
    if way in (3, 4):
        content = bytes_changed(rng, content)
    path.write_bytes(content)
    try:
        with checkpoints.open(path) as checkpoint:
            read = {tensor.name: tensor.read() for tensor in checkpoint.tensors}
            tied = {tensor.name: tensor.tied for tensor in checkpoint.tensors if tensor.tied}
    except ValueError as error:
        assert way, error
        return refusal(error)
    if way:
        return "read"
    assert tied == aliases and read.keys() == state.keys() | aliases.keys()
    for name, value in read.items():
        expected = state[aliases.get(name, name)]
        assert value.dtype == expected.dtype and torch.equal(value, expected)
    return "agrees"


def _state(rng):
    """({name: tensor}, {alias: name})."""
    state = {}
    for i in range(rng.integers(0, 6)):
        shape = [int(n) for n in rng.integers(0 if rng.random() < 0.2 else 1, 5, rng.integers(0, 4))]
        value = torch.from_numpy(rng.integers(-9, 9, shape)).to(TYPES[rng.integers(len(TYPES))])
        state[f"{('encoder/', 'é', '')[rng.integers(3)]}{i}"] = value
    names = list(state)
    return state, {f"alias {i}": names[rng.integers(len(names))] for i in range(rng.integers(3) if names else 0)}


def _text(words):
    words = words.encode() + b"\0"
    return [struct.pack("<H", len(words)), words]


def _parts(state, aliases, rng):
    """The bytes of a file, number by number and text by text."""
    out = [struct.pack("<I", int(rng.integers(4, 7))), *_text("WhisperSpec"), struct.pack("<I", 3)]
    out.append(struct.pack("<I", len(state)))
    for name, value in state.items():
        body = value.view(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
        out += [*_text(name), struct.pack("<B", value.ndim), *(struct.pack("<I", size) for size in value.shape)]
        out += [struct.pack("<B", TYPES.index(value.dtype)), struct.pack("<I", len(body)), body]
    out.append(struct.pack("<I", len(aliases)))
    for pair in aliases.items():
        out += [part for name in pair for part in _text(name)]
    return out


def _part_changed(rng, parts):
    """One part at its limits, doubled, removed, moved, or made long."""
    at, way = int(rng.integers(len(parts))), rng.integers(8)
    if way < 3 and len(parts[at]) in (1, 2, 4):
        parts[at] = struct.pack("<Q", EDGES[rng.integers(len(EDGES))])[: len(parts[at])]
    elif way == 3:
        parts.insert(at, parts[rng.integers(len(parts))])
    elif way == 4 and len(parts) > 1:
        del parts[at]
    elif way == 5:
        other = int(rng.integers(len(parts)))
        parts[at], parts[other] = parts[other], parts[at]
    elif way == 6:
        parts[at:at] = [bytes(int(10 ** rng.uniform(0, 6)))]
    else:
        count = int(10 ** rng.uniform(1, 5.3))
        entry = struct.pack("<BIBI", 1, 0, 0, 0)
        entries = b"".join(struct.pack("<H", 8) + b"%07d\0" % i + entry for i in range(count))
        parts[4:] = [struct.pack("<I", count), entries, struct.pack("<I", 0)]
