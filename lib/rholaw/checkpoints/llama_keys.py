"""What the keys of a checkpoint may say of a Llama that ``llama`` computes: each is known here, or refused by its name.

A key that nobody here knows may change what the model computes, so a checkpoint that has one is refused.
"""

import math
from dataclasses import dataclass

import torch

from ..checked import limited, listed, shown
from .opening import Checkpoint

BASE = 10_000.0  # of rotary positions, where nothing is said
ACTIVATIONS = {
    **dict.fromkeys(("silu", "swish"), torch.nn.functional.silu),
    **{"relu": torch.relu, "relu2": lambda x: torch.relu(x).square(), "gelu": torch.nn.functional.gelu},
    **dict.fromkeys(("gelu_new", "gelu_pytorch_tanh"), torch.nn.GELU("tanh")),
}
"""hidden_act in config.json → what it is a name of (transformers, activations.py)."""

SCALINGS = {
    "default": (),
    "linear": ("factor",),  # Chen et al. 2023, arXiv 2306.15595
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}
"""rope_type → the numbers that it takes."""

READ = {
    *("model_type", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "hidden_size"),
    *("intermediate_size", "vocab_size", "rms_norm_eps", "rope_theta", "rope_scaling", "rope_parameters"),
    *("hidden_act", "attention_bias", "mlp_bias", "tie_word_embeddings", "quantization_config"),
}
"""Keys of config.json whose values are obeyed, or refused."""

HARMLESS = {
    # of training
    *("attention_dropout", "attention_probs_dropout_prob", "attn_pdrop", "embd_pdrop", "resid_pdrop"),
    *("hidden_dropout", "hidden_dropout_prob", "dropout", "classifier_dropout", "initializer_range"),
    *("gradient_checkpointing", "finetuning_task", "problem_type", "num_labels", "id2label", "label2id"),
    *("task_specific_params", "tie_encoder_decoder"),
    # of lengths
    *("max_position_embeddings", "max_sequence_length", "max_seq_len", "seq_length", "model_max_length"),
    # of programs
    *("transformers_version", "transformers.js_config", "_name_or_path", "name_or_path", "_commit_hash"),
    *("torch_dtype", "dtype", "use_bfloat16", "_attn_implementation", "attn_implementation"),
    *("_attn_implementation_autoset", "_attn_implementation_internal", "_experts_implementation"),
    *("experts_implementation", "_flash_attn_2_enabled", "use_flash_attention", "use_flash_attn"),
    *("base_model_tp_plan", "base_model_pp_plan", "keys_to_ignore_at_inference", "unsloth_version", "unsloth_fixed"),
    *("is_llama_config", "pretraining_tp", "use_cache", "cache_implementation", "return_dict", "output_attentions"),
    *("output_hidden_states", "output_scores", "return_dict_in_generate", "torchscript", "tf_legacy_loss"),
    *("chunk_size_feed_forward", "remove_invalid_values"),
    # of tokens
    *("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id"),
    *("forced_bos_token_id", "forced_eos_token_id", "bos_token", "eos_token", "pad_token", "unk_token"),
    *("tokenizer_class", "vocab_file", "prefix"),
    # of the drawing of tokens
    *("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups"),
    *("num_return_sequences", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p"),
    *("repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"),
    *("exponential_decay_length_penalty", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens"),
}
"""Those that may have any value: the logits of a text do not depend on it."""

ONLY = {
    "architectures": (["LlamaForCausalLM"], ["LLaMAForCausalLM"]),
    **dict.fromkeys(("partial_rotary_factor", "rotary_pct", "rope_ratio"), (1,)),
    **dict.fromkeys(("logits_scaling", "logit_scale", "lm_head_multiplier"), (1,)),
    **dict.fromkeys(("residual_multiplier", "embedding_multiplier", "scale_emb"), (1,)),
    **dict.fromkeys(("rope_interleaved", "rope_interleave", "alibi", "use_sliding_window", "bias"), (False,)),
    **dict.fromkeys(("use_qk_norm", "qk_norm", "qk_layernorm", "attn_temperature_tuning"), (False,)),
    **dict.fromkeys(("parallel_residual", "use_parallel_residual", "add_cross_attention", "qkv_bias"), (False,)),
    "is_encoder_decoder": (False,),
    "is_decoder": (False, True),  # which transformers heeds in encoders alone
    "is_causal": (True,),
    "pruned_heads": ({},),
    **dict.fromkeys(("num_experts", "num_local_experts", "num_nextn_predict_layers"), (0,)),
}
"""Key of config.json → the only values that are computed; null is one of all keys."""

GGUF_READ = {
    *("block_count", "attention.head_count", "attention.head_count_kv", "attention.key_length", "embedding_length"),
    *("feed_forward_length", "vocab_size", "attention.layer_norm_rms_epsilon", "rope.freq_base", "rope.scaling.type"),
    *("rope.scaling.factor", "rope.scale_linear", "context_length", "rope.scaling.original_context_length"),
    *("rope.scaling.finetuned",),
}
"""Keys of GGUF behind "llama." that are obeyed; the last three are lengths, and a remark."""

GGUF_SIZES = ("rope.dimension_count", "attention.value_length")
"""Those that must be the size of a head."""

GGUF_ONLY = {
    "attention.causal": (True,),
    **dict.fromkeys(("attention.sliding_window", "expert_count", "expert_used_count", "pooling_type"), (0,)),
    **dict.fromkeys(("rope.scaling.attn_factor", "logit_scale", "residual_scale", "embedding_scale"), (1,)),
    "use_parallel_residual": (False,),
    "tensor_data_layout": ("Meta AI original pth",),
}


@dataclass(frozen=True)
class Function:
    """What a Llama computes beyond what the shapes of its tensors say.

    activation: its name in ACTIVATIONS.  base: of its rotary positions; scaling: their rope_type in SCALINGS, with its
    ``numbers``.  sizes: {key: channels} of what must be the size of a head.
    """

    activation: str
    base: float
    scaling: str
    numbers: dict[str, float]
    sizes: dict[str, int]

    def frequencies(self, size: int, factors: torch.Tensor | None = None) -> torch.Tensor:
        """By how many radians each pair of a head's ``size`` channels turns from token to token, (size / 2,).

        factors: rope_freqs.weight of a GGUF file, which divide them; llama.cpp writes Llama 3's scaling so.  Raises
        ValueError where the keys ask for heads of another size, and for what is no finite number.
        """
        if odd := [f"{key} is {shown(value)}" for key, value in self.sizes.items() if value != size]:
            raise ValueError(f"{odd[0]}, and a head has {size} channels, all of which turn")
        if factors is not None and factors.shape != (size // 2,):
            raise ValueError(f"rope_freqs.weight is {shown(tuple(factors.shape))}, and a head has {size} channels")
        turned = self.base ** (-torch.arange(0, size, 2) / size) / (1.0 if factors is None else factors)
        if self.scaling == "linear":
            turned = turned / self.numbers["factor"]
        if self.scaling == "llama3":
            factor, low, high, length = (self.numbers[key] for key in SCALINGS["llama3"])
            turns = length * turned / (2 * math.pi)  # within the context of the first training
            kept = ((turns - low) / (high - low)).clamp(0, 1)
            turned = turned * (kept + (1 - kept) / factor)
        if not (turned.isfinite() & (turned >= 0)).all():
            about = "" if factors is None else " after rope_freqs.weight"
            raise ValueError(f"the frequencies of its rotary positions are no finite numbers{about}")
        return turned


def of_json(config: dict) -> Function:
    """The Function that a config.json describes, as transformers reads it. ValueError for a key that is not known."""
    _check(config, "config.json", READ | HARMLESS, ONLY)
    for flag in ("attention_bias", "mlp_bias", "tie_word_embeddings"):
        if config.get(flag) not in (None, True, False):
            raise ValueError(f"config.json: {flag} is {shown(config[flag])}, neither true nor false")
    activation = config.get("hidden_act") or "silu"
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"config.json: hidden_act is {shown(activation)}; computed are {listed(ACTIVATIONS)}")
    rope = _rope(config)
    scaling = _one([rope.get("rope_type"), rope.get("type")], "rope_type and type", "default")
    if not isinstance(scaling, str) or scaling not in SCALINGS:
        raise ValueError(f"config.json: its rotary positions are {shown(scaling)}; computed are {listed(SCALINGS)}")
    _check(rope, "config.json", {*SCALINGS[scaling], "rope_type", "type", "rope_theta"}, ONLY, "rope_scaling.")
    if missing := [key for key in SCALINGS[scaling] if key not in rope]:
        raise ValueError(f"config.json: rope_scaling of the type {scaling} lacks {listed(missing)}")
    numbers = {key: _positive(rope[key], f"config.json: rope_scaling.{key}") for key in SCALINGS[scaling]}
    if scaling == "llama3" and not numbers["low_freq_factor"] < numbers["high_freq_factor"]:
        raise ValueError("config.json: rope_scaling.low_freq_factor must be below high_freq_factor")
    base = _one([config.get("rope_theta"), rope.get("rope_theta")], "both rope_theta", BASE)
    return Function(activation, _positive(base, "config.json: rope_theta"), scaling, numbers, {})


def of_gguf(keys: dict, source: str) -> Function:
    """The Function that the keys of a GGUF file describe, as llama.cpp reads it. ValueError for one that is not known.

    Without a type, a factor is linear; 0 is none.
    """
    own = {key.removeprefix("llama."): value for key, value in keys.items() if key.startswith("llama.")}
    _check(own, source, GGUF_READ | {*GGUF_SIZES}, GGUF_ONLY, "llama.")
    sizes = {key: own[key] for key in GGUF_SIZES if key in own}
    base = _positive(own.get("rope.freq_base", BASE), f"{source}: llama.rope.freq_base")
    scaling = own.get("rope.scaling.type") or "linear"
    if scaling not in ("none", "linear"):
        raise ValueError(f"{source}: its rotary positions are {shown(scaling)}; computed are none and linear")
    factor = own.get("rope.scaling.factor", own.get("rope.scale_linear")) or 1.0
    if scaling == "none" or factor == 1:
        return Function("silu", base, "default", {}, sizes)
    return Function("silu", base, "linear", {"factor": _positive(factor, f"{source}: its factor of positions")}, sizes)


def refuse_changes(checkpoint: Checkpoint) -> None:
    """ValueError where a quantised model computes something else than its family does with the matrices there."""
    if checkpoint.changes:
        raise ValueError(f"{checkpoint.changes}: its loss is not that of these; give the model that it was made from")


def refuse_rounded_inputs(checkpoint: Checkpoint) -> None:
    """ValueError where an engine may round the inputs of matrices too, by a config.json of any family or by scales."""
    says = checkpoint.rounds_more
    if not says and (scaled := checkpoint.scales.of_inputs):
        says = f"{shown(scaled)} has a static scale of its inputs, by which engines round activations too"
    if says:
        how = "rl.evaluate is told how by activations: static, a format or dense"
        raise ValueError(f"{says}: {how}; or give the model that it was made from")


def _rope(config: dict) -> dict:
    """What stands in rope_scaling or rope_parameters, the older and the newer name of one object."""
    parts = {key: config[key] for key in ("rope_scaling", "rope_parameters") if config.get(key)}
    for key, part in parts.items():
        if not isinstance(part, dict):
            raise ValueError(f"config.json: {key} is {shown(part)}, not an object")
    rope = _one(list(parts.values()), "rope_scaling and rope_parameters", {})
    return {key: value for key, value in rope.items() if value is not None}


def _check(values: dict, source: str, known: set[str], only: dict[str, tuple], before: str = "") -> None:
    """ValueError for the first key that is not ``known`` and has another value than ``only`` allows."""
    for key, value in values.items():
        if value is None or key in known or value in only.get(key, ()):
            continue
        if key in only:
            right = " or ".join(shown(one) for one in only[key])
            raise ValueError(f"{source}: {before}{key} is {shown(value)}; computed is {right}")
        raise ValueError(
            f"{source} has {shown(before + key)}, which may change what the model computes and is not known here; "
            "if it does not, delete it there"
        )


def _one(values: list, what: str, default: object) -> object:
    """That of the values which is not None, or the default; ValueError where there are several."""
    values = [value for value in values if value is not None]
    if any(value != values[0] for value in values):
        raise ValueError(f"config.json: {what} disagree, {listed(map(shown, values))}; leave the right one")
    return values[0] if values else default


def _positive(value: object, what: str) -> float:
    try:
        return limited(value, "as a factor", above=True)
    except ValueError as error:
        raise ValueError(f"{what} {error}") from None
