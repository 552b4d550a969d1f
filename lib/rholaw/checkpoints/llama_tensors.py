"""Which tensors a Llama has: their names in a GGUF file and on the hub, and the shapes that fit together."""

from ..checked import shown
from .config import Config

# What a Llama consists of, as this module calls it, as GGUF does, and as the Hugging Face hub does.
LINEAR = {
    **{"query": ("attn_q", "self_attn.q_proj"), "key": ("attn_k", "self_attn.k_proj")},
    **{"value": ("attn_v", "self_attn.v_proj"), "out": ("attn_output", "self_attn.o_proj")},
    **{"gate": ("ffn_gate", "mlp.gate_proj"), "up": ("ffn_up", "mlp.up_proj"), "down": ("ffn_down", "mlp.down_proj")},
}
BIASED = dict.fromkeys(("query", "key", "value", "out"), "attention_bias")  # by which key of config.json
BIASED |= dict.fromkeys(("gate", "up", "down"), "mlp_bias")
NORMS = {"attention norm": ("attn_norm", "input_layernorm"), "mlp norm": ("ffn_norm", "post_attention_layernorm")}
ONCE = {"embedding": ("token_embd", "model.embed_tokens"), "norm": ("output_norm", "model.norm")}
ONCE |= {"head": ("output", "lm_head")}

Place = tuple[int, str]
"""(layer, part); layer −1 for what is there once."""


def all_names(layers: int, scheme: int, block: str) -> dict[Place, str]:
    """{(layer, part): name in the file}."""
    names = {(-1, part): f"{schemes[scheme]}.weight" for part, schemes in ONCE.items()}
    for layer in range(layers):
        names |= {(layer, part): f"{block}.{layer}.{s[scheme]}.weight" for part, s in (LINEAR | NORMS).items()}
    return names


def names(shapes: dict[str, tuple[int, ...]], layers: int, config: dict | None) -> dict[Place, str]:
    """The names of a Llama of so many layers; ValueError unless the file has just these.

    There are biases where config.json, or the first layer of a GGUF file, says so.
    """
    if layers > len(shapes):
        raise ValueError(f"it says that it has {layers} layers, and has {len(shapes)} tensors")
    names = all_names(layers, 0, "blk") if config is None else all_names(layers, 1, "model.layers")
    for part in LINEAR:
        biases = {(i, f"{part} bias"): names[i, part].removesuffix("weight") + "bias" for i in range(layers)}
        said = biases[0, f"{part} bias"] in shapes if config is None else config.get(BIASED[part])
        names |= biases if said else {}
    if names[-1, "head"] not in shapes and not (config and config.get("tie_word_embeddings") is False):
        names[-1, "head"] = names[-1, "embedding"]
    if odd := sorted(shapes.keys() ^ set(names.values())):
        raise ValueError(f"it {'has' if odd[0] in shapes else 'lacks'} {shown(odd[0])}")
    return names


def head_size(config: Config, named: dict[Place, str], shapes: dict[str, tuple[int, ...]]) -> int:
    """The channels of a head; ValueError unless every tensor has the shape that Config and embedding ask for."""
    embedding, gate = shapes[named[-1, "embedding"]], shapes[named[0, "gate"]]
    if len(embedding) != 2 or len(gate) != 2:
        raise ValueError("its embedding, or a matrix of its first layer, is no matrix")
    width, wide, size = embedding[1], gate[0], config.head_dim or embedding[1] // config.heads
    all_heads, kv_heads = config.heads * size, config.kv_heads or config.heads
    if config.heads % kv_heads or size % 2:
        raise ValueError(f"{config.heads} heads of {size} channels share {kv_heads} keys, which cannot be")
    into = {"query": all_heads, "key": kv_heads * size, "value": kv_heads * size, "gate": wide, "up": wide}
    right = {part: (rows, width) for part, rows in into.items()} | {"out": (width, all_heads), "down": (width, wide)}
    right |= {f"{part} bias": shape[:1] for part, shape in right.items()}
    right |= dict.fromkeys([*NORMS, "norm"], (width,)) | dict.fromkeys(["embedding", "head"], embedding)
    for (_, part), name in named.items():
        if shapes[name] != right[part]:
            raise ValueError(f"{name} is {shown(shapes[name])}, where its heads and width ask for {right[part]}")
    for size_of, real in {"width": width, "feed_forward": wide, "vocabulary": embedding[0]}.items():
        if (said := getattr(config, size_of)) not in (None, real):
            raise ValueError(f"{config.keys[size_of]} is {said}, and its tensors have {real}")
    return size
