"""What a language model consists of, part by part: matrices, what is kept beside them, caches, states → a Geometry.

    layer = Part((Matrix(4096, 6144), Matrix(4096, 4096)), kept=2 * 4096, caches=(Cache(2048, 16384),))
    Geometry("llama", 32 * layer, d_model=4096, vocabulary=32000).total

Counts may be fractional: a model that is a little larger than another has a little more of everything.
"""

import math
from dataclasses import dataclass, replace

from .changes import NONE, Change

STATE_BYTES = 4
"""Of a number in the state of a linear attention or Mamba layer, as reference implementations keep it: float32."""


@dataclass(frozen=True)
class Matrix:
    """The weights of a product, outputs × inputs, as ``count`` layers have it.

    experts: how many such matrices a layer has, of which a token uses ``used``.
    """

    inputs: float
    outputs: float
    count: float = 1
    experts: float = 1
    used: float = 1

    @property
    def params(self) -> float:
        """Of all layers and all experts."""
        return self.count * self.experts * self.inputs * self.outputs

    @property
    def active(self) -> float:
        """Parameters that one token uses."""
        return self.count * self.used * self.inputs * self.outputs

    @property
    def routed(self) -> bool:
        """Whether a token uses some of the experts only."""
        return self.used < self.experts

    def read(self, tokens: float) -> float:
        """Parameters that a step of ``tokens`` tokens reads: E (1 − (1 − k/E)^tokens) experts, chosen at random."""
        if not self.routed:
            return self.params
        return self.params * (1 - (1 - self.used / self.experts) ** tokens)


@dataclass(frozen=True)
class Cache:
    """What attention keeps of the tokens before: ``width`` numbers a token, of the last ``window`` tokens at most.

    work: FLOPs of a token for each token before it; layers: that keep as much; absorbed: the work of a token that is
    written, where it is more: MLA then attends within the latents, instead of unfolding those of all tokens before.
    """

    width: float
    work: float
    window: float = math.inf
    layers: float = 1
    absorbed: float = 0

    def tokens(self, length: float) -> float:
        """How many of ``length`` tokens are kept."""
        return min(length, self.window)

    def before(self, length: float) -> float:
        """How many tokens one of ``length`` tokens sees before it, in the mean."""
        full = min(length, self.window)
        return full - full**2 / (2 * length)


@dataclass(frozen=True)
class Part:
    """A part of a model, or all of its layers: ``a + b`` is both, ``3 * a`` three of them.

    matrices: what a format compresses; kept: parameters that stay at 16 bits: norms, biases, routers, convolutions;
    tables: of embeddings beside the vocabulary's; state: numbers a sequence keeps that do not grow with it.
    """

    matrices: tuple[Matrix, ...] = ()
    kept: float = 0
    tables: float = 0
    caches: tuple[Cache, ...] = ()
    state: float = 0

    def __add__(self, other: "Part") -> "Part":
        return Part(
            self.matrices + other.matrices,
            self.kept + other.kept,
            self.tables + other.tables,
            self.caches + other.caches,
            self.state + other.state,
        )

    def __rmul__(self, times: float) -> "Part":
        return Part(
            tuple(replace(matrix, count=times * matrix.count) for matrix in self.matrices),
            times * self.kept,
            times * self.tables,
            tuple(replace(cache, layers=times * cache.layers) for cache in self.caches),
            times * self.state,
        )


@dataclass(frozen=True)
class Geometry:
    """A language model, as far as memory and speed depend on it: all its layers and its vocabulary.

    family: its model_type; d_model: width of the residual stream; tied: the head shares the embeddings' matrix;
    decoder: whether it writes tokens, one after another; senses: parameters of what sees or hears beside the decoder,
    None where nothing says how many; rounded: the checkpoint that it is of was rounded before, to 8 bits or fewer;
    counted: not where its weights lie there as codes that cannot be counted; beside: other checkpoints in its folder,
    which were not read; heads, kv_heads: of attention, for queries and for keys and values, 0 where nothing says how
    many; ahead: parameters of layers that predict further tokens (MTP), which are not among its parts; longest: tokens
    that it takes, 0 where nothing says how many; changes: what the model does beside its matrices; method: what
    quantised the checkpoint by its config, such as "fp8", or "".
    """

    family: str
    body: Part
    d_model: float
    vocabulary: float
    tied: bool = False
    decoder: bool = True
    senses: float | None = 0
    rounded: bool = False
    counted: bool = True
    beside: tuple[str, ...] = ()
    heads: float = 0
    kv_heads: float = 0
    ahead: float = 0
    longest: int = 0
    changes: Change = NONE
    method: str = ""

    @property
    def linear(self) -> float:
        """Parameters of the layers' matrices: what a format compresses."""
        return sum(matrix.params for matrix in self.body.matrices)

    @property
    def routed(self) -> float:
        """Those of them that are experts, of which a token uses some."""
        return sum(matrix.params for matrix in self.body.matrices if matrix.routed)

    @property
    def vocabulary_matrix(self) -> float:
        """Parameters of one vocabulary matrix; the embeddings are one, the head is one more unless tied."""
        return self.vocabulary * self.d_model

    @property
    def embeddings(self) -> float:
        """Parameters of all tables that tokens and positions are looked up in, and of the head."""
        return self.vocabulary_matrix * (1 if self.tied else 2) + self.body.tables

    @property
    def non_embedding(self) -> float:
        """N of the law."""
        return self.linear + self.body.kept

    @property
    def total(self) -> float:
        """All parameters of a checkpoint, without layers for speculation (MTP) and without other modalities."""
        return self.non_embedding + self.embeddings

    @property
    def active_body(self) -> float:
        """Parameters of the layers that take part in one token: N, and less of a mixture of experts."""
        return sum(matrix.active for matrix in self.body.matrices) + self.body.kept

    @property
    def active(self) -> float:
        """Parameters that take part in one token: with the head, without the rest of the embeddings."""
        return self.active_body + self.vocabulary_matrix

    @property
    def sparse(self) -> bool:
        """Whether a token uses some of the experts only."""
        return any(matrix.routed for matrix in self.body.matrices)

    def kv_bytes(self, bits: float = 16) -> float:
        """Bytes by which the cache grows with a token, while no window is full: 2 kv_heads head_dim a layer."""
        return sum(cache.layers * cache.width for cache in self.body.caches) * bits / 8

    def sequence_bytes(self, tokens: float, bits: float = 16) -> float:
        """Bytes that a sequence of ``tokens`` tokens keeps: its cache up to the windows, and its state."""
        numbers = sum(cache.layers * cache.width * cache.tokens(tokens) for cache in self.body.caches)
        return numbers * bits / 8 + self.body.state * STATE_BYTES
