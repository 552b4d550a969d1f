"""Tiny models of families that transformers runs, with random weights, written as folders of the hub."""

import pytest
import torch
from tiny_llama import TOKENIZER

transformers = pytest.importorskip("transformers", "5")

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "head_dim": 8}
SIZES |= {"num_key_value_heads": 2, "vocab_size": 280, "max_position_embeddings": 64}
SIZES |= dict.fromkeys(["pad_token_id", "bos_token_id", "eos_token_id"], 0)
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {"n_routed_experts": 4, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4}
LATENT |= {"v_head_dim": 8, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "head_dim": 4}
INDEX = {"index_topk": 4, "index_n_heads": 4, "index_head_dim": 8, "num_key_value_heads": 4}
NEXT = {"shared_expert_intermediate_size": 24, "linear_num_key_heads": 2, "linear_num_value_heads": 4}
NEXT |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "num_hidden_layers": 4}
FAMILIES = {
    "llama": {"rope_parameters": {"rope_type": "llama3", "factor": 2.0, "rope_theta": 1e4} | {"low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 8}},
    "mistral": {"sliding_window": 8},
    "qwen2": {},
    "qwen3": {},
    "gemma2": {"sliding_window": 8, "query_pre_attn_scalar": 8, "final_logit_softcapping": 0.5},
    "gemma3_text": {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "phi": {},
    "phi3": {},
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "gpt_neox": {},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 3, "n_head": 4},
    "granite": {"logits_scaling": 2.0, "embedding_multiplier": 3.0, "residual_multiplier": 0.5},
    "olmo2": {},
    "mixtral": EXPERTS,
    "qwen3_moe": EXPERTS,
    "olmoe": EXPERTS,
    "gpt_oss": EXPERTS | {"sliding_window": 8},
    "deepseek_v3": EXPERTS | LATENT,
    "deepseek_v32": EXPERTS | LATENT | INDEX,
    "glm_moe_dsa": EXPERTS | LATENT | INDEX,
    "qwen3_next": EXPERTS | NEXT,
    "gemma4_text": {"vocab_size_per_layer_input": 280, "hidden_size_per_layer_input": 8},
    "mamba2": {"head_dim": 8, "num_heads": 8, "n_groups": 1, "state_size": 8},
}  # fmt: skip


def written(folder, family, **more):
    """(a folder with a tiny model of a family, the model)."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **(SIZES | FAMILIES.get(family, {}) | more))
    model = transformers.AutoModelForCausalLM.from_config(config, experts_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    TOKENIZER.save(str(folder / "tokenizer.json"))
    return folder, model
