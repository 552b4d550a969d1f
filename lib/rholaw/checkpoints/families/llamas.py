"""Decoders with attention in every layer: Llama, and what differs from it by norms, biases and windows.

Each family is a Family: its defaults for keys that are not there (as transformers has them), and what it has that Llama
has not.  A new one of the kind is one line of DENSE.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..parts import Geometry, Part
from .keys import Keys
from .pieces import attention, feed_forward, layers, norm

Says = bool | str
"""True or false, or the key of the config that says it."""


@dataclass(frozen=True)
class Family:
    """What tells a family from Llama.

    defaults: of keys; qkv_bias, out_bias, mlp_bias, head_bias: which products have biases; norms: of the width, a
    layer; norm_bias: whether they shift; end: whether a norm ends the layers; qk_norm: "head" for one gain a channel of
    a head, "whole" for one a channel of all heads; gated: of the feed-forward; fixed: keys that change the count, at
    the value that is modelled; slides: every how many layers one sees all tokens, 0 for none where there is a window,
    -1 where ``use_sliding_window`` and ``max_window_layers`` say; feed: the feed-forward of layer i, where it is a
    mixture; beside: what is kept beside a layer.
    """

    defaults: Mapping[str, Any]
    qkv_bias: Says = "attention_bias"
    out_bias: Says = "attention_bias"
    mlp_bias: Says = "mlp_bias"
    head_bias: Says = False
    norms: int = 2
    norm_bias: bool = False
    end: bool = True
    qk_norm: str = ""
    gated: bool = True
    fixed: Mapping[str, bool] = field(default_factory=dict)
    slides: int = 0
    feed: Callable[[Keys, int], Part] | None = None
    beside: Callable[[Keys], Part] = field(default=lambda keys: Part())


def decoder(keys: Keys, family: Family) -> Geometry:
    """The Geometry of a decoder of this family."""
    for key, value in {"qk_layernorm": False, "use_parallel_residual": False, **family.fixed}.items():
        keys.same(key, value)
    d, says = keys.size("hidden_size"), (lambda says: keys.flag(says) if isinstance(says, str) else says)
    heads, kv_heads, head = keys.heads()
    windows = sliding(keys, family.slides)
    if not family.mlp_bias:
        keys.same("mlp_bias", False)
    qk = {"": 0, "head": 2 * head, "whole": (heads + kv_heads) * head}
    feed = family.feed or usual(family, says)

    def layer(kind: tuple[float, Part]) -> Part:
        window, after = kind
        own = attention(
            d, heads, kv_heads, head, bias=says(family.qkv_bias), out_bias=says(family.out_bias), window=window
        )
        norms = family.norms * norm(d, family.norm_bias)
        return own + Part(kept=qk[family.qk_norm]) + after + norms + family.beside(keys)

    kinds = [(window, feed(keys, i)) for i, window in enumerate(windows)]
    body = layers(kinds, layer) + (norm(d, family.norm_bias) if family.end else Part())
    vocabulary = keys.size("vocab_size")
    body += Part(kept=vocabulary if says(family.head_bias) else 0)
    return Geometry(keys.family, body, d, vocabulary, keys.flag("tie_word_embeddings"))


def usual(family: Family, says: Callable[[Says], bool]) -> Callable[[Keys, int], Part]:
    """The same dense feed-forward in every layer."""

    def feed(keys: Keys, i: int) -> Part:
        bias = says(family.mlp_bias)
        return feed_forward(keys.size("hidden_size"), keys.size("intermediate_size"), family.gated, bias)

    return feed


def sliding(keys: Keys, every: int) -> list[float]:
    """How many tokens each layer looks back."""
    window, count = keys.maybe("sliding_window") or math.inf, keys.layers
    first = keys.maybe("max_window_layers")
    if every < 0 and not keys.flag("use_sliding_window"):
        window = math.inf
    every = keys.maybe("sliding_window_pattern", "_sliding_window_pattern") or every
    if every < 0:
        usual = [i < first for i in range(count)]
    else:
        usual = [every > 0 and (i + 1) % every == 0 for i in range(count)]
    kinds = keys.kinds(
        ["full_attention" if full else "sliding_attention" for full in usual], ["full_attention", "sliding_attention"]
    )
    return [math.inf if kind == "full_attention" else window for kind in kinds]


def by_name(families: Mapping[str, Family]) -> dict[str, tuple[Callable[[Keys], Geometry], Mapping]]:
    """{model_type: (what makes its Geometry of its Keys, their defaults)}."""
    return {name: (partial(decoder, family=family), family.defaults) for name, family in families.items()}


LLAMA = {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32}
LLAMA |= {"num_attention_heads": 32}
MISTRAL = LLAMA | {"intermediate_size": 14336, "num_key_value_heads": 8}
QWEN = LLAMA | {"vocab_size": 151936, "intermediate_size": 22016, "max_window_layers": 28, "num_key_value_heads": 32}
GEMMA = {"vocab_size": 256000, "hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28}
GEMMA |= {"num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256, "tie_word_embeddings": True}
GEMMA2 = GEMMA | {"hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8}
GEMMA2 |= {"num_key_value_heads": 4, "sliding_window": 4096}
PHI = {"vocab_size": 51200, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24}
PHI |= {"num_attention_heads": 32}
OLMO = LLAMA | {"vocab_size": 50304}
GLM = {"vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40}
GLM |= {"num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "attention_bias": True}
COHERE = {"vocab_size": 256000, "hidden_size": 8192, "intermediate_size": 22528, "num_hidden_layers": 40}
COHERE |= {"num_attention_heads": 64, "tie_word_embeddings": True}
PLAIN = {"qkv_bias": False, "out_bias": False, "mlp_bias": False}

DENSE = {
    "llama": Family(LLAMA),
    "mistral": Family(MISTRAL | {"sliding_window": 4096}, **PLAIN),
    "ministral": Family(MISTRAL | {"sliding_window": 4096}, **PLAIN),
    "ministral3": Family(MISTRAL | {"vocab_size": 131072, "num_hidden_layers": 34, "head_dim": 128}, **PLAIN),
    "qwen2": Family(QWEN, qkv_bias=True, out_bias=False, mlp_bias=False, slides=-1),
    "qwen3": Family(QWEN | {"head_dim": 128}, mlp_bias=False, qk_norm="head", slides=-1),
    "gemma": Family(GEMMA, mlp_bias=False),
    "gemma2": Family(GEMMA2, mlp_bias=False, norms=4, slides=2),
    "gemma3_text": Family(GEMMA2 | {"vocab_size": 262208}, mlp_bias=False, norms=4, qk_norm="head", slides=6),
    "phi": Family(PHI, True, True, True, True, norms=1, norm_bias=True, gated=False),
    "phi3": Family(
        PHI | {"vocab_size": 32064, "hidden_size": 3072, "num_hidden_layers": 32, "num_key_value_heads": 32}, **PLAIN
    ),
    "olmo": Family(OLMO, mlp_bias=False, norms=0, end=False),
    "olmo2": Family(OLMO, mlp_bias=False, qk_norm="whole"),
    "olmo3": Family(OLMO | {"sliding_window": 4096}, mlp_bias=False, qk_norm="whole", slides=4),
    "smollm3": Family(
        LLAMA
        | {"vocab_size": 128256, "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16}
        | {"num_key_value_heads": 4, "tie_word_embeddings": True, "max_window_layers": 28},
        slides=-1,
    ),
    "granite": Family(LLAMA),
    "glm": Family(GLM, out_bias=False, mlp_bias=False),
    "glm4": Family(GLM, out_bias=False, mlp_bias=False, norms=4),
    "cohere": Family(COHERE, mlp_bias=False, norms=1),
    "cohere2": Family(COHERE | {"sliding_window": 4096}, mlp_bias=False, norms=1, slides=4),
    "stablelm": Family(
        LLAMA | {"vocab_size": 50304, "hidden_size": 2560, "intermediate_size": 6912, "num_key_value_heads": 32},
        **PLAIN | {"qkv_bias": "use_qkv_bias"},
        norm_bias=True,
    ),
    "starcoder2": Family(
        {"vocab_size": 49152, "hidden_size": 3072, "intermediate_size": 12288, "num_hidden_layers": 30}
        | {"num_attention_heads": 24, "num_key_value_heads": 2, "use_bias": True, "tie_word_embeddings": True},
        "use_bias", "use_bias", "use_bias", norm_bias=True, gated=False,
    ),
    "nemotron": Family(
        {"vocab_size": 256000, "hidden_size": 6144, "intermediate_size": 24576, "num_hidden_layers": 32}
        | {"num_attention_heads": 48},
        norm_bias=True, gated=False,
    ),
    "seed_oss": Family(
        {"vocab_size": 155136, "hidden_size": 4096, "intermediate_size": 27648, "num_hidden_layers": 64}
        | {"num_attention_heads": 80, "num_key_value_heads": 8, "head_dim": 128, "attention_bias": True},
        out_bias="attention_out_bias",
    ),
    "exaone4": Family(
        LLAMA | {"vocab_size": 102400, "intermediate_size": 16384, "num_key_value_heads": 32, "sliding_window": 4096},
        **PLAIN, qk_norm="head", slides=4,
    ),
    "ernie4_5": Family(
        {"vocab_size": 103424, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 18}
        | {"num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 128, "tie_word_embeddings": True},
        "use_bias", "use_bias", "use_bias",
    ),
    "hunyuan_v1_dense": Family(LLAMA | {"vocab_size": 290943}, mlp_bias=False, qk_norm="head"),
}  # fmt: skip

FAMILIES = by_name(DENSE)
