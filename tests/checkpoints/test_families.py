"""Configs of public models → their parameters, caches and states: against published totals, and transformers' own."""

import json
import re
from math import inf

import pytest
import torch

from rholaw import tables
from rholaw.checkpoints import families
from rholaw.checkpoints.config import from_json
from rholaw.checkpoints.parts import Cache, Matrix

TABLE = tables.read("hardware/configs").set_index("model")
CONFIGS = {model: json.loads(text) for model, text in TABLE.config.items()}
MIXTRAL, GPT_OSS = CONFIGS["mistralai/Mixtral-8x7B-v0.1"], CONFIGS["openai/gpt-oss-20b"]
DEEPSEEK, NEXT = CONFIGS["deepseek-ai/DeepSeek-V3"], CONFIGS["Qwen/Qwen3-Next-80B-A3B-Instruct"]
OLMOE = CONFIGS["allenai/OLMoE-1B-7B-0924"]
LLAMA, GEMMA = CONFIGS["meta-llama/Llama-3.1-8B"], CONFIGS["google/gemma-3-27b-it"]

KIMI = CONFIGS["moonshotai/Kimi-Linear-48B-A3B-Instruct"]
SIZES = {"hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
SIZES |= {"num_key_value_heads": 2, "head_dim": 16, "vocab_size": 320, "tie_word_embeddings": False}
DOTS = {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "n_shared_experts": 1}
LINEAR = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
SHARED = {"num_local_experts": 8, "num_experts_per_tok": 2, "shared_intermediate_size": 40, "head_dim": None}
SMALL = {
    "ernie4_5": ({}, 105_920),
    "hunyuan_v1_dense": ({}, 106_016),
    "exaone4": ({}, 106_016),
    "ministral": ({}, 105_920),
    "ministral3": ({}, 105_920),
    "nemotron": ({}, 97_152),
    "dots1": (DOTS | {"first_k_dense_replace": 0}, 204_320),
    "qwen3_5_text": (LINEAR | {"num_hidden_layers": 4}, 121_744),
    "granitemoeshared": (SHARED, 324_032),
}
"""Family without a public model in the table → (sizes, parameters of transformers 5.24 on the meta device)."""
SMALL = {family: (SIZES | sizes | {"model_type": family}, count) for family, (sizes, count) in SMALL.items()}


def geometry(config, **changes):
    return families.geometry(from_json(config | changes))


def refusal(config, **changes):
    with pytest.raises(ValueError) as error:
        geometry(config, **changes)
    return str(error.value)


@pytest.mark.parametrize("model", CONFIGS)
def test_every_parameter_of_a_public_model_is_accounted_for(model):
    row, own = TABLE.loc[model], geometry(CONFIGS[model])
    assert own.total == row.params
    assert own.total == own.linear + own.body.kept + own.embeddings
    if row.published > 0:
        assert own.total == pytest.approx(row.published, rel=0.005)
    if row.active > 0:  # rounded, and with the embeddings, the head, both or neither
        assert own.sparse and own.active == pytest.approx(row.active, rel=0.2)
    else:
        assert not own.sparse


def test_the_table_has_families_of_every_kind_and_most_with_a_published_total():
    kinds = {config["model_type"] for config in CONFIGS.values()}
    assert len(kinds) >= 30 and kinds <= set(families.known())
    assert (TABLE.published > 0).sum() >= 50 and (TABLE.active > 0).sum() >= 20
    assert TABLE.source.str.startswith("https://").all()


@pytest.mark.parametrize("family", SMALL)
def test_a_small_model_of_other_families(family):
    config, count = SMALL[family]
    assert geometry(config).total == count


ONE_EACH = {config["model_type"]: config for config in [*CONFIGS.values(), *(config for config, _ in SMALL.values())]}


@pytest.mark.parametrize("family", ONE_EACH)
def test_transformers_counts_as_many_without_weights(family):
    transformers = pytest.importorskip("transformers", minversion="5")
    own = {key: value for key, value in ONE_EACH[family].items() if value is not None or key == "sliding_window"}
    config = own | {"model_type": family.replace("kimi_k2", "deepseek_v3")}
    kind = transformers.AutoModelForMaskedLM if config["model_type"] == "bert" else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        whole = transformers.CONFIG_MAPPING[config.pop("model_type")](**config)
        assert geometry(own).total == sum(p.numel() for p in kind.from_config(whole).parameters())


def test_a_whole_config_of_transformers_is_read_as_its_few_keys_are():
    transformers = pytest.importorskip("transformers", minversion="5")
    for model, config in CONFIGS.items():
        few = {key: value for key, value in config.items() if key != "model_type"}
        kind = config["model_type"].replace("kimi_k2", "deepseek_v3")
        whole = json.loads(json.dumps(transformers.CONFIG_MAPPING[kind](**few).to_dict(), default=str))
        assert geometry(whole, model_type=config["model_type"]) == geometry(config), model


def test_an_index_caches_its_keys_and_attention_reads_what_it_chooses():
    own = geometry(CONFIGS["deepseek-ai/DeepSeek-V3.2"])
    kinds = {(cache.width, cache.work, cache.window) for cache in own.body.caches}
    work = geometry(DEEPSEEK).body.caches[0].work
    assert kinds == {(512 + 64 + 128, 2 * 64 * 128, inf), (0, work, 2048)}
    assert sum(cache.layers for cache in own.body.caches) == 2 * 61
    assert own.kv_bytes() == 61 * (512 + 64 + 128) * 2
    shared = geometry(CONFIGS["zai-org/GLM-5"], index_topk_freq=4)
    assert geometry(CONFIGS["zai-org/GLM-5"]).total - shared.total == 57 * (2048 * 4096 + 6144 * 160 + 256)
    assert sum(cache.layers for cache in shared.body.caches if cache.work == 0) == 57
    assert "q_lora_rank is not there" in refusal(CONFIGS["zai-org/GLM-5"], q_lora_rank=None)


def test_layers_with_a_state_keep_no_keys():
    own = geometry(CONFIGS["moonshotai/Kimi-Linear-48B-A3B-Instruct"])
    assert [(cache.layers, cache.width) for cache in own.body.caches] == [(7, 512 + 64)]
    assert own.body.state == 20 * (32 * 128 * 128 + 3 * 32 * 128 * 4)
    jamba, lfm2 = geometry(CONFIGS["ai21labs/Jamba-v0.1"]), geometry(CONFIGS["LiquidAI/LFM2-1.2B"])
    assert [(cache.layers, cache.width) for cache in jamba.body.caches] == [(4, 2 * 8 * 128)]
    assert [(cache.layers, cache.width) for cache in lfm2.body.caches] == [(6, 2 * 8 * 64)]
    assert jamba.body.state == 28 * 8192 * (16 + 4) and lfm2.body.state == 10 * 2048 * 3
    plain = geometry(CONFIGS["ai21labs/Jamba-v0.1"], num_experts=1)  # JambaMLP, and no router
    assert plain.total == jamba.total - 16 * (15 * 3 * 4096 * 14336 + 16 * 4096)
    assert plain.active == plain.total - 65536 * 4096
    assert "there are 2 experts" in refusal(CONFIGS["ai21labs/Jamba-v0.1"], num_experts=2, num_experts_per_tok=3)
    assert "linear_attn_config is no table" in refusal(
        CONFIGS["moonshotai/Kimi-Linear-48B-A3B-Instruct"], linear_attn_config=[1]
    )
    said = CONFIGS["moonshotai/Kimi-Linear-48B-A3B-Instruct"]
    wider = said["linear_attn_config"] | {"use_full_rank_gate": True, "gate_lower_bound": None}
    assert "has 'use_full_rank_gate', which is not modelled" in refusal(said, linear_attn_config=wider)


def test_of_two_spellings_the_one_counts_that_its_own_code_reads():
    """BloomConfig: n_embed, where it is there, takes the place of hidden_size."""
    bloom = CONFIGS["bigscience/bloom-7b1"]
    assert geometry(bloom, hidden_size=1024) == geometry(bloom)


# --- cases of others, by the thread that tells of them ----------------------------------------------------------------


def test_a_mixture_holds_all_its_experts():
    """vllm-fit#27: Mixtral counted as if it had one expert, and fitted one L40S."""
    assert geometry(MIXTRAL).total == 46_702_792_704
    assert geometry(MIXTRAL).active == pytest.approx(12.9e9, rel=0.02)


def test_latent_attention_caches_its_latent():
    """TensorRT-LLM#16707, LMCache#694: DeepSeek-V3, 61 layers of 512 + 64 numbers of two bytes."""
    assert geometry(DEEPSEEK).kv_bytes() == 61 * (512 + 64) * 2 == 70272
    assert geometry(DEEPSEEK, q_lora_rank=None).total != geometry(DEEPSEEK).total  # an explicit null is no default here


@pytest.mark.parametrize(("model", "said"), [("google/gemma-2-2b", None), ("openai-community/gpt2", None)])
def test_what_a_config_leaves_out_is_as_its_family_has_it(model, said):
    """mistral.rs#1823, TransformerLens#671: tied by default, and so left out of the file."""
    assert "tie_word_embeddings" not in CONFIGS[model]
    assert geometry(CONFIGS[model]).tied
    assert geometry(CONFIGS[model], tie_word_embeddings=None).tied
    assert not geometry(CONFIGS[model], tie_word_embeddings=False).tied


def test_a_feed_forward_without_gate_has_two_matrices():
    """The mirror of vllm-fit#8: pythia-6.9b, where three were counted."""
    gated, plain = geometry(LLAMA).body.matrices, geometry(CONFIGS["EleutherAI/pythia-6.9b"]).body.matrices
    assert (gated[2].outputs, plain[2].outputs) == (2 * 14336, 16384)


def test_null_is_as_if_the_key_were_not_there():
    """llm-d-benchmark#426, modular#6665: null for num_key_value_heads, a TypeError."""
    without = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
    assert geometry(LLAMA, num_key_value_heads=None) == geometry(without) == geometry(LLAMA, num_key_value_heads=32)
    assert geometry(LLAMA, head_dim=None, attention_bias=None, mlp_bias=None) == geometry(LLAMA)


@pytest.mark.parametrize("name", ["text_config", "llm_config", "language_config"])
def test_a_decoder_of_several_modalities_stands_in_a_part_of_its_own(name):
    """hf-mem#26, vllm-fit#31: Gemma 3, Llama 4 and Kimi nest it."""
    assert geometry({"model_type": "llava", name: LLAMA, "vision_config": {"hidden_size": 1024}}) == geometry(LLAMA)
    nested = {key: value for key, value in GEMMA.items() if key != "model_type"}
    assert geometry({"model_type": "gemma3", "text_config": nested}) == geometry(GEMMA)
    untied = {"model_type": "llava", "text_config": GEMMA, "tie_word_embeddings": False}
    assert not geometry(untied).tied
    thinker = {"thinker_config": {"text_config": LLAMA}}
    assert geometry({"model_type": "qwen_omni", **thinker}) == geometry(LLAMA)


def test_hybrids_cache_in_some_layers_and_keep_a_state_in_the_others():
    """LMCache#3080, gguf-parser-go#28, omlx#2725: Qwen3-Next, attention in every fourth layer."""
    own = geometry(NEXT)
    assert own.kv_bytes() == 12 * 2 * 2 * 256 * 2 == 24576
    assert own.body.state == 36 * (32 * 128 * 128 + (2 * 16 * 128 + 32 * 128) * 4)
    assert own.sequence_bytes(1000) - own.sequence_bytes(0) == 1000 * 24576
    few = {"hidden_size": 2048, "intermediate_size": 5120, "moe_intermediate_size": 512, "num_experts": 512}
    few |= {"num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256, "num_hidden_layers": 48}
    assert geometry({"model_type": "qwen3_next", "vocab_size": 151936, **few}) == own  # the rest is its default
    assert geometry(CONFIGS["mistralai/Mamba-Codestral-7B-v0.1"]).kv_bytes() == 0
    assert geometry(CONFIGS["nvidia/Nemotron-H-8B-Base-8K"]).kv_bytes() == 4 * 2 * 8 * 128 * 2
    assert geometry(CONFIGS["tiiuae/Falcon-H1-7B-Base"]).kv_bytes() == 44 * 2 * 2 * 128 * 2  # both in every layer
    assert geometry(CONFIGS["ibm-granite/granite-4.0-h-micro"]).kv_bytes() == 4 * 2 * 8 * 64 * 2


# --- caches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "full", "sliding", "window", "numbers"),
    [
        ("openai/gpt-oss-20b", 12, 12, 128, 2 * 8 * 64),
        ("google/gemma-2-9b", 21, 21, 4096, 2 * 8 * 256),
        ("google/gemma-3-27b-it", 10, 52, 1024, 2 * 16 * 128),
        ("CohereLabs/c4ai-command-r7b-12-2024", 8, 24, 4096, 2 * 8 * 128),
        ("allenai/Olmo-3-1025-7B", 8, 24, 4096, 2 * 32 * 128),
        ("microsoft/Phi-3-mini-4k-instruct", 0, 32, 2047, 2 * 32 * 96),
        ("meta-llama/Llama-4-Scout-17B-16E", 12, 36, 8192, 2 * 8 * 128),
        ("Qwen/Qwen2.5-0.5B", 24, 0, inf, 2 * 2 * 64),
        ("mistralai/Mixtral-8x7B-v0.1", 32, 0, inf, 2 * 8 * 128),
    ],
)
def test_a_window_stops_growing(model, full, sliding, window, numbers):
    own = geometry(CONFIGS[model])
    for tokens in (1, 100, 5000, 100_000):
        assert own.sequence_bytes(tokens) == 2 * numbers * (full * tokens + sliding * min(tokens, window))


def test_windows_by_the_keys_of_qwen_and_by_lists():
    qwen = CONFIGS["Qwen/Qwen2.5-0.5B"] | {"use_sliding_window": True, "sliding_window": 1000, "max_window_layers": 20}
    layers = {cache.window: cache.layers for cache in geometry(qwen).body.caches}
    assert layers == {inf: 20, 1000: 4}
    kinds = ["full_attention"] * 23 + ["sliding_attention"]
    assert geometry(qwen, layer_types=kinds).body.caches[1].layers == 1
    assert "has 3 layers, and num_hidden_layers is 24" in refusal(qwen, layer_types=kinds[:3])
    assert "names 'bee_attention', which is none of" in refusal(qwen, layer_types=["bee_attention"] * 24)


def test_layers_that_read_the_cache_of_others_have_none():
    """Gemma 4 E2B: 20 of 35 layers reuse, of the others 3 see all tokens with wider heads."""
    own = geometry(CONFIGS["google/gemma-4-e2b-it"])
    assert own.kv_bytes() == 2 * 2 * (12 * 256 + 3 * 512)
    assert own.embeddings - own.vocabulary_matrix == 262144 * 35 * 256


def test_an_encoder_keeps_no_cache():
    own = geometry(CONFIGS["google-bert/bert-base-uncased"])
    assert own.kv_bytes() == 0 and not own.decoder and geometry(LLAMA).decoder


def test_the_tokens_seen_before_one():
    assert Cache(1, 1).before(100) == 50 and Cache(1, 1, 1000).before(100) == 50
    mean = sum(min(i, 30) for i in range(1, 101)) / 100
    assert Cache(1, 1, 30).before(100) == pytest.approx(mean, abs=0.5)


# --- experts ----------------------------------------------------------------------------------------------------------


def test_a_step_reads_the_experts_that_its_tokens_hit():
    dense, one = Matrix(3, 5, count=2), Matrix(3, 5, count=2, experts=8, used=2)
    assert dense.read(1) == dense.read(100) == dense.params == dense.active == 30
    assert one.read(1) == pytest.approx(one.active) == pytest.approx(60) and one.params == 240
    assert one.read(3) == pytest.approx(240 * (1 - 0.75**3)) and one.read(500) == pytest.approx(240)
    hit = torch.rand(20_000, 3, 8, generator=torch.Generator().manual_seed(0)).topk(2).indices.flatten(1)
    count = torch.zeros(20_000, 8).scatter_(1, hit, 1.0).sum(1).mean()
    assert one.read(3) / 30 == pytest.approx(float(count), rel=0.01)


def test_an_untied_encoder_has_two_biases_of_its_words():
    """BertForMaskedLM of transformers 5.24 on the meta device: 399,384 parameters."""
    sizes = {"hidden_size": 96, "intermediate_size": 80, "num_hidden_layers": 6, "num_attention_heads": 6}
    sizes |= {"vocab_size": 300, "max_position_embeddings": 128, "type_vocab_size": 2, "model_type": "bert"}
    assert geometry(sizes, tie_word_embeddings=False).total == 399_384


def test_layers_without_experts():
    assert geometry(NEXT, mlp_only_layers=[0, 1]).total < geometry(NEXT).total
    fewer = geometry(DEEPSEEK, first_k_dense_replace=4)
    one = 3 * 7168 * 2048 * 257 + 256 * 7168 - 3 * 7168 * 18432
    assert geometry(DEEPSEEK).total - fewer.total == one
    assert "num_experts_per_tok is 9, and there are 8 experts" in refusal(MIXTRAL, num_experts_per_tok=9)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (LLAMA, {"model_type": None}, "lacks model_type"),
        (LLAMA, {"model_type": "lama"}, "model_type is lama, a family that is not modelled"),
        (LLAMA, {"model_type": "nemotron-nas"}, "a survey of its tensors needs none"),
        (DEEPSEEK, {"model_type": "deepseek_v4", "index_head_dim": 128}, "deepseek_v4, a family that is not"),
        (DEEPSEEK, {"index_head_dim": 128}, "index_head_dim is not modelled for deepseek_v3"),
        (LLAMA, {"num_local_experts": 8}, "num_local_experts is not modelled for llama, and may change"),
        (LLAMA, {"multi_query": True}, "multi_query is not modelled for llama"),
        (LLAMA, {"expand": 2}, "expand is not modelled for llama"),
        (LLAMA, {"q_lora_rank": 1536}, "q_lora_rank is not modelled for llama"),
        (LLAMA, {"block_configs": [{"attention": None}]}, "block_configs is not modelled for llama"),
        (LLAMA, {"hidden_size": 4096.0}, "hidden_size is 4096.0, not a positive whole number"),
        (LLAMA, {"num_hidden_layers": 10**6}, "no model has more than 1,000 layers"),
        (LLAMA, {"hidden_size": 16}, "num_attention_heads is 32, more than hidden_size"),
        (
            OLMOE,
            {"num_attention_heads": 15},
            "15, which does not divide hidden_size, 2,048",
        ),
        (OLMOE, {"head_dim": 64}, "head_dim is 64, which is not modelled: 128 is"),
        (KIMI, {"tie_word_embeddings": True}, "tie_word_embeddings is True, which is not modelled: False is"),
        (CONFIGS["nvidia/Nemotron-H-8B-Base-8K"], {"tie_word_embeddings": True}, "tie_word_embeddings is True, which"),
        (LLAMA, {"mlp_bias": "yes"}, "mlp_bias is 'yes', neither true nor false"),
        (
            CONFIGS["mistralai/Mistral-Small-24B-Base-2501"],
            {"mlp_bias": True},
            "mlp_bias is True, which is not modelled",
        ),
        (CONFIGS["Qwen/Qwen3-8B"], {"mlp_bias": True}, "mlp_bias is True, which is not modelled"),
        (CONFIGS["microsoft/phi-2"], {"qk_layernorm": True}, "qk_layernorm is True, which is not modelled"),
        (CONFIGS["stabilityai/stablelm-3b-4e1t"], {"use_parallel_residual": True}, "use_parallel_residual is True"),
        (CONFIGS["facebook/opt-6.7b"], {"word_embed_proj_dim": 512}, "word_embed_proj_dim is 512"),
        (CONFIGS["tiiuae/Falcon-H1-7B-Base"], {"mamba_proj_bias": True}, "mamba_proj_bias is True, which is not"),
        (DEEPSEEK, {"moe_layer_freq": 2}, "moe_layer_freq is 2, which is not modelled"),
        (DEEPSEEK, {"index_n_heads": 64}, "index_n_heads is not modelled for deepseek_v3"),
        (DEEPSEEK, {"n_routed_experts": "256"}, "n_routed_experts is '256', not a positive"),
        (
            CONFIGS["nvidia/Nemotron-H-8B-Base-8K"],
            {"hybrid_override_pattern": "MX"},
            "hybrid_override_pattern must say",
        ),
        (CONFIGS["mistralai/Mamba-Codestral-7B-v0.1"], {"expand": 3}, "expand is 3, which is not modelled"),
        (NEXT, {"mlp_only_layers": ["0"]}, "mlp_only_layers is .*, not a list of whole numbers"),
        (LLAMA, {"x" * 5000 + "_size": 3}, "not modelled for llama"),
        (LLAMA, {"num_key_value_heads": 64}, "num_key_value_heads is 64, which does not divide the 32 heads"),
        (LLAMA, {"pruned_heads": {"0": [1, 2]}}, "pruned_heads is not modelled for llama"),
        (KIMI, {"linear_attn_config": {"full_attn_layers": "4,8"}}, "full_attn_layers is '4,8', not a list of whole"),
        (
            KIMI,
            {"linear_attn_config": {"full_attn_layers": [4, 99], "kda_layers": [1, 2]}},
            "does not say of every layer, once, what it is",
        ),
        (CONFIGS["zai-org/GLM-5"], {"index_topk_pattern": ["full"]}, "indexer_types has 1 layers"),
        (CONFIGS["zai-org/GLM-5"], {"index_topk_pattern": 4}, "index_topk_pattern is 4, not a list of texts"),
    ],
)
def test_what_is_not_modelled_is_named(config, changes, message):
    text = refusal(config, **changes)
    assert re.search(re.sub(r"[()\[\]?]", ".", message), text) and len(text) <= 500 and "\n" not in text


def test_keys_that_change_no_count_are_no_hindrance():
    more = {
        "torch_dtype": "bfloat16",
        "architectures": ["LlamaForCausalLM"],
        "num_beams": 4,
        "max_position_embeddings": 9,
    }
    more |= {
        "use_routing_bias": True,
        "use_mtp": True,
        "rope_scaling": {"rope_type": "llama3"},
        "quantization_config": {"bits": 4},
        "attention_dropout": 0.5,
    }
    more |= {
        "bos_token_id": 1,
        "id2label": {"0": "a"},
        "use_cache": True,
        "pretraining_tp": 1,
        "num_return_sequences": 1,
    }
    assert geometry(LLAMA, **more) == geometry(LLAMA)


def test_one_number_for_each_layer_is_that_number_where_all_are_alike():
    own = CONFIGS["google/gemma-3n-E4B-it"]
    assert geometry(own, intermediate_size=[16384] * 35) == geometry(own)
    assert "intermediate_size differs from layer to layer" in refusal(own, intermediate_size=[16384, 8192])
