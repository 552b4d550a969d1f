"""What a config.json says and transformers would not heed, told before anything is computed."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from rholaw.checkpoints import unheeded


@dataclass
class Config:
    """As the classes of transformers declare their keys."""

    model_type: str = "llama"
    hidden_size: int = 64
    attention_multiplier: float = 1.0
    hidden_act: str = "silu"
    rope_parameters: dict | None = None
    attribute_map: ClassVar[dict] = {"num_local_experts": "num_experts"}


@pytest.mark.parametrize(
    ("family", "about"),
    [
        *((family, {"sliding_window": 8}) for family in ("llama", "qwen3")),
        *((family, {"clip_qkv": 8.0}) for family in ("llama", "qwen3")),
        ("qwen3", {"final_logit_softcapping": 30.0}),
        *(
            ("qwen3", {key: 2.0})
            for key in ("rope_ratio", "scale_emb", "scale_depth", "lm_head_multiplier", "softmax_scale")
        ),
        *(("qwen3", {key: True}) for key in ("attention_sinks", "use_parallel_residual", "parallel_residual")),
        *(("qwen3", {key: 8}) for key in ("dim_model_base", "nope_layer_interval", "attention_chunk_size")),
        *(("qwen3", {key: "alibi"}) for key in ("attention_type", "position_embedding_type")),
        *((family, {"hidden_activation": "gelu"}) for family in ("llama", "qwen3")),
        *(("qwen3", {key: 64}) for key in ("query_pre_attn_scalar", "global_attn_every_n_layers")),
        ("qwen3", {"rotary_pct": 0.25}),
        ("qwen3", {"layer_types": ["sliding_attention"]}),
        ("llama", {"partial_rotary_factor": 0.5}),
        ("llama", {"use_qk_norm": True}),
    ],
)
def test_a_key_that_changes_the_model_and_is_not_heeded_is_refused(family, about):
    with pytest.raises(ValueError, match=rf"'{next(iter(about))}' is .*, which transformers' Config ignores"):
        unheeded.refuse_ignored(about, Config(family))


@pytest.mark.parametrize(
    "about",
    [
        {"sliding_window": None, "clip_qkv": None, "alibi": False, "logit_scale": 1, "architectures": ["A"]},
        {"attention_multiplier": 0.5, "hidden_size": 8, "num_local_experts": 4},
        {
            "scale_emb": 1,
            "rope_ratio": 1.0,
            "use_parallel_residual": False,
            "hidden_activation": "silu",
            "rotary_pct": 1.0,
        },
        {"attention_type": "causal", "position_embedding_type": "rope", "rotary_pct": 0.5},
        {"torch_dtype": "bfloat16", "auto_map": {}, "sliding_window_pattern": 6, "scoring_func": "sigmoid"},
    ],
)
def test_others_are_no_hindrance(about):
    unheeded.refuse_ignored(about, Config("qwen3", rope_parameters={"partial_rotary_factor": 0.5}))


def test_two_names_of_rotary_positions_that_disagree_are_refused():
    newer = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    unheeded.refuse_two_positions({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": newer})
    unheeded.refuse_two_positions({"rope_scaling": None, "rope_parameters": newer})
    for older, key in (({"type": "yarn"}, "rope_type"), ({"rope_type": "linear", "factor": 4.0}, "factor")):
        with pytest.raises(ValueError, match=f"rope_scaling and rope_parameters disagree in {key}"):
            unheeded.refuse_two_positions({"rope_scaling": older, "rope_parameters": newer})
