"""A small decoder as the hub names its tensors, and a folder of it."""

import json

import torch
from safetensors.torch import save_file

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZES |= {"num_key_value_heads": 2, "vocab_size": 200}


def tensors(layers=2, experts=0, head=True):
    """{name: tensor} of a small decoder as the hub names them."""
    made = {"model.embed_tokens.weight": torch.randn(200, 64), "model.norm.weight": torch.ones(64)}
    made |= {"lm_head.weight": torch.randn(200, 64)} if head else {}
    for i in range(layers):
        name = f"model.layers.{i}"
        for part, rows, columns in (("q", 64, 64), ("k", 32, 64), ("v", 32, 64), ("o", 64, 64)):
            made[f"{name}.self_attn.{part}_proj.weight"] = torch.randn(rows, columns)
        for part in ("input_layernorm", "post_attention_layernorm"):
            made[f"{name}.{part}.weight"] = torch.ones(64)
        moe, w = f"{name}.block_sparse_moe", ("w1", "w3", "w2") if experts else ("gate_proj", "up_proj", "down_proj")
        for place in [f"{moe}.experts.{j}" for j in range(experts)] or [f"{name}.mlp"]:
            made |= {f"{place}.{part}.weight": torch.randn(96, 64) for part in w[:2]}
            made[f"{place}.{w[2]}.weight"] = torch.randn(64, 96)
        made |= {f"{moe}.gate.weight": torch.randn(experts, 64)} if experts else {}
    return made


def written(folder, config, weights):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors")
    return folder
