"""A Llama-style decoder whose linear layers are compressed, for one run or for several side by side.

Every parameter has a first dimension M, one entry a member: several small models train in one batched program.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ..formats.format import Format
from ..formats.grammar import parse
from .config import METHODS, Config
from .gradients import Compression, gaussian_scales
from .pruning import Pruning

ROPE_BASE = 10_000.0


class QuantizedLinear(nn.Linear):
    """A torch Linear whose weights and inputs are compressed in every forward pass, for models of one's own.

    weights, activations: formats, as text or Format; method: how the gradient passes, one of `config.METHODS` but lsq.
    ValueError for a format that does not divide the rows.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        *,
        weights: str | Format = "dense",
        activations: str | Format = "dense",
        method: str = "trust",
    ):
        if method not in METHODS or method == "lsq":
            raise ValueError(f"method must be one of {', '.join(m for m in METHODS if m != 'lsq')}, not {method!r}")
        super().__init__(in_features, out_features, bias)
        self.weights, self.activations = (Compression(parse(text), method) for text in (weights, activations))
        for compression in (self.weights, self.activations):
            if in_features % compression.format.multiple:
                raise ValueError(
                    f"{compression.format} needs rows that are a multiple of {compression.format.multiple}, "
                    f"and this layer has rows of {in_features}"
                )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (…, in) to (…, out)."""
        return F.linear(self.activations(x[None])[0], self.weights(self.weight[None])[0], self.bias)


def convert(
    model: nn.Module,
    weights: str | Format = "dense",
    activations: str | Format = "dense",
    method: str = "trust",
    skip: Sequence[str] = ("lm_head", "embed"),
) -> nn.Module:
    """Replace every Linear of ``model`` in place by a QuantizedLinear with the same parameters; returns the model.

    skip: what the names of the layers that stay as they are contain.
    """
    for name, layer in list(model.named_modules()):
        if type(layer) is not nn.Linear or any(word in name for word in skip):
            continue
        new = QuantizedLinear(
            layer.in_features,
            layer.out_features,
            layer.bias is not None,
            weights=weights,
            activations=activations,
            method=method,
        )
        new.weight, new.bias = layer.weight, layer.bias
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, new)
    return model


@dataclass(frozen=True)
class Group:
    """Neighbouring members that are compressed alike: one batched rounding for all of them."""

    members: slice
    weights: Compression
    activations: Compression
    backward: str
    schedule: str


def groups(configs: list[Config]) -> list[Group]:
    """The runs of equal compression among ``configs``, in their order."""
    alike, start = [], 0
    for end in range(1, len(configs) + 1):
        first = configs[start]
        if end < len(configs) and sort_key(configs[end]) == sort_key(first):
            continue
        weights, activations = (Compression(parse(text), first.method) for text in (first.weights, first.activations))
        alike.append(Group(slice(start, end), weights, activations, first.backward, first.schedule))
        start = end
    return alike


def sort_key(config: Config) -> tuple[str, ...]:
    """How a run is compressed; runs of equal key belong beside each other."""
    return config.weights, config.activations, config.method, config.backward, config.schedule


class Linear(nn.Module):
    """x ↦ x Ŵᵀ, member by member: x (M, n, in) to (M, n, out), Ŵ and x̂ as the groups compress them."""

    def __init__(self, members: int, rows: int, columns: int, alike: list[Group], scale: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, rows, columns))
        self.std = scale / math.sqrt(columns)
        self.groups = alike
        self.pruning = Pruning(alike)
        if any(_learns(group.weights) for group in alike):
            self.weight_step = nn.Parameter(torch.ones(members, 1))
        if any(_learns(group.activations) for group in alike):
            self.activation_step = nn.Parameter(torch.full((members, 1), math.nan))

    @torch.no_grad()
    def start(self, generators: Sequence[torch.Generator]) -> None:
        """What the first weights decide: learned steps equal to the format's own scale, and RigL's masks."""
        self.pruning.start(self.weight, generators)
        for group in self.groups:
            if _learns(group.weights):
                part = self.weight[group.members]
                self.weight_step[group.members] = gaussian_scales(part, group.weights.format)

    def compressed(self) -> torch.Tensor:
        """Ŵ, (M, out, in), with its gradient."""
        return self._join(self._weights(index, group) for index, group in enumerate(self.groups))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (M, n, in) to (M, n, out)."""
        if not all(group.activations.format.parts == () for group in self.groups):
            x = self._join(self._inputs(x[group.members], group) for group in self.groups)
        return torch.bmm(x, self.compressed().to(x.dtype).mT)

    def uncompiled(self) -> None:
        """Keep the rounding out of torch.compile: its exact constants come from numpy, which cannot be traced."""
        if any(group.weights.format.parts or group.activations.format.parts for group in self.groups):
            self.compressed, self._inputs = (torch.compiler.disable(part) for part in (self.compressed, self._inputs))

    def _weights(self, index, group):
        part = self.weight[group.members]
        if not group.weights.format.parts:
            return part
        if _learns(group.weights):
            return group.weights(part, step=self.weight_step[group.members])
        kept, alive = self.pruning(index, part)
        return group.weights(part, kept, alive)

    def _inputs(self, x, group):
        if not group.activations.format.parts:
            return x
        if not _learns(group.activations):
            return group.activations(x)
        step = self.activation_step
        if step[group.members].isnan().any():  # the first batch tells
            with torch.no_grad():
                step[group.members] = gaussian_scales(x, group.activations.format)
        return group.activations(x, step=step[group.members])

    @staticmethod
    def _join(parts):
        parts = list(parts)
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _learns(compression):
    return compression.method == "lsq" and compression.format.element is not None


class Block(nn.Module):
    """Attention and a SwiGLU layer, each after an RMSNorm and added to its input."""

    def __init__(self, config: Config, members: int, alike: list[Group]):
        super().__init__()
        width, hidden, residual = config.width, config.hidden, 1 / math.sqrt(2 * config.layers)
        self.heads = config.heads
        self.attention_norm = nn.Parameter(torch.ones(members, 1, width))
        self.query, self.key, self.value = (Linear(members, width, width, alike) for _ in range(3))
        self.out = Linear(members, width, width, alike, residual)
        self.mlp_norm = nn.Parameter(torch.ones(members, 1, width))
        self.gate, self.up = (Linear(members, hidden, width, alike) for _ in range(2))
        self.down = Linear(members, width, hidden, alike, residual)

    def forward(self, x: torch.Tensor, rotary: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
        """x (M, B·T, width) to the same shape; rotary: as `rotary` makes it; shape: (M, B, T)."""
        members, rows, context = shape
        y = norm(x, self.attention_norm)

        def heads(linear):
            return linear(y).view(members * rows, context, self.heads, -1).transpose(1, 2)

        query, key = (rotate(heads(linear), rotary) for linear in (self.query, self.key))
        mixed = F.scaled_dot_product_attention(query, key, heads(self.value), is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        y = norm(x, self.mlp_norm)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Decoder(nn.Module):
    """The decoders of ``configs``, which share their `Config.shape`: RMSNorm, rotary positions, SwiGLU, no biases.

    Each member starts from its own seed: normal weights of standard deviation 1/√columns, and 1/√(2 layers) of that
    where a branch ends.
    """

    def __init__(self, configs: Sequence[Config]):
        super().__init__()
        config, members = configs[0], len(configs)
        if len({one.shape for one in configs}) > 1:
            raise ValueError("the members of one program share their shape, data and schedule; these runs do not")
        alike = groups(configs)
        self.embedding = nn.Parameter(torch.empty(members, config.vocabulary, config.width))
        self.blocks = nn.ModuleList(Block(config, members, alike) for _ in range(config.layers))
        self.norm = nn.Parameter(torch.ones(members, 1, config.width))
        self.head = nn.Parameter(torch.empty(members, config.vocabulary, config.width))
        self.register_buffer("rotary", rotary(config.context, config.width // config.heads), persistent=False)
        self._start([one.seed for one in configs])

    @property
    def linears(self) -> list[Linear]:
        """Every compressed layer."""
        return [module for module in self.modules() if isinstance(module, Linear)]

    @torch.no_grad()
    def _start(self, seeds):
        drawn = [(self.embedding, self.embedding.shape[2] ** -0.5), (self.head, self.head.shape[2] ** -0.5)]
        drawn += [(linear.weight, linear.std) for linear in self.linears]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for member, generator in enumerate(generators):
            for parameter, std in drawn:
                parameter[member].normal_(0.0, std, generator=generator)
        for linear in self.linears:
            linear.start(generators)

    def set_moment(self, step: int, steps: int) -> None:
        """Tell the masks which of how many steps this is."""
        for linear in self.linears:
            linear.pruning.moment = (step, steps)

    @torch.no_grad()
    def relative_errors(self) -> torch.Tensor:
        """(M,): the squared error of all compressed weights over their squares, as they are now."""
        error = square = 0.0
        for linear in self.linears:
            weight = linear.weight.double()
            error = error + (linear.compressed() - weight).square().sum((1, 2))
            square = square + weight.square().sum((1, 2))
        return error / square

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids (M, B, T + 1), int64, to the loss at every position (M, B, T), nats per token."""
        logits, targets = self.logits(tokens[..., :-1]), tokens[..., 1:]
        losses = F.cross_entropy(logits.flatten(0, -2), targets.reshape(-1), reduction="none")
        return losses.view(targets.shape)

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids (M, B, T), int64, to the float32 logits (M, B, T, vocabulary) of the tokens that follow."""
        members, rows, context = tokens.shape
        first = self.embedding.shape[1] * torch.arange(members, device=tokens.device)[:, None]  # rows of one table
        x = F.embedding(first + tokens.reshape(members, -1), self.embedding.flatten(0, 1))
        for block in self.blocks:
            x = block(x, self.rotary, tokens.shape)
        x = norm(x, self.norm)
        return torch.bmm(x, self.head.to(x.dtype).mT).float().view(members, rows, context, -1)


def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """RMSNorm over the last dimension (Zhang and Sennrich 2019)."""
    return F.rms_norm(x, x.shape[-1:], eps=1e-6) * weight


def rotary(context: int, size: int) -> torch.Tensor:
    """cos and sin (2, context, size / 2) of the rotary positions (Su et al. 2021)."""
    frequency = ROPE_BASE ** (-torch.arange(0, size, 2) / size)
    angle = torch.arange(context)[:, None] * frequency
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x: torch.Tensor, rotary: torch.Tensor) -> torch.Tensor:
    """Turn the pairs of channels of x (…, context, size) by their positions' angles."""
    cos, sin = rotary.to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)
