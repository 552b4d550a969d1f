"""Reading checkpoints: every container against its own writer, and whatever can be wrong with a file."""

import json
import os
import pickle
import re
import struct
import types

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from sampling import FULL

import rholaw as rl
from rholaw import checkpoints
from rholaw.checkpoints import containers

INSTALLED = checkpoints.installed()
STATE = {
    "wide": torch.arange(24.0).view(3, 8),
    "half": torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).bfloat16(),
    "codes": torch.arange(-3, 3),
    "scalar": torch.tensor(2.5),
    "empty": torch.empty(0, 7),
    "eight": torch.tensor([[0.5, -448.0]]).to(torch.float8_e4m3fn),
}


def values(path):
    """{name: tensor} of a checkpoint."""
    with checkpoints.open(path) as checkpoint:
        return {tensor.name: tensor.read() for tensor in checkpoint.tensors}


def same(found, state):
    """The names, shapes, types and values are those of ``state``."""
    assert found.keys() == state.keys()
    for name, value in state.items():
        assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype)
        assert torch.equal(found[name].double(), value.double())


def raw(header, body=b""):
    """The bytes of a safetensors file, whatever the header says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


# --- what is right ------------------------------------------------------------------------------------------------


def test_safetensors_gives_what_its_own_package_wrote(tmp_path):
    save_file(STATE, tmp_path / "model.safetensors", metadata={"format": "pt"})
    same(values(tmp_path / "model.safetensors"), STATE)
    with checkpoints.open(tmp_path) as checkpoint:
        assert checkpoint.metadata == {"format": "pt"}
        assert checkpoint["half"].shape == (4, 6) and checkpoint["half"].dtype == "BF16"
        assert {t.name for t in checkpoint.tensors if t.quantised} == {"eight"}
        assert torch.equal(checkpoint["wide"].rows(1, 3), STATE["wide"][1:3])
        assert checkpoint["codes"].matrix == (6, 1) and checkpoint["scalar"].matrix == (1, 1)
        with pytest.raises(KeyError, match="absent"):
            checkpoint["absent"]


def test_a_closed_checkpoint_reads_no_more(tmp_path):
    save_file(STATE, tmp_path / "model.safetensors")
    with checkpoints.open(tmp_path) as checkpoint:
        tensor = checkpoint["wide"]
    with pytest.raises(ValueError, match="closed file"):
        tensor.read()


def shards(folder, ending="safetensors"):
    """STATE in two files with their index."""
    names, places = list(STATE), {}
    for i, part in enumerate((names[:3], names[3:]), start=1):
        file = f"model-{i:05}-of-00002.{ending}"
        write = save_file if ending == "safetensors" else torch.save
        write({name: STATE[name] for name in part}, folder / file)
        places |= dict.fromkeys(part, file)
    index = folder / f"model.{ending}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index, places


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_shards_by_folder_by_index_and_by_one_of_them(tmp_path, ending):
    index, places = shards(tmp_path, ending)
    (tmp_path / "config.json").write_text('{"tie_word_embeddings": true}')
    for path in (tmp_path, index, tmp_path / places["wide"]):
        same(values(path), STATE)
    with checkpoints.open(tmp_path) as checkpoint:
        assert checkpoint.metadata["config"] == {"tie_word_embeddings": True}
    assert checkpoints.size(tmp_path) == sum(value.nbytes for value in STATE.values())
    index.unlink()
    same(values(tmp_path), STATE)


def test_the_cache_of_the_hub(tmp_path):
    for revision in ("abc", "def"):
        (tmp_path / "snapshots" / revision).mkdir(parents=True)
        save_file({revision: torch.ones(2)}, tmp_path / "snapshots" / revision / "model.safetensors")
    with pytest.raises(ValueError, match="revisions abc, def: name one"):
        checkpoints.open(tmp_path)
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs" / "main").write_text("def\n")
    assert list(values(tmp_path)) == ["def"]


def test_a_container_states_all_that_is_known_of_it(tmp_path, monkeypatch):
    def read(file):
        return {"size": file.size}, []

    kind = types.SimpleNamespace(NAME="ONE", BEGINS=rb"ONE", ENDING=".one", read=read)
    monkeypatch.setattr(containers, "KINDS", [*containers.KINDS, kind])
    (tmp_path / "a.one").write_bytes(b"ONE and no more")
    with checkpoints.open(tmp_path) as checkpoint:
        assert checkpoint.metadata == {"size": 15}
    (tmp_path / "a.one").rename(tmp_path / "a.bin")
    with checkpoints.open(tmp_path / "a.bin") as checkpoint:
        assert checkpoint.metadata == {"size": 15}
    (tmp_path / "a.bin").write_bytes(b"TWO and no more")
    with pytest.raises(ValueError, match=r"as no file of .*GGUF, .*ONE does"):
        checkpoints.open(tmp_path / "a.bin")


def test_a_file_begins_as_one_container_only(tmp_path):
    beginnings = {
        "safetensors": [GOOD[:16], struct.pack("<Q", 0x280) + b'{"a":{} ', struct.pack("<Q", 0x04034B50) + b'{"a":{} '],
        "GGUF": [b"GGUF" + struct.pack("<IQ", 3, 123)],  # 123 tensors: the ninth byte is a bracket
        "PyTorch": [b"PK\x03\x04\0\0\x08\x08" + bytes(8), pickle.dumps({}, 2).ljust(16), pickle.dumps({}, 4).ljust(16)],
        "CTranslate2": [ctranslate2(CT2_STATE, version=version)[:16] for version in (4, 5, 6)],
    }
    assert beginnings.keys() <= {kind.NAME for kind in containers.KINDS}
    for name, heads in beginnings.items():
        for head in heads:
            assert [kind.NAME for kind in containers.KINDS if re.match(kind.BEGINS, head, re.DOTALL)] == [name], head


def write_gguf(path, tensors):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_array("tokenizer.ggml.tokens", ["a", "ü", "c"])
    writer.add_array("numbers", [1, 2, 3])
    for name, value, kind in tensors:
        writer.add_tensor(name, value if kind is None else gguf.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_gguf_gives_what_its_own_package_wrote(tmp_path):
    x = np.random.default_rng(0).standard_normal((4, 64), dtype=np.float32)
    kinds = [gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q5_0]
    path = tmp_path / "model.gguf"
    write_gguf(path, [("plain", x, None), ("half", x.astype(np.float16), None), *((k.name, x, k) for k in kinds)])
    with checkpoints.open(path) as checkpoint:
        assert checkpoint.metadata["general.architecture"] == "llama"
        assert checkpoint.metadata["llama.block_count"] == 2
        assert checkpoint.metadata["tokenizer.ggml.tokens"] == ["a", "ü", "c"]
        assert checkpoint.metadata["numbers"].tolist() == [1, 2, 3]
        assert checkpoint["plain"].shape == (4, 64) and not checkpoint["half"].quantised
        assert np.array_equal(checkpoint["plain"].read().numpy(), x)
        assert np.array_equal(checkpoint["half"].read().numpy(), x.astype(np.float16))
        for kind in kinds:
            tensor, expected = checkpoint[kind.name], gguf.dequantize(gguf.quantize(x, kind), kind)
            assert tensor.quantised and tensor.dtype == kind.name
            assert tensor.bits == {"Q8_0": 8.5, "Q4_1": 5.0, "Q5_0": 5.5}[kind.name]
            assert np.array_equal(tensor.read().numpy(), expected)
            assert np.array_equal(tensor.rows(1, 3).numpy(), expected[1:3])
            assert np.array_equal(tensor.load(7, 100).numpy(), expected.ravel()[7:100])  # across blocks


@pytest.mark.parametrize("name", ["iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"])
def test_gguf_with_codebook_types(tmp_path, name):
    kind = gguf.GGMLQuantizationType[name.upper()]
    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = np.random.default_rng(0).integers(0, 64, (4, 2 * size), dtype=np.uint8)  # no scale is infinite
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("x", blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with checkpoints.open(tmp_path / "model.gguf") as checkpoint:
        tensor, expected = checkpoint["x"], gguf.dequantize(blocks, kind)
        assert tensor.shape == (4, 512) and tensor.bits == rl.parse(name).bits
        assert np.array_equal(tensor.read().numpy(), expected) and expected.std() > 0
        assert np.array_equal(tensor.load(300, 700).numpy(), expected.ravel()[300:700])


def ctranslate2(tensors, aliases=(), version=6):
    """The bytes of a model.bin, after CTranslate2's model_spec.py."""

    def text(word):
        return struct.pack("<H", len(word) + 1) + word.encode() + b"\0"

    out = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(tensors))
    for name, value in tensors.items():
        code = ("float32", "int8", "int16", "int32", "float16", "bfloat16").index(str(value.dtype).split(".")[1])
        body = value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        out += text(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        out += struct.pack("<BI", code, len(body)) + body
    out += struct.pack("<I", len(aliases))
    return out + b"".join(text(a) + text(b) for a, b in aliases)


CT2_STATE = {"embeddings/weight": torch.arange(12.0).view(3, 4).half(), "codes": torch.arange(5, dtype=torch.int8)}


def test_ctranslate2_with_an_alias(tmp_path):
    (tmp_path / "model.bin").write_bytes(ctranslate2(CT2_STATE, [("projection/weight", "embeddings/weight")]))
    same(values(tmp_path), CT2_STATE | {"projection/weight": CT2_STATE["embeddings/weight"]})
    with checkpoints.open(tmp_path) as checkpoint:
        assert checkpoint["projection/weight"].tied == "embeddings/weight"
        assert checkpoint.metadata == {"binary_version": 6, "spec": "WhisperSpec", "revision": 3}


def test_ctranslate2_in_8_bits(tmp_path):
    """Its scales divide (model_spec.py: "value *= scale"); an alias has the scale of what it repeats."""
    codes, scale = torch.arange(-6, 6, dtype=torch.int8).view(3, 4), torch.tensor([2.0, 4.0, 5.0])
    state = {"a/weight": codes, "a/weight_scale": scale, "b/weight": codes.short(), "b/weight_scale": torch.tensor(3.0)}
    state |= {"conv/weight": codes.view(3, 2, 2), "conv/weight_scale": scale}
    aliases = [("c/weight", "a/weight"), ("c/weight_scale", "a/weight_scale")]
    (tmp_path / "model.bin").write_bytes(ctranslate2(state, aliases))
    weights = codes.float() / scale[:, None]
    expected = {"a/weight": weights, "b/weight": codes.float() / 3, "conv/weight": weights.view(3, 2, 2)}
    same(values(tmp_path), expected | {"c/weight": weights})
    with checkpoints.open(tmp_path) as checkpoint:
        assert checkpoint["c/weight"].tied == "a/weight" and checkpoint["a/weight"].quantised


def test_gguf_with_a_scale_for_a_matrix(tmp_path):
    """llama.cpp keeps such for BitNet and NVFP4."""
    weight = np.random.default_rng(0).standard_normal((4, 64), dtype=np.float32)
    tensors = [("blk.0.attn_q.weight", weight, gguf.GGMLQuantizationType.Q8_0)]
    write_gguf(tmp_path / "a.gguf", [*tensors, ("blk.0.attn_q.scale", np.array([0.25], np.float32), None)])
    write_gguf(tmp_path / "b.gguf", tensors)
    scaled, plain = (values(tmp_path / name) for name in ("a.gguf", "b.gguf"))
    same(scaled, {name: value * 0.25 for name, value in plain.items()})


@pytest.mark.parametrize("legacy", [False, True])
def test_pytorch_archives_old_and_new(tmp_path, legacy):
    path = tmp_path / "pytorch_model.bin"
    state = {name: value for name, value in STATE.items() if not legacy or name != "eight"}  # older than 8-bit floats
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    same(values(tmp_path), state)
    tied = {"emb": STATE["wide"], "head": STATE["wide"], "turned": STATE["wide"].T}
    torch.save({"epoch": 3, "state_dict": tied, "optimizer": {"m": STATE["half"]}}, path)
    same(values(path), tied)
    with checkpoints.open(path) as checkpoint:
        assert [t.tied for t in checkpoint.tensors] == ["", "emb", ""]
        assert torch.equal(checkpoint["turned"].rows(2, 5), STATE["wide"].T[2:5])


@pytest.mark.skipif(len(INSTALLED) < 3, reason="needs the checkpoints that install as packages")
def test_the_real_checkpoints():
    counts = {}
    for name, path in INSTALLED.items():
        with checkpoints.open(path) as checkpoint:
            counts[name] = sum(t.count for t in checkpoint.tensors if not t.tied)
            if name.startswith("SmolLM2"):
                assert checkpoint.metadata["general.architecture"] == "llama"
                assert len(checkpoint.metadata["tokenizer.ggml.tokens"]) == 49152
                assert checkpoint["token_embd.weight"].shape == (49152, 576)
                assert checkpoint["token_embd.weight"].rows(5, 6).std() > 0.01
    assert counts == {
        "SmolLM2-135M-Instruct": 134_515_008,
        "all-MiniLM-L6-v2": 22_713_728,
        "whisper-tiny.en": 37_764_873,
    }


# --- what is wrong ------------------------------------------------------------------------------------------------

GOOD = save({"a": torch.ones(2, 4), "b": torch.zeros(3)})
BAD_FILES = {
    "nothing": (b"", "it has 0 bytes"),
    "truncated": (GOOD[:-5], "truncated: .* ends at byte .* complete the download"),
    "only a few bytes": (GOOD[:5], "truncated: it has 5 bytes"),
    "longer than the last tensor": (GOOD + b"x", "1 of its bytes belong to no tensor"),
    "wrong magic": (b"\x13\x37" * 40, "header of .* bytes is longer than the file"),
    "header longer than the file": (struct.pack("<Q", 10**6) + GOOD[8:], "1000000 bytes is longer than the file"),
    "header too short": (struct.pack("<Q", 20) + GOOD[8:], "no JSON"),
    "header not an object": (raw(b"       [1]"), "no JSON object|not an object"),
    "metadata not an object": (raw({"__metadata__": [1]}), "no JSON object|not an object"),
    "nested too deeply": (raw(b'{"a":' + b"[" * 100_000), "a.safetensors: "),
    "half a character": (raw({"\ud800": entry(0, 4, [1])}, bytes(4)), "no JSON: .*surrogates not allowed"),
    "overlap": (raw({"a": entry(0, 8, [2]), "b": entry(4, 8, [1])}, bytes(8)), "a and b overlap"),
    "hole": (raw({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, bytes(12)), "4 of its bytes belong to no tensor"),
    "beyond the end": (raw({"a": entry(0, 400, [100])}, bytes(8)), "truncated: a ends at byte"),
    "shape and bytes differ": (
        raw({"a": entry(0, 8, [3])}, bytes(8)),
        "'a': F32 of shape \\[3\\] takes 12 bytes, not 8",
    ),
    "no type": (raw({"a": entry(0, 4, [1], "F 31\n")}, bytes(4)), "entry for 'a' is not a dtype"),
    "a long type": (raw({"a": entry(0, 4, [1], "F" * 99)}, bytes(4)), "entry for 'a' is not a dtype"),
    "negative size": (raw({"a": entry(0, 4, [-1])}, bytes(4)), "entry for 'a' is not"),
    "true for a size": (raw({"a": entry(0, 4, [True])}, bytes(4)), "entry for 'a' is not"),
    "no offsets": (raw({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)), "entry for 'a' is not"),
    "twice": (raw(b'{"a":{},"a":{}}'), "'a' stands there twice"),
    "huge sizes": (raw({"a": entry(0, 4, [2**62, 2**62, 2**62])}, bytes(4)), "takes .* bytes, not 4"),
    "pointer of git": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "pointer of Git LFS"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_damaged_safetensors_file_says_what_is_wrong(tmp_path, name):
    content, message = BAD_FILES[name]
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        checkpoints.open(path)


def test_an_encrypted_file_is_no_checkpoint(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(np.random.default_rng(5).bytes(500))
    with pytest.raises(ValueError, match=r"begins with b.*: it is empty, encrypted, damaged"):
        checkpoints.open(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("https://huggingface.co/some/model", "is a URL: download it first"),
        ("/no/such/place", "there is no file or folder /no/such/place"),
        (
            "owner/Model-1.5B",
            "owner/Model-1.5B; if the hub has it, hf download owner/Model-1.5B --local-dir Model-1.5B",
        ),
        ("/no/such/place/owner/Model-1.5B", "if the hub has it, hf download owner/Model-1.5B --local-dir Model-1.5B"),
        (".", "holds no checkpoint: no file like"),
    ],
)
def test_a_path_that_leads_nowhere(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        checkpoints.open(path)


def test_two_checkpoints_in_a_folder(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"several checkpoints, name one: a.gguf, b.gguf"):
        checkpoints.open(tmp_path)


def test_shards_and_indices_that_do_not_agree(tmp_path):
    index, places = shards(tmp_path)
    good = index.read_text()
    for wrong, message in [
        ("{", "is no JSON"),
        ("[1]", "holds a JSON list"),
        ('{"weight_map": {}}', "is no index"),
        ('{"weight_map": {"a": 3}}', "is no index"),
        ('{"weight_map": {"a": "../../secret"}}', "points to '../../secret', outside its own folder"),
        (
            json.dumps({"weight_map": places | {"ghost": places["wide"]}}),
            "names 1 tensors that are not in their shards, .*ghost",
        ),
        (json.dumps({"weight_map": places | {"x": "y.safetensors"}}), "1 of 3 shards are missing: y.safetensors"),
    ]:
        index.write_text(wrong)
        with pytest.raises(ValueError, match=message):
            checkpoints.open(tmp_path)
    index.unlink()
    kept = (tmp_path / places["scalar"]).read_bytes()
    save_file({"wide": torch.ones(1)}, tmp_path / places["scalar"])
    with pytest.raises(ValueError, match="'wide' is in more than one shard"):
        checkpoints.open(tmp_path)
    index.write_text(good)
    (tmp_path / places["scalar"]).write_bytes(kept)
    (tmp_path / places["scalar"]).unlink()
    for path in (tmp_path, tmp_path / places["wide"]):
        with pytest.raises(ValueError, match=r"1 of 2 shards are missing: model-00002-of-00002.safetensors; download"):
            checkpoints.open(path)


class Evil:
    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)


@pytest.mark.parametrize("write", ["pickle", "torch", "legacy"])
@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.safetensors"])
def test_a_pickle_never_runs(tmp_path, write, name):
    path, witness = tmp_path / name, tmp_path / "witness"
    content = {"a": torch.ones(2), "b": Evil(witness)}
    if write == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=write == "torch")
    with pytest.raises(ValueError, match=r"(asks for|the instruction) .*Nothing in it was run"):
        checkpoints.open(path)
    assert not witness.exists()
    if write == "pickle":  # the bait is real
        pickle.loads(path.read_bytes())
        assert witness.exists()


def test_pytorch_files_without_usable_tensors(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"step": 3}, path)
    with pytest.raises(ValueError, match="holds no tensors by name"):
        checkpoints.open(path)
    huge = torch.ones(1).expand(2**40)  # four bytes in the file
    circle = {"weight": torch.ones(2)}
    circle["model"] = circle
    torch.save({"huge": huge, "sparse": torch.eye(3).to_sparse(), "fine": torch.ones(2)}, path)
    with checkpoints.open(path) as checkpoint:
        assert checkpoint["fine"].read().tolist() == [1, 1]
        for name in ("huge", "sparse"):
            with pytest.raises(ValueError, match="layout that cannot be read"):
                checkpoint[name].load(0, 1)
    torch.save(circle, path)
    with pytest.raises(ValueError, match="over 64 dictionaries deep"):
        checkpoints.open(path)


def test_a_packed_type_is_there_but_not_read(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw({"a": entry(0, 4, [8], "F4"), "b": entry(4, 8, [1])}, bytes(8)))
    with checkpoints.open(path) as checkpoint:
        assert checkpoint["a"].quantised and checkpoint["a"].bits == 4
        assert checkpoint["b"].read().tolist() == [0]
        with pytest.raises(ValueError, match="packed F4 values"):
            checkpoint["a"].read()


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(GOOD)
    with checkpoints.open(path) as checkpoint:
        os.truncate(path, len(GOOD) - 4)
        with pytest.raises(ValueError, match="became shorter"):
            [tensor.read() for tensor in checkpoint.tensors]


# --- whatever bytes -----------------------------------------------------------------------------------------------


def mutations(content, dense):
    """Copies of ``content`` with some bytes changed, most of them among the first ``dense``, cut or lengthened."""
    place = st.integers(0, dense - 1) | st.integers(0, len(content) - 1)
    value = st.integers(0, 255) | st.sampled_from(b'0123456789"[]{},:')
    changes = st.lists(st.tuples(place, value), max_size=4)

    def apply(changes, cut, more):
        out = bytearray(content)
        for at, byte in changes:
            out[at] = byte
        return bytes(out[:cut]) + more

    whole = st.just(len(content))
    return st.builds(apply, changes, whole | st.integers(0, len(content)), st.just(b"") | st.binary(max_size=3))


def opened(path):
    """The tensors' values where all of the file can be read, or None where it is refused."""
    try:
        with checkpoints.open(path) as checkpoint:
            found = {}
            for tensor in checkpoint.tensors:
                if tensor.count < 10**6:
                    try:
                        found[tensor.name] = tensor.read()
                    except ValueError as error:
                        assert "cannot" in str(error)
            return found
    except ValueError as error:
        assert str(error)
        return None


SMALL = save({"w": torch.arange(12.0).view(3, 4), "h": torch.ones(2, 2).half(), "i": torch.arange(3)}, {"k": "v"})


@pytest.mark.slow
@settings(max_examples=5000 if FULL else 100)
@given(mutations(SMALL, len(SMALL) - 80))
def test_mutated_safetensors_are_refused_or_read_as_their_package_does(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "mutated.safetensors"
    path.write_bytes(content)
    found = opened(path)
    try:
        with safe_open(path, "pt") as reference:
            expected = {name: reference.get_tensor(name) for name in reference.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, KeyError, RuntimeError, AttributeError):
        return
    assert found is not None and found.keys() >= {n for n, x in expected.items() if x.dtype in KNOWN}
    for name, value in found.items():
        assert value.view(-1).view(torch.uint8).tolist() == expected[name].view(-1).view(torch.uint8).tolist()


KNOWN = {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Small files of the other containers, by their endings."""
    folder = tmp_path_factory.mktemp("others")
    x = np.random.default_rng(0).standard_normal((2, 32), dtype=np.float32)
    write_gguf(folder / "a.gguf", [("plain", x, None), ("q", x, gguf.GGMLQuantizationType.Q4_0)])
    (folder / "b.bin").write_bytes(ctranslate2(CT2_STATE, [("projection/weight", "embeddings/weight")]))
    torch.save({"w": torch.ones(2, 3), "v": torch.zeros(4)}, folder / "c.pt")
    torch.save({"w": torch.ones(2, 3)}, folder / "d.pt", _use_new_zipfile_serialization=False)
    return folder, {file.name: file.read_bytes() for file in folder.iterdir()}


@settings(max_examples=1000 if FULL else 25)
@given(data=st.data())
@pytest.mark.parametrize("name", ["a.gguf", "b.bin", "c.pt", "d.pt"])
@pytest.mark.filterwarnings("ignore")  # torch's own, about what a damaged archive holds
def test_mutations_of_other_containers_are_refused_or_read(others, name, data):
    folder, contents = others
    content = data.draw(mutations(contents[name], min(400, len(contents[name]))))
    path = folder / f"mutated{name[1:]}"
    path.write_bytes(content)
    opened(path)


REAL = {"all-MiniLM-L6-v2": 11_000, "SmolLM2-135M-Instruct": 300}  # bytes at the beginning that say much


@settings(max_examples=200 if FULL else 5)
@given(data=st.data())
@pytest.mark.parametrize("name", [name for name in REAL if name in INSTALLED])
def test_mutated_headers_of_real_files_are_refused_or_understood(tmp_path_factory, name, data):
    original = INSTALLED[name] / "model.safetensors" if INSTALLED[name].is_dir() else INSTALLED[name]
    places = st.integers(0, REAL[name])
    changes = data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=3))
    path = tmp_path_factory.getbasetemp() / f"mutated{original.suffix}"
    with open(original, "rb") as source, open(path, "wb") as target:
        target.write(source.read(3 * 2**20))
        target.truncate(original.stat().st_size)  # the rest is a hole
        for place, byte in changes:
            target.seek(place)
            target.write(bytes([byte]))
    try:
        with checkpoints.open(path) as checkpoint:
            assert len(checkpoint.tensors) > 0
    except ValueError as error:
        assert path.name in str(error)


def test_the_files_that_mutations_start_from_can_be_read(others):
    folder, contents = others
    assert all(opened(folder / name) for name in contents)
