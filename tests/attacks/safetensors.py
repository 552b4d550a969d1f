"""Files of the safetensors package, whole, with other bytes, or another header; codes with odd companions."""

import json
import struct

import numpy as np
import torch
from mutations import as_json, bytes_changed, part_changed, refusal
from quantised_files import LAYOUTS
from safetensors import SafetensorError
from safetensors.torch import load, save

from rholaw import checkpoints

PROMISE = (
    "what the safetensors package reads, to the byte, codes as what they stand for, or a refusal in a short sentence"
)
SECONDS = 5
MEGABYTES = 500
SLICE = 30
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
DTYPES += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.uint16, torch.complex64]


def attempt(rng, folder):
    """What the package reads must be read, but where a part of the header is other; what it refuses is refused."""
    if rng.random() < 0.25:
        return _codes(rng, folder)
    content, path = _saved(rng), folder / "a.safetensors"
    ways = [_as_it_is, _written_anew, *[_bytes] * 4, *[_header] * 5, _bomb, _type]
    way, saved = ways[rng.integers(len(ways))], content
    content = way(rng, content)
    path.write_bytes(content)
    try:
        with checkpoints.open(path) as checkpoint:
            ours = {tensor.name: (tensor.shape, _values(tensor)) for tensor in checkpoint.tensors}
    except ValueError as error:
        outcome, ours = refusal(error), None
        assert way not in (_as_it_is, _written_anew, _type) and (way in (_header, _bomb) or not _package(content)), (
            error
        )
    if ours is None or way is _bomb:
        return outcome if ours is None else "read"
    later = [name for name, (_, values) in ours.items() if isinstance(values, str)]
    if later and way is not _type:
        return "read"  # the package refuses all of a file where one type is unknown
    theirs = _package(saved if way is _type else content)  # which refuses the whole file for one unknown type
    assert theirs is not None and ours.keys() == theirs.keys()
    for name, (shape, values) in ours.items():
        assert shape == tuple(theirs[name].shape)
        assert values is None or name in later or torch.equal(values, _raw(theirs[name])), name
    return "agrees"


def _codes(rng, folder):
    """A matrix in codes, of whose companions and settings some are other: its weights, or a reason."""
    tensors, files, weights = LAYOUTS[list(LAYOUTS)[rng.integers(len(LAYOUTS))]](rng)
    changes = int(rng.integers(4))
    for _ in range(changes):
        way, name = rng.integers(6), list(tensors)[rng.integers(len(tensors))]
        if way == 0 and len(tensors) > 1:
            del tensors[name]
        elif way == 1:
            tensors[name + ("2", "_scale", ".scale", ".absmax", "s")[rng.integers(5)]] = tensors[name].clone()
        elif way == 2:
            tensors[name] = _like(rng, tensors[name].shape)
        elif way == 3:
            tensors[name] = _like(rng, [int(n) for n in rng.integers(0, 40, rng.integers(0, 4))])
        elif way == 4:
            tensors[name] = tensors[name].reshape(-1) if rng.random() < 0.5 else tensors[name][None]
        else:
            files = part_changed(rng, files)
    (folder / "model.safetensors").write_bytes(save(tensors))
    for name, content in files.items() if isinstance(files, dict) else ():
        if name.endswith("config.json"):
            (folder / "config.json").write_bytes(as_json(rng, content) if changes else json.dumps(content).encode())
    try:
        with checkpoints.open(folder) as checkpoint:
            read = [(tensor.shape, tensor.read()) for tensor in checkpoint.tensors if np.isfinite(tensor.bits)]
    except ValueError as error:
        assert changes, error
        return refusal(error)
    assert all(values.shape == shape for shape, values in read)
    assert changes or (len(read) == 1 and np.allclose(read[0][1].double(), weights, rtol=1e-5, atol=1e-8))
    return "codes"


def _like(rng, shape):
    """Values of any type, in memory as they come."""
    dtype = DTYPES[rng.integers(len(DTYPES))]
    if not (count := int(np.prod(shape))):
        return torch.empty(shape, dtype=dtype)
    values = torch.from_numpy(rng.integers(256, size=count * dtype.itemsize).astype(np.uint8))
    return (values & 1).bool().reshape(shape) if dtype == torch.bool else values.view(dtype).reshape(shape)


def _values(tensor):
    """The bytes of its values; None where they are packed, a text where their type is unknown."""
    try:
        values = tensor.read()
        assert values.shape == tensor.shape
        return _raw(values)
    except ValueError as error:
        assert "which cannot be read" in str(error)
        return str(error) if "of the type" in str(error) else None


def _raw(values):
    return values.reshape(-1).view(torch.uint8)


def _package(content):
    """{name: tensor} as the package reads it; None where it does not."""
    try:
        return load(content)
    except (SafetensorError, KeyError, RuntimeError, AttributeError, ValueError, TypeError):
        return None


def _saved(rng):
    state = {}
    for i in range(rng.integers(0, 6)):
        shape = [int(n) for n in rng.integers(0 if rng.random() < 0.2 else 1, 6, rng.integers(0, 5))]
        value = torch.from_numpy(rng.integers(0, 2, shape)).to(DTYPES[rng.integers(len(DTYPES))])
        state[("model.", "ü", '"', "")[rng.integers(4)] + str(i)] = value
    return save(state, {"format": "pt", "config": "{}"} if rng.random() < 0.5 else None)


def _parts(content):
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def _joined(header, body):
    return struct.pack("<Q", len(header)) + header + body


def _as_it_is(rng, content):
    return content


def _written_anew(rng, content):
    """The same in another order, with other spaces and escapes."""
    header, body = _parts(content)
    names = list(header)
    rng.shuffle(names)
    text = json.dumps({name: header[name] for name in names}, indent=int(rng.integers(3)) or None)
    return _joined(text.encode() + b" " * int(rng.integers(9)), body)


def _type(rng, content):
    """One tensor, where there is one, is of a type that came later."""
    header, body = _parts(content)
    names = [name for name in header if name != "__metadata__"]
    if names:
        header[names[rng.integers(len(names))]]["dtype"] = ("F3", "I4", "C128", "NVFP4", "X_1")[rng.integers(5)]
    return _joined(json.dumps(header).encode(), body)


def _bytes(rng, content):
    return bytes_changed(rng, content, len(content) - len(_parts(content)[1]))


def _header(rng, content):
    header, body = _parts(content)
    for _ in range(rng.integers(1, 3)):
        header = part_changed(rng, header)
    if rng.random() < 0.3:
        body = body[: rng.integers(len(body) + 1)] + bytes(rng.integers(9))
    return _joined(as_json(rng, header), body)


def _bomb(rng, content):
    """Headers that are long, or say much in few bytes."""
    size = int(10 ** rng.uniform(2, 6))
    entry = b'{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = [
        lambda: b'{"a":' + b"[" * size + b"]" * size + b"}",
        lambda: b'{"a":[' + b"[]," * size + b"0]}",
        lambda: b'{"a":[' + b'{"b":0},' * size + b"0]}",
        lambda: b'{"a":' + b"1" * size + b"}",
        lambda: b'{"' + b"x" * size * 10 + b'":' + entry + b"}",
        lambda: b"{" + b",".join(b'"%d":%s' % (i, entry) for i in range(size // 4)) + b"}",
        lambda: b'{"__metadata__":{' + b",".join(b'"%d":""' % i for i in range(size)) + b"}}",
        lambda: b'{"a":{"dtype":"F32","shape":[' + b"9," * size + b'0],"data_offsets":[0,0]}}',
        lambda: '{"a":"😀'.encode() + b"x" * size * 30 + b'"}',
        lambda: b"{}" + b" " * size * 90,
    ][rng.integers(10)]()
    return _joined(header, b"")
