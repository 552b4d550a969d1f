"""Files of the gguf package, whole, with other bytes, numbers or values, and headers of any sort."""

import struct

import gguf
import numpy as np
from mutations import EDGES, bytes_changed, refusal

from rholaw import checkpoints
from rholaw.checkpoints import families

PROMISE = "the keys and values that the gguf package wrote, or a refusal in a short sentence"
SECONDS = 5
MEGABYTES = 500
SLICE = 20
TYPES = gguf.GGMLQuantizationType
QUANTISED = [TYPES.Q4_0, TYPES.Q4_1, TYPES.Q5_0, TYPES.Q5_1, TYPES.Q8_0, TYPES.BF16]
NAMES = ("blk.", "é", "token_embd.weight")
DTYPES = [np.float32, np.float16, np.float64, np.int8, np.int16, np.int32, np.int64]


def attempt(rng, folder):
    """A file is written, and changed; where only values changed, all is as the package reads it."""
    path = folder / "a.gguf"
    keys, names = _written(rng, path)
    content = path.read_bytes()
    as_written = gguf.GGUFReader(path)
    start = as_written.data_offset
    ways = [_as_it_is, *[_values] * 2, *[_bytes] * 3, *[_numbers] * 2, _cut, _header, _header, _type]
    way = ways[rng.integers(len(ways))]
    path.write_bytes(way(rng, content, start))
    try:
        with checkpoints.open(path) as checkpoint:
            said, read = checkpoint.metadata, {tensor.name: _read(tensor) for tensor in checkpoint.tensors}
            _described(checkpoint)
    except ValueError as error:
        assert way not in (_as_it_is, _values, _type), error
        return refusal(error)
    if way not in (_as_it_is, _values, _type):
        return "read"
    assert {key: np.asarray(value).tolist() for key, value in said.items()} == keys
    assert list(read) == names
    odd = names[:1] if way is _type else []
    for tensor in (as_written if odd else gguf.GGUFReader(path)).tensors[len(odd) :]:
        plain = tensor.tensor_type not in QUANTISED
        with np.errstate(all="ignore"):
            values = tensor.data if plain else gguf.dequantize(tensor.data, tensor.tensor_type)
        if tensor.tensor_type == TYPES.BF16:
            values = values.astype(np.float32)
        assert read[tensor.name].shape == values.shape
        assert np.array_equal(read[tensor.name], values, equal_nan=values.dtype.kind == "f"), tensor.name
    return "agrees"


def _read(tensor):
    """Its values, where they are not many; else its first and last row."""
    try:
        if tensor.count > 10**6:
            rows, row = tensor.matrix
            return row < 10**6 and [tensor.rows(0, 1), tensor.rows(rows - 1, rows)]
        values = tensor.read()
        assert values.shape == tensor.shape
        return (values.float() if tensor.dtype == "BF16" else values).numpy()
    except ValueError as error:
        assert "cannot" in str(error) and refusal(error)


def _described(checkpoint):
    try:
        families.geometry(checkpoint.config)
    except ValueError as error:
        refusal(error)


# --- what is written --------------------------------------------------------------------------------------------------


def _written(rng, path):
    """({key: value}, [name of a tensor]) as the package writes them."""
    writer, keys, names = gguf.GGUFWriter(path, "llama"), {"general.architecture": "llama"}, []
    for i in range(rng.integers(0, 6)):
        key = f"llama.{i}"
        kind = rng.integers(8)
        whole, real = int(rng.integers(-(2**31), 2**31)), float(np.float32(rng.standard_normal()))
        if kind == 0:
            writer.add_int32(key, whole)
            keys[key] = whole
        elif kind == 1:
            writer.add_uint64(key, whole % 2**31 + 2**63)
            keys[key] = whole % 2**31 + 2**63
        elif kind == 2:
            writer.add_float32(key, real)
            keys[key] = real
        elif kind == 3:
            writer.add_bool(key, whole > 0)
            keys[key] = whole > 0
        elif kind == 4:
            keys[key] = "wörter"[: rng.integers(7)] + "x"
            writer.add_string(key, keys[key])
        else:
            items = [[whole] * 3, [real, 2.0], ["a", "", "é"]][kind - 5]
            writer.add_array(key, items)
            keys[key] = np.float32(items).tolist() if kind == 6 else items
    if rng.random() < 0.3:
        keys["general.alignment"] = int(rng.choice([8, 16, 64, 256]))
        writer.add_custom_alignment(keys["general.alignment"])
    for i in range(rng.integers(0, 5)):
        names.append(f"{NAMES[rng.integers(3)]}{i}")
        shape = [*rng.integers(1, 4, rng.integers(0, 4)), 32 * rng.integers(1, 4)]
        if rng.random() < 0.5:
            kind = QUANTISED[rng.integers(len(QUANTISED))]
            packed = gguf.quantize(rng.standard_normal(shape, dtype=np.float32), kind)
            writer.add_tensor(names[-1], packed, raw_dtype=kind)
        else:
            dtype = DTYPES[rng.integers(len(DTYPES))]
            values = rng.integers(0, 100, shape[: rng.integers(1, len(shape) + 1)])
            writer.add_tensor(names[-1], values.astype(dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return keys, names


# --- ways: (rng, content, where the header ends) → content ------------------------------------------------------------


def _as_it_is(rng, content, start):
    return content


def _values(rng, content, start):
    return content[:start] + bytes_changed(rng, content[start:] or b"0")[: len(content) - start].ljust(
        len(content) - start, b"\1"
    )


def _bytes(rng, content, start):
    return bytes_changed(rng, content, start)


def _numbers(rng, content, start):
    """Some numbers of the header at their limits: lengths, sizes, offsets, counts: small, in eight bytes."""
    out = bytearray(content)
    small = [at for at in range(8, start - 8) if struct.unpack_from("<Q", content, at)[0] < 2**12]
    for _ in range(rng.integers(1, 4)):
        at, size = small[rng.integers(len(small))], rng.choice([4, 8])
        out[at : at + size] = struct.pack("<Q", EDGES[rng.integers(len(EDGES))])[:size]
    return bytes(out)


def _type(rng, content, start):
    """The first tensor, where there is one, gets a type that came later."""
    out = bytearray(content)
    if struct.unpack_from("<Q", content, 8)[0]:
        first = next(_text(f"{name}0".encode()) for name in NAMES if _text(f"{name}0".encode()) in content)
        dims = content.find(first) + len(first)
        place = dims + 4 + 8 * content[dims]
        out[place : place + 4] = struct.pack("<I", int(rng.integers(100, 2**32)))
    return bytes(out)


def _cut(rng, content, start):
    return content[: rng.integers(len(content))]


def _text(words):
    return struct.pack("<Q", len(words)) + words


def _header(rng, content, start):
    """Keys and tensors of any type, number and length."""
    size = int(10 ** rng.uniform(1, 6))
    edge = EDGES[rng.integers(len(EDGES))]
    array = struct.pack("<II", 9, rng.integers(14))
    keys = [
        lambda: _text(b"a") + array + struct.pack("<Q", size) + bytes(8 * size),
        lambda: _text(b"a") + array + struct.pack("<Q", edge),
        lambda: _text(b"a") + struct.pack("<IIQ", 9, 8, size) + _text(b"xy") * size,
        lambda: _text(b"a") + struct.pack("<I", 8) + _text("😀".encode() + b"x" * size * 9),
        lambda: b"".join(_text(b"%d" % i) + struct.pack("<IB", 0, 1) for i in range(size // 9)),
        lambda: _text(b"a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * size,
        lambda: _text(b"general.alignment") + struct.pack("<IQ", rng.integers(13), edge),
        lambda: _text(b"a") + struct.pack("<IQ", rng.integers(20), edge) + rng.bytes(9),
        lambda: _text(b"general.architecture") + struct.pack("<I", 8) + _text(b"x" * size),
    ][rng.integers(9)]()
    n_keys = int(rng.choice([1, 1, 1, size, size // 9]))
    entries = b""
    for _ in range(rng.integers(0, 4)):
        name = [b"a", b"b", b"c" * size, b"\xff", b"", b"token_embd.weight"][rng.integers(6)]
        dims = int(rng.choice([0, 1, 2, 4, 5]))
        sizes = [[0, 1, 32, 256, *EDGES][rng.integers(6 if rng.random() < 0.8 else 20)] for _ in range(dims)]
        entries += _text(name) + struct.pack(f"<I{dims}Q", dims, *sizes)
        entries += struct.pack("<IQ", rng.integers(42), [0, 0, 32, edge][rng.integers(4)])
    count = rng.integers(4)
    return b"GGUF" + struct.pack("<IQQ", 3, count, n_keys) + keys + entries + bytes(int(rng.integers(2000)))
