"""The shape of a decoder: how many parameters, how many bytes of memory and of key-value cache it has."""

import math
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

from .. import tables
from ..checkpoints.opening import described

RESERVE = 3.5e9
"""Bytes a device keeps for activations, workspaces and the engine (AIConfigurator's other_mem, about 3.5 GB)."""


@dataclass(frozen=True)
class Geometry:
    """A Llama-like decoder: gated feed-forward, grouped-query attention, one norm before each.

    d_ff: width of the feed-forward; tied: the head shares the embeddings' matrix; qkv_bias: as in Qwen2; qk_norm: as in
    Qwen3.
    Layers and widths may be fractional: see ``factors``.
    """

    layers: float
    d_model: float
    heads: float
    kv_heads: float
    head_dim: float
    d_ff: float
    vocabulary: float
    tied: bool = False
    qkv_bias: bool = False
    qk_norm: bool = False

    def __post_init__(self):
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, bool) and not (math.isfinite(value) and value > 0):
                raise ValueError(f"geometry: {item.name} must be positive and finite, got {value}")

    @property
    def shapes(self) -> tuple[tuple[float, float], ...]:
        """(inputs, outputs) of the four matrix products of a layer: fused QKV, output, fused gate and up, down."""
        attention = self.heads * self.head_dim
        qkv = attention + 2 * self.kv_heads * self.head_dim
        d, ff = self.d_model, self.d_ff
        return ((d, qkv), (attention, d), (d, 2 * ff), (ff, d))

    @property
    def linear(self) -> float:
        """Parameters of the layers' matrices: what a format compresses."""
        return self.layers * sum(k * n for k, n in self.shapes)

    @property
    def small(self) -> float:
        """Parameters of norms and biases: 16 bits always."""
        norms = (2 * self.layers + 1) * self.d_model + self.qk_norm * self.layers * 2 * self.head_dim
        return norms + self.qkv_bias * self.layers * self.shapes[0][1]

    @property
    def vocabulary_matrix(self) -> float:
        """Parameters of one vocabulary matrix; the embeddings are one, the head is one more unless tied."""
        return self.vocabulary * self.d_model

    @property
    def non_embedding(self) -> float:
        """N of the law."""
        return self.linear + self.small

    @property
    def total(self) -> float:
        """All parameters of a checkpoint."""
        return self.non_embedding + self.vocabulary_matrix * (1 if self.tied else 2)

    def kv_bytes(self, bits: float = 16) -> float:
        """Bytes of key-value cache a token: 2 layers kv_heads head_dim bits / 8 (scaling-book, inference)."""
        return 2 * self.layers * self.kv_heads * self.head_dim * bits / 8


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
) -> dict[str, float]:
    """Bytes to serve: {"weights", "embeddings", "kv", "reserve"}.

    bits: stored bits per compressed weight, scales and masks included; embeddings, head, norms and biases stay at 16;
    sequences: in flight at once, each of ``context`` tokens; size: of the model relative to ``geometry``.
    """
    grow = factors(size)
    vocabulary = geometry.vocabulary_matrix * (1 if geometry.tied else 2)
    return {
        "weights": geometry.linear * grow["linear"] * bits / 8,
        "embeddings": 2 * (vocabulary * grow["vocabulary"] + geometry.small * grow["kv"]),
        "kv": geometry.kv_bytes(kv_bits) * grow["kv"] * sequences * context,
        "reserve": reserve,
    }


@cache
def named() -> dict[str, Geometry]:
    """{name: Geometry} of data/hardware/geometries."""
    rows = tables.read("hardware/geometries")
    names = [item.name for item in fields(Geometry)]
    return {row["model"]: Geometry(**{name: row[name] for name in names}) for row in rows.to_dict("records")}


def of_size(params: float) -> Geometry:
    """A Geometry of ``params`` non-embedding parameters, with the proportions of Llama-3.1-8B."""
    base = named()["Llama-3.1-8B"]
    ratio = (params / base.non_embedding) ** (1 / 3)
    for _ in range(50):  # norms grow slower than matrices: a few steps to the exact count
        grown = {name: getattr(base, name) * ratio for name in ("layers", "d_model", "heads", "kv_heads", "d_ff")}
        geometry = Geometry(**asdict(base) | grown)
        ratio *= (params / geometry.non_embedding) ** (1 / 3)
    return geometry


def of_checkpoint(path: str | Path) -> Geometry:
    """The Geometry of a checkpoint: any path that ``survey`` takes, or a folder with a config.json and no weights yet.

    Raises ValueError for a path that is no checkpoint, and for what it does not say of its decoder, or says wrongly.
    """
    config = described(path)
    try:
        config.require("layers", "width", "heads", "feed_forward", "vocabulary")
    except ValueError as error:
        raise ValueError(f"{path}: {error}: give the geometry by hand") from None
    return Geometry(
        layers=config.layers,
        d_model=config.width,
        heads=config.heads,
        kv_heads=config.kv_heads or config.heads,
        head_dim=config.head_dim or config.width / config.heads,
        d_ff=config.feed_forward,
        vocabulary=config.vocabulary,
        tied=config.tied,
        qkv_bias=config.qkv_bias,
        qk_norm=config.qk_norm,
    )
