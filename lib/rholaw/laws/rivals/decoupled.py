"""Frantar et al. 2025: a capacity for each pair of formats, read off no error; and a law with an exponent for each."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from ...formats.format import Format
from ..chinchilla import Columns
from ..compressed import DENSE, NEVER, SIZE, Compressed, Pair, Product, pairs_of
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


class DecoupledExponents(Compressed):
    """Loss = A N^-α + B D^-β + E + k (N / 1e8)^-a, with a k and an a for each pair of formats."""

    has_capacity = False
    limits = Compressed.limits | {"k": (1e-6, 1e3), "a": (1e-3, 5)}

    @property
    def _factors(self) -> list[str]:
        return [f"k[{weights}|{activations}]" for weights, activations in self.pairs]

    @property
    def _exponents(self) -> list[str]:
        return [f"a[{weights}|{activations}]" for weights, activations in self.pairs]

    @property
    def capacity_names(self) -> tuple[str, ...]:
        """A k and an a for each pair of formats of the runs."""
        return (*self._factors, *self._exponents)

    @property
    def linear(self) -> tuple[str, ...]:
        """The parameters that scale the terms of the loss, one for each."""
        return ("A", "B", "E", *self._factors)

    def format_columns(self, pairs: list[Pair]) -> Columns:
        """present: (pairs, n), 0 where a run has the pair, else NEVER. Raises ValueError for a pair without runs."""
        for pair in pairs:
            if pair not in (*self.pairs, (DENSE, DENSE)):
                raise ValueError(
                    f"the law 'decoupled-exponents' has no k for weights {pair[0]} with activations {pair[1]}: "
                    f"it saw no such run; it knows {', '.join(self._factors)}"
                )
        return {"present": np.array([[0.0 if pair == known else NEVER for pair in pairs] for known in self.pairs])}

    def log_terms(self, p: Parameters, columns: Columns) -> list[np.ndarray]:
        """Chinchilla's terms, and one for each pair of formats."""
        larger = columns["n"] - np.log(SIZE)
        names = zip(self._factors, self._exponents, columns["present"], strict=True)
        own = [p.log(k) - np.exp(p.log(a)) * larger + present for k, a, present in names]
        return [*super().log_terms(p, columns), *own]

    def capacity_guesses(self) -> list[dict[str, float]]:
        """Starting points of the parameters in ``capacity_names``."""
        return [dict.fromkeys(self._exponents, 0.2)]


LAWS = {"decoupled": Decoupled, "decoupled-tokens": DecoupledTokens, "decoupled-exponents": DecoupledExponents}
