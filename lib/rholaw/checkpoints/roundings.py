"""What a format does to the matrices of a decoder's layers, and to what goes into them."""

import math
from dataclasses import dataclass

import torch

from ..formats.format import Format
from . import llama
from .layered import Kept, Layered, Step
from .roles import KEPT, is_matrix, role
from .static import Scales
from .tensors import Tensor


@dataclass(frozen=True)
class Rounding:
    """What happens to the matrices of a layer, to their inputs, and to its keys and values; None where nothing does.

    Static scales stand for those of the file.
    """

    format: Format | None
    activations: Format | Scales | None = None
    cache: Format | Scales | None = None

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
        if isinstance(self.activations, Scales):
            weight = self.activations.weight(tensor, weight)
        return self.format.quantize(weight.view(tensor.matrix)).view(weight.shape) if self.rounds(tensor) else weight

    def inputs(self, tensor: Tensor) -> Step | None:
        """What rounds the inputs of a matrix, a block of the text at a time; None where they stay."""
        if not (self.activations and self.rounds(tensor)):
            return None
        if isinstance(self.activations, Scales):
            return self.activations.step(tensor)
        store = self.activations.quantize
        return lambda x: torch.stack([store(part) for part in x]) if x.ndim > 2 else store(x)

    def kept(self, layer: int) -> Kept | None:
        """What rounds the keys and the values (B, heads, T, channels) of a layer; None where they stay.

        By a format a row for each token and head, a text at a time.  They raise ValueError for heads whose channels the
        format does not divide, and as ``Scales.kept``.
        """
        if (cache := self.cache) is None:
            return None
        if isinstance(cache, Scales):
            return cache.kept(layer)

        def step(x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] % cache.multiple:
                raise ValueError(
                    f"keys and values in {cache}: heads have {x.shape[-1]} channels, a multiple of {cache.multiple} "
                    "is needed"
                )
            return torch.stack([cache.quantize(part.flatten(0, -2)).view(part.shape) for part in x])

        return step, step


def matrices(model: Layered) -> list[Tensor]:
    """The matrices of all its layers."""
    own = [tensor for index in range(model.layers) for tensor in model.matrices(index)]
    return [tensor for tensor in own if is_matrix(tensor.name, tensor.shape)]


def otherwise(scales: Scales, inner: Format | Scales | None, stored: Format | Scales | None, layers: int) -> list[str]:
    """What engines do otherwise than an evaluation with ``inner`` for inputs and ``stored`` for keys and values did."""
    remarks, formats = [], [format for format in (inner, stored) if isinstance(format, Format)]
    if scales.remark and formats:
        remarks.append(f"{scales.remark}; not here, where scales follow from what is rounded")
    if isinstance(inner, Format) and (count := scales.rounded_anew):
        remarks.append(
            f"{count} of its matrices have another scale than those that vLLM joins them with, and it rounds them once "
            "more; so here by activations='static' alone"
        )
    if isinstance(stored, Scales) and (lacking := stored.lacking(layers)):
        some = f"{len(lacking)} of its {layers} layers have no static scales of keys and values"
        remarks.append(f"{some}; they are 1 there, as vLLM takes them")
    if isinstance(stored, Scales) or (stored and stored.element.kind == "float" and stored.element.bits == 8):
        remarks.append("queries stay as they are, which engines round too where their attention computes in FP8")
    return remarks
