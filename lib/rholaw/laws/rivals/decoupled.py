"""Frantar et al. 2025: a capacity for each pair of formats, read off no error."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from ...formats.format import Format
from ..compressed import DENSE, Pair, Product, pairs_of
from ..parameters import Parameters
from ..training_length import TrainingLength


class Decoupled(Product):
    """One free ρ for every pair of formats of weights and activations (Frantar et al. 2025); dense has ρ = 1."""

    needs_formats = False
    limits = Product.limits | {"rho": (1e-8, 50)}

    def __init__(self, runs: pd.DataFrame) -> None:
        super().__init__(runs)
        if (DENSE, DENSE) not in pairs_of(runs):
            raise ValueError("the law 'decoupled' needs dense runs: a free ρ is relative to them")

    @property
    def capacity_names(self) -> tuple[str, ...]:
        """A ρ for each pair of formats of the runs."""
        return tuple(self._name(*pair) for pair in self.pairs)

    def _name(self, weights: Format, activations: Format) -> str:
        return f"rho[{weights}|{activations}]"

    def parts(self, weights: Format, activations: Format) -> tuple[Hashable, ...]:
        """The pair as one part; a dense pair has none."""
        return () if (weights, activations) == (DENSE, DENSE) else ((weights, activations),)

    def read(self, parts: list[Pair]) -> list[str]:
        """The parameter of each pair. Raises ValueError for one without runs."""
        for weights, activations in parts:
            if (weights, activations) not in self.pairs:
                raise ValueError(
                    f"the law 'decoupled' has no ρ for weights {weights} with activations {activations}: "
                    f"it saw no such run; it knows {', '.join(self.capacity_names)}"
                )
        return [self._name(*part) for part in parts]

    def log_parts(self, p: Parameters, read: list[str]) -> np.ndarray:
        """log ρ of each pair: (…, number of parts)."""
        return p.log(*read)

    def capacity_guesses(self) -> list[dict[str, float]]:
        """Starting points of the parameters in ``capacity_names``."""
        return [dict.fromkeys(self.capacity_names, 0.5)]


class DecoupledTokens(TrainingLength, Decoupled):
    """A free ρ for every pair of formats, with an extra loss that grows with the tokens per parameter."""


LAWS = {"decoupled": Decoupled, "decoupled-tokens": DecoupledTokens}
