"""Files of torch.save, read as data: what torch reads is read alike, and what is hostile is refused at little cost."""

import argparse
import collections
import io
import os
import pathlib
import pickle
import pickletools
import resource
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
import torch
from attacks.archives import _text as text

from rholaw import checkpoints
from rholaw.checkpoints import pickles

X = torch.arange(48.0).view(6, 8)


def values(path):
    """{name: tensor} of a checkpoint."""
    with checkpoints.open(path) as checkpoint:
        return {tensor.name: tensor.read() for tensor in checkpoint.tensors}


def members(state):
    """{name: content} of the archive of a state."""
    out = io.BytesIO()
    torch.save(state, out)
    with zipfile.ZipFile(out) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, contents, method=zipfile.ZIP_STORED):
    """An archive of (name, content) pairs."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that stand there twice
        for name, content in contents:
            archive.writestr(name, content)


def with_pickle(path, body, method=zipfile.ZIP_STORED):
    """An archive whose pickle is ``body``."""
    contents = members({"w": X})
    write(path, (contents | {next(iter(contents)): b"\x80\x02" + body + b"."}).items(), method)


# --- what is right ------------------------------------------------------------------------------------------------


class Attributed(torch.nn.Module):
    """A module with a tied weight and buffers."""

    def __init__(self):
        super().__init__()
        self.embedding, self.norm = torch.nn.Embedding(5, 3), torch.nn.BatchNorm1d(4)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight


with_note = X.clone()
with_note.note = "hello"
FORMS = {
    "types": {
        str(t): X.to(t) for t in (torch.half, torch.bfloat16, torch.double, torch.int8, torch.bool, torch.cfloat)
    },
    "newer types": {
        **{str(t): X[0].to(t) for t in (torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint64)},
        **{str(t): X[0].to(t) for t in (torch.float8_e8m0fnu, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)},
    },
    "views": {
        "turned": X.T,
        "cut": X[:, 2:5],
        "row": X[3],
        "column": X[:, 3],
        "third": X.view(2, 4, 6).permute(2, 0, 1),
    },
    "steps": {"seven": torch.arange(100)[::7], "one": X[:1, :1].expand(4, 4), "pair": X.view(2, 3, 8)[:, 1]},
    "tied": {"a": X, "b": X, "c": X.view(8, 6), "d": X.T, "e": X.T},
    "empty": {"e": torch.empty(0, 7), "s": torch.tensor(1.5), "f": torch.empty(3, 0)},
    "module": Attributed().state_dict(),
    "parameters": {"p": torch.nn.Parameter(X), "note": with_note},
    "nested": {"model": collections.OrderedDict(a={"b": X}), "step": 3, "rest": [X, (1, 2.5, None, True), {1, 2}]},
    "keys": {1: X, 2.5: X + 1, (1, "a"): X + 2, None: X + 3, "ü": X + 4},
    "others": {"x": X, "counts": collections.Counter("abca"), "bytes": b"\xff", "array": bytearray(b"12"), "c": 1j},
}


def named(value, name=""):
    """(name, tensor) for each tensor in nested dictionaries, as torch gives them."""
    if torch.is_tensor(value):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from named(inner, f"{name}.{key}" if name else str(key))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_what_torch_loads_is_read_alike(tmp_path, form, zipped):
    if not zipped and form == "newer types":
        pytest.skip("the older files know none")
    torch.save(FORMS[form], tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)
    expected = dict(named(loaded.get("model", loaded)))
    with checkpoints.open(tmp_path / "a.pt") as checkpoint:
        assert [tensor.name for tensor in checkpoint.tensors] == list(expected)
        for tensor in checkpoint.tensors:
            value, right = tensor.read(), expected[tensor.name].detach()
            assert value.dtype == right.dtype and torch.equal(value.view(right.shape).contiguous(), right.contiguous())
            if tensor.count > 4:
                assert torch.equal(tensor.load(1, 4), right.reshape(-1)[1:4])


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch is about to give some of these up
def test_what_has_no_values_in_the_file_is_there_with_its_shape(tmp_path):
    state = {"sparse": torch.eye(3).to_sparse(), "csr": torch.ones(2, 5).to_sparse_csr(), "fine": X}
    state |= {"codes": torch.quantize_per_tensor(X, 0.1, 0, torch.qint8), "meta": torch.empty(3, 4, device="meta")}
    state |= {"conjugate": torch.complex(X, X).conj()}
    torch.save(state, tmp_path / "a.pt")
    with checkpoints.open(tmp_path / "a.pt") as checkpoint:
        for name, value in state.items():
            assert checkpoint[name].shape == tuple(value.shape) and checkpoint[name].bits == 8 * value.dtype.itemsize
            if name != "fine":
                with pytest.raises(ValueError, match="cannot be read"):
                    checkpoint[name].read()
        assert torch.equal(checkpoint["fine"].read(), X)


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_that_training_programs_keep_beside_the_weights_harm_no_weight(tmp_path, zipped):
    """Megatron's and fairseq's arguments, Transformer Engine's _extra_state; all but tensors is passed over."""
    beside = {"args": argparse.Namespace(lr=1, names=["a"]), "w._extra_state": io.BytesIO(b"abc")}
    beside |= {"path": pathlib.PosixPath("/a/b"), "best": np.float64(0.5), "steps": np.int64(7)}
    torch.save({"w": X} | beside, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with checkpoints.open(tmp_path / "a.pt") as checkpoint:
        assert [tensor.name for tensor in checkpoint.tensors] == ["w"]
        assert torch.equal(checkpoint["w"].read(), X)
    torch.save({"w": X, "rest": np.ones(3)}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="which is no tensor"):  # an array may be a weight
        checkpoints.open(tmp_path / "a.pt")


def test_an_archive_packed_anew_is_read_where_it_is_not_compressed(tmp_path):
    state = {"a": torch.arange(2000, dtype=torch.uint8), "b": X}
    contents = list(reversed(members(state).items()))
    write(tmp_path / "a.pt", contents)
    assert all(torch.equal(value, state[name]) for name, value in values(tmp_path / "a.pt").items())
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        write(tmp_path / "a.pt", contents, method)
        with pytest.raises(ValueError, match="is compressed or encrypted: unzip it"):
            checkpoints.open(tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:  # the values alone
        for name, content in contents:
            archive.writestr(name, content, zipfile.ZIP_DEFLATED if "/data/" in name else zipfile.ZIP_STORED)
    with pytest.raises(ValueError, match=r"/data/\d' is compressed"):
        checkpoints.open(tmp_path / "a.pt")


def zip64(contents, size=None):
    """An archive as one beyond 4 GB has it: sizes and places of eight bytes each."""
    body, directory, most = b"", b"", 2**32 - 1
    for name, content in contents:
        own = struct.pack("<QQ", *[len(content) if size is None else size] * 2)
        about = struct.pack("<HHHHHIIIH", 45, 0, 0, 0, 0, zlib.crc32(content), most, most, len(name))
        extra = struct.pack("<HH16sQ", 1, 24, own, len(body))
        directory += b"PK\1\2\x2d\0" + about + struct.pack("<HHHHII", 28, 0, 0, 0, 0, most) + name.encode() + extra
        body += b"PK\3\4" + about + struct.pack("<H", 20) + name.encode() + struct.pack("<HH16s", 1, 16, own) + content
    place, count = len(body) + len(directory), len(contents)
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(body))
    end += struct.pack("<4sIQI", b"PK\6\7", 0, place, 1)
    return body + directory + end + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, most, most, 0)


def test_an_archive_that_is_larger_than_the_part_at_its_end_that_is_searched(tmp_path):
    state = {"w": torch.arange(3_000_000.0), "x": X}
    torch.save(state, tmp_path / "a.pt")
    assert all(torch.equal(value, state[name]) for name, value in values(tmp_path / "a.pt").items())
    contents = list(members(state).items())
    (tmp_path / "a.pt").write_bytes(zip64(contents))
    assert all(torch.equal(value, state[name]) for name, value in values(tmp_path / "a.pt").items())
    for size in (2**62, 2**64 - 1, 0):
        (tmp_path / "a.pt").write_bytes(zip64(contents, size))
        with pytest.raises(ValueError, match=r"has \d+ bytes, more than|is damaged"):
            checkpoints.open(tmp_path / "a.pt")


def test_files_without_check_sums(tmp_path):
    path = tmp_path / "a.pt"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"x": X}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(values(path)["x"], X)


# --- what is wrong ------------------------------------------------------------------------------------------------


def test_names_that_meet_when_they_are_joined(tmp_path):
    torch.save({"a.b": X, "a": {"b": X + 1}}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"two tensors in it are called 'a\.b'"):
        checkpoints.open(tmp_path / "a.pt")
    torch.save({"1": X, 1: X + 1}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"the key '1' stands twice"):
        checkpoints.open(tmp_path / "a.pt")


def archive_with(changes, extra=()):
    """An archive of X with members exchanged (None drops one) or added."""
    contents = members({"w": X})
    folder = next(iter(contents)).split("/")[0]
    for name, content in changes.items():
        contents[f"{folder}/{name}"] = content
    kept = [(name, body) for name, body in contents.items() if body is not None]
    return kept + [(f"{folder}/{name}", body) for name, body in extra]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (archive_with({"data.pkl": None}), "0 members data.pkl"),
        (archive_with({}, [("b/data.pkl", b"")]), "2 members data.pkl"),
        (archive_with({}, [("data/0", bytes(192))]), "stands twice in its directory"),
        (archive_with({"data/0": None}), "data/0 is missing"),
        (archive_with({"data/0": bytes(191)}), "data/0 is missing, or has not the 192 bytes that are due"),
        (archive_with({"byteorder": b"big"}), "big-endian"),
        (archive_with({"constants.pkl": b""}), "TorchScript"),
        (archive_with({"data.pkl": b"N" * 2**25 + b"."}), "33554433 bytes, more than"),
    ],
)
def test_an_archive_with_other_members(tmp_path, contents, message):
    write(tmp_path / "a.pt", contents)
    with pytest.raises(ValueError, match=message):
        checkpoints.open(tmp_path / "a.pt")


def test_a_pickle_that_does_not_have_its_check_sum(tmp_path):
    torch.save({"w": X}, tmp_path / "a.pt")
    content = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(content.replace(b"X\1\0\0\0w", b"X\1\0\0\0v"))
    with pytest.raises(ValueError, match="its check sum is another"):
        checkpoints.open(tmp_path / "a.pt")


def test_members_that_overlap(tmp_path):
    torch.save({"v": X, "w": X + 1}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        first, second = (archive.getinfo(f"a/data/{i}").header_offset for i in range(2))
    content = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(
        content.replace(struct.pack("<I", second) + b"a/data/1", struct.pack("<I", first) + b"a/data/1")
    )
    with pytest.raises(ValueError, match="overlap: the file is damaged"):
        checkpoints.open(tmp_path / "a.pt")


class Rebuilt:
    """What pickles as a tensor of these arguments."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, (X._typed_storage(), *self.arguments, False, {})


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((5, (6, 8), (8, 1)), "outside its storage"),
        ((0, (7, 8), (8, 1)), "outside its storage"),
        ((0, (6, 8), (2**62, 1)), "outside its storage"),
        ((0, (2**62, 8), (0, 1)), "more than can be counted"),
        ((0, (0, 2**62, 2**62), (1, 1, 1)), "more than can be counted"),
        ((0, (6, 8), (8,)), "no strides that fit"),
        ((0, (6, -8), (8, 1)), "no shape"),
        ((0, (6.0,), (1,)), "no shape"),
    ],
)
def test_a_tensor_that_cannot_be(tmp_path, place, message):
    torch.save({"w": Rebuilt(*place)}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=message):
        checkpoints.open(tmp_path / "a.pt")


def memory():
    """Megabytes: the most that this process held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


TWICE = b"q\0}(" + text("a") + b"h\0" + text("b") + b"h\0u"  # a dictionary that holds the one below twice
BOMBS = {
    "unzips to 3 GB": (b"N", "compressed"),
    "bytearray of 8 GB": (b"c__builtin__\nbytearray\n\x8a\x05\0\0\0\0\2\x85R", "no tensors by name"),
    "tensor of 8 GB": (b"ctorch\nTensor\n\x8a\x05\0\0\0\0\2\x85R", "no function"),
    "bytes of 8 GB": (b"\x8e\0\0\0\0\2\0\0\0", "8589934592 bytes"),
    "a memo of 2^32": (b"Nr\xff\xff\xff\xff", "no tensors by name"),
    "doubled 22 times": (b"}" + TWICE * 22, "more than 131,072 dictionaries"),
    "doubled 40 times": (b"}" + TWICE * 40, "more than 131,072 dictionaries"),
    "doubled 10,000 times": (b"}" + TWICE * 10_000, "64 dictionaries deep"),
    "nested 10,000 deep": (b"]" * 10_000 + b"a" * 9_999, "no tensors by name"),
    "dictionaries 10,000 deep": ((b"}" + text("k")) * 10_000 + b"}" + b"s" * 10_000, "64 dictionaries deep"),
    "a key that doubles": (b"}N" + b"q\0h\0\x86" * 100 + b"Ns", "a key in it is a tuple"),
    "keys of one hash": (
        b"}" + b"".join(b"\x8a\x11" + struct.pack("<QQ", i, i) + b"\0Ns" for i in range(99)),
        "no tensors",
    ),
    "a name of a megabyte": (b"}" + text("n" * 10**6) + b"}s", "over 1000 characters"),
    "sizes of sizes": (b"(" + b"N" * 9999 + b"tq\0" + b"ctorch\nSize\nh\0\x85R" * 9999, "1000000 steps"),
    "pairs in attributes": (
        b"ctorch._tensor\n_rebuild_from_type_v2\n(ccollections\nOrderedDict\nN]NtR",
        "what is none",
    ),
    "nothing sparse": (b"ctorch._utils\n_rebuild_sparse_tensor\n(N(NNNttR", "sparse tensor in it has no shape"),
    "a storage of nothing": (b"(" + text("storage") + b"tQ", "a storage in it has no type"),
    "attributes of attributes": (
        b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._tensor\n_rebuild_from_type_v2\nNNNtR",
        "built from what is none",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_short_pickle_that_asks_for_much(tmp_path, name):
    body, message = BOMBS[name]
    method = zipfile.ZIP_DEFLATED if name.startswith("unzips") else zipfile.ZIP_STORED
    with_pickle(tmp_path / "a.pt", body * (10**7 if name.startswith("unzips") else 1), method)
    before = memory()
    with pytest.raises(ValueError, match=message) as refusal:
        checkpoints.open(tmp_path / "a.pt")
    assert len(str(refusal.value)) <= 500 and memory() - before < 500


def test_a_directory_of_a_million_members(tmp_path):
    entries = b"".join(struct.pack("<4s24xH16x6s", b"PK\1\2", 6, b"%06x" % i) for i in range(200_000))
    end = struct.pack("<4s4xHHIIH", b"PK\5\6", 0, 0, len(entries), 30, 0)
    (tmp_path / "a.pt").write_bytes(b"PK\3\4" + bytes(26) + entries + end)
    before = memory()
    with pytest.raises(ValueError, match="its directory is longer than 8388608 bytes"):
        checkpoints.open(tmp_path / "a.pt")
    assert memory() - before < 500


class Canary:
    """What makes a folder when it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("content", ["magic", "system", "keys"])
def test_no_part_of_an_older_file_runs(tmp_path, content):
    out = io.BytesIO()
    torch.save({"w": X}, out, _use_new_zipfile_serialization=False)
    stream, parts = io.BytesIO(out.getvalue()), []
    for _ in range(5):
        start = stream.tell()
        collections.deque(pickletools.genops(stream), maxlen=0)
        parts.append(out.getvalue()[start : stream.tell()])
    place = {"magic": 0, "system": 2, "keys": 4}[content]
    parts[place] = pickle.dumps(Canary(tmp_path / "ran"), 2)
    (tmp_path / "a.pt").write_bytes(b"".join(parts) + stream.read())
    with pytest.raises(ValueError, match="asks for"):
        checkpoints.open(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()


def test_steps_are_counted():
    assert pickles.load(io.BytesIO(b"(NNt."), {}, None, steps=4) == (None, None)
    with pytest.raises(ValueError, match="more than 3 steps"):
        pickles.load(io.BytesIO(b"(NNt."), {}, None, steps=3)


def test_a_backslash_in_a_name_is_no_more_than_damage(tmp_path):
    out = io.BytesIO()
    torch.save({"w": X}, out, _use_new_zipfile_serialization=False)
    (tmp_path / "a.pt").write_bytes(out.getvalue().replace(b"_rebuild_tensor_v2", rb"_rebuild_t\qsor_v2"))
    with pytest.raises(ValueError, match="Warning"):
        checkpoints.open(tmp_path / "a.pt")


def test_a_tensor_of_a_class_of_its_own_is_refused_with_what_to_do(tmp_path):
    with_pickle(tmp_path / "w.bin", b"ctorch._utils\n_rebuild_wrapper_subclass\n")
    with pytest.raises(ValueError, match=r"of a class of its own, as torchao's.*dequantise the model"):
        checkpoints.open(tmp_path / "w.bin")
