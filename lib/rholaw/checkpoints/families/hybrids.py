"""Families whose layers are not all attention: DeltaNet and Mamba keep a state that does not grow."""

from ..parts import Geometry, Part
from .keys import LAYERS, Keys
from .mixtures import chosen, granite, qwen
from .pieces import attention, delta, feed_forward, layers, mamba1, mamba2, mixture, norm, product


def qwen_hybrid(keys: Keys) -> Geometry:
    """Qwen3-Next and Qwen3.5: gated DeltaNet, and attention with a gate in every fourth layer."""
    d, heads, head = keys.size("hidden_size"), keys.size("num_attention_heads"), keys.size("head_dim")
    bias, every = keys.flag("attention_bias"), keys.size("full_attention_interval")
    usual = ["linear_attention" if (i + 1) % every else "full_attention" for i in range(keys.layers)]
    kinds = keys.kinds(usual, ["linear_attention", "full_attention"])
    names = ("linear_num_key_heads", "linear_key_head_dim", "linear_num_value_heads", "linear_value_head_dim")
    linear = delta(d, *(keys.size(name) for name in names), keys.size("linear_conv_kernel_dim"))
    full = attention(d, heads, keys.size("num_key_value_heads"), head, bias=bias, out_bias=bias, gate=True)
    full += norm(2 * head)

    def layer(kind: tuple[str, Part]) -> Part:
        return (full if kind[0] == "full_attention" else linear) + kind[1] + 2 * norm(d)

    body = layers([(kind, qwen(keys, i)) for i, kind in enumerate(kinds)], layer) + norm(d)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


NEMOTRON = {"M": "mamba", "E": "moe", "*": "attention", "-": "mlp"}


def nemotron_h(keys: Keys) -> Geometry:
    """Nemotron-H and Nemotron 3: each layer is one of Mamba 2, attention, a feed-forward, a mixture."""
    d, heads, head = (
        keys.size("hidden_size"),
        keys.size("num_attention_heads"),
        keys.size("head_dim", "attention_head_dim"),
    )
    bias, mlp_bias = keys.flag("attention_bias"), keys.flag("mlp_bias")
    listed, pattern = keys.several("layers_block_type"), keys.text("hybrid_override_pattern")
    if not listed and (not pattern or len(pattern) > LAYERS or set(pattern) - set(NEMOTRON)):
        raise keys.refusal("hybrid_override_pattern", f"must say by {' '.join(NEMOTRON)} what each layer is")
    kinds = listed or [NEMOTRON[letter] for letter in pattern]
    usual = {"linear_attention": "mamba", "full_attention": "attention"}
    kinds = [usual.get(kind, kind) for kind in kinds]
    if strange := sorted(set(kinds) - set(NEMOTRON.values())):
        raise keys.refusal("layers_block_type", f"names {strange[0]!r}, which is not modelled")
    keys.same("num_hidden_layers", len(kinds))
    mixers = {kind: _nemotron(keys, kind, d, heads, head, bias, mlp_bias) for kind in set(kinds)}
    body = layers(kinds, lambda kind: mixers[kind] + norm(d)) + norm(d)
    keys.read.update(("n_routed_experts", "num_experts_per_tok", "moe_intermediate_size", "moe_latent_size"))
    keys.read.update(("moe_shared_expert_intermediate_size", "mlp_bias", "n_groups", "mamba_head_dim", "conv_kernel"))
    keys.read.update(("intermediate_size", "n_shared_experts", "expand", "mamba_num_heads", "ssm_state_size"))
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def _nemotron(keys: Keys, kind: str, d: int, heads: int, head: int, bias: bool, mlp_bias: bool) -> Part:
    if kind == "mamba":
        own, groups = keys.size("mamba_num_heads"), keys.size("n_groups", "mamba_n_groups")
        inner, kernel = own * keys.size("mamba_head_dim"), keys.size("conv_kernel", "mamba_d_conv")
        conv, plain = keys.flag("use_conv_bias"), keys.flag("use_bias") or keys.flag("mamba_proj_bias")
        return mamba2(d, inner, own, groups, keys.size("ssm_state_size"), kernel, norm=True, conv_bias=conv, bias=plain)
    if kind == "attention":
        return attention(d, heads, keys.maybe("num_key_value_heads") or heads, head, bias=bias, out_bias=bias)
    if kind == "mlp":
        return feed_forward(d, keys.size("intermediate_size"), gated=False, bias=mlp_bias)
    keys.same("mlp_bias", False)
    latent, width = keys.maybe("moe_latent_size"), keys.size("moe_intermediate_size")
    experts, used = chosen(keys, "n_routed_experts", "num_local_experts")
    part = mixture(latent or d, width, experts, used, gated=False) + Part(kept=experts * (d - (latent or d)))
    part += product(d, latent) + product(latent, d) if latent else Part()
    return part + feed_forward(d, keys.size("moe_shared_expert_intermediate_size"), gated=False)


def mamba_2(keys: Keys) -> Geometry:
    """Mamba 2 alone."""
    d, own, state = keys.size("hidden_size"), keys.size("num_heads"), keys.size("state_size")
    inner = own * keys.size("head_dim")
    keys.same("expand", inner // d if inner % d == 0 else 0)
    conv, plain = keys.flag("use_conv_bias"), keys.flag("use_bias")
    groups, kernel = keys.size("n_groups"), keys.size("conv_kernel")
    one = mamba2(d, inner, own, groups, state, kernel, norm=True, conv_bias=conv, bias=plain) + norm(d)
    keys.read.update(("intermediate_size", "time_step_rank"))
    body = keys.layers * one + norm(d)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def mamba_1(keys: Keys) -> Geometry:
    """Mamba and Falcon-Mamba."""
    d, inner = keys.size("hidden_size", "d_model"), keys.maybe("intermediate_size", "d_inner")
    inner, rank = inner or keys.size("expand") * d, keys.values.get("time_step_rank")
    keys.read.add("expand")
    keys.read.add("time_step_rank")
    rank = -(-d // 16) if rank in (None, "auto") else keys.size("time_step_rank")
    conv, plain = keys.flag("use_conv_bias"), keys.flag("use_bias")
    state, kernel = keys.size("state_size"), keys.size("conv_kernel")
    one = mamba1(d, inner, rank, state, kernel, conv_bias=conv, bias=plain) + norm(d)
    body = keys.layers * one + norm(d)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def _mamba_of(keys: Keys, d: int, norms: bool) -> Part:
    """Mamba 2 by the keys that Bamba introduced."""
    own, inner = keys.size("mamba_n_heads"), keys.maybe("mamba_d_ssm") or keys.size("mamba_expand") * d
    keys.read.update(("mamba_d_head", "mamba_expand"))
    conv, plain = keys.flag("mamba_conv_bias"), keys.flag("mamba_proj_bias")
    sizes = (keys.size(name) for name in ("mamba_n_groups", "mamba_d_state", "mamba_d_conv"))
    return mamba2(d, inner, own, *sizes, norm=norms, conv_bias=conv, bias=plain)


def falcon_h1(keys: Keys) -> Geometry:
    """Falcon-H1: attention and Mamba 2 side by side in every layer."""
    d, (heads, kv_heads, head) = keys.size("hidden_size"), keys.heads()
    bias, mlp_bias = keys.flag("attention_bias"), keys.flag("mlp_bias")
    keys.same("projectors_bias", False)
    keys.same("mamba_proj_bias", False)  # of the first product alone, unlike Bamba's
    one = attention(d, heads, kv_heads, head, bias=bias, out_bias=bias) + _mamba_of(
        keys, d, keys.flag("mamba_rms_norm")
    )
    one += feed_forward(d, keys.size("intermediate_size"), bias=mlp_bias) + 2 * norm(d)
    keys.read.update(("mamba_use_mlp", "attn_layer_indices", "mlp_expansion_factor", "mamba_norm_before_gate"))
    body = keys.layers * one + norm(d)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def granite_hybrid(keys: Keys) -> Geometry:
    """Granite 4: Mamba 2 in most layers, attention in some, and in each a mixture or a shared feed-forward."""
    d, heads, bias = keys.size("hidden_size"), keys.size("num_attention_heads"), keys.flag("attention_bias")
    kv_heads = keys.maybe("num_key_value_heads") or heads
    full = attention(d, heads, kv_heads, d // heads, bias=bias, out_bias=bias)
    mixers = {"attention": full, "full_attention": full}
    kinds = keys.kinds(["mamba"] * keys.layers, ["mamba", "linear_attention", *mixers])
    if set(kinds) - set(mixers):
        mixers |= dict.fromkeys(["mamba", "linear_attention"], _mamba_of(keys, d, True))
    feed = granite(keys, 0) + 2 * norm(d)
    for name in ("num_local_experts", "num_experts_per_tok", "intermediate_size"):
        keys.read.add(name)
    body = layers(kinds, lambda kind: mixers[kind] + feed) + norm(d)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


HYBRID = {"num_attention_heads": 16, "head_dim": 256, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128}
HYBRID |= {"linear_value_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32}
HYBRID |= {"full_attention_interval": 4, "decoder_sparse_step": 1, "hidden_size": 2048, "num_key_value_heads": 2}
HYBRID |= {"moe_intermediate_size": 512, "shared_expert_intermediate_size": 512}
MAMBA = {"vocab_size": 50280, "hidden_size": 768, "state_size": 16, "num_hidden_layers": 32, "expand": 2}
MAMBA |= {"conv_kernel": 4, "use_conv_bias": True, "tie_word_embeddings": True}
BAMBA = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "mamba_n_heads": 128}
BAMBA |= {"mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_conv_bias": True}

FAMILIES = {
    "qwen3_next": (
        qwen_hybrid,
        HYBRID
        | {"vocab_size": 151936, "intermediate_size": 5632, "num_hidden_layers": 48}
        | {"num_experts": 512, "num_experts_per_tok": 10},
    ),
    "qwen3_5_text": (
        qwen_hybrid,
        HYBRID
        | {"vocab_size": 248320, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 32}
        | {"num_key_value_heads": 4},
    ),
    "qwen3_5_moe_text": (
        qwen_hybrid,
        HYBRID | {"vocab_size": 248320, "num_hidden_layers": 40, "num_experts": 256, "num_experts_per_tok": 8},
    ),
    "nemotron_h": (
        nemotron_h,
        {"vocab_size": 131072, "hidden_size": 4096, "intermediate_size": 21504, "num_attention_heads": 32}
        | {"num_key_value_heads": 8, "head_dim": 128, "ssm_state_size": 128, "mamba_num_heads": 128}
        | {"mamba_head_dim": 64, "n_groups": 8, "conv_kernel": 4, "use_conv_bias": True, "n_routed_experts": 8}
        | {"moe_intermediate_size": 7688, "moe_shared_expert_intermediate_size": 7688, "num_experts_per_tok": 2},
    ),
    "mamba": (mamba_1, MAMBA),
    "falcon_mamba": (mamba_1, MAMBA),
    "mamba2": (
        mamba_2,
        MAMBA
        | {"vocab_size": 32768, "hidden_size": 4096, "num_heads": 128, "head_dim": 64, "state_size": 128}
        | {"num_hidden_layers": 64, "n_groups": 8, "tie_word_embeddings": False},
    ),
    "falcon_h1": (
        falcon_h1,
        BAMBA | {"vocab_size": 128000, "intermediate_size": 14336, "num_key_value_heads": 8, "mamba_d_ssm": 1024},
    ),
    "granitemoehybrid": (
        granite_hybrid,
        BAMBA
        | {"vocab_size": 32000, "intermediate_size": 11008, "num_local_experts": 8, "num_experts_per_tok": 2}
        | {"shared_intermediate_size": 1024},
    ),
}
