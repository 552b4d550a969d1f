"""A program whose step is captured once as a CUDA graph and replayed: small models launch thousands of kernels a step.

The host has no part in a captured step: the text, the order of its batches and the rates lie on the device, and a
counter there says which are next.  So several programs fill one GPU together, each on a stream of its own.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache, partial

import numpy as np
import torch

from ..texts import tokens as corpora
from .config import Config
from .masks import Magnitude, parse_schedule
from .model import Decoder, Linear
from .trainer import Program, factors

WARM_UP = 3  # steps before the capture: what is made at its first use must not belong to the graph
HOST = ("noise", "channel", "lsq")  # methods that draw from the host's generator or look at the first batch


class Captured(Program):
    """A `Program` whose step is one CUDA graph from step WARM_UP on; on "cpu" the same step without a graph.

    capture: False leaves the graph out on a GPU too.  ValueError for runs whose step is not always the same: masks that
    move, noise, learned steps.
    """

    def __init__(
        self,
        configs: Sequence[Config],
        device: str = "cuda",
        corpus: corpora.Corpus | None = None,
        capture: bool = True,
    ):
        for config in configs:
            if config.method in HOST or not isinstance(parse_schedule(config.schedule), Magnitude):
                raise ValueError(f"method {config.method} with schedule {config.schedule} cannot be captured")
        super().__init__(configs, device, corpus=corpus)
        config, seeds = self.config, sorted({one.seed for one in configs})
        self.places = torch.tensor([seeds.index(one.seed) for one in configs], device=self.device)
        self.starts = torch.stack([starts(self.corpus.train, config, seed) for seed in seeds]).to(self.device)
        self.text = _text(self.corpus, self.device)
        self.offsets = torch.arange(config.context + 1, device=self.device)
        self.factors = torch.tensor([factors(config, step) for step in range(config.steps)], device=self.device)
        self.at = torch.zeros(1, dtype=torch.int64, device=self.device)  # the step to come
        self.graph = None
        self.stream, self.capture = None, capture and self.device.type == "cuda"
        if self.device.type == "cuda":
            torch.cuda.synchronize()  # what was made so far, on another stream
            self.stream = torch.cuda.Stream(self.device)

    def on_stream(self) -> AbstractContextManager:
        """Where all work of this program belongs: within the block its stream is the current one."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def advance(self) -> None:
        """One step for every member: a replay, once the step is captured."""
        with self.on_stream():
            if self.graph is not None:
                self.graph.replay()
            else:
                self.at.fill_(self.step)
                self.work()
                if self.capture and self.step + 1 == WARM_UP:
                    self.graph = self._capture()
            self.step += 1
            self.note()

    def work(self) -> None:
        """The step that the counter on the device names, without a word from the host."""
        first = self.starts.index_select(1, self.at)[:, 0].index_select(0, self.places)
        batch = self.text[first[..., None] + self.offsets].long()
        with compressed_alike(self.model):
            self.learn(batch, *self.factors.index_select(0, self.at)[0].unbind())
        self.at += 1

    def _capture(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            self.work()
        return graph


def starts(text: np.ndarray, config: Config, seed: int) -> torch.Tensor:
    """(steps, rows), int64: where in the text the rows of all batches of a run begin."""
    firsts = corpora.starts(text, config.context, config.steps * config.rows, seed, 0)
    return torch.from_numpy(firsts).view(config.steps, config.rows)


@lru_cache(maxsize=2)
def _text(corpus: corpora.Corpus, device: torch.device) -> torch.Tensor:
    """The training part on the device, once for all programs there."""
    return torch.from_numpy(corpus.train.astype(np.int32)).to(device)


@contextmanager
def compressed_alike(model: Decoder) -> Iterator[None]:
    """Within the block the layers of one shape are compressed together, which takes few kernels where each took many.

    A member's layers keep scales and masks of their own; every layer gives what it would give alone.
    """
    alike: dict[torch.Size, list[Linear]] = {}
    for linear in model.linears:
        alike.setdefault(linear.weight.shape, []).append(linear)
    for linears in alike.values():
        weights = torch.stack([linear.weight for linear in linears], 1)
        parts = []
        for place, group in enumerate(linears[0].groups):
            part = weights[group.members]
            if group.weights.format.parts:
                layers = part.flatten(0, 1)
                kept, alive = linears[0].pruning(place, layers)
                part = group.weights(layers, kept, alive).view_as(part)
            parts.append(part)
        for linear, weight in zip(linears, torch.cat(parts).unbind(1), strict=True):
            linear.compressed = partial(_itself, weight)
    try:
        yield
    finally:
        for linear in model.linears:
            del linear.compressed


def _itself(weight: torch.Tensor) -> torch.Tensor:
    return weight
