"""A decoder that runs layer by layer: its weights stay in the file until a layer needs them.

model = layered.Llama(checkpoint, llama.described(checkpoint), torch.device("cpu"))
x = model.embedded(ids)
for index in range(model.layers): x = model.layer(index, read, inputs, kept)(x)
model.head(0, model.vocabulary)(x)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import tokenizers
import torch

from . import llama
from .opening import Checkpoint
from .static import Step
from .tensors import Tensor

Read = Callable[[Tensor], torch.Tensor]
"""The values of a tensor of the file, in its shape: float32, as they are or rounded."""
Inputs = Callable[[Tensor], Step | None]
"""What rounds the inputs of a matrix, (…, columns), or None where they stay."""
Kept = tuple[Step, Step]
"""What rounds keys, and what rounds values, (B, heads, T, channels)."""


class Layered(Protocol):
    """What an evaluation needs of a decoder.

    layers: how many.  vocabulary: the rows of its head.  tokenizer: of its own text.  used: the
    share of its experts that a token goes through.
    """

    layers: int
    vocabulary: int
    tokenizer: tokenizers.Tokenizer
    used: float

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """What the first layer sees: ids (B, T) → (B, T, width)."""

    def layer(self, index: int, read: Read, inputs: Inputs, kept: Kept | None) -> Step:
        """What a layer makes of that, (B, T, width) again, with weights and inputs of matrices as these give them.

        kept: what rounds its keys and its values, or None.
        """

    def check(self, ids: torch.Tensor, kept: Callable[[int], Kept | None]) -> None:
        """ValueError where this, on some tokens ids (B, T), is not what the model computes as a whole.

        And where keys and values of a layer cannot be ``kept`` so.
        """

    def head(self, start: int, stop: int) -> Step:
        """What the last layer made → logits (…, stop − start) of these tokens of the vocabulary."""

    def matrices(self, index: int) -> list[Tensor]:
        """The tensors of a layer that have rows."""


@dataclass(frozen=True)
class Llama:
    """The Layered decoder of ``llama``; ``model`` has no weights."""

    checkpoint: Checkpoint
    model: llama.Decoder
    device: torch.device
    used: float = 1.0  # it has no experts

    @property
    def layers(self) -> int:
        """How many there are."""
        return self.model.layers

    @property
    def tokenizer(self) -> tokenizers.Tokenizer:
        """That of the model."""
        return self.model.tokenizer

    @property
    def vocabulary(self) -> int:
        """How many tokens the head tells apart."""
        return self._once("head").shape[0]

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """As in ``Layered``: of the embedding it reads the rows of these tokens."""
        rows, places = used_rows(self._once("embedding"), ids)
        return self._with("embedding", rows).embedded(places.to(self.device))

    def layer(self, index: int, read: Read, inputs: Inputs, kept: Kept | None) -> Step:
        """As in ``Layered``."""
        own = {name: self.checkpoint[name] for (layer, _), name in self.model.names.items() if layer == index}
        model = self.model.with_weights({name: read(tensor) for name, tensor in own.items()})
        steps = {name: step for name, tensor in own.items() if (step := inputs(tensor))}
        return lambda x: model.after(x, index, given=lambda name, y: steps[name](y) if name in steps else y, kept=kept)

    def check(self, ids: torch.Tensor, kept: Callable[[int], Kept | None]) -> None:
        """ValueError where its heads cannot be kept so; it computes as a whole what it does layer by layer."""
        channels = 2 * len(self.model.frequencies)
        for index in range(self.layers):
            heads = self.checkpoint[self.model.names[index, "key"]].shape[0] // channels
            for step in kept(index) or ():
                step(torch.zeros(1, heads, 1, channels))

    def head(self, start: int, stop: int) -> Step:
        """As in ``Layered``."""
        norm = self._with("norm", llama.values(self._once("norm")))
        rows = llama.finite(self._once("head").rows(start, stop), self._once("head")).to(self.device)
        return norm.with_weights({self.model.names[-1, "head"]: rows}).logits

    def matrices(self, index: int) -> list[Tensor]:
        """As in ``Layered``."""
        return [self.checkpoint[name] for name, (layer, _) in self.model.linear.items() if layer == index]

    def _once(self, part: str) -> Tensor:
        return self.checkpoint[self.model.names[-1, part]]

    def _with(self, part: str, weight: torch.Tensor) -> llama.Decoder:
        return self.model.with_weights({self.model.names[-1, part]: weight.to(self.device)})


def used_rows(embedding: Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(the rows of an embedding that ``ids`` use, in float32, and where in them each id has its own)."""
    used, places = ids.unique(return_inverse=True)
    return llama.finite(torch.cat([embedding.rows(i, i + 1) for i in used.tolist()]), embedding), places
