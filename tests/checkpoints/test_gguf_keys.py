"""The keys of GGUF files, as llama.cpp's converter writes them: the same model as its config.json describes."""

import json
import re

import numpy as np
import pytest

from rholaw import tables
from rholaw.checkpoints import families
from rholaw.checkpoints.config import from_gguf, from_json

PUBLIC = {row.model: json.loads(row.config) for row in tables.read("hardware/configs").itertuples()}


HEADERS = """
deepseek-ai/DeepSeek-V3: deepseek2 129280 7168
    block_count=61 context_length=163840 embedding_length=7168 feed_forward_length=18432 attention.head_count=128
    attention.head_count_kv=128 rope.freq_base=10000.0 attention.layer_norm_rms_epsilon=1e-06 expert_used_count=8
    leading_dense_block_count=3 vocab_size=129280 attention.q_lora_rank=1536 attention.kv_lora_rank=512
    attention.key_length=192 attention.value_length=128 expert_feed_forward_length=2048 expert_count=256
    expert_shared_count=1 expert_weights_scale=2.5 expert_weights_norm=true expert_gating_func=2
    rope.dimension_count=64 rope.scaling.type="yarn" rope.scaling.factor=40.0
    rope.scaling.original_context_length=4096 rope.scaling.yarn_log_multiplier=0.1
deepseek-ai/DeepSeek-V3: deepseek2 129280 7168
    block_count=62 nextn_predict_layers=1 embedding_length=7168 feed_forward_length=18432 attention.head_count=128
    attention.head_count_kv=1 expert_used_count=8 leading_dense_block_count=3 attention.q_lora_rank=1536
    attention.kv_lora_rank=512 attention.key_length=576 attention.value_length=512 attention.key_length_mla=192
    attention.value_length_mla=128 expert_feed_forward_length=2048 expert_count=256 expert_shared_count=1
    expert_group_count=8 expert_group_used_count=4 rope.dimension_count=64
openai/gpt-oss-20b: gpt-oss 201088 2880 attn_q.bias
    block_count=24 context_length=131072 embedding_length=2880 feed_forward_length=2880 attention.head_count=64
    attention.head_count_kv=8 attention.key_length=64 attention.value_length=64 expert_count=32 expert_used_count=4
    attention.sliding_window=128 expert_feed_forward_length=2880 rope.scaling.type="yarn"
meta-llama/Llama-4-Scout-17B-16E: llama4 202048 5120
    block_count=48 embedding_length=5120 feed_forward_length=16384 attention.head_count=40 attention.head_count_kv=8
    attention.key_length=128 attention.value_length=128 expert_count=16 expert_used_count=1
    interleave_moe_layer_step=1 expert_feed_forward_length=8192 rope.dimension_count=128 attention.chunk_size=8192
zai-org/GLM-4.5-Air: glm4moe 151552 4096 attn_q.bias
    block_count=47 nextn_predict_layers=1 embedding_length=4096 feed_forward_length=10944 attention.head_count=96
    attention.head_count_kv=8 attention.key_length=128 attention.value_length=128 expert_count=128
    expert_used_count=8 expert_shared_count=1 leading_dense_block_count=1 expert_feed_forward_length=1408
    expert_gating_func=2 expert_weights_scale=1.0 expert_weights_norm=true rope.dimension_count=64
Qwen/Qwen3-Next-80B-A3B-Instruct: qwen3next 151936 2048
    block_count=48 embedding_length=2048 feed_forward_length=5120 attention.head_count=16 attention.head_count_kv=2
    attention.key_length=256 attention.value_length=256 expert_count=512 expert_used_count=10
    expert_feed_forward_length=512 expert_shared_feed_forward_length=512 ssm.conv_kernel=4 ssm.state_size=128
    ssm.group_count=16 ssm.time_step_rank=32 ssm.inner_size=4096 rope.dimension_count=64
google/gemma-3-27b-it: gemma3 262208 5376 tied
    block_count=62 embedding_length=5376 feed_forward_length=21504 attention.head_count=32
    attention.head_count_kv=16 attention.key_length=128 attention.value_length=128 attention.sliding_window=1024
    rope.freq_base=1000000.0
mistralai/Mixtral-8x7B-v0.1: llama 32000 4096
    block_count=32 context_length=32768 embedding_length=4096 feed_forward_length=14336 attention.head_count=32
    attention.head_count_kv=8 expert_count=8 expert_used_count=2 rope.dimension_count=128 vocab_size=32000
microsoft/Phi-3-mini-4k-instruct: phi3 32064 3072
    block_count=32 embedding_length=3072 feed_forward_length=8192 attention.head_count=32 attention.head_count_kv=32
    attention.sliding_window=2047 rope.dimension_count=96 rope.scaling.original_context_length=4096
openai-community/gpt2: gpt2 50257 768 tied
    block_count=12 context_length=1024 embedding_length=768 feed_forward_length=3072 attention.head_count=12
    attention.layer_norm_epsilon=1e-05
allenai/OLMoE-1B-7B-0924: olmoe 50304 2048
    block_count=16 embedding_length=2048 feed_forward_length=1024 attention.head_count=16 attention.head_count_kv=16
    expert_count=64 expert_used_count=8
Qwen/Qwen1.5-MoE-A2.7B: qwen2moe 151936 2048 attn_q.bias
    block_count=24 embedding_length=2048 feed_forward_length=5632 attention.head_count=16 attention.head_count_kv=16
    expert_count=60 expert_used_count=4 expert_feed_forward_length=1408 expert_shared_feed_forward_length=5632
tiiuae/falcon-7b: falcon 65024 4544 tied
    block_count=32 embedding_length=4544 feed_forward_length=18176 attention.head_count=71 attention.head_count_kv=1
EleutherAI/pythia-6.9b: gptneox 50432 4096 attn_qkv.bias ffn_up.bias
    block_count=32 embedding_length=4096 feed_forward_length=16384 attention.head_count=32 rope.dimension_count=32
    use_parallel_residual=true
google-bert/bert-base-uncased: bert 30522 768 tied
    block_count=12 context_length=512 embedding_length=768 feed_forward_length=3072 attention.head_count=12
    attention.causal=false pooling_type=2
tiiuae/Falcon-H1-7B-Base: falcon-h1 130048 3072
    block_count=44 embedding_length=3072 feed_forward_length=12288 attention.head_count=12 attention.head_count_kv=2
    attention.key_length=128 attention.value_length=128 ssm.conv_kernel=4 ssm.state_size=256 ssm.group_count=1
    ssm.inner_size=3072 ssm.time_step_rank=24
CohereLabs/c4ai-command-r7b-12-2024: cohere2 256000 4096 tied
    block_count=32 embedding_length=4096 feed_forward_length=14336 attention.head_count=32 attention.head_count_kv=8
    attention.sliding_window=4096 logit_scale=0.25 attention.key_length=128 attention.value_length=128
deepseek-ai/DeepSeek-V2-Lite: deepseek2 102400 2048
    block_count=27 embedding_length=2048 feed_forward_length=10944 attention.head_count=16
    attention.head_count_kv=16 expert_used_count=6 leading_dense_block_count=1 attention.kv_lora_rank=512
    attention.key_length=192 attention.value_length=128 expert_feed_forward_length=1408 expert_count=64
    expert_shared_count=2 expert_weights_scale=1.0 rope.dimension_count=64
"""
"""A model: its architecture, the rows and the width of its embeddings, what tensors tell; and then its keys."""


def said(architecture, vocabulary, width, *tensors, **keys):
    """The Config in the header of a GGUF file: the keys behind the architecture, and the tensors that are there."""
    values = {f"{architecture}.{key}": value for key, value in keys.items()}
    shapes = {"token_embd.weight": (int(vocabulary), int(width))} | {f"blk.0.{name}": (1,) for name in tensors}
    shapes |= {} if "tied" in tensors else {"output.weight": shapes["token_embd.weight"]}
    return from_gguf({"general.architecture": architecture, **values}, shapes, "a.gguf")


def headers():
    """(model, Config) of each of HEADERS."""
    for text in re.split(r"\n(?=\S)", HEADERS.strip()):
        (model, *about), *keys = [line.split() for line in text.splitlines()]
        pairs = [pair.split("=") for line in keys for pair in line]
        yield model.rstrip(":"), said(*about, **{key: json.loads(value) for key, value in pairs})


@pytest.mark.parametrize(("model", "config"), [*headers()])
def test_a_gguf_file_says_what_config_json_says(model, config):
    own, other = families.geometry(config), families.geometry(from_json(PUBLIC[model]))
    assert (own.total, own.active, own.tied) == (other.total, other.active, other.tied)
    for tokens in (1, 20_000):
        assert own.sequence_bytes(tokens) == other.sequence_bytes(tokens)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("expert_count", 8, "llama.expert_used_count is not there, and mixtral has no default for it"),
        ("attention.kv_lora_rank", 512, "llama.attention.kv_lora_rank is not modelled for llama"),
        ("ssm.inner_size", 512, "llama.ssm.inner_size is not modelled for llama"),
        ("attention.indexer.head_count", 64, "llama.attention.indexer.head_count is not modelled for llama"),
        ("expert_shared_count", 1, "llama.expert_shared_count is not modelled for llama"),
        ("leading_dense_block_count", 1, "llama.leading_dense_block_count is not modelled for llama"),
        ("nextn_predict_layers", 99, "llama.block_count is -67, not a positive"),
        ("block_count", None, "a.gguf lacks llama.block_count"),
        ("attention.head_count_kv", [8, 0], r"llama\.attention\.head_count_kv differs from layer to layer"),
    ],
)
def test_a_key_of_gguf_that_is_not_modelled_is_named_as_the_file_has_it(key, value, message):
    keys = {"block_count": 32, "embedding_length": 4096, "feed_forward_length": 11008, "attention.head_count": 32}
    with pytest.raises(ValueError, match=message):
        families.geometry(said("llama", 32000, 4096, **keys | {key: value}))


def test_an_architecture_that_is_not_known_is_named():
    with pytest.raises(ValueError, match=r"a\.gguf: general\.architecture is rwkv7, a family that is not"):
        families.geometry(
            said("rwkv7", 65536, 4096, **{"block_count": 32, "embedding_length": 4096, "attention.head_count": 32})
        )


@pytest.mark.parametrize(
    ("heads", "message"),
    [([0, 2], "head_count_kv differs from layer to layer"), ([1] * 1001, "head_count_kv' has 1,001 items")],
)
def test_hybrids_whose_heads_differ_are_refused_by_the_key(heads, message):
    """Jamba, LFM2, Nemotron-H and Granite-4 as llama.cpp writes them: an array of NumPy has no truth of its own."""
    keys = {"block_count": 2, "embedding_length": 64, "attention.head_count": 4, "feed_forward_length": 96}
    with pytest.raises(ValueError, match=rf"a\.gguf: '?granitehybrid\.attention\.{message}"):
        said("granitehybrid", 200, 64, **keys, **{"attention.head_count_kv": np.array(heads, np.int32)})
    assert families.geometry(said("llama", 200, 64, **keys, **{"attention.head_count_kv": np.array([2, 2])})).total


def test_chunks_of_attention_are_as_long_as_a_gguf_file_says():
    keys = {"block_count": 48, "feed_forward_length": 16384, "attention.head_count": 40, "attention.head_count_kv": 8}
    keys |= {"attention.key_length": 128, "expert_count": 16, "expert_used_count": 1, "embedding_length": 5120}
    keys |= {"expert_feed_forward_length": 8192, "interleave_moe_layer_step": 1}
    usual, long, short = (
        families.geometry(said("llama4", 202048, 5120, **keys, **more)).sequence_bytes(20_000)
        for more in ({}, {"attention.chunk_size": 8192}, {"attention.chunk_size": 4096})
    )
    assert usual == long == short + 36 * 4096 * 2 * 8 * 128 * 2  # three of four layers hold as many tokens less
