"""An associative memory: a synthetic task, small enough to train in seconds, on which a capacity can be measured.

A matrix W (d × d) has to say which of V values belongs to each of K keys.  Keys k = 1, 2, … are wanted with probability
p(k) ∝ k^-a (Zipf); keys and values are fixed random directions e_k and u_v, and the answer is softmax_v(u_v · W e_k).
All that is learned is W, so that N = d².  K log₂ V bits are more than W holds: the loss is limited by its size.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby, product

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from tqdm import tqdm

from ..formats.grammar import parse
from ..threads import alone
from ..train.config import METHODS
from ..train.gradients import Compression

BETAS, EPSILON, WARMUP, LAST_RATE = (0.9, 0.95), 1e-8, 0.1, 0.02
RATES = (0.005, 0.02, 0.08)  # integers want a low rate, sparse formats a high one
DRAWS = 16  # a loss under noise is the mean over so many


@dataclass(frozen=True)
class Task:
    """keys wanted with probability ∝ rank^-exponent, each with one of ``values``.  ValueError for an empty task."""

    keys: int = 1024
    values: int = 32
    exponent: float = 1.0

    def __post_init__(self) -> None:
        if self.keys < 1 or self.values < 2 or not math.isfinite(self.exponent) or self.exponent < 0:
            raise ValueError(f"a memory needs keys, two values or more and an exponent of at least 0, not {self}")

    def demand(self) -> torch.Tensor:
        """(keys,): the probability of each key."""
        weight = torch.arange(1, self.keys + 1, dtype=torch.float64).pow(-self.exponent)
        return (weight / weight.sum()).float()

    def draw(self, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(e (keys, width), u (values, width), answers (keys,)): the same for the same arguments.

        The directions of a narrow memory are those of a wide one cut short, so that sizes differ by little else.
        Rows of e have length √width, those of u 1: with a W of variance 1/width the logits are of order one.
        """
        random = [np.random.default_rng([seed, part]) for part in range(3)]
        e, u = (
            torch.from_numpy(one.standard_normal((width, count), dtype=np.float32).T)
            for one, count in ((random[0], self.keys), (random[1], self.values))
        )
        answers = torch.from_numpy(random[2].integers(self.values, size=self.keys))
        return F.normalize(e, dim=1) * math.sqrt(width), F.normalize(u, dim=1), answers


@dataclass(frozen=True)
class Run:
    """One memory: its width d, the format of W, how the gradient passes it (`config.METHODS` but lsq), seed and rate.

    ValueError for a width that the format's rows do not divide.
    """

    width: int
    weights: str = "dense"
    method: str = "trust"
    seed: int = 0
    lr: float = 0.02

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.method == "lsq":
            raise ValueError(
                f"method must be one of {', '.join(m for m in METHODS if m != 'lsq')}, not {self.method!r}"
            )
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr must be positive and finite, not {self.lr}")
        multiple = parse(self.weights).multiple
        if self.width < 1 or self.width % multiple:
            raise ValueError(f"{self.weights} needs a width that is a multiple of {multiple}, not {self.width}")


def grid(
    widths: Iterable[int],
    weights: Iterable[str] = ("dense",),
    seeds: Iterable[int] = (0,),
    rates: Iterable[float] = RATES,
    methods: Iterable[str] = ("trust",),
) -> list[Run]:
    """Every Run of these, a list."""
    return [Run(*choice) for choice in product(widths, weights, methods, seeds, rates)]


def train(runs: Iterable[Run], steps: int = 250, task: Task = Task(), progress: bool = True) -> pd.DataFrame:
    """Train every Run; a DataFrame in their order, with the columns of `laws.ladder.capacities`, lr and realised.

    Runs of one width train side by side in one batched program, with Adam, warm-up and cosine.  Every step sees all
    keys, weighed by their demand, so that a seed draws the task and the start, no more; n_tokens = keys × steps.
    loss: nats per wanted key after the last step, under the format; realised: the squared error of W over its square
    then.  ValueError for a run that is there twice.
    """
    runs = list(runs)
    if steps < 1:
        raise ValueError(f"steps must be positive, not {steps}")
    if len(set(runs)) < len(runs):
        raise ValueError(f"{next(run for run in runs if runs.count(run) > 1)} is there twice")
    order = sorted(runs, key=lambda run: (run.width, run.weights, run.method))  # equal compressions are neighbours
    outcomes = {}
    with alone(), tqdm(total=steps * len(runs), desc="memories", unit="step", disable=not progress) as bar:
        for _, members in groupby(order, lambda run: run.width):
            outcomes |= _train(list(members), steps, task, bar)
    shared = {"n_tokens": task.keys * steps, "activations": "dense", "backward": "fw", "schedule": "magnitude"}
    table = pd.DataFrame([{"n_params": run.width**2, **asdict(run), **shared, **outcomes[run]} for run in runs])
    return table.drop(columns="width")


def best_rate(results: pd.DataFrame) -> pd.DataFrame:
    """Of each size, format and method the rows of the learning rate with the lowest mean loss over the seeds."""
    keys = ["n_params", "weights", "method"]
    means = results.groupby([*keys, "lr"])["loss"].mean().reset_index()
    return results.merge(means.loc[means.groupby(keys)["loss"].idxmin(), [*keys, "lr"]])


def _train(runs: list[Run], steps: int, task: Task, bar: tqdm) -> dict[Run, dict[str, float]]:
    """{Run: its loss and realised error} of runs of one width, neighbours where they are compressed alike."""
    width, demand = runs[0].width, task.demand()
    e, u, answers = (torch.stack(parts) for parts in zip(*(task.draw(width, run.seed) for run in runs), strict=True))
    start = [np.random.default_rng([run.seed, 3]).standard_normal((width, width), dtype=np.float32) for run in runs]
    weight = (torch.from_numpy(np.stack(start)) / math.sqrt(width)).requires_grad_()
    lr = torch.tensor([run.lr for run in runs])[:, None, None]
    sizes = Counter((run.weights, run.method) for run in runs)
    compressions = [Compression(parse(text), method) for text, method in sizes]

    def compressed():
        parts = zip(compressions, weight.split(list(sizes.values())), strict=True)
        return torch.cat([one(part) if one.format.parts else part for one, part in parts])

    def losses():
        logits = torch.bmm(e, torch.bmm(compressed().mT, u.mT))  # the small matrices first
        nats = F.cross_entropy(logits.flatten(0, 1), answers.flatten(), reduction="none")
        return nats.view(answers.shape) @ demand

    first, second = torch.zeros_like(weight), torch.zeros_like(weight)
    for step in range(steps):
        torch.default_generator.manual_seed(step)  # what "noise" and "channel" draw
        (gradient,) = torch.autograd.grad(losses().sum(), weight)
        first.lerp_(gradient, 1 - BETAS[0])
        second.lerp_(gradient.square(), 1 - BETAS[1])
        spread = (second / (1 - BETAS[1] ** (step + 1))).sqrt() + EPSILON
        with torch.no_grad():
            weight -= lr * _rate(step, steps) / (1 - BETAS[0] ** (step + 1)) * first / spread
        bar.update(len(runs))
    with torch.no_grad():
        torch.default_generator.manual_seed(steps)
        draws = DRAWS if {method for _, method in sizes} & {"noise", "channel"} else 1
        loss = torch.stack([losses() for _ in range(draws)]).mean(0)
        realised = (compressed() - weight).square().sum((1, 2)) / weight.square().sum((1, 2))
    pairs = zip(loss.tolist(), realised.tolist(), strict=True)
    return {run: {"loss": a, "realised": b} for run, (a, b) in zip(runs, pairs, strict=True)}


def _rate(step: int, steps: int) -> float:
    """The learning rate in units of its peak: linear warm-up, then a cosine to LAST_RATE."""
    warm = min(1.0, (step + 1) / (WARMUP * steps))
    return warm * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * step / steps)))
