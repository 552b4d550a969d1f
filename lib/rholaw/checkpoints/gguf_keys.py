"""The keys of a GGUF file (github.com/ggml-org/ggml, docs/gguf.md) as a config.json would say the same."""

import re

FAMILIES = {  # general.architecture → model_type, where they differ
    **{"qwen2moe": "qwen2_moe", "qwen2vl": "qwen2", "qwen3moe": "qwen3_moe", "qwen3vl": "qwen3"},
    **{"qwen3vlmoe": "qwen3_moe", "qwen3next": "qwen3_next", "gemma3": "gemma3_text", "phi2": "phi"},
    **{"granitehybrid": "granitemoehybrid", "gptneox": "gpt_neox", "gpt-oss": "gpt_oss", "glm4moe": "glm4_moe"},
    **{"deepseek2": "deepseek_v3", "llama4": "llama4_text", "command-r": "cohere", "falcon-h1": "falcon_h1"},
    **{"minimax-m2": "minimax_m2", "mistral3": "ministral3", "hunyuan-dense": "hunyuan_v1_dense"},
}
KEYS = {  # behind the name of the architecture → the keys of config.json that say the same, by one family or another
    "block_count": ("num_hidden_layers", "n_layer"),
    "embedding_length": ("hidden_size", "n_embd"),
    "feed_forward_length": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "attention.head_count": ("num_attention_heads", "n_head"),
    "attention.head_count_kv": ("num_key_value_heads", "num_kv_heads"),
    "attention.key_length": ("head_dim",),
    "attention.sliding_window": ("sliding_window",),
    "attention.sliding_window_pattern": ("sliding_window_pattern",),
    "attention.chunk_size": ("attention_chunk_size",),
    "context_length": ("n_positions", "max_position_embeddings"),
    "vocab_size": ("vocab_size",),
    "expert_count": ("num_local_experts", "num_experts", "n_routed_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "expert_shared_count": ("n_shared_experts",),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size",),
    "leading_dense_block_count": ("first_k_dense_replace",),
    "interleave_moe_layer_step": ("interleave_moe_layer_step",),
    "nextn_predict_layers": ("num_nextn_predict_layers",),
    "attention.q_lora_rank": ("q_lora_rank",),
    "attention.kv_lora_rank": ("kv_lora_rank",),
    "full_attention_interval": ("full_attention_interval",),
    "ssm.conv_kernel": ("conv_kernel", "mamba_d_conv", "linear_conv_kernel_dim"),
    "ssm.state_size": ("state_size", "mamba_d_state", "linear_key_head_dim"),
    "ssm.group_count": ("n_groups", "mamba_n_groups", "linear_num_key_heads"),
    "ssm.inner_size": ("d_inner", "mamba_d_ssm"),
}
BIASES = {"attention_bias": ("attn_q", "attn_qkv"), "mlp_bias": ("ffn_up",), "use_bias": ("ffn_up",)}
"""Keys of config.json that GGUF says by tensors of the first layer that are there."""
FREE = ("vocab_size", "attention.value_length", "attention.value_length_mla", "attention.key_length_mla")
FREE += ("rope.dimension_count", "ssm.time_step_rank")
FREE += ("expert_gating_func", "expert_weights_scale", "expert_weights_norm", "expert_group_count")
FREE += ("expert_group_used_count", "use_parallel_residual")
"""Keys that are read in another way than by KEYS, or change no count."""
ALL_EXPERTS = ("gpt_oss", "mixtral", "olmoe", "phimoe", "granitemoe", "granitemoehybrid", "minimax_m2", "llama4_text")
"""Families whose config.json calls the width of an expert ``intermediate_size``."""


def as_json(values: dict, shapes: dict[str, tuple[int, ...]], family: str) -> tuple[dict, dict[str, str]]:
    """(the keys of config.json with what a GGUF file says, {such a key: the key in the file}).

    values: the metadata; shapes: of its tensors, {name: outputs × inputs}; family: the general.architecture.  Keys of
    the architecture that have no counterpart stay, by their own names.
    """
    own = {key.removeprefix(f"{family}."): value for key, value in values.items() if key.startswith(f"{family}.")}
    said, spelled = {"sliding_window": None, "model_type": FAMILIES.get(family, family)}, {}
    for key, names in KEYS.items():
        said |= dict.fromkeys(names, own[key]) if key in own else {}
        spelled |= dict.fromkeys(names, f"{family}.{key}")
    said |= {f"{family}.{key}": own[key] for key in own.keys() - KEYS.keys() - set(FREE)}
    if "token_embd.weight" in shapes:
        said["vocab_size"] = shapes["token_embd.weight"][0]
    said["tie_word_embeddings"] = "output.weight" not in shapes
    said |= {key: any(f"blk.0.{name}.bias" in shapes for name in names) for key, names in BIASES.items()}
    said["use_qk_norm"] = "blk.0.attn_q_norm.weight" in shapes
    if family == "llama" and own.get("expert_count"):
        said["model_type"] = "mixtral"
    derived = _derived(own, said)
    spelled |= dict.fromkeys(derived.keys() - spelled.keys(), f"{family}.attention.kv_lora_rank")
    spelled |= {key: f"{family}.ssm.inner_size" for key in derived if re.match("linear|mamba|time_step|num_heads", key)}
    return said | derived, spelled


def _derived(own: dict, said: dict) -> dict:
    """What GGUF says by other numbers than config.json does; numbers that cannot be are left to be refused there."""
    more = {}

    def whole(*keys: str) -> bool:
        return all(type(own.get(key)) is int and own[key] > 0 for key in keys)

    if whole("attention.head_count"):
        more["num_key_value_heads"] = said.get("num_key_value_heads") or said["num_attention_heads"]
    if whole("block_count", "nextn_predict_layers"):  # which are among the blocks
        more["num_hidden_layers"] = own["block_count"] - own["nextn_predict_layers"]
    if whole("expert_feed_forward_length") and said["model_type"] in ALL_EXPERTS:
        more["intermediate_size"] = own["expert_feed_forward_length"]
        more["moe_intermediate_size"] = None
    if said["model_type"] == "llama4_text":
        more["intermediate_size_mlp"] = own.get("feed_forward_length")
    if whole("attention.kv_lora_rank", "rope.dimension_count"):
        key = own.get("attention.key_length_mla", own.get("attention.key_length"))
        more["qk_rope_head_dim"] = own["rope.dimension_count"]
        more["qk_nope_head_dim"] = key - own["rope.dimension_count"] if type(key) is int else key
        more["v_head_dim"] = own.get("attention.value_length_mla", own.get("attention.value_length"))
        more["q_lora_rank"] = own.get("attention.q_lora_rank")
    if whole("ssm.inner_size", "ssm.time_step_rank"):
        heads = own["ssm.time_step_rank"]
        more |= {"linear_num_value_heads": heads, "linear_value_head_dim": own["ssm.inner_size"] // heads}
        more |= {"mamba_n_heads": heads, "time_step_rank": heads, "num_heads": heads}
    return more
