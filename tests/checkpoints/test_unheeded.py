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
    norm_type: str = "layernorm"
    norm_topk_prob: bool = False
    num_experts_per_tok: int = 2
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
        *((family, {"scoring_func": "sigmoid"}) for family in ("mixtral", "qwen3_moe", "deepseek_v2")),
        *((family, {"scoring_func": "softmax"}) for family in ("deepseek_v3", "glm4_moe")),
        *(("mixtral", {key: "sigmoid"}) for key in ("score_function", "moe_router_activation_func")),
        *(("mixtral", {key: 2.5}) for key in ("routed_scaling_factor", "n_group")),
        ("deepseek_v2", {"norm_topk_prob": True}),
        ("gpt_oss", {"hidden_act": "gelu"}),
        ("minimax_m2", {"use_qk_norm": False}),
        *(("mpt", {key: 0.5}) for key in ("logit_scale", "norm_type")),
    ],
)
def test_a_key_that_changes_the_model_and_is_not_heeded_is_refused(family, about):
    with pytest.raises(ValueError, match=rf"'{next(iter(about))}' is .*, which transformers' Config ignores"):
        unheeded.refuse_ignored(about, Config(family))


@pytest.mark.parametrize(("key", "value"), [("alibi", False), ("alibi_bias_max", 16), ("prefix_lm", True)])
def test_so_is_what_mpt_says_of_its_attention(key, value):
    unheeded.refuse_ignored({"attn_config": None}, Config("mpt"))
    usual = {"alibi": True, "alibi_bias_max": 8, "prefix_lm": False, "clip_qkv": 6}
    unheeded.refuse_ignored({"attn_config": usual, "norm_type": "low_precision_layernorm"}, Config("mpt"))
    with pytest.raises(ValueError, match=rf"'attn_config.{key}' is {value}, which transformers' Config ignores"):
        unheeded.refuse_ignored({"attn_config": usual | {key: value}}, Config("mpt"))


@pytest.mark.parametrize(
    ("family", "about"),
    [
        ("deepseek_v2", {"scoring_func": "softmax", "norm_topk_prob": False, "n_group": 1}),
        ("deepseek_v3", {"scoring_func": "sigmoid", "topk_method": "noaux_tc"}),
        ("dots1", {"scoring_func": "noaux_tc"}),  # as its own config has it
        ("mixtral", {"scoring_func": "softmax", "norm_topk_prob": True, "routed_scaling_factor": 1.0}),
        ("gpt_oss", {"hidden_act": "silu"}),
        ("minimax_m2", {"scoring_func": "sigmoid", "use_qk_norm": True, "qk_norm_type": "per_layer"}),
    ],
)
def test_what_a_router_does_anyway_is_no_hindrance(family, about):
    unheeded.refuse_ignored(about, Config(family))


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 32}


def test_numbers_of_rotary_positions_that_are_not_heeded_are_refused():
    usual = [{}, YARN, YARN | {"finetuned": True, "mrope_section": [1, 1], "attn_factor": 1.0, "mscale": None}]
    usual += [{"full_attention": YARN, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}]
    usual += [{"rope_type": "proportional", "factor": 8.0}, {"rope_type": "default", "factor": 1}]
    for turns in usual:
        unheeded.refuse_turns(Config(rope_parameters=turns))
    unheeded.refuse_turns(Config("phimoe", rope_parameters={"rope_type": "longrope", "short_mscale": 1.2}))
    unheeded.refuse_turns(Config("hunyuan_v1_dense", rope_parameters={"rope_type": "dynamic", "alpha": 1000.0}))
    odd = [("attn_factor", "yarn"), ("low_freq_factor", "yarn"), ("factor", "default"), ("alpha", "dynamic")]
    for key, kind in odd:
        for turns in ({"rope_type": kind, key: 2.0}, {"full_attention": {"rope_type": kind, key: 2.0}}):
            with pytest.raises(ValueError, match=rf"'{key}' is 2.0, which transformers does not heed .* type {kind}"):
                unheeded.refuse_turns(Config(rope_parameters=turns))


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
    config = Config("qwen3", rope_parameters={"partial_rotary_factor": 0.5}, num_experts_per_tok=0)
    unheeded.refuse_ignored(about, config)


def test_two_names_of_rotary_positions_that_disagree_are_refused():
    newer = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    unheeded.refuse_two_positions({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": newer})
    unheeded.refuse_two_positions({"rope_scaling": None, "rope_parameters": newer})
    for older, key in (({"type": "yarn"}, "rope_type"), ({"rope_type": "linear", "factor": 4.0}, "factor")):
        with pytest.raises(ValueError, match=f"rope_scaling and rope_parameters disagree in {key}"):
            unheeded.refuse_two_positions({"rope_scaling": older, "rope_parameters": newer})
