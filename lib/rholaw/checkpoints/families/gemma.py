"""Gemma 3n and Gemma 4: a table of embeddings for every layer, layers that reuse the cache of others, wide heads."""

import math

from ..config import alike
from ..parts import Cache, Geometry, Part
from .keys import Keys
from .llamas import sliding
from .mixtures import chosen
from .pieces import attention, feed_forward, layers, mixture, norm, product


def _reusing(own: Part, d: int, heads: int, head: int) -> Part:
    """Attention that has queries of its own and reads the cache of a layer before: no keys, no values."""
    return product(d, heads * head) + product(heads * head, d) + Part(caches=(Cache(0, own.caches[0].work),))


def _tables(keys: Keys, d: int, width: int) -> tuple[Part, Part]:
    """Of the embeddings for every layer: what a layer has of them, and what is there once."""
    if not width:
        return Part(), Part()
    count = keys.layers * width
    once = product(d, count) + norm(width) + Part(tables=keys.size("vocab_size_per_layer_input") * count)
    return product(d, width) + product(width, d) + norm(d), once


def gemma4(keys: Keys) -> Geometry:
    """Gemma 4: layers that see all tokens have wider heads, whose keys may be their values."""
    d, heads, width = keys.size("hidden_size"), keys.size("num_attention_heads"), keys.size("intermediate_size")
    head, kv_heads = keys.size("head_dim"), keys.size("num_key_value_heads")
    wide, same = keys.maybe("global_head_dim") or head, keys.flag("attention_k_eq_v")
    few = keys.maybe("num_global_key_value_heads") if same else 0
    keys.read.update(("num_global_key_value_heads", "per_layer_config"))
    if overrides := keys.values.get("per_layer_config"):  # newer files say the same so
        wide, few = _overridden(keys, overrides)
    keys.same("attention_bias", False)
    windows, reused, double = sliding(keys, 6), keys.maybe("num_kv_shared_layers"), keys.flag("use_double_wide_mlp")
    windows[-1] = math.inf
    own_table, once = _tables(keys, d, keys.maybe("hidden_size_per_layer_input"))
    experts = _gemma_experts(keys, d) if keys.flag("enable_moe_block") else Part()
    for name in ("num_experts", "top_k_experts", "moe_intermediate_size", "vocab_size_per_layer_input"):
        keys.read.add(name)

    def layer(kind: tuple[float, bool]) -> Part:
        window, reuses = kind
        if window == math.inf:
            size, own = wide, attention(d, heads, few or kv_heads, wide, shared=same)
        else:
            size, own = head, attention(d, heads, kv_heads, head, window=window)
        own = _reusing(own, d, heads, size) + norm(size) if reuses else own + norm(2 * size)
        feed = feed_forward(d, width * (2 if double and reuses else 1))
        return own + feed + experts + own_table + 4 * norm(d)

    kinds = [(window, i >= len(windows) - reused) for i, window in enumerate(windows)]
    body = layers(kinds, layer) + norm(d) + once
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def _overridden(keys: Keys, overrides: object) -> tuple[int, int]:
    """(width of a head, key and value heads or 0) that layers with a config of their own have, all the same."""
    one = alike(list(overrides.values())) if isinstance(overrides, dict) else None
    if not isinstance(one, dict) or not one.keys() <= {"head_dim", "num_key_value_heads"}:
        raise keys.refusal("per_layer_config", "is not modelled but for one width and number of heads")
    own = Keys({**keys.values, "num_key_value_heads": None, **one}, {}, keys.source, {})
    return own.size("head_dim"), own.maybe("num_key_value_heads")


def _gemma_experts(keys: Keys, d: int) -> Part:
    experts, used = chosen(keys, "num_experts")
    part = mixture(d, keys.size("moe_intermediate_size"), experts, used)
    return part + 3 * norm(d) + Part(kept=d + experts)


def gemma3n(keys: Keys) -> Geometry:
    """Gemma 3n: AltUp and LAuReL beside a table of embeddings for every layer."""
    d, heads, head = keys.size("hidden_size"), keys.size("num_attention_heads"), keys.size("head_dim")
    kv_heads, streams = keys.size("num_key_value_heads"), keys.size("altup_num_inputs")
    keys.same("attention_bias", False)
    rank, windows, reused = keys.size("laurel_rank"), sliding(keys, 5), keys.maybe("num_kv_shared_layers")
    own_table, once = _tables(keys, d, keys.size("hidden_size_per_layer_input"))
    altup = Part(kept=2 * d + streams**2 + streams**3 + d * streams)
    feed = feed_forward(d, keys.size("intermediate_size"))
    beside = altup + product(d, rank) + product(rank, d) + own_table + feed + 5 * norm(d)

    def layer(kind: tuple[float, bool]) -> Part:
        window, reuses = kind
        own = attention(d, heads, kv_heads, head, window=window)
        own = _reusing(own, d, heads, head) + norm(head) if reuses else own + norm(2 * head)
        return own + beside

    kinds = [(window, i >= len(windows) - reused) for i, window in enumerate(windows)]
    body = layers(kinds, layer) + norm(d) + once + 2 * (streams - 1) * product(d, d)
    keys.read.update(("altup_active_idx", "altup_correct_scale", "activation_sparsity_pattern"))
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


GEMMA4 = {"vocab_size": 262144, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 30}
GEMMA4 |= {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "global_head_dim": 512}
GEMMA4 |= {"sliding_window": 512, "vocab_size_per_layer_input": 262144, "hidden_size_per_layer_input": 256}
GEMMA4 |= {"tie_word_embeddings": True}
GEMMA3N = {"vocab_size": 262400, "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 35}
GEMMA3N |= {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256, "sliding_window": 512}
GEMMA3N |= {"vocab_size_per_layer_input": 262144, "hidden_size_per_layer_input": 256, "altup_num_inputs": 4}
GEMMA3N |= {"num_kv_shared_layers": 15, "laurel_rank": 64, "tie_word_embeddings": True}
FAMILIES = {"gemma3n_text": (gemma3n, GEMMA3N), "gemma4_text": (gemma4, GEMMA4)}
