"""The pieces that decoders are made of, each a Part: attention of three kinds, feed-forwards, mixtures, Mamba."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

from ..parts import Cache, Matrix, Part

K = TypeVar("K")


def layers(kinds: Iterable[K], part: Callable[[K], Part]) -> Part:
    """All layers of these kinds: ``part`` makes one of a kind."""
    return sum((count * part(kind) for kind, count in Counter(kinds).items()), Part())


def norm(width: int, bias: bool = False) -> Part:
    """A gain for each of ``width`` channels, with ``bias`` a shift as well."""
    return Part(kept=2 * width if bias else width)


def product(inputs: int, outputs: int, bias: bool = False) -> Part:
    """One matrix, with ``bias`` a number for each output."""
    return Part((Matrix(inputs, outputs),), kept=outputs if bias else 0)


def attention(
    d_model: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    *,
    bias: bool = False,
    out_bias: bool = False,
    gate: bool = False,
    shared: bool = False,
    window: float = math.inf,
) -> Part:
    """Grouped queries: one product for queries, keys and values, one for the output.

    gate: queries come with a gate as wide; shared: keys are values, of one matrix; window: tokens it looks back.
    """
    queries, keys = heads * head_dim, kv_heads * head_dim
    fused = queries * (2 if gate else 1) + keys * (1 if shared else 2)
    cache = Cache(2 * keys, 4 * queries, window)
    return product(d_model, fused, bias) + product(queries, d_model, out_bias) + Part(caches=(cache,))


def latent_attention(
    d_model: int, heads: int, q_rank: int, kv_rank: int, nope: int, rope: int, value: int, bias: bool = False
) -> Part:
    """MLA (DeepSeek-V2, arXiv 2405.04434): the cache holds a latent of ``kv_rank`` numbers and one rotated key."""
    query = nope + rope
    queries = (
        product(d_model, q_rank, bias) + norm(q_rank) + product(q_rank, heads * query)
        if q_rank
        else product(d_model, heads * query)
    )
    latent = product(d_model, kv_rank + rope, bias) + norm(kv_rank) + product(kv_rank, heads * (nope + value))
    cache = Cache(kv_rank + rope, 2 * heads * (query + value), absorbed=2 * heads * (2 * kv_rank + rope))
    return queries + latent + product(heads * value, d_model, bias) + Part(caches=(cache,))


def feed_forward(d_model: int, width: int, gated: bool = True, bias: bool = False) -> Part:
    """Up and down; gated: gate and up are one product."""
    return product(d_model, width * (2 if gated else 1), bias) + product(width, d_model, bias)


def mixture(d_model: int, width: int, experts: int, used: int, gated: bool = True, bias: bool = False) -> Part:
    """``experts`` feed-forwards, of which a router of 16 bits chooses ``used`` for each token."""
    one = feed_forward(d_model, width, gated, bias)
    matrices = tuple(Matrix(m.inputs, m.outputs, 1, experts, used) for m in one.matrices)
    return Part(matrices, kept=experts * one.kept) + Part(kept=d_model * experts + (experts if bias else 0))


def mamba2(
    d_model: int,
    inner: int,
    heads: int,
    groups: int,
    state: int,
    kernel: int,
    *,
    norm: bool,
    conv_bias: bool,
    bias: bool,
) -> Part:
    """Mamba 2 (arXiv 2405.21060): its state is inner × state numbers, and the inputs that the convolution sees."""
    channels = inner + 2 * groups * state
    kept = channels * kernel + (channels if conv_bias else 0) + 3 * heads + (inner if norm else 0)
    return (
        product(d_model, inner + channels + heads, bias)
        + product(inner, d_model, bias)
        + Part(kept=kept, state=inner * state + channels * kernel)
    )


def mamba1(d_model: int, inner: int, rank: int, state: int, kernel: int, *, conv_bias: bool, bias: bool) -> Part:
    """Mamba 1 (arXiv 2312.00752)."""
    kept = inner * kernel + (inner if conv_bias else 0) + inner * state + inner
    return (
        product(d_model, 2 * inner, bias)
        + product(inner, rank + 2 * state)
        + product(rank, inner, bias=True)
        + product(inner, d_model, bias)
        + Part(kept=kept, state=inner * state + inner * kernel)
    )


def delta(d_model: int, key_heads: int, key_dim: int, value_heads: int, value_dim: int, kernel: int) -> Part:
    """Gated DeltaNet (arXiv 2412.06464), as in Qwen3-Next: the state is a matrix of key × value a head."""
    keys, values = key_heads * key_dim, value_heads * value_dim
    channels = 2 * keys + values
    return (
        product(d_model, channels + values)
        + product(d_model, 2 * value_heads)
        + product(values, d_model)
        + Part(
            kept=channels * kernel + 2 * value_heads + value_dim,
            state=value_heads * key_dim * value_dim + channels * kernel,
        )
    )
