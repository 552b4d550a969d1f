"""The shape of a model: how many parameters, how many bytes of memory and of key-value cache it has."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from .. import tables
from ..checked import LARGEST, shown
from ..checkpoints import counting
from ..checkpoints.families.pieces import attention, feed_forward, norm
from ..checkpoints.parts import Cache, Geometry, Matrix, Part

__all__ = [
    "RESERVE",
    "Cache",
    "Geometry",
    "Matrix",
    "Part",
    "factors",
    "llama",
    "memory",
    "named",
    "of_checkpoint",
    "of_size",
]

RESERVE = 3.5e9
"""Bytes a device keeps for activations, workspaces and the engine (AIConfigurator's other_mem, about 3.5 GB)."""
WIDEST_HEAD = 1024
"""Twice the widest head that is known, of Gemma 4's layers that look back at everything."""
SHAPE = ("layers", "d_model", "heads", "kv_heads", "head_dim", "d_ff", "vocabulary")
"""What ``llama`` needs to know; ``tied``, ``qkv_bias`` and ``qk_norm`` may be left out."""


def llama(
    layers: float,
    d_model: float,
    heads: float,
    kv_heads: float,
    head_dim: float,
    d_ff: float,
    vocabulary: float,
    tied: bool = False,
    qkv_bias: bool = False,
    qk_norm: bool = False,
) -> Geometry:
    """A Llama-like decoder: gated feed-forward, grouped-query attention, one norm before each.

    d_ff: width of the feed-forward; tied: the head shares the embeddings' matrix; qkv_bias: as in Qwen2; qk_norm: as in
    Qwen3.  Layers and widths may be fractional: see ``factors``.  Raises ValueError where one is not positive.
    """
    sizes = (layers, d_model, heads, kv_heads, head_dim, d_ff, vocabulary)
    for name, value in zip(SHAPE, sizes, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST:
            raise ValueError(f"geometry: {name} must be positive and finite, got {shown(value)}")
    if head_dim > WIDEST_HEAD:
        raise ValueError(
            f"geometry: head_dim, {head_dim:g}, is wider than any model's, at most {WIDEST_HEAD}; 128 is usual"
        )
    if kv_heads > heads:
        raise ValueError(f"geometry: kv_heads, {kv_heads:g}, are more than the {heads:g} heads that share them")
    one = attention(d_model, heads, kv_heads, head_dim, bias=qkv_bias) + feed_forward(d_model, d_ff) + 2 * norm(d_model)
    body = layers * (one + Part(kept=2 * head_dim if qk_norm else 0)) + norm(d_model)
    family = "qwen2" if qkv_bias else "qwen3" if qk_norm else "llama"
    return Geometry(family, body, d_model, vocabulary, tied, heads=heads, kv_heads=kv_heads)


def factors(size: float) -> dict[str, float]:
    """What grows how when a decoder grows by ``size`` at fixed aspect ratio: depth and width each by size^(1/3).

    {"linear": size, "kv": size^(2/3), "vocabulary": size^(1/3), "products": size^(1/3)}: key-value cache and
    activations go with depth × width, vocabulary matrices with width, the number of matrix products with depth.
    """
    return {"linear": size, "kv": size ** (2 / 3), "vocabulary": size ** (1 / 3), "products": size ** (1 / 3)}


def memory(
    geometry: Geometry,
    bits: float,
    kv_bits: float,
    sequences: float,
    context: float,
    size: float = 1.0,
    reserve: float = RESERVE,
    vocabulary_bits: float = 16,
    shared_bits: float | None = None,
    ahead: bool = False,
) -> dict[str, float]:
    """Bytes to serve: {"weights", "embeddings", "kv", "reserve"}, of a mixture those of all experts.

    bits: stored bits per compressed weight, scales and masks included; vocabulary_bits: of embeddings and head;
    shared_bits: of a mixture's matrices beside its experts, where these are others; routers, norms, biases and what
    sees or hears stay at 16; sequences: in flight at once, each of ``context`` tokens, whose states are in "kv" as
    well; size: of the model relative to ``geometry``; ahead: layers that predict further tokens (MTP), stored and
    cached as the others, are held too.
    """
    grow, more = factors(size), 1 + geometry.ahead / geometry.non_embedding if ahead else 1
    shared = geometry.linear - geometry.routed if geometry.sparse else 0
    stored = geometry.linear * bits + shared * ((shared_bits or bits) - bits)
    return {
        "weights": stored * more * grow["linear"] / 8,
        "embeddings": geometry.embeddings * grow["vocabulary"] * vocabulary_bits / 8
        + 2 * geometry.body.kept * grow["kv"]
        + 2 * (geometry.senses or 0),
        "kv": geometry.sequence_bytes(context, kv_bits) * more * grow["kv"] * sequences,
        "reserve": reserve,
    }


@cache
def named() -> dict[str, Geometry]:
    """{name: Geometry} of data/hardware/geometries."""
    rows = tables.read("hardware/geometries")
    names = (*SHAPE, "tied", "qkv_bias", "qk_norm")
    return {row["model"]: llama(**{name: row[name] for name in names}) for row in rows.to_dict("records")}


def of_size(params: float) -> Geometry:
    """A Geometry of ``params`` non-embedding parameters, with the proportions of Llama-3.1-8B, its heads unknown."""
    rows = tables.read("hardware/geometries").set_index("model")
    base = {name: float(rows.at["Llama-3.1-8B", name]) for name in SHAPE}
    ratio = (params / named()["Llama-3.1-8B"].non_embedding) ** (1 / 3)
    for _ in range(50):  # norms grow slower than matrices: a few steps to the exact count
        grown = {name: base[name] * ratio for name in ("layers", "d_model", "heads", "kv_heads", "d_ff")}
        geometry = llama(**base | grown)
        ratio *= (params / geometry.non_embedding) ** (1 / 3)
    return replace(geometry, heads=0, kv_heads=0)


def of_checkpoint(path: str | Path) -> Geometry:
    """The Geometry of a checkpoint: any path that ``survey`` takes, or a folder with a config.json and no weights yet.

    Raises ValueError for a path that is no checkpoint, for a family or key that is not modelled, for what is not said
    of the model or said wrongly, and where the tensors hold another number of parameters.
    """
    return counting.geometry(path)
