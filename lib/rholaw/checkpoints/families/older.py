"""Families from before Llama: learned positions, LayerNorm with shifts, biases, no gate; and encoders."""

from ..parts import Cache, Geometry, Part
from .keys import Keys
from .pieces import attention, feed_forward, norm, product


def gpt2(keys: Keys) -> Geometry:
    """GPT-2 and GPT-BigCode: learned positions, LayerNorm, biases everywhere, no gate."""
    d, heads = keys.size("n_embd", "hidden_size"), keys.size("n_head", "num_attention_heads")
    kv_heads = 1 if keys.flag("multi_query") else heads
    keys.same("num_key_value_heads", kv_heads)
    keys.same("add_cross_attention", False)
    own = attention(d, heads, kv_heads, d // heads, bias=True, out_bias=True)
    one = own + feed_forward(d, keys.maybe("n_inner") or 4 * d, gated=False, bias=True) + 2 * norm(d, True)
    body = keys.layers * one + norm(d, True) + Part(tables=keys.size("n_positions", "max_position_embeddings") * d)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def gpt_neox(keys: Keys) -> Geometry:
    """GPT-NeoX and Pythia: LayerNorm, biases, no gate."""
    d, heads, bias = keys.size("hidden_size"), keys.size("num_attention_heads"), keys.flag("attention_bias")
    keys.same("num_key_value_heads", heads)
    own = attention(d, heads, heads, d // heads, bias=bias, out_bias=bias)
    one = own + feed_forward(d, keys.size("intermediate_size"), gated=False, bias=True) + 2 * norm(d, True)
    body = keys.layers * one + norm(d, True)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def bert(keys: Keys) -> Geometry:
    """BERT and RoBERTa with the head for masked words: an encoder, which keeps no cache."""
    d, heads, words = keys.size("hidden_size"), keys.size("num_attention_heads"), keys.size("vocab_size")
    keys.same("add_cross_attention", False)
    keys.same("num_key_value_heads", heads)
    own = attention(d, heads, heads, d // heads, bias=True, out_bias=True)
    own = Part(own.matrices, own.kept, caches=(Cache(0, own.caches[0].work),))
    one = own + feed_forward(d, keys.size("intermediate_size"), gated=False, bias=True) + 2 * norm(d, True)
    tables = (keys.size("max_position_embeddings") + keys.size("type_vocab_size", zero=True)) * d
    tied = keys.flag("tie_word_embeddings")
    head = product(d, d, bias=True) + norm(d, True) + Part(kept=words if tied else 2 * words)  # which shares its bias
    body = keys.layers * one + norm(d, True) + head + Part(tables=tables)
    return Geometry(keys.family, body, d, words, tied, decoder=False)


def opt(keys: Keys) -> Geometry:
    """OPT: learned positions, two more than it says, biases, no gate."""
    d, heads, bias = keys.size("hidden_size"), keys.size("num_attention_heads"), keys.flag("enable_bias")
    keys.same("word_embed_proj_dim", d)
    keys.same("layer_norm_elementwise_affine", True)
    keys.same("num_key_value_heads", heads)
    own = attention(d, heads, heads, d // heads, bias=bias, out_bias=bias)
    one = own + feed_forward(d, keys.size("ffn_dim"), gated=False, bias=bias) + 2 * norm(d, True)
    ends = keys.flag("do_layer_norm_before") and not keys.flag("_remove_final_layer_norm")
    body = keys.layers * one + Part(tables=(keys.size("max_position_embeddings") + 2) * d)
    body += norm(d, True) if ends else Part()
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def falcon(keys: Keys) -> Geometry:
    """Falcon: one key and value head, or few, LayerNorm, attention and feed-forward side by side."""
    d, heads = keys.size("hidden_size"), keys.size("num_attention_heads", "n_head")
    new, bias = keys.flag("new_decoder_architecture"), keys.flag("bias")
    multi, several = keys.flag("multi_query"), keys.maybe("num_kv_heads", "n_head_kv") or heads
    kv_heads = several if new else 1 if multi else heads
    norms = (keys.maybe("num_ln_in_parallel_attn") or (2 if new else 1)) if keys.flag("parallel_attn") else 2
    own = attention(d, heads, kv_heads, d // heads, bias=bias, out_bias=bias)
    width = keys.maybe("ffn_hidden_size") or 4 * d
    one = own + feed_forward(d, width, gated=False, bias=bias) + norms * norm(d, True)
    body = keys.layers * one + norm(d, True)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def bloom(keys: Keys) -> Geometry:
    """BLOOM: positions by ALiBi, a LayerNorm behind the embedding, biases, no gate."""
    d, heads = keys.size("n_embed", "hidden_size"), keys.size("n_head", "num_attention_heads")
    keys.same("intermediate_size", 4 * d)  # GGUF says it
    keys.same("num_key_value_heads", heads)
    own = attention(d, heads, heads, d // heads, bias=True, out_bias=True)
    one = own + feed_forward(d, 4 * d, gated=False, bias=True) + 2 * norm(d, True)
    body = keys.layers * one + 2 * norm(d, True)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


BERT = {"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
BERT |= {"intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "tie_word_embeddings": True}
GPT2 = {
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "tie_word_embeddings": True,
}

FAMILIES = {
    "gpt2": (gpt2, GPT2),
    "gpt_bigcode": (gpt2, GPT2 | {"multi_query": True}),
    "gpt_neox": (
        gpt_neox,
        {"vocab_size": 50432, "hidden_size": 6144, "intermediate_size": 24576, "num_hidden_layers": 44}
        | {"num_attention_heads": 64, "attention_bias": True},
    ),
    "bert": (bert, BERT),
    "roberta": (bert, BERT | {"vocab_size": 50265}),
    "xlm-roberta": (bert, BERT),
    "camembert": (bert, BERT),
    "opt": (
        opt,
        {"vocab_size": 50272, "hidden_size": 768, "ffn_dim": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
        | {"max_position_embeddings": 2048, "enable_bias": True, "do_layer_norm_before": True}
        | {"tie_word_embeddings": True},
    ),
    "bloom": (
        bloom,
        {"vocab_size": 250880, "hidden_size": 64, "n_layer": 2, "n_head": 8, "tie_word_embeddings": True},
    ),
    "falcon": (
        falcon,
        {"vocab_size": 65024, "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71}
        | {"multi_query": True, "parallel_attn": True, "tie_word_embeddings": True},
    ),
}
