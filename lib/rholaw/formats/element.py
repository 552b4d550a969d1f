"""What an element of a format is: the points to which weights are rounded, and all that other rooms may ask of it."""

from typing import Literal

import numpy as np
from torch import Tensor

Kind = Literal["integer", "float", "codebook", "trellis", "ggml"]
Needs = Literal["nothing", "rms", "largest", "everything"]
"""What has to be known of a whole tensor before some of its rows can be stored; the RMS is that of what survives."""


class Element:
    """The values that weights may take at scale 1: a grid, points of several dimensions, or a code that scales itself.

    Subclasses are frozen dataclasses, and give ``name``, its text in the grammar; ``kind``, the arithmetic that decodes
    it; ``bits``, the length of a code per weight; and ``dim``, how many consecutive weights of a row share a code.
    """

    name: str
    kind: Kind
    bits: float
    dim: int
    work: float = 1.0
    """How many times as long as to a uniform grid it takes to round, roughly."""
    own_scales: bool = False
    """Whether ``round`` takes data at any scale and stores scales of its own, which ``bits`` then counts."""
    levels: np.ndarray | None = None
    """Of a grid: its values, increasing, float64 of shape (count,).  What has them has an exact error."""
    points: np.ndarray | None = None
    """Of a codebook of vectors: its points, float64 of shape (count, dim)."""

    @property
    def signed(self) -> bool:
        """Whether it holds negative values; one that does not needs a minimum or a zero point."""
        return self.levels is None or bool(self.levels[0] < 0)

    def round(self, x: Tensor) -> Tensor:
        """The nearest points to ``x``, of shape (…, n) and float32 or float64; the result has its shape and type.

        Raises ValueError where ``dim`` does not divide n.
        """
        raise NotImplementedError

    def round_(self, x: Tensor) -> Tensor:
        """As ``round``, but ``x`` may be overwritten."""
        return self.round(x)

    def codes(self, x: Tensor) -> Tensor:
        """``x`` as rows of weights that share a code: (…, n) → (…·n / dim, dim).  Raises ValueError as ``round``."""
        row = x.shape[-1] if x.ndim else 1
        if row % self.dim:
            raise ValueError(f"{self.name} codes {self.dim} weights together, which does not divide a row of {row}")
        return x.reshape(-1, self.dim)
