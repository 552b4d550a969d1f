"""What errors in its weights cost a language model: noise by groups of matrices, and errors weighed by its inputs.

The linearity result (HIGGS, arXiv 2411.17525, theorem 1): for small errors that are independent of the weights, the
loss rises by Σ α t², where t² is the relative squared error of a layer, and α a property of the model alone.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from .llama import Decoder


@dataclass(frozen=True)
class NoiseCost:
    """α of some ``matrices`` that err alike, in nats per unit of relative squared error, with its standard error."""

    matrices: tuple[str, ...]
    alpha: float
    stderr: float


def groups(model: Decoder, depths: int = 3) -> dict[str, tuple[str, ...]]:
    """{"query 0-9": names, …}: the matrices of a kind in each of ``depths`` parts of the layers, bottom to top."""
    parts = np.array_split(np.arange(model.layers), depths)
    places = {place: name for name, place in model.linear.items()}
    kinds = dict.fromkeys(part for _, part in model.linear.values())
    return {
        f"{kind} {layers[0]}-{layers[-1]}": tuple(places[layer, kind] for layer in layers)
        for kind in kinds
        for layers in parts
        if len(layers)
    }


def cost(
    model: Decoder, blocks: torch.Tensor, before: torch.Tensor, matrices: Iterable[str], error: float, seeds: int = 3
) -> NoiseCost:
    """The NoiseCost of ``matrices`` by Gaussian noise of relative squared ``error``, in nats per token of ``blocks``.

    before: the losses of ``blocks`` without noise.  Each seed's noise is added and subtracted: what the loss does to
    first order cancels.  The standard error is over blocks and, from two seeds on, over seeds.
    """
    rises = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        added = {name: drawn(model.weights[name], error, generator) for name in matrices}
        pair = [
            model.with_weights({name: model.weights[name] + sign * noise for name, noise in added.items()})
            for sign in (1, -1)
        ]
        rises.append(sum(noisy.losses(blocks) for noisy in pair).double().mean(dim=1) / 2 - before.double().mean(dim=1))
    rises = torch.stack(rises) / error
    by_block, by_seed = rises.mean(dim=0), rises.mean(dim=1)
    variance = by_block.var() / len(by_block) + (by_seed.var() / seeds if seeds > 1 else 0.0)
    return NoiseCost(tuple(matrices), float(rises.mean()), math.sqrt(variance))


def drawn(weight: torch.Tensor, error: float, generator: torch.Generator) -> torch.Tensor:
    """Gaussian noise of the shape of ``weight`` whose sum of squares is ``error`` times that of the weights."""
    noise = torch.randn(weight.shape, generator=generator)
    return noise * (error * weight.square().mean() / noise.square().mean()).sqrt()


def second_moments(model: Decoder, blocks: torch.Tensor, progress: bool = False) -> dict[str, torch.Tensor]:
    """{matrix: mean squares of its inputs (columns,)} over the tokens of ``blocks``, the calibration text."""
    sums = {}

    def observe(name: str, inputs: torch.Tensor) -> None:
        sums[name] = sums.get(name, 0) + inputs.double().square().sum(dim=0)

    model.losses(blocks, observe, progress)
    return {name: (total / blocks[:, 1:].numel()).float() for name, total in sums.items()}


def errors(model: Decoder, compressed: Decoder, moments: dict[str, torch.Tensor]) -> pd.DataFrame:
    """A row for each matrix of the blocks: its error relative to itself, plain and as its inputs weigh it.

    error: Σ (ŵ − w)² / Σ w².  weighted_error: Σ m (ŵ − w)² / Σ m w², with the second moments m of the inputs, which is
    E|(ŵ − w) x|² / E|w x|² for inputs that are not correlated.
    """
    rows = []
    for name, (layer, part) in model.linear.items():
        squares = model.weights[name].double().square()
        lost = (compressed.weights[name] - model.weights[name]).double().square()
        m = moments[name].double()
        row = {"name": name, "layer": layer, "part": part, "error": float(lost.sum() / squares.sum())}
        rows.append(row | {"weighted_error": float((lost @ m).sum() / (squares @ m).sum())})
    return pd.DataFrame(rows)


def predicted(costs: Iterable[NoiseCost], errors: pd.DataFrame) -> tuple[float, float]:
    """(Σ α t², its standard error): t² is the mean error of a group's matrices; ``errors`` has name and error."""
    of_matrix = dict(zip(errors.name, errors.error, strict=True))
    means = {cost: np.mean([of_matrix[name] for name in cost.matrices]) for cost in costs}
    rise = sum(cost.alpha * mean for cost, mean in means.items())
    return rise, math.sqrt(sum((cost.stderr * mean) ** 2 for cost, mean in means.items()))
