"""What a format does to the matrices of a decoder's layers, and to what goes into them."""

import math
from dataclasses import dataclass

import torch

from ..formats.format import Format
from . import llama, static
from .layered import Layered, Step
from .roles import KEPT, is_matrix, role
from .tensors import Tensor


@dataclass(frozen=True)
class Rounding:
    """What happens to the matrices of a layer, to their inputs, and to its keys and values; None where nothing does.

    activations: static.STATIC for the scales of the file.
    """

    format: Format | None
    activations: Format | str | None = None
    cache: Format | None = None

    @property
    def multiple(self) -> int:
        """Rows must have a multiple of so many weights."""
        return math.lcm(self.format.multiple, getattr(self.activations, "multiple", 1))

    def rounds(self, tensor: Tensor) -> bool:
        """Whether it rounds this tensor of a layer."""
        kept = self.format is None or role(tensor.name) in KEPT or not is_matrix(tensor.name, tensor.shape)
        return not kept and tensor.matrix[1] % self.multiple == 0

    def read(self, device: torch.device, tensor: Tensor) -> torch.Tensor:
        """The values of a tensor, in its shape, as they are or rounded."""
        weight = llama.values(tensor).to(device)
        return self.format.quantize(weight.view(tensor.matrix)).view(weight.shape) if self.rounds(tensor) else weight

    def inputs(self, tensor: Tensor) -> Step | None:
        """What rounds the inputs of a matrix, a block of the text at a time; None where they stay."""
        if not (self.activations and self.rounds(tensor)):
            return None
        if self.activations == static.STATIC:
            return static.step(tensor)
        store = self.activations.quantize
        return lambda x: torch.stack([store(part) for part in x]) if x.ndim > 2 else store(x)

    @property
    def kept(self) -> Step | None:
        """What rounds keys or values (B, heads, T, channels): a row for each token and head, a text at a time.

        It raises ValueError for heads whose channels the format does not divide.
        """
        if (cache := self.cache) is None:
            return None

        def step(x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] % cache.multiple:
                raise ValueError(
                    f"keys and values in {cache}: heads have {x.shape[-1]} channels, a multiple of {cache.multiple} "
                    "is needed"
                )
            return torch.stack([cache.quantize(part.flatten(0, -2)).view(part.shape) for part in x])

        return step


def matrices(model: Layered) -> list[Tensor]:
    """The matrices of all its layers."""
    own = [tensor for index in range(model.layers) for tensor in model.matrices(index)]
    return [tensor for tensor in own if is_matrix(tensor.name, tensor.shape)]
