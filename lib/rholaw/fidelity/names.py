"""Names of tensors: GGUF's `blk.7.ffn_up.weight`, and what Hugging Face's checkpoints call the same matrix."""

import math
import re

import pandas as pd

MODULES = {  # kind in GGUF → the module of a layer in Hugging Face's checkpoints
    **{f"attn_{part}": f"self_attn.{part}_proj" for part in ("q", "k", "v", "q_a", "q_b")},
    "attn_output": "self_attn.o_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_b": "self_attn.kv_b_proj",
    "attn_qkv": "linear_attn.in_proj_qkv",
    "attn_gate": "linear_attn.in_proj_z",
    "ssm_alpha": "linear_attn.in_proj_a",
    "ssm_beta": "linear_attn.in_proj_b",
    "ssm_out": "linear_attn.out_proj",
    **{f"ffn_{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")},
    **{f"ffn_{part}_exps": f"mlp.experts.*.{part}_proj" for part in ("gate", "up", "down")},
    **{f"ffn_{part}_shexp": f"mlp.shared_expert.{part}_proj" for part in ("gate", "up", "down")},
}
OUTSIDE = {"token_embd": "model.embed_tokens", "output": "lm_head"}  # of the layers
_KINDS = {module: kind for kind, module in MODULES.items()}


def kind(tensor: str) -> str:
    """What a tensor does, the same in every layer: `ffn_up` of `blk.7.ffn_up.weight`."""
    return re.sub(r"^blk\.\d+\.", "", tensor).removesuffix(".weight")


def layer(tensor: str) -> int | None:
    """The layer of a tensor, from 0; None for embeddings and head."""
    inside = re.match(r"blk\.(\d+)\.", tensor)
    return int(inside[1]) if inside else None


def of_gguf(tensor: str) -> str:
    """The GGUF name of a tensor by its name of either kind; experts of a layer share one, others stay as they are."""
    plain = tensor.removesuffix(".weight")
    for name, module in OUTSIDE.items():
        if plain.split(".")[-1] == module.split(".")[-1]:
            return f"{name}.weight"
    inside = re.fullmatch(r"(?:.*\.)?layers\.(\d+)\.(.+)", plain)
    if not inside:
        return tensor
    module = re.sub(r"(?<=experts\.)\d+(?=\.)", "*", inside[2]).replace("shared_experts.", "shared_expert.")
    return f"blk.{inside[1]}.{_KINDS[module]}.weight" if module in _KINDS else tensor


def of_module(tensor: str) -> str:
    """The module of Hugging Face's checkpoints that holds a GGUF tensor, `*` standing for every expert.

    Raises ValueError for a tensor without a counterpart.
    """
    name, at = kind(tensor), layer(tensor)
    if at is None and name in OUTSIDE:
        return OUTSIDE[name]
    if name not in MODULES:
        raise ValueError(f"{tensor}: no module of a Hugging Face checkpoint is known for it")
    return f"model.layers.{at}.{MODULES[name]}"


def matrices(shapes: dict[str, tuple[int, ...]]) -> pd.DataFrame:
    """The tensors of a checkpoint, {name: shape, a row last}: tensor, weights, row, by GGUF names, experts summed."""
    rows = [(of_gguf(name), shape[-1], math.prod(shape)) for name, shape in shapes.items() if shape]
    frame = pd.DataFrame(rows, columns=["tensor", "row", "weights"])
    return frame.groupby("tensor", sort=False, as_index=False).agg(weights=("weights", "sum"), row=("row", "first"))
