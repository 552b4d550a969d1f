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


def refuse_ignored(about: dict, config: object) -> None:
    """ValueError for a key that changes what is computed and that this family's class of transformers does not heed."""
    heeded = {field.name for field in fields(config)} | config.attribute_map.keys()
    only = llama_keys.ONLY if config.model_type == "llama" else {}
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
