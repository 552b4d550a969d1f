"""Files that ask for much, or for what cannot be: each is refused before it takes time or memory, in few words."""

import gc
import json
import os
import struct

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from rholaw import checkpoints, untrusted
from rholaw.__main__ import main
from rholaw.checkpoints import tensors
from rholaw.checkpoints.config import WORD


def refused(path, message):
    """``open`` refuses it with that, in at most 500 characters that can be written."""
    with pytest.raises(ValueError, match=message) as caught:
        checkpoints.open(path)
    assert len(str(caught.value).encode()) <= 1000 and len(str(caught.value)) <= 500


def raw(header, body=b""):
    """The bytes of a safetensors file, whatever the header says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


# --- safetensors ------------------------------------------------------------------------------------------------------

MANY = untrusted.BRACKETS + 1
HEADERS = {
    "lists": (b'{"a":[' + b"[]," * (MANY - 3) + b"[]]}", "524,289 lists and objects.*at most"),
    "objects": (b'{"a":[' + b'{"b":0},' * (MANY - 3) + b"{}]}", "524,289 lists and objects.*at most"),
    "numbers": (b'{"a":[' + b"0," * 2 * MANY + b"0]}", r"1,048,578 commas; at most"),
    "nesting": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "digits": (b'{"a":' + b"1" * 10**6 + b"}", r"no JSON: Exceeds the limit \(4300 digits\)"),
    "text beyond ASCII": ('{"a":"é'.encode() + b"x" * (untrusted.LARGEST // 3) + b'"}', "33,333,343 bytes"),
    "a name": (json.dumps({"x" * 10**6: entry(0, 0, [0])}).encode(), "a name of 1000000 characters, at most 1000"),
    "a name of a refusal": (json.dumps({"x" * 10**6: 1}).encode(), "entry for 'xxx"),
    "dimensions": (json.dumps({"a": entry(0, 0, [0] * 1000)}).encode(), "entry for 'a' is not a dtype, a shape"),
    "sizes": (json.dumps({"a": entry(0, 0, [0, 2**62, 4])}).encode(), "its shape .* more than can be counted"),
    "metadata of numbers": (b'{"__metadata__":{"a":NaN}}', "no JSON object of texts"),
    "metadata of half a character": (rb'{"__metadata__":{"a":"\ud800"}}', "surrogates not allowed"),
    "half a character where nothing reads": (
        rb'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"b":["\ud800"]}}',
        "surrogates",
    ),
    "half a character": (rb'{"\udfff":{}}', "surrogates not allowed"),
    "NaN": (b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,Infinity]}}', "entry for 'a' is not"),
    "UTF-16": ('{"a":{}}'.encode("utf-16"), "codec can't decode|as no file of"),
    "a mark of order": ("\ufeff{}".encode(), "as no file of|is no JSON"),
    "a name twice": (
        b'{"a":{"dtype":"F32","dtype":"F16","shape":[0],"data_offsets":[0,0]}}',
        "'dtype' stands there twice",
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_safetensors_that_ask_for_too_much(tmp_path, name):
    header, message = HEADERS[name]
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw(header))
    refused(path, message)


def test_too_many_tensors_are_refused_and_as_many_as_may_be_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("rholaw.checkpoints.containers.safetensors.TENSORS", 3)
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({str(i): torch.ones(i) for i in range(3)}))
    with checkpoints.open(path) as checkpoint:
        assert len(checkpoint.tensors) == 3
    path.write_bytes(save({str(i): torch.ones(i) for i in range(4)}))
    refused(path, "has 4 tensors, at most 3 are read")


# --- GGUF -------------------------------------------------------------------------------------------------------------


def text(words):
    words = words.encode() if isinstance(words, str) else words
    return struct.pack("<Q", len(words)) + words


def of_gguf(keys=(), entries=(), body=b"", version=3, counts=None):
    """The bytes of a GGUF file: keys and entries of tensors are bytes."""
    counts = counts or (len(entries), len(keys))
    return b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join((*keys, *entries)) + body


def tensor(name, shape, kind, offset=0):
    """The entry of a tensor; ``shape`` as GGUF writes it, the row first."""
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def array(key, kind, count, body=b""):
    return text(key) + struct.pack("<IIQ", 9, kind, count) + body


def number(key, value, kind=4, code="I"):
    return text(key) + struct.pack("<I" + code, kind, value)


TEXTS = tensors.TEXTS
GGUFS = {
    "blocks without a dimension": (of_gguf(entries=[tensor("q", (), 8)]), "'q': rows of 1 weights are no multiple"),
    "nothing times much": (of_gguf(entries=[tensor("q", (2**63, 0), 0)]), "its shape .* more than can be counted"),
    "2^63 keys": (of_gguf(counts=(0, 2**63)), "9,223,372,036,854,775,808 keys; at most"),
    "2^63 tensors": (of_gguf(counts=(2**63, 0)), "9,223,372,036,854,775,808 tensors .*; at most"),
    "a text of 2^63 bytes": (of_gguf([struct.pack("<Q", 2**63)]), "names and texts take more than"),
    "a text of many bytes": (of_gguf([text("a") + struct.pack("<I", 8) + text(bytes(TEXTS))]), "texts take more than"),
    "many texts": (of_gguf([array("a", 8, TEXTS // 8, bytes(TEXTS + 8))]), "names and texts take more than"),
    "an array of 2^63 texts": (of_gguf([array("a", 8, 2**63)]), "names and texts take more than"),
    "an array that ends early": (of_gguf([array("a", 8, 9, text("b"))]), "truncated: 8 bytes are due"),
    "an array of 2^63 numbers": (of_gguf([array("a", 6, 2**63)]), "truncated: 36893488147419103232 bytes are due"),
    "an array of arrays": (of_gguf([array("a", 9, 1, struct.pack("<IQ", 9, 1) * 1000)]), "values of type 9"),
    "an unknown type of value": (of_gguf([text("a") + struct.pack("<I", 13)]), "a value of unknown type 13"),
    "a key twice": (of_gguf([number("a", 1), number("a", 2)]), "'a' stands there twice"),
    "a tensor twice": (of_gguf(entries=[tensor("q", (0,), 0), tensor("q", (0,), 0)]), "'q' stands there twice"),
    "five dimensions": (of_gguf(entries=[tensor("q", (1,) * 5, 0)]), "'q' has 5 dimensions, at most 4"),
    "2^32 - 1 dimensions": (of_gguf(entries=[text("q") + b"\xff" * 4]), "'q' has 4294967295 dimensions"),
    "alignment 3": (of_gguf([number("general.alignment", 3)]), "is 3, not a power of two"),
    "alignment 2^63": (of_gguf([number("general.alignment", 2**63, 10, "Q")]), "is 9223372036854775808, not a power"),
    "alignment 2.0": (of_gguf([number("general.alignment", 2.0, 6, "f")]), "is 2.0, not a power"),
    "an offset of 2^64 - 1": (of_gguf(entries=[tensor("q", (1,), 0, 2**64 - 1)]), "'q' begins at 18446744073709551615"),
    "tensors that overlap": (
        of_gguf(entries=[tensor("p", (8,), 0), tensor("q", (8,), 0, 0)], body=bytes(99)),
        "'q' begins at 0, not at 32: the file is damaged",
    ),
    "a tensor beyond the end": (of_gguf(entries=[tensor("q", (2**40,), 0)]), "truncated: 'q' ends at byte"),
    "version 1": (of_gguf(version=1), "GGUF version 1; versions 2 and 3"),
    "the other order of bytes": (of_gguf(version=3 << 24), "for big-endian machines: convert the model anew"),
    "no UTF-8": (of_gguf([number(b"\xff", 1)]), "codec can't decode"),
    "a long name": (of_gguf(entries=[tensor("q" * 2000, (0,), 0)]), "a name of 2000 characters, at most 1000"),
}


@pytest.mark.parametrize("name", GGUFS)
def test_gguf_files_that_ask_for_what_cannot_be(tmp_path, name):
    content, message = GGUFS[name]
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    refused(path, message)


def test_numbers_of_gguf_stay_numbers_and_true_is_one_truth(tmp_path):
    path = tmp_path / "a.gguf"
    keys = [array("floats", 6, 3, np.float32([1, np.nan, 3]).tobytes()), array("flags", 7, 3, b"\0\1\2")]
    keys += [
        array("texts", 8, 3, text("ü") + text("") + text("x" * 3_000_000)),
        array("none", 8, 0),
        array("no", 12, 0),
    ]
    path.write_bytes(of_gguf(keys))
    with checkpoints.open(path) as checkpoint:
        floats, flags, texts, *empty = checkpoint.metadata.values()
    assert floats.dtype == np.float32 and floats.nbytes == 12 and floats[2] == 3
    assert flags.tolist() == [False, True, True] and flags.sum() == 2
    assert [len(one) for one in texts] == [1, 0, 3_000_000] and [len(one) for one in empty] == [0, 0]


def test_tensors_of_gguf_lie_as_they_are_aligned(tmp_path):
    path = tmp_path / "a.gguf"
    for align in (1, 8, 64):
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_custom_alignment(align)
        values = [np.arange(size, dtype=np.int8) for size in (3, 0, 70, 1)]
        for i, value in enumerate(values):
            writer.add_tensor(str(i), value)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with checkpoints.open(path) as checkpoint:
            assert all(np.array_equal(checkpoint[str(i)].read(), value) for i, value in enumerate(values))


# --- CTranslate2 ------------------------------------------------------------------------------------------------------


def short(words):
    return struct.pack("<H", len(words) + 1) + words.encode() + b"\0"


def of_ctranslate2(tensors, count=None, aliases=(), end=b""):
    """The bytes of a model.bin of (name, shape, code, bytes)."""
    out = struct.pack("<I", 6) + short("WhisperSpec") + struct.pack("<II", 3, len(tensors) if count is None else count)
    for name, shape, code, body in tensors:
        out += short(name) + struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, code, len(body)) + body
    return out + struct.pack("<I", len(aliases)) + b"".join(short(a) + short(b) for a, b in aliases) + end


ONE = ("a", (4,), 1, bytes(4))
CTRANSLATE2 = {
    "2^32 - 1 tensors": (of_ctranslate2([], 2**32 - 1), "4,294,967,295 tensors; at most"),
    "a tensor twice": (of_ctranslate2([ONE, ONE]), "two tensors are called 'a'"),
    "an alias that is a tensor": (of_ctranslate2([ONE], aliases=[("a", "a")]), "two tensors are called 'a'"),
    "an alias of nothing": (of_ctranslate2([ONE], aliases=[("b", "c")]), "'b' stands for 'c', which is not there"),
    "255 dimensions": (of_ctranslate2([("a", (2**32 - 1,) * 255, 1, b"")]), "'a': type 1 of shape .* does not take 0"),
    "nothing times much": (of_ctranslate2([("a", (2**32 - 1, 2**32 - 1, 0), 1, b"")]), "more than can be counted"),
    "more than it lists": (of_ctranslate2([ONE], end=b"more"), "4 of its bytes belong to no tensor"),
    "less than it says": (of_ctranslate2([ONE], 2), "truncated|does not take"),
}


@pytest.mark.parametrize("name", CTRANSLATE2)
def test_ctranslate2_files_that_ask_for_what_cannot_be(tmp_path, name):
    content, message = CTRANSLATE2[name]
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    refused(path, message)


# --- paths, indexes, config.json --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["x" * 300, "x" * 5000, "a/" * 3000, "a\0b", "~nobody-of-this-name/x", "\ud800"])
def test_paths_that_cannot_be(path):
    refused(path, "no file or folder|too long")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("..", r"points to '\.\.', outside its own folder"),
        ("", "points to '', outside its own folder"),
        (".", "outside its own folder"),
        ("../model.safetensors", "outside its own folder"),
        ("/etc/passwd", "outside its own folder"),
        ("x" * 5000, "too long"),
        ("a\0b", "1 of 1 shards are missing"),
        ("\ud800", "surrogates not allowed"),
        ("pipe", "pipe cannot be opened: it is no ordinary file"),
        ("circle", "1 of 1 shards are missing: circle|symbolic links"),
        ("model.safetensors.index.json", "as no file of"),
        (["a"], "needs a weight_map from tensors to file names"),
        (None, "needs a weight_map from tensors to file names"),
    ],
)
def test_an_index_names_files_of_its_own_folder(tmp_path, name, message):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    refused(tmp_path, message)


def test_an_index_of_many_files_or_of_long_names(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {str(i): str(i) for i in range(10_001)}}))
    refused(tmp_path, "names 10,001 shards, at most 10,000 may be")
    index.write_text(json.dumps({"weight_map": {str(i): f"{i}" * 200 for i in range(5)}}))
    refused(tmp_path, "5 of 5 shards are missing: 0000.*; download them")
    save_file({"a": torch.ones(1)}, tmp_path / "s")
    index.write_text(json.dumps({"weight_map": {"a": "s", "b" * 10**6: "s"}}))
    refused(tmp_path, "names 1 tensors that are not in their shards, the first 'bbb")


@pytest.mark.parametrize("numbers", ["00000-of-00000", "00000-of-00002", "00003-of-00002", "00001-of-99999"])
def test_shards_count_from_one(tmp_path, numbers):
    save_file({"a": torch.ones(1)}, tmp_path / f"model-{numbers}.safetensors")
    for path in (tmp_path, tmp_path / f"model-{numbers}.safetensors"):
        refused(path, f"says shard {int(numbers[:5])} of {int(numbers[-5:])}: they count from 1, to 10,000 at most")


def test_shards_of_two_sets_are_two_checkpoints(tmp_path):
    for numbers in ("00001-of-00001", "00001-of-00002", "00002-of-00002"):
        save_file({numbers: torch.ones(1)}, tmp_path / f"model-{numbers}.safetensors")
    refused(tmp_path, "holds several checkpoints, name one: model-00001-of-00001")


@pytest.mark.parametrize("revision", ["../..", "/etc", "..", "", "x" * 5000, "a\0b", "abc\n\ndef"])
def test_the_revision_in_use_lies_in_the_cache(tmp_path, revision):
    (tmp_path / "cache" / "snapshots" / "abc").mkdir(parents=True)
    (tmp_path / "cache" / "refs").mkdir()
    (tmp_path / "cache" / "refs" / "main").write_text(revision)
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    refused(tmp_path / "cache", "holds the revisions abc: name one")


CONFIGS = {
    "UTF-16": ('{"model_type": "llama"}'.encode("utf-16"), "config.json is no JSON: 'utf-8' codec can't decode"),
    "Latin-1": ('{"model_type": "é"}'.encode("latin-1"), "config.json is no JSON: 'utf-8' codec can't decode"),
    "a mark of order": ('\ufeff{"model_type": "llama"}'.encode(), "config.json is no JSON: .*BOM"),
    "nested": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "config.json is no JSON that can be read: it is nested"),
    "lists": (b'{"a":[' + b"[]," * (MANY - 3) + b"[]]}", "config.json has .*at most"),
    "twice": (
        b'{"model_type": "llama", "model_type": "gpt2"}',
        "config.json is no JSON: 'model_type' stands there twice",
    ),
    "digits": (b'{"hidden_size": ' + b"9" * 5000 + b"}", "config.json is no JSON: Exceeds the limit"),
    "4000 digits": (b'{"hidden_size": ' + b"9" * 4000 + b"}", "hidden_size is 9999.*, not a positive whole number"),
    "infinity": (b'{"rms_norm_eps": Infinity}', "rms_norm_eps is Infinity, not a positive number"),
    "1e999": (b'{"rms_norm_eps": 1e999}', "rms_norm_eps is Infinity, not a positive number"),
    "NaN": (b'{"rms_norm_eps": NaN}', "rms_norm_eps is NaN, not a positive number"),
    "a float": (b'{"hidden_size": 32.0}', "hidden_size is 32.0, not a positive whole number"),
    "a deep list": (b'{"hidden_size": ' + b"[" * 500 + b"]" * 500 + b"}", r"hidden_size is \[\[\[.*, not a positive"),
    "a wide list": (b'{"hidden_size": [' + b"1," * 10**5 + b"2]}", "hidden_size differs from layer to layer"),
    "a long text": (b'{"model_type": "' + b"x" * 10**6 + b'"}', f"not a text of at most {WORD} characters"),
    "half a character": (rb'{"model_type": "\ud800"}', "surrogates not allowed"),
    "a line break": (rb'{"model_type": "a\nb"}', "not a text of at most"),
    "nothing": (b"", "config.json is no JSON"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_json_that_cannot_be(tmp_path, name):
    content, message = CONFIGS[name]
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        checkpoints.described(tmp_path)
    assert len(str(caught.value)) <= 500 and str(caught.value).encode()


def test_a_file_that_says_config_itself_is_no_decoder(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors", metadata={"config": "{}"})
    with checkpoints.open(tmp_path) as checkpoint, pytest.raises(ValueError, match="does not say what it holds"):
        checkpoint.config  # noqa: B018 (reading it raises)


@pytest.mark.filterwarnings("error")
def test_a_file_that_cannot_be_read_is_closed(tmp_path):
    (tmp_path / "a.safetensors").symlink_to("/proc/self/mem")
    refused(tmp_path, "a.safetensors cannot be opened: Input/output error")
    gc.collect()


def test_what_a_refusal_may_be():
    with pytest.raises(ValueError, match=r"^a+…a+: b+…b+$") as caught, untrusted.refusals("a" * 1000):
        raise OSError("b" * 1000)
    assert len(str(caught.value)) == 500
    with pytest.raises(ValueError, match=r"^x\\ud800$"), untrusted.refusals():
        raise ValueError("x\ud800")
    with pytest.raises(KeyError), untrusted.refusals():
        raise KeyError("a fault of the library stays one")


@pytest.mark.parametrize("name", ["a.gguf", "a.safetensors", "model.bin", "a.pt", "none.gguf", "x" * 300, "~nobody/x"])
@pytest.mark.parametrize("command", [["survey"], ["allocate", "--bits", "4", "--types", "q4_k,q8_0"], ["predict"]])
def test_commands_end_with_a_sentence(tmp_path, monkeypatch, capsys, command, name):
    monkeypatch.chdir(tmp_path)
    if name[0] in "am":
        (tmp_path / name).write_bytes(GGUFS["many texts"][0][:5000] + bytes(100))
    assert main([command[0], name, *command[1:]]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rholaw: ") and said.count("\n") == 1 and len(said) <= 510
