"""What a config.json says of a decoder and transformers' class of its family would not heed: refused by its name."""

import re
from dataclasses import fields

from torch import nn

from ..checked import shown
from . import llama_keys

# Names of keys that change the function of a decoder, whatever its family.
CHANGES = re.compile(
    r"sliding_window(?!_pattern)|window_size|softcap|clip_qkv|alibi|qk_(layer)?norm|temperature_tuning|bidirectional|"
    r"(logit|residual|embedding|attention(_in|_out)?|head|key|query|value|ssm|mlp|softmax)_(scale|multipliers?)$|"
    r"no_rope|nope_layer|global_attn_every|attention_chunk_size|^layer_types$|^mup|^use_mup|attn_logit|sinks?$|"
    r"query_pre_attn|^scale_(emb|depth)$|^dim_model_base$|parallel_residual|swiglu_limit|unit_offset|"
    r"rope_ratio|rope_interleaved?$|rotary_pct"
)
ACTIVATIONS = ("hidden_act", "hidden_activation", "activation_function", "activation")  # names of one thing

DEAF = {
    "deepseek_v2": {"norm_topk_prob": (False,)},
    "gpt_oss": {"hidden_act": ("silu",)},
    "mpt": {"logit_scale": (), "norm_type": ("low_precision_layernorm", "layernorm")}
    | {"attn_config.alibi": (True,), "attn_config.alibi_bias_max": (8,), "attn_config.prefix_lm": (False,)},
}
"""Keys that classes of transformers 5.24 declare and models do not read → what these compute; null is one of all."""
ALWAYS = {"minimax_m2": {"use_qk_norm": (True,), "qk_norm_type": ("per_layer",)}}
"""Keys that a class has not, and whose values its model computes."""

SCORES = re.compile(r"scor(e|ing)_func(tion)?$|router_(activation|score)\w*$")  # of experts, by a router
SIGMOID = ("afmoe", "deepseek_v3", "deepseek_v32", "dots1", "exaone_moe", "glm4_moe", "glm4_moe_lite", "glm_moe_dsa")
SIGMOID += ("kimi_linear", "laguna", "lfm2_moe", "llama4_text", "minimax_m2", "nemotron_h", "solar_open")
"""Families whose routers score experts by that; others by softmax."""
AS_SCORED = ("deepseek_v2", "jamba", "llama4_text", "longcat_flash")  # weights of experts are not scaled to a sum of 1
USED = ("num_experts_per_tok", "moe_k", "moe_topk")  # names of how many experts a token goes through

TURNS = {"linear": {"factor"}, "dynamic": {"factor"}, "llama3": {"factor", "low_freq_factor", "high_freq_factor"}}
TURNS |= {"longrope": {"factor", "attention_factor", "short_factor", "long_factor"}, "default": set()}
TURNS["yarn"] = {"factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"}
"""rope_type → the numbers that it takes (transformers, modeling_rope_utils.py)."""
LENGTHS = {"rope_type", "type", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings", "finetuned"}
LENGTHS |= {"max_position_embeddings", "mrope_section", "mrope_interleaved"}  # of text all sections turn alike
OWN_TURNS = {"phimoe": {"short_mscale", "long_mscale"}}
OWN_TURNS |= {family: {"alpha", *TURNS["yarn"]} for family in ("hunyuan_v1_dense", "hunyuan_v1_moe")}


def refuse_ignored(about: dict, config: object) -> None:
    """ValueError for a key that changes what is computed and that this family's class of transformers does not heed."""
    deaf = DEAF.get(config.model_type, {})
    inner = {f"attn_config.{key}": value for key, value in (about.get("attn_config") or {}).items()}
    about = about | {key: inner[key] for key in inner.keys() & deaf.keys()}
    heeded = ({field.name for field in fields(config)} | config.attribute_map.keys()) - deaf.keys()
    only = deaf | ALWAYS.get(config.model_type, {}) | _routing(about, config)
    only |= llama_keys.ONLY if config.model_type == "llama" else {}
    turned = (getattr(config, "rope_parameters", None) or {}).get("partial_rotary_factor")
    activations = [getattr(config, key) for key in ACTIVATIONS if key in heeded]
    for key in sorted(about.keys() - heeded - {"architectures", "is_causal"}):
        value = about[key]
        if key == "rotary_pct":  # which GPT-NeoX's class takes for that
            changes = value not in (1, turned)
        elif key in only:
            changes = value not in only[key]
        elif key in ACTIVATIONS:
            changes = activations and value not in activations
        else:
            changes = value == "alibi" or (CHANGES.search(key) and value and not _is_one(value))
        if changes and value is not None:
            raise ValueError(f"{shown(key)} is {shown(value)}, which transformers' {type(config).__name__} ignores")


def _routing(about: dict, config: object) -> dict[str, tuple]:
    """{key of how a router scores and weighs experts: the values that a class computes which has no such key}."""
    if not any(getattr(config, key, None) for key in USED):
        return {}
    family = config.model_type
    scored = dict.fromkeys(filter(SCORES.search, about), ("sigmoid", "noaux_tc") if family in SIGMOID else ("softmax",))
    return scored | {"norm_topk_prob": (family not in AS_SCORED,), "routed_scaling_factor": (1,), "n_group": (0, 1)}


def refuse_turns(config: object) -> None:
    """ValueError for a number of rotary positions that transformers does not take, and other engines may."""
    turns = getattr(config, "rope_parameters", None) or {}
    known = LENGTHS | set(getattr(config, "ignore_keys_at_rope_validation", None) or ())
    known |= OWN_TURNS.get(config.model_type, set())
    for part in [part for part in turns.values() if isinstance(part, dict)] or [turns]:  # of each kind of layer
        kind = part.get("rope_type", "default")
        for key in sorted(part.keys() - known - TURNS.get(kind, part.keys())):
            if part[key] is not None and not _is_one(part[key]):
                told = f"which transformers does not heed in rotary positions of the type {kind}"
                raise ValueError(f"{shown(key)} is {shown(part[key])}, {told}")


def refuse_two_positions(about: dict) -> None:
    """ValueError where the older and the newer names of what a config says of rotary positions disagree."""
    older, newer = (about.get(name) or {} for name in ("rope_scaling", "rope_parameters"))
    older = {"rope_type" if key == "type" else key: value for key, value in older.items()}
    for key in older.keys() & newer.keys():
        if older[key] != newer[key]:
            raise ValueError(f"rope_scaling and rope_parameters disagree in {key}; leave the right one")


def refuse_partial(model: nn.Module) -> None:
    """ValueError where a config turns a part of the channels of a head, and the model would turn all of them."""
    config = model.config
    share = (getattr(config, "rope_parameters", None) or {}).get("partial_rotary_factor")
    if not isinstance(share, int | float) or share >= 1:
        return
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    turned = [2 * len(buffer) for name, buffer in model.named_buffers() if name.endswith("inv_freq")]
    if turned and min(turned) >= size:
        raise ValueError(
            f"partial_rotary_factor is {shown(share)}, which transformers' {type(config).__name__} ignores"
        )


def _is_one(value: object) -> bool:
    return value == 1 and not isinstance(value, bool)
