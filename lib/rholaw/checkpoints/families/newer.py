"""Families that keep less than all keys and values: sparse attention by an index, KDA, convolutions of a few steps."""

from ...checked import shown
from ..parts import Cache, Geometry, Part
from .keys import Keys
from .mixtures import DEEPSEEK, chosen, deepseek, latent_of
from .pieces import attention, feed_forward, layers, mamba1, mixture, norm, product


def indexed(keys: Keys) -> Geometry:
    """DeepSeek-V3.2 and GLM-5: MLA that reads the ``index_topk`` tokens which small heads of their own choose (DSA).

    The keys of these heads are cached for every token, in layers that have them; others take over the choice.
    """
    d, heads, width = keys.size("hidden_size"), keys.size("index_n_heads"), keys.size("index_head_dim")
    own, rank = latent_of(keys), keys.maybe("q_lora_rank")
    if not rank:
        raise keys.refusal("q_lora_rank", "is not there, and the index is made of these queries")
    (cache,) = own.caches
    full = product(rank, heads * width) + product(d, width) + norm(width, True) + Part(kept=d * heads)
    seen = Cache(0, cache.work, keys.size("index_topk"))
    mixers = {
        "full": Part(own.matrices, own.kept, caches=(Cache(cache.width + width, 2 * heads * width), seen)) + full,
        "shared": Part(own.matrices, own.kept, caches=(Cache(cache.width, 0), seen)),
    }
    keys.kinds(["indexed_attention"] * keys.layers, ["indexed_attention"])
    kinds = _index_kinds(keys)
    body = layers(
        [(kind, deepseek(keys, i)) for i, kind in enumerate(kinds)],
        lambda kind: mixers[kind[0]] + kind[1] + 2 * norm(d),
    )
    return Geometry(keys.family, body + norm(d), d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def _index_kinds(keys: Keys) -> list[str]:
    """Which layers choose tokens themselves."""
    every, first = keys.size("index_topk_freq"), keys.size("index_skip_topk_offset", zero=True)
    usual = ["shared" if max(i - first + 1, 0) % every else "full" for i in range(keys.layers)]
    if isinstance(pattern := keys.values.get("index_topk_pattern"), str):
        usual = [{"F": "full", "S": "shared"}.get(letter, letter) for letter in pattern]
    elif pattern is not None:
        usual = keys.several("index_topk_pattern")
    return keys.kinds(usual, ["full", "shared"], "indexer_types")


def kimi_linear(keys: Keys) -> Geometry:
    """Kimi Linear (arXiv 2510.26692): to a layer of MLA three of KDA, a delta rule with decays by channel."""
    d, about = keys.size("hidden_size"), keys.values.get("linear_attn_config") or {}
    keys.read.add("linear_attn_config")
    if not isinstance(about, dict):
        raise keys.refusal("linear_attn_config", "is no table")
    if odd := [key for key in about if key not in KDA and about[key] not in (None, False)]:
        raise keys.refusal("linear_attn_config", f"has {shown(odd[0])}, which is not modelled")
    named = {"head_dim": "linear_head_dim", "num_heads": "linear_num_heads"}
    named |= {"short_conv_kernel_size": "linear_conv_kernel_dim"}
    inner = Keys({named[key]: about[key] for key in named if key in about}, keys.defaults, keys.source, keys.names)
    head, heads, kernel = ((inner if name in inner.values else keys).size(name) for name in named.values())
    keys.read.update(named.values())
    usual = ["full_attention" if i and i % 4 == 0 else "linear_attention" for i in range(keys.layers)]
    said = Keys({key: about.get(key) for key in ("full_attn_layers", "kda_layers")}, {}, keys.source, keys.names)
    full, others = (said.several(key, int) for key in said.values)
    if full is not None:
        usual = ["full_attention" if i + 1 in full else "linear_attention" for i in range(keys.layers)]
        if sorted(full + (others or [])) != list(range(1, keys.layers + 1)):
            raise keys.refusal("linear_attn_config", "does not say of every layer, once, what it is")
    kinds = keys.kinds(usual, ["full_attention", "linear_attention"])
    width, bottle = heads * head, product(d, head) + product(head, heads * head)
    linear = product(d, 3 * width) + product(d, heads) + bottle + bottle + product(width, d)
    kept = 3 * width * kernel + width + heads + head  # convolutions, steps, decays, and the norm of the output
    linear += Part(kept=kept, state=heads * head * head + 3 * width * kernel)
    mixers = {"full_attention": latent_of(keys), "linear_attention": linear}
    feeds = [deepseek(keys, i, ("num_experts", "num_local_experts"), "num_shared_experts") for i in range(keys.layers)]
    body = layers(zip(kinds, feeds, strict=True), lambda kind: mixers[kind[0]] + kind[1] + 2 * norm(d)) + norm(d)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def jamba(keys: Keys) -> Geometry:
    """Jamba (arXiv 2403.19887): Mamba 1 with norms inside, attention in every eighth layer, every other one experts."""
    d, width, (heads, kv_heads, head) = keys.size("hidden_size"), keys.size("intermediate_size"), keys.heads()
    keys.same("mamba_inner_layernorms", True)
    inner, state = keys.size("mamba_expand") * d, keys.size("mamba_d_state")
    rank = -(-d // 16) if keys.values.get("mamba_dt_rank") in (None, "auto") else keys.size("mamba_dt_rank")
    conv, plain, kernel = keys.flag("mamba_conv_bias"), keys.flag("mamba_proj_bias"), keys.size("mamba_d_conv")
    keys.read.add("mamba_dt_rank")
    several = keys.size("num_experts", "num_local_experts") > 1  # one is used by all tokens, whatever they may choose
    keys.maybe("num_experts_per_tok")
    dense = feed_forward(d, width)
    mixed = mixture(d, width, *chosen(keys, "num_experts", "num_local_experts")) if several else dense
    mamba = mamba1(d, inner, rank, state, kernel, conv_bias=conv, bias=plain) + norm(rank + 2 * state)
    mixers = {True: attention(d, heads, kv_heads, head), False: mamba}
    feeds = {True: mixed, False: dense}
    attends, chooses = (_periodic(keys, name) for name in ("attn_layer", "expert_layer"))
    kinds = [(attends[i], chooses[i]) for i in range(keys.layers)]
    body = layers(kinds, lambda kind: mixers[kind[0]] + feeds[kind[1]] + 2 * norm(d)) + norm(d)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def _periodic(keys: Keys, name: str) -> list[bool]:
    """Of each layer, whether it is one of those that come once in a period."""
    period, offset = keys.size(f"{name}_period"), keys.size(f"{name}_offset", zero=True)
    return [i % period == offset for i in range(keys.layers)]


def lfm2(keys: Keys) -> Geometry:
    """LFM2: gated convolutions of three steps in most layers, attention in some; LFM2-MoE has experts, too."""
    d, (heads, kv_heads, head) = keys.size("hidden_size"), keys.heads()
    for name, value in {"conv_dim": d, "conv_dim_out": d, "block_dim": d, "num_heads": heads}.items():
        keys.same(name, value)
    bias, steps, several = keys.flag("conv_bias"), keys.size("conv_L_cache"), keys.several("full_attn_idxs", int)
    attends = range(keys.layers) if several is None else several
    kinds = keys.kinds(
        ["full_attention" if i in attends else "conv" for i in range(keys.layers)], ["full_attention", "conv"]
    )
    conv = product(d, 3 * d, bias) + product(d, d, bias) + Part(kept=d * (steps + bias), state=d * steps)
    mixers = {"full_attention": attention(d, heads, kv_heads, head) + norm(2 * head), "conv": conv}
    dense, width = feed_forward(d, _adjusted(keys)), keys.maybe("moe_intermediate_size")
    sparse = mixture(d, width, *chosen(keys, "num_experts", "num_local_experts")) if width else dense
    first = keys.maybe("num_dense_layers")
    keys.flag("use_expert_bias")  # a balance, no weight
    feeds = [dense if i < first else sparse for i in range(keys.layers)]
    body = layers(zip(kinds, feeds, strict=True), lambda kind: mixers[kind[0]] + kind[1] + 2 * norm(d)) + norm(d)
    tied = keys.flag("tie_embedding" if "tie_embedding" in keys.values else "tie_word_embeddings")
    return Geometry(keys.family, body, d, keys.size("vocab_size"), tied)


def _adjusted(keys: Keys) -> int:
    """The width of LFM2's feed-forward: two thirds of what is said, up to a multiple, unless that is off."""
    width = keys.size("block_ff_dim", "intermediate_size")
    keys.read.update(("block_ff_dim", "intermediate_size", "block_multiple_of", "block_ffn_dim_multiplier"))
    if not keys.flag("block_auto_adjust_ff_dim"):
        return width
    multiple = keys.size("block_multiple_of")
    return -(-int(keys.number("block_ffn_dim_multiplier") * int(2 * width / 3)) // multiple) * multiple


KDA = ("head_dim", "num_heads", "short_conv_kernel_size", "full_attn_layers", "kda_layers")  # of linear_attn_config
SPARSE = DEEPSEEK | {"index_head_dim": 128, "index_n_heads": 64, "index_topk": 2048}
SPARSE |= {"index_topk_freq": 1, "index_skip_topk_offset": 2}
GLM5 = SPARSE | {"vocab_size": 154880, "hidden_size": 6144, "intermediate_size": 12288, "num_hidden_layers": 78}
GLM5 |= {"num_attention_heads": 64, "q_lora_rank": 2048, "v_head_dim": 256, "qk_nope_head_dim": 192}
GLM5 |= {"index_n_heads": 32}
LFM2 = {"vocab_size": 65536, "hidden_size": 2560, "intermediate_size": 12288, "num_hidden_layers": 32}
LFM2 |= {"num_attention_heads": 32, "num_key_value_heads": 8, "conv_L_cache": 3, "tie_word_embeddings": True}

FAMILIES = {
    "deepseek_v32": (indexed, SPARSE),
    "glm_moe_dsa": (indexed, GLM5),
    "kimi_linear": (
        kimi_linear,
        {"vocab_size": 163840, "hidden_size": 2304, "intermediate_size": 9216, "moe_intermediate_size": 1024}
        | {"num_hidden_layers": 27, "num_attention_heads": 32, "num_shared_experts": 1, "kv_lora_rank": 512}
        | {"qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128, "num_experts_per_tok": 8}
        | {"num_experts": 256, "first_k_dense_replace": 1}
        | {"linear_head_dim": 128, "linear_num_heads": 32, "linear_conv_kernel_dim": 4},
    ),
    "jamba": (
        jamba,
        {"vocab_size": 65536, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
        | {"num_attention_heads": 32, "num_key_value_heads": 8, "num_experts_per_tok": 2, "num_experts": 16}
        | {"expert_layer_period": 2, "expert_layer_offset": 1, "attn_layer_period": 8, "attn_layer_offset": 4}
        | {"mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_conv_bias": True},
    ),
    "lfm2": (
        lfm2,
        LFM2 | {"block_multiple_of": 256, "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": True},
    ),
    "lfm2_moe": (
        lfm2,
        LFM2
        | {"hidden_size": 2048, "intermediate_size": 7168, "moe_intermediate_size": 1792, "num_dense_layers": 2}
        | {"num_experts_per_tok": 4, "num_experts": 32},
    ),
}
