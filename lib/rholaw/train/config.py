"""A Config is one training run: the decoder, its data, how it is compressed, and how it is optimised."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields

from ..checked import REQUIRED, number, text, wrong
from ..formats.grammar import parse
from ..formats.grids import Uniform
from ..formats.sparsity import TopK
from .masks import Magnitude, RigL, parse_backward, parse_schedule

METHODS = {
    "ste": "the gradient passes as if nothing were rounded",
    "clip": "it passes where the value lies between the ends of the grid",
    "trust": "it passes where the error is at most half a step of the grid (QuEST, arXiv 2502.05003, section 3)",
    "lsq": "as clip, and the step of the grid is learned (Esser et al. 2020, arXiv 1902.08153, equation 3)",
    "noise": "no rounding: fresh Gaussian noise of the format's GMSE is added",
    "channel": "no rounding: the value shrinks to (1 − GMSE) of itself, and noise makes up the error to GMSE",
}
"""How the gradient passes a rounded tensor, by name."""

DTYPES = ("float32", "bfloat16")
PER_MEMBER = ("weights", "activations", "method", "backward", "schedule", "seed", "lr", "weight_decay", "clip")


@dataclass(frozen=True)
class Config:
    """One run.  ValueError, with all that is wrong, when it cannot be trained.

    tokens are rounded up to whole steps of batch_tokens, a multiple of context.  weights and activations are formats of
    every linear layer; embeddings, head and norms stay dense.  method is one of METHODS; backward and schedule say how
    a pruned weight learns and how the mask moves (`masks`).  warmup is a share of the steps; a cosine to 10 % follows.
    """

    layers: int = number(REQUIRED, "blocks", 1)
    heads: int = number(REQUIRED, "attention heads", 1)
    width: int = number(REQUIRED, "channels", 1)
    hidden: int = number(REQUIRED, "channels inside the MLP", 1)
    context: int = number(REQUIRED, "tokens", 1)
    vocabulary: int = number(REQUIRED, "tokens", 1)
    corpus: str = text(REQUIRED)
    tokens: int = number(REQUIRED, "to train on", 1)
    batch_tokens: int = number(REQUIRED, "tokens a step", 1)
    lr: float = number(REQUIRED, "the largest learning rate", above=True)
    weights: str = text("dense")
    activations: str = text("dense")
    method: str = text("trust", METHODS)
    backward: str = text("fw")
    schedule: str = text("magnitude")
    seed: int = number(0, "of the weights and the order of the text")
    weight_decay: float = number(0.1, "share of the weights, times lr", 0, 1)
    clip: float = number(1.0, "norm of the gradient", above=True)
    warmup: float = number(0.1, "share of the steps", 0, 1)
    dtype: str = text("float32", DTYPES)

    def __post_init__(self):
        if problems := list(_wrong(self)):
            raise ValueError("; ".join(problems))
        one_spelling = dict.fromkeys(("weights", "activations"), lambda text: str(parse(text)))
        one_spelling |= {item.name: float for item in fields(self) if item.type is float}
        for name, spelt in one_spelling.items():  # so that equal runs have one id
            object.__setattr__(self, name, spelt(getattr(self, name)))

    @property
    def id(self) -> str:
        """16 hexadecimal digits that any change of a field changes."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def shape(self) -> tuple:
        """What the members of one batched program have in common: every field but those of compression and seed."""
        return tuple(getattr(self, field.name) for field in fields(self) if field.name not in PER_MEMBER)

    @property
    def steps(self) -> int:
        """Optimiser steps: tokens over batch_tokens, rounded up."""
        return math.ceil(self.tokens / self.batch_tokens)

    @property
    def rows(self) -> int:
        """Sequences per step."""
        return self.batch_tokens // self.context

    @property
    def parameters(self) -> dict[str, int]:
        """Counts by group; the law's N is all but embedding and head."""
        matrices = {"attention": 4 * self.width**2, "mlp": 3 * self.width * self.hidden}
        groups = {name: self.layers * count for name, count in matrices.items()}
        groups["norm"] = (2 * self.layers + 1) * self.width
        return {**groups, "embedding": self.vocabulary * self.width, "head": self.vocabulary * self.width}

    @property
    def n_params(self) -> int:
        """The law's N: parameters without embedding and head."""
        return sum(count for name, count in self.parameters.items() if name not in ("embedding", "head"))

    @property
    def flops_per_token(self) -> float:
        """Training FLOPs: 6 a weight of every matrix, head included, and 6 context × width a layer for attention."""
        matrices = sum(count for name, count in self.parameters.items() if name in ("attention", "mlp", "head"))
        return 6.0 * matrices + 6.0 * self.layers * self.context * self.width


def llama(width: int, layers: int, heads: int) -> dict[str, int]:
    """The shape of a Llama decoder, with the hidden width of the paper's sizes: 8/3 of the width, rounded up.

    To a multiple of 256 as there (arXiv 2506.01863, Table 2), of 8 below a width of 512.
    """
    multiple = 256 if width >= 512 else 8
    return {"width": width, "layers": layers, "heads": heads, "hidden": -(-width * 8 // (3 * multiple)) * multiple}


PAPER_SIZES = {
    "30M": llama(640, 6, 5),
    "50M": llama(768, 7, 6),
    "100M": llama(1024, 8, 8),
    "200M": llama(1280, 10, 10),
}
"""The paper's decoders (Table 2)."""


def _wrong(config):
    """What is wrong with a Config, a sentence each."""
    if problems := wrong(config):
        yield from problems
        return
    if config.width % config.heads or config.width // config.heads % 2:
        yield f"width {config.width} must be an even multiple of heads {config.heads}: rotary positions pair channels"
    if config.batch_tokens % config.context:
        yield f"batch_tokens {config.batch_tokens} must be a multiple of context {config.context}"
    for read, value in ((parse_backward, config.backward), (parse_schedule, config.schedule)):
        try:
            read(value)
        except ValueError as error:
            yield str(error)
    for name in ("weights", "activations"):
        try:
            format = parse(getattr(config, name))
        except ValueError as error:
            yield f"{name}: {error}"
            continue
        yield from _unfit(config, name, format)


def _unfit(config, name, format):
    for row in sorted({config.width, config.hidden}):
        if row % format.multiple:
            yield f"{name}: {format} needs rows that are a multiple of {format.multiple}, and a layer has rows of {row}"
    plain = isinstance(format.element, Uniform) and not (format.block or format.outliers or format.sparsity)
    if config.method == "lsq" and format.element is not None and not plain:
        yield f"{name}: lsq learns the step of an integer grid such as int4, one a tensor; {format} is none"
    if name == "weights":
        yield from _unpruned(config, format)


def _unpruned(config, format):
    """Schedules and backward masks that have nothing to act on."""
    try:
        schedule, backward = parse_schedule(config.schedule), parse_backward(config.backward)
    except ValueError:
        return  # said already
    moves = not isinstance(schedule, Magnitude)
    if moves and not isinstance(format.sparsity, TopK):
        yield f"schedule {schedule} moves the mask of a share such as s0.5; {format} has none"
    if backward.name != "fw" and format.sparsity is None:
        yield f"backward {backward} is for pruned weights; {format} prunes none"
    if isinstance(schedule, RigL) and (backward.name != "fw" or format.rotation):
        yield f"schedule {schedule} keeps the mask of unrotated weights, with backward fw; not {format} with {backward}"
