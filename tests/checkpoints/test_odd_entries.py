"""One odd entry of a file refuses only itself: types that came later, texts that are none, shapes without values."""

import json
import struct

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw import checkpoints

X = torch.randn(4, 512, generator=torch.Generator().manual_seed(0))


def of_gguf(path, names, keys=()):
    """A file of matrices X; keys: (method of the writer, its arguments)."""
    writer = gguf.GGUFWriter(path, "llama")
    for method, *arguments in keys:
        getattr(writer, method)(*arguments)
    for name in names:
        writer.add_tensor(name, X.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def retyped(path, **codes):
    """The tensors of these names, of two dimensions, get other types; the bytes stay."""
    content = bytearray(path.read_bytes())
    for name, code in codes.items():
        place = content.find(struct.pack("<Q", len(name)) + name.encode()) + 8 + len(name) + 4 + 16
        content[place : place + 4] = struct.pack("<I", code)
    path.write_bytes(content)


def raw(path, header, body):
    """A safetensors file, whatever the header says."""
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("odd", [("a",), ("b",), ("c",), ("a", "b"), ("a", "b", "c")])
def test_a_gguf_tensor_of_an_unknown_type_is_there_and_the_others_are_read(tmp_path, odd):
    path = of_gguf(tmp_path / "a.gguf", "abc")  # ik_llama.cpp#605
    retyped(path, **dict.fromkeys(odd, 156))
    with checkpoints.open(path) as checkpoint:
        assert [tensor.name for tensor in checkpoint.tensors] == ["a", "b", "c"]
        for tensor in checkpoint.tensors:
            if tensor.name in odd:
                assert (tensor.shape, tensor.dtype, tensor.bits, tensor.quantised) == ((4, 512), "GGML 156", 32, True)
                with pytest.raises(ValueError, match="of the type GGML 156, which cannot be read"):
                    tensor.read()
            else:
                assert torch.equal(tensor.read(), X)
    table = rl.survey(path, "int4", progress=False).set_index("name")
    assert list(table.index[table.error.isna()]) == list(odd)
    assert table.note[odd[0]].endswith("which cannot be read")
    assert rl.totals(table.reset_index()).compressed.item() == X.numel() * (3 - len(odd))


def test_an_unknown_type_of_gguf_stays_within_the_file(tmp_path):
    path = of_gguf(tmp_path / "a.gguf", "ab")
    retyped(path, a=156, b=157)
    content = path.read_bytes()
    place = content.find(struct.pack("<Q", 1) + b"b") + 8 + 1 + 4 + 16 + 4  # the offset of b
    for offset, message in [(2**40, "truncated: 'a' ends at byte"), (8, "'b' begins at 8, not at 32")]:
        path.write_bytes(content[:place] + struct.pack("<Q", offset) + content[place + 8 :])
        with pytest.raises(ValueError, match=message):
            checkpoints.open(path)


def test_a_tensor_of_ctranslate2_of_an_unknown_type_leaves_the_others(tmp_path):
    def text(word):
        return struct.pack("<H", len(word) + 1) + word.encode() + b"\0"

    def tensor(name, code):
        return text(name) + struct.pack("<BIIBI", 2, *X.shape, code, 4 * X.numel()) + X.numpy().tobytes()

    head = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, 2)
    (tmp_path / "model.bin").write_bytes(head + tensor("odd", 7) + tensor("fine", 0) + bytes(4))
    with checkpoints.open(tmp_path) as checkpoint:
        assert torch.equal(checkpoint["fine"].read(), X) and checkpoint["odd"].bits == 32
        with pytest.raises(ValueError, match="of the type CTranslate2 7, which cannot be read"):
            checkpoint["odd"].read()


def test_texts_of_gguf_that_are_not_utf_8_are_read_with_replacement(tmp_path):
    texts = [b"ok", b"\x80", "ü".encode() + b"\xc3"]  # rustformers/llm#3: pieces of tokens
    path = of_gguf(tmp_path / "a.gguf", "a", [("add_token_list", texts), ("add_string", "note", "bad: x")])
    path.write_bytes(path.read_bytes().replace(b"bad: x", b"bad: \xff"))
    with checkpoints.open(path) as checkpoint:
        assert checkpoint.metadata["tokenizer.ggml.tokens"] == ["ok", "\ufffd", "ü\ufffd"]
        assert checkpoint.metadata["note"] == "bad: \ufffd"
    assert rl.survey(path, "int4", progress=False).error.notna().all()
    path.write_bytes(path.read_bytes().replace(struct.pack("<Q", 1) + b"a", struct.pack("<Q", 1) + b"\xff"))
    with pytest.raises(ValueError, match="codec can't decode"):  # of two names one could become the other
        checkpoints.open(path)


SMALL_FLOATS = {
    "F8_E8M0": torch.float8_e8m0fnu,  # omlx#956
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_floats_of_eight_bits_are_read(tmp_path, name):
    values = torch.arange(256, dtype=torch.uint8).view(SMALL_FLOATS[name]).view(4, 64)
    values = torch.where(values.float().isfinite(), values.float(), 1.0).to(SMALL_FLOATS[name])
    try:
        save_file({"a.weight": values}, tmp_path / "a.safetensors")
    except Exception:  # an older package knows fewer
        raw(tmp_path / "a.safetensors", {"a.weight": entry(name, [4, 64], 0, 256)}, values.view(torch.uint8).numpy())
    torch.save({"a.weight": values}, tmp_path / "a.pt")
    for file in ("a.safetensors", "a.pt"):
        with checkpoints.open(tmp_path / file) as checkpoint:
            (tensor,) = checkpoint.tensors
            assert (tensor.dtype, tensor.bits, tensor.quantised) == (name, 8, True)
            assert torch.equal(tensor.read().view(torch.uint8), values.view(torch.uint8))
    if name != "F8_E8M0":  # whose numbers are scales
        torch.save({"a.weight": (X / 20).to(SMALL_FLOATS[name])}, tmp_path / "a.pt")  # as large as weights are
        assert rl.survey(tmp_path / "a.pt", "int4", rotation=0, progress=False).error.between(0, 1).all()


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2", "I4", "C128", "NVFP4", "F8_E3M4", "U1"])
def test_a_type_of_safetensors_that_is_not_read_leaves_the_others(tmp_path, dtype):
    size = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}.get(dtype, 16)  # bits
    end = 2 * 32 * size // 8
    header = {"odd": entry(dtype, [2, 32], 0, end), "fine.weight": entry("F32", [2, 32], end, end + 256)}
    raw(tmp_path / "a.safetensors", header, bytes(end) + np.ones(64, np.float32).tobytes())
    with checkpoints.open(tmp_path) as checkpoint:
        assert checkpoint["odd"].bits == size and checkpoint["odd"].dtype == dtype
        with pytest.raises(ValueError, match="which cannot be read"):
            checkpoint["odd"].read()
    table = rl.survey(tmp_path, "int4", progress=False).set_index("name")
    assert "cannot be read" in table.note["odd"] and table.bits["odd"] == size
    assert table.error["fine.weight"] < 1


def test_complex_numbers_and_shapes_without_values_are_rows_with_a_note(tmp_path):
    odd = {"complex": torch.ones(2, 4, dtype=torch.complex64), "none": torch.empty(0, 8), "empty": torch.empty(8, 0)}
    odd |= {"nothing": torch.empty(0), "scalar": torch.tensor(2.0), "codes": torch.ones(2, 4, dtype=torch.int32)}
    save_file(odd | {"a.weight": X}, tmp_path / "a.safetensors")
    torch.save(odd | {"a.weight": X, "double": odd["complex"].cdouble()}, tmp_path / "a.pt")
    for file in ("a.safetensors", "a.pt"):
        table = rl.survey(tmp_path / file, "int4, nvfp4, 2:4", progress=False)
        assert set(table.name[table.note.eq("")]) == {"a.weight"}
        assert table[table.name == "a.weight"].error.notna().all()
        assert (rl.totals(table).compressed == X.numel()).all()


def test_mxfp4_of_gguf_is_what_ocp_says_of_its_bytes(tmp_path):
    """17 bytes for 32 weights: the exponent of a power of two, then codes of E2M1, the first half of them below."""
    rng, e2m1 = np.random.default_rng(0), np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    exponent, codes = rng.integers(120, 130, (4, 1)), rng.integers(16, size=(4, 32))
    blocks = np.concatenate([exponent, codes[:, :16] | codes[:, 16:] << 4], 1).astype(np.uint8)
    writer = gguf.GGUFWriter(path := tmp_path / "a.gguf", "gpt-oss")
    writer.add_tensor("blk.0.ffn_up.weight", blocks, raw_dtype=gguf.GGMLQuantizationType.MXFP4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with checkpoints.open(path) as checkpoint:
        (tensor,) = checkpoint.tensors
        assert (tensor.shape, tensor.bits, tensor.quantised) == ((4, 32), 4.25, True)
        expected = e2m1[codes % 8] * np.where(codes < 8, 1, -1) * 2.0 ** (exponent - 127)
        assert np.array_equal(tensor.read().numpy(), expected)
