"""Files of torch.save, whole, packed anew, cut, with bytes, zip records and instructions of the pickle exchanged."""

import io
import pickletools
import struct
import warnings
import zipfile

import torch

from rholaw import checkpoints

PROMISE = "the values that were saved, or a refusal in a short sentence; nothing in the file runs"
SECONDS = 5
MEGABYTES = 500
SLICE = 20
CANARY = "ran"  # the folder that comes to be where something runs
READ, RIGHT, COSTS = "must be read", "refused, or read right", "refused, or read as whatever it now says"


def attempt(rng, folder):
    """A state is saved, and the file changed in one of the ways below; what is still to be read must be as saved."""
    state, path = _state(rng), folder / "a.pt"
    zipped = rng.random() < 0.8 or any(value.dtype in NEWER for value in state.values())
    torch.save(_nested(rng, state), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    ways = [_as_it_is, _bytes, _cut, _values, *(ARCHIVES * 2 if zipped else ())]
    way = ways[rng.integers(len(ways))]
    content, promise = way(rng, content, str(folder / CANARY))
    path.write_bytes(content)
    try:
        with checkpoints.open(path) as checkpoint:
            values = _read(checkpoint, 10**7)
    except ValueError as error:
        assert len(str(error)) <= 500 and promise != READ, (way.__name__, error)
        values = None
    assert not (folder / CANARY).exists(), "something in the file ran"
    if values is not None and promise != COSTS:
        assert values.keys() == state.keys(), way.__name__
        for name, value in state.items():
            assert values[name].dtype == value.dtype and values[name].shape == value.shape
            assert torch.equal(values[name].double(), value.double()), (way.__name__, name)
        return "agrees"
    return "refused" if values is None else "read"


def _read(checkpoint, most):
    """{name: values} of the tensors that are not larger than ``most``."""
    values = {}
    for tensor in checkpoint.tensors:
        try:
            tensor.rows(0, min(1, tensor.matrix[0]))
            values[tensor.name] = tensor.read() if tensor.count <= most else None
        except ValueError as error:
            assert "cannot be read" in str(error) and len(str(error)) <= 500
    return values


# --- what is saved ----------------------------------------------------------------------------------------------------

NEWER = {torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16}  # than the older files
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int8, torch.uint8, *NEWER]


def _state(rng):
    """{name: tensor}: dense, tied, transposed, cut, empty, of any type."""
    state = {}
    for i in range(rng.integers(1, 6)):
        shape = [int(n) for n in rng.integers(0 if rng.random() < 0.1 else 1, 7, rng.integers(0, 4))]
        dtype = DTYPES[rng.integers(len(DTYPES))]
        value = torch.from_numpy(rng.integers(0, 100, shape)).to(dtype)
        form = rng.integers(6)
        if form == 0 and value.ndim > 1:
            value = value.transpose(0, 1)
        elif form == 1 and value.ndim:
            value = value[:: rng.integers(1, 3)]
        elif form == 2 and state:
            value = list(state.values())[rng.integers(len(state))]
        elif form == 3 and value.is_floating_point():
            value = torch.nn.Parameter(value, requires_grad=False)
        state[f"{'abcü'[rng.integers(4)]}.{i}"] = value
    return state


def _nested(rng, state):
    """The state as trainers save it, in one of several forms."""
    inner = {}
    for name, value in state.items():
        group, _, key = name.partition(".")
        inner.setdefault(group, {})[key] = value
    moments = {i: {"step": torch.ones(1), "exp_avg": value} for i, value in enumerate(state.values())}
    optimizer = {"state": moments, "param_groups": [{"lr": 0.1, "params": [*moments]}]}
    trained = {"model": state, "adam": optimizer, "model_ema": dict(state), "epoch": 3}
    forms = [state, {"state_dict": state, "step": 3, "rest": [1.5, None, {"lr": (1, 2)}]}, trained, inner]
    return forms[rng.integers(4 if [*state] == [f"{g}.{k}" for g, part in inner.items() for k in part] else 3)]


# --- ways: (rng, content, canary) → (content, what must come of it) ----------------------------------------------


def _as_it_is(rng, content, canary):
    return content, READ


def _bytes(rng, content, canary):
    changed = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        place = rng.integers(len(changed)) if rng.random() < 0.3 else rng.integers(min(600, len(changed)))
        changed[place] = rng.choice([0, 1, 0x2E, 0x52, 0x63, 0x7F, 0x80, 0xFF, rng.integers(256)])
    return bytes(changed), COSTS


def _cut(rng, content, canary):
    cut = content[: rng.integers(len(content))]
    return (cut + bytes(len(content) - len(cut)) if rng.random() < 0.3 else cut), COSTS


def _values(rng, content, canary):
    """Bytes at the end of the file: the directory of an archive, the values of an older file."""
    changed = bytearray(content)
    for place in len(changed) - 1 - rng.integers(0, min(len(changed), 400), 3):
        changed[place] = rng.integers(256)
    return bytes(changed), COSTS


def _members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _written(members, method=zipfile.ZIP_STORED, **options):
    """The bytes of an archive of (name, content, method)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as archive:
        for name, content, *own in members:
            archive.writestr(name, content, own[0] if own else method)
    return out.getvalue()


def _repacked(rng, content, canary):
    """By another program, in another order and folder, which says the same; compressed, which is refused."""
    members = [(name.replace("a/", "another/", 1), body) for name, body in _members(content).items()]
    order = rng.permutation(len(members))
    if rng.random() < 0.4:
        method = [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA][rng.integers(3)]
        return _written([members[i] for i in order], method), RIGHT
    packed = _written([members[i] for i in order])
    return packed[:-2] + struct.pack("<H", 5) + b"later" if rng.random() < 0.3 else packed, READ


def _records(rng, content, canary):
    """Members doubled, dropped, renamed, lengthened, compressed alone."""
    members = [[*member, zipfile.ZIP_STORED] for member in _members(content).items()]
    for _ in range(rng.integers(1, 3)):
        one = members[rng.integers(len(members))]
        change = rng.integers(6)
        if change == 0:
            members.append([one[0], rng.bytes(8), one[2]])
        elif change == 1 and len(members) > 1:
            members.remove(one)
        elif change == 2:
            one[0] = ["a/data/0", "../../etc/passwd", "a/data.pkl", "b/data.pkl", "/a", "x" * 60_000][rng.integers(6)]
        elif change == 3:
            one[1] = one[1][: rng.integers(len(one[1]) + 1)] + bytes(rng.integers(0, 9))
        elif change == 4:
            one[2] = zipfile.ZIP_DEFLATED
        else:
            members += [[f"a/data/{i}", b"", zipfile.ZIP_STORED] for i in range(100, 100 + rng.integers(1, 2000))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, about names that stand there twice
        return _written(members), COSTS


def _directory(rng, content, canary):
    """Numbers in the directory, and in the record that ends it."""
    changed, start = bytearray(content), content.find(b"PK\1\2")
    heads = [
        i for i in range(start, len(content)) if content[i : i + 4] in (b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\3\4")
    ]
    for _ in range(rng.integers(1, 4)):
        place = heads[rng.integers(len(heads))] + rng.integers(4, 46)
        value = [0, 1, 30, 0xFFFF, 0xFFFFFFFF, 2**31, len(content), rng.integers(2**32)][rng.integers(8)]
        packed = struct.pack("<Q", int(value))[: rng.choice([1, 2, 4])]
        changed[place : place + len(packed)] = packed
    return bytes(changed[: len(content)]), COSTS


def _instructions(rng, content, canary):
    """Instructions of the pickle moved, doubled, dropped, or others put in their midst."""
    members = _members(content)
    body = members["a/data.pkl"]
    starts = [place for _, _, place in pickletools.genops(body)]
    parts = [body[a:b] for a, b in zip(starts, [*starts[1:], len(body)], strict=True)]
    for _ in range(rng.integers(1, 4)):
        at, other = (int(i) for i in rng.integers(1, len(parts), 2))
        change = rng.integers(5)
        if change == 0:
            parts[at], parts[other] = parts[other], parts[at]
        elif change == 1:
            parts.insert(at, parts[other])
        elif change == 2 and len(parts) > 2:
            del parts[at]
        elif change == 3 and len(parts[at]) > 1:
            parts[at] = parts[at][:1] + rng.bytes(len(parts[at]) - 1)
        else:
            parts.insert(at, _snippet(rng, canary))
    return _written((members | {"a/data.pkl": b"".join(parts)}).items()), COSTS


def _text(words):
    return b"X" + struct.pack("<I", len(words.encode())) + words.encode()


def _snippet(rng, canary):
    """A few instructions: numbers at their limits, and calls of what would leave a trace."""
    call = _text(canary) + b"\x85R"
    return [
        b"cos\nmkdir\n" + call,
        b"cposix\nmkdir\n" + call,
        b"cpathlib\nPath.mkdir\n" + call,
        b"c__builtin__\nexec\n" + _text(f"import os; os.mkdir({canary!r})") + b"\x85R",
        b"c__builtin__\neval\n" + _text(f"__import__('os').mkdir({canary!r})") + b"\x85R",
        b"(S'" + canary.encode() + b"'\nios\nmkdir\n",
        b"(cos\nmkdir\n" + _text(canary) + b"o",
        _text("os") + _text("mkdir") + b"\x93" + call,
        b"ctorch.storage\n_load_from_bytes\nC\x01a\x85R",
        b"ctorch.nn.modules.linear\nLinear\n(I99999999\nI99999999\ntR",
        b"ctorch\nTensor\n\x8a\x05\x00\x00\x00\x00\x02\x85R",
        b"c__builtin__\nbytearray\n\x8a\x05\x00\x00\x00\x00\x02\x85R",
        b"r\xff\xff\xff\xff",
        b"\x8e" + struct.pack("<Q", 2**33),
        b"\x96" + struct.pack("<Q", 2**33),
        b"J\xff\xff\xff\xff",
        b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
        b"G\x7f\xf8" + bytes(6),
        b"(",
        b"}",
        b"\x85",
        b"s",
        b"u",
        b"R",
        b"\x81",
        b"b",
        b"Q",
        b"ccollections\nOrderedDict\n)R",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch._utils\n_rebuild_sparse_tensor\n(N(NNttR",
        b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_parameter\nN(NtNtR",
        b"(" + _text("storage") + b"tQ",
    ][rng.integers(32)]


def _bomb(rng, content, canary):
    """A pickle that is short, or packs well, and asks for much time or memory."""
    size, key = int(10 ** rng.uniform(2, 5)), _text("k")
    twice = b"q\0}(" + _text("a") + b"h\0" + _text("b") + b"h\0u"  # the dictionary below, held twice
    body = [
        b"}" + twice * rng.integers(5, 60),
        b"}" + (key + b"}") * size + b"s" * size,
        b"]" * size + b"a" * (size - 1),
        b"(" * size,
        b"})" + b"q\0h\0\x86" * rng.integers(10, 100) + b"Ns",  # a key that takes long to look up
        b"}" + _text("n" * size * 10) + b"}s",
        b"}(" + b"".join(b"\x8a\x11" + struct.pack("<QQ", i, i) + b"\0N" for i in range(size)) + b"u",
        b"(" + b"N" * size + b"tq\0ctorch\nSize\nq\1" + b"h\1h\0\x85R" * size,
        b"(" + b"]]" * size + b"lq\0ccollections\nOrderedDict\nq\1" + b"h\1h\0\x85R" * size,
        b"("
        + b"N" * size
        + b"lq\0ctorch._tensor\n_rebuild_from_type_v2\nq\1"
        + b"h\1(ctorch._utils\n_rebuild_sparse_tensor\nN(Nh\0tNtR" * size,
        b"N" * 10**6 * rng.integers(1, 20),
    ][rng.integers(11)]
    method = zipfile.ZIP_STORED if rng.random() < 0.8 else zipfile.ZIP_DEFLATED
    members = _members(content) | {"a/data.pkl": b"\x80\x02" + body + b"."}
    return _written(members.items(), method), COSTS


ARCHIVES = (_repacked, _records, _directory, _instructions, _bomb)
