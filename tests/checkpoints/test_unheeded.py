"""What a config.json says and transformers would not heed, told before anything is computed."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from rholaw.checkpoints import parameters


@dataclass
class Config:
    """As the classes of transformers declare their keys."""

    model_type: str = "llama"
    hidden_size: int = 64
    attention_multiplier: float = 1.0
    attribute_map: ClassVar[dict] = {"num_local_experts": "num_experts"}


@pytest.mark.parametrize(
    ("family", "about"),
    [
        *((family, {"sliding_window": 8}) for family in ("llama", "qwen3")),
        *((family, {"clip_qkv": 8.0}) for family in ("llama", "qwen3")),
        ("qwen3", {"final_logit_softcapping": 30.0}),
        ("qwen3", {"layer_types": ["sliding_attention"]}),
        ("llama", {"partial_rotary_factor": 0.5}),
        ("llama", {"use_qk_norm": True}),
    ],
)
def test_a_key_that_changes_the_model_and_is_not_heeded_is_refused(family, about):
    with pytest.raises(ValueError, match=rf"'{next(iter(about))}' is .*, which transformers' Config ignores"):
        parameters._refuse_ignored(about, Config(family))


@pytest.mark.parametrize(
    "about",
    [
        {"sliding_window": None, "clip_qkv": None, "alibi": False, "logit_scale": 1, "architectures": ["A"]},
        {"attention_multiplier": 0.5, "hidden_size": 8, "num_local_experts": 4},
        {"torch_dtype": "bfloat16", "auto_map": {}, "sliding_window_pattern": 6, "scoring_func": "sigmoid"},
    ],
)
def test_others_are_no_hindrance(about):
    parameters._refuse_ignored(about, Config())
