"""Decoders with mixtures of experts: Mixtral, Qwen, GLM, gpt-oss, and of other attention DeepSeek and Llama 4."""

from ..parts import Geometry, Part
from .keys import Keys
from .llamas import GLM, LLAMA, MISTRAL, OLMO, PLAIN, Family, by_name
from .pieces import attention, feed_forward, latent_attention, layers, mixture, norm

# --- the feed-forward of layer i --------------------------------------------------------------------------------------


def every_layer(keys: Keys, i: int, bias: bool = False) -> Part:
    """Mixtral's: experts as wide as ``intermediate_size``."""
    experts, used = chosen(keys, "num_local_experts", "num_experts")
    return mixture(keys.size("hidden_size"), keys.size("intermediate_size"), experts, used, bias=bias)


def olmoe(keys: Keys, i: int) -> Part:
    """A layer of OLMoE, whose norms of queries and keys have the width that heads without head_dim have."""
    keys.same("head_dim", keys.size("hidden_size") // keys.size("num_attention_heads"))
    return every_layer(keys, i)


def chosen(keys: Keys, *spellings: str) -> tuple[int, int]:
    """(how many experts there are, how many a token uses)."""
    names = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "top_k_experts")
    experts, used = keys.size(*spellings), keys.size(*names)
    if used > experts:
        raise keys.refusal("num_experts_per_tok", f"is {used}, and there are {experts} experts")
    return experts, used


def qwen(keys: Keys, i: int) -> Part:
    """Qwen's: some layers dense, in Qwen2 and Qwen3-Next a shared expert with a gate."""
    d = keys.size("hidden_size")
    dense = keys.several("mlp_only_layers", int) or []
    experts = keys.maybe("num_experts", "num_local_experts")
    if i in dense or not experts or (i + 1) % keys.size("decoder_sparse_step"):
        return feed_forward(d, keys.size("intermediate_size"))
    keys.maybe("intermediate_size")
    part = mixture(d, keys.size("moe_intermediate_size"), *chosen(keys, "num_experts", "num_local_experts"))
    shared = keys.maybe("shared_expert_intermediate_size")
    return part + (feed_forward(d, shared) + norm(d) if shared else Part())


def deepseek(
    keys: Keys, i: int, count: tuple[str, ...] = ("n_routed_experts",), shares: str = "n_shared_experts"
) -> Part:
    """DeepSeek's and GLM's: the first layers dense, the others with shared experts beside the routed ones.

    count, shares: the keys of how many experts there are, and how many are shared.
    """
    d, width = keys.size("hidden_size"), keys.size("moe_intermediate_size")
    first, dense = keys.maybe("first_k_dense_replace"), feed_forward(d, keys.size("intermediate_size"))
    keys.same("moe_layer_freq", 1)
    kinds = keys.kinds(
        ["dense" if j < first else "sparse" for j in range(keys.layers)], ["dense", "sparse"], "mlp_layer_types"
    )
    if kinds[i] == "dense":
        return dense
    routed, shared = mixture(d, width, *chosen(keys, *count)), keys.maybe(shares)
    return routed + (feed_forward(d, shared * width) if shared else Part())


def granite(keys: Keys, i: int) -> Part:
    """Granite's: experts beside a shared feed-forward, either of which may be missing."""
    d, shared = keys.size("hidden_size"), keys.maybe("shared_intermediate_size")
    part = feed_forward(d, shared) if shared else Part()
    return part + (every_layer(keys, i) if keys.maybe("num_local_experts") else Part())


def gpt_oss(keys: Keys, i: int) -> Part:
    """gpt-oss's: experts and router with biases."""
    return every_layer(keys, i, bias=True)


# --- models of their own kind of attention ----------------------------------------------------------------------------


def latent_of(keys: Keys) -> Part:
    """MLA by the keys of DeepSeek."""
    keys.read.update(("num_key_value_heads", "head_dim", "qk_head_dim"))  # of no use to it
    keys.same("mlp_bias", False)
    return latent_attention(
        keys.size("hidden_size"),
        keys.size("num_attention_heads"),
        keys.maybe("q_lora_rank"),
        keys.size("kv_lora_rank"),
        keys.size("qk_nope_head_dim"),
        keys.size("qk_rope_head_dim"),
        keys.size("v_head_dim"),
        keys.flag("attention_bias"),
    )


def latent(keys: Keys) -> Geometry:
    """DeepSeek-V2 and V3, Kimi K2, GLM-4.7-Flash: MLA, with the layers for speculation (MTP) left out."""
    d, own = keys.size("hidden_size"), latent_of(keys)
    body = layers([deepseek(keys, i) for i in range(keys.layers)], lambda feed: own + feed + 2 * norm(d)) + norm(d)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


def llama4(keys: Keys) -> Geometry:
    """Llama 4: three of four layers see chunks of tokens only; some or all layers have experts, and one is shared."""
    (heads, kv_heads, head), d, width = keys.heads(), keys.size("hidden_size"), keys.size("intermediate_size")
    keys.flag("use_qk_norm")  # which has no weights
    bias, step, chunk = (
        keys.flag("attention_bias"),
        keys.size("interleave_moe_layer_step"),
        keys.size("attention_chunk_size"),
    )
    sparse = keys.several("moe_layers", int) or range(step - 1, keys.layers, step)
    rotated = keys.several("no_rope_layers", int) or []
    every = keys.size("no_rope_layer_interval")
    if not rotated:
        rotated = [int((i + 1) % every != 0) for i in range(keys.layers)]
    names = {True: "chunked_attention", False: "full_attention"}
    kinds = keys.kinds([names[bool(turned)] for turned in rotated], names.values())
    dense = feed_forward(d, keys.size("intermediate_size_mlp"))
    experts = mixture(d, width, *chosen(keys, "num_local_experts")) + feed_forward(d, width)

    def layer(kind: tuple[str, bool]) -> Part:
        window = {"window": chunk} if kind[0] == "chunked_attention" else {}
        own = attention(d, heads, kv_heads, head, bias=bias, out_bias=bias, **window)
        return own + (experts if kind[1] else dense) + 2 * norm(d)

    body = layers([(kind, i in sparse) for i, kind in enumerate(kinds)], layer) + norm(d)
    return Geometry(keys.family, body, d, keys.size("vocab_size"), keys.flag("tie_word_embeddings"))


# --- the families -----------------------------------------------------------------------------------------------------

EXPERTS = {"num_local_experts": 8, "num_experts_per_tok": 2}
STEP = {"decoder_sparse_step": 1, "max_window_layers": 28, "vocab_size": 151936, "hidden_size": 2048}
STEP |= {"num_hidden_layers": 24}

MIXTURES = {
    "mixtral": Family(MISTRAL | EXPERTS, **PLAIN, feed=every_layer),
    "phimoe": Family(
        MISTRAL | {"vocab_size": 32064, "intermediate_size": 6400, "num_local_experts": 16, "num_experts_per_tok": 2},
        mlp_bias=False, head_bias="lm_head_bias", norm_bias=True, feed=every_layer,
    ),
    "qwen2_moe": Family(
        STEP
        | {"num_attention_heads": 16, "num_key_value_heads": 16, "intermediate_size": 5632, "qkv_bias": True}
        | {"moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632}
        | {"num_experts": 60, "num_experts_per_tok": 4},
        "qkv_bias", False, False, slides=-1, feed=qwen,
    ),
    "qwen3_moe": Family(
        STEP
        | {"num_attention_heads": 32, "num_key_value_heads": 4, "intermediate_size": 6144}
        | {"moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8},
        mlp_bias=False, qk_norm="head", slides=-1, feed=qwen,
    ),
    "olmoe": Family(
        OLMO
        | {"hidden_size": 2048, "intermediate_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 16}
        | {"num_experts": 64, "num_experts_per_tok": 8},
        mlp_bias=False, qk_norm="whole", feed=olmoe,
    ),
    "gpt_oss": Family(
        {"vocab_size": 201088, "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 36}
        | {"num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "sliding_window": 128}
        | {"num_local_experts": 128, "num_experts_per_tok": 4, "attention_bias": True},
        mlp_bias=False, slides=2, feed=gpt_oss, beside=lambda keys: Part(kept=keys.size("num_attention_heads")),
    ),
    "granitemoe": Family(LLAMA | EXPERTS, mlp_bias=False, feed=every_layer),
    "granitemoeshared": Family(LLAMA | EXPERTS, mlp_bias=False, feed=granite),
    "glm4_moe": Family(
        GLM
        | {"intermediate_size": 10944, "num_hidden_layers": 46, "num_attention_heads": 96, "num_key_value_heads": 8}
        | {"head_dim": None, "attention_bias": False, "moe_intermediate_size": 1408, "n_routed_experts": 128}
        | {"num_experts_per_tok": 8, "n_shared_experts": 1, "first_k_dense_replace": 1},
        out_bias=False, mlp_bias=False, feed=deepseek,
        beside=lambda keys: Part(kept=2 * keys.size("head_dim") if keys.flag("use_qk_norm") else 0),
    ),
    "dots1": Family(
        {"vocab_size": 152064, "hidden_size": 4608, "intermediate_size": 10944, "num_hidden_layers": 62}
        | {"num_attention_heads": 32, "num_key_value_heads": 32, "moe_intermediate_size": 1408}
        | {"max_window_layers": 62},
        mlp_bias=False, qk_norm="head", slides=-1, feed=deepseek,
    ),
    "minimax_m2": Family(
        {"vocab_size": 200064, "hidden_size": 3072, "intermediate_size": 1536, "num_hidden_layers": 62}
        | {"num_attention_heads": 48, "num_key_value_heads": 8, "head_dim": 128}
        | {"num_local_experts": 256, "num_experts_per_tok": 8},
        **PLAIN, qk_norm="whole", fixed={"use_qk_norm": True}, feed=every_layer,
    ),
}  # fmt: skip

DEEPSEEK = {"vocab_size": 129280, "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048}
DEEPSEEK |= {"num_hidden_layers": 61, "num_attention_heads": 128, "n_shared_experts": 1, "n_routed_experts": 256}
DEEPSEEK |= {
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "qk_nope_head_dim": 128,
}
DEEPSEEK |= {"num_experts_per_tok": 8, "first_k_dense_replace": 3}
DEEPSEEK2 = DEEPSEEK | {"vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32}
DEEPSEEK2 |= {"num_attention_heads": 32, "n_routed_experts": 64, "n_shared_experts": 2, "moe_intermediate_size": 1407}
DEEPSEEK2 |= {"first_k_dense_replace": 0, "num_experts_per_tok": None}
FLASH = DEEPSEEK | {
    "vocab_size": 154880,
    "hidden_size": 2048,
    "intermediate_size": 10240,
    "moe_intermediate_size": 1536,
}
FLASH |= {"num_hidden_layers": 47, "num_attention_heads": 20, "n_routed_experts": 64, "q_lora_rank": 768}
FLASH |= {"v_head_dim": 256, "qk_nope_head_dim": 192, "num_experts_per_tok": 4, "first_k_dense_replace": 1}

FAMILIES = by_name(MIXTURES) | {
    "deepseek_v2": (latent, DEEPSEEK2),
    "deepseek_v3": (latent, DEEPSEEK),
    "kimi_k2": (latent, DEEPSEEK),
    "glm4_moe_lite": (latent, FLASH),
    "llama4_text": (
        llama4,
        {"vocab_size": 202048, "hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384}
        | {"num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128}
        | {"num_experts_per_tok": 1, "num_local_experts": 16, "interleave_moe_layer_step": 1}
        | {"no_rope_layer_interval": 4, "attention_chunk_size": 8192},
    ),
}
