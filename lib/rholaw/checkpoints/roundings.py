"""What a format does to the matrices of a decoder's layers, and to what goes into them."""

import math
from dataclasses import dataclass

import torch

from ..formats.format import Format
from . import llama
from .layered import Layered, Step
from .roles import KEPT, is_matrix, role
from .tensors import Tensor


@dataclass(frozen=True)
class Rounding:
    """What happens to the matrices of a layer: ``format`` or None, and to their inputs: ``activations`` or None."""

    format: Format | None
    activations: Format | None = None

    @property
    def multiple(self) -> int:
        """Rows must have a multiple of so many weights."""
        return math.lcm(self.format.multiple, self.activations.multiple if self.activations else 1)

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
        store = self.activations.quantize
        return lambda x: torch.stack([store(part) for part in x]) if x.ndim > 2 else store(x)


def matrices(model: Layered) -> list[Tensor]:
    """The matrices of all its layers."""
    own = [tensor for index in range(model.layers) for tensor in model.matrices(index)]
    return [tensor for tensor in own if is_matrix(tensor.name, tensor.shape)]
