"""Kumar et al. 2024: capacity from the bits of weights and activations; and the optimal precision of its constants."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from ...formats.format import Format
from ..compressed import DENSE, Product, refuse_sparsity
from ..parameters import Parameters

BITS = 16  # of what is not compressed
SIDES = {"w": "weights", "a": "activations"}


class Kumar(Product):
    """Loss = A (N ρ)^-α + B D^-β + E with ρ = Π (1 − exp(n − P / γ)), P the bits of weights and of activations.

    Kumar et al. 2024, before post-training quantisation; 16 bits where dense.  n = 0 in the text; the printed constants
    need it (Table 2): ``KumarOffset``.  The paper ties α = β, this does not.  A side that no run compresses has no γ
    and no factor.
    """

    reads_offsets = False
    limits = Product.limits | {"gamma_w": (1e-2, 1e3), "gamma_a": (1e-2, 1e3), "n_w": (1e-3, 10), "n_a": (1e-3, 10)}

    def __init__(self, runs: pd.DataFrame) -> None:
        super().__init__(runs)
        parts = {part for pair in self.pairs for part in self.parts(*pair)}
        self.sides = [side for side in SIDES if any(name == side and bits != BITS for name, bits in parts)]
        if not self.sides:
            raise ValueError("the law 'kumar' needs runs with fewer than 16 bits")

    def parts(self, weights: Format, activations: Format) -> tuple[tuple[str, float], ...]:
        """The bits of both sides, as (side, bits)."""
        return (("w", self._bits(weights)), ("a", self._bits(activations)))

    def _bits(self, format: Format) -> float:
        if format == DENSE:
            return BITS
        refuse_sparsity("kumar", format)
        return format.element.bits

    @property
    def capacity_names(self) -> tuple[str, ...]:
        """A γ for each compressed side, and an n where the law has offsets."""
        gammas, offsets = ([f"{name}_{side}" for side in self.sides] for name in ("gamma", "n"))
        return (*gammas, *(offsets if self.reads_offsets else []))

    def read(self, parts: list[tuple[str, float]]) -> list[tuple[str, float]]:
        """Each side and its bits. Raises ValueError for one that no run compresses."""
        if unseen := [side for side, bits in parts if side not in self.sides and bits != BITS]:
            raise ValueError(f"the law 'kumar' saw no compressed {SIDES[unseen[0]]}")
        return parts

    def log_parts(self, p: Parameters, read: list[tuple[str, float]]) -> np.ndarray:
        """log ρ of each side at its bits: (…, number of parts)."""
        return np.concatenate([self._log_part(p, side, bits) for side, bits in read], axis=-1)

    def _log_part(self, p: Parameters, side: str, bits: float) -> np.ndarray:
        if side not in self.sides:
            return np.zeros((*p.u.shape[:-1], 1))
        offset = np.exp(p.log(f"n_{side}")) if self.reads_offsets else 0.0
        share = -np.expm1(offset - bits / np.exp(p.log(f"gamma_{side}")))
        return np.log(np.where(share.real > 1e-9, share, 1e-9))

    def capacity_guesses(self) -> list[dict[str, float]]:
        """Starting points of the parameters in ``capacity_names``."""
        offsets = {f"n_{side}": 0.1 for side in self.sides}
        return [offsets | {f"gamma_{side}": gamma for side in self.sides} for gamma in (1.0, 3.0)]


class KumarOffset(Kumar):
    """The precision law as its printed constants need it: ρ = Π (1 − exp(n − P / γ)) (Kumar et al. 2024, Table 2)."""

    reads_offsets = True


def optimal_bits(gammas: ArrayLike, offsets: ArrayLike | None = None) -> float:
    """P* at which the loss is least for fixed N · D · P, all sides at P bits (Kumar et al. 2024): d ln ρ / d ln P = 1.

    gammas, offsets: γ and n of each side.  Neither the exponents nor the compute enter.
    """
    gammas = np.asarray(gammas, dtype=float)
    offsets = np.zeros_like(gammas) if offsets is None else np.asarray(offsets, dtype=float)

    def excess(bits: float) -> float:
        lost = np.exp(offsets - bits / gammas)
        return float(np.sum(bits / gammas * lost / (1 - lost))) - 1

    return brentq(excess, float((gammas * offsets).max()) + 1e-6, 1e3)


LAWS = {"kumar": Kumar, "kumar-offset": KumarOffset}
