"""Chen et al. 2025: the error of quantisation-aware training grows with the tokens and falls with the size."""

import numpy as np
import pandas as pd

from ...formats.format import Format
from ..chinchilla import Columns
from ..compressed import DENSE, NEVER, Compressed, Pair, refuse_sparsity
from ..parameters import Parameters


class Chen(Compressed):
    """Loss = A N^-α + B D^-β + E + k D^γ_D log2(G)^γ_G / N^γ_N (Chen et al. 2025, quantisation-aware training).

    k is a number for each pair of elements of weights and activations, the exponents are shared; the paper fits each
    pair alone.  G is the block size; where all compressed runs have the same, or none, its factor is part of k.
    """

    has_capacity = False
    limits = Compressed.limits | {"k": (1e-9, 1e6)}
    limits |= {"gamma_D": (1e-3, 5), "gamma_N": (1e-3, 5), "gamma_G": (1e-3, 10)}

    def __init__(self, runs: pd.DataFrame) -> None:
        super().__init__(runs)
        keys = [self._key(*pair) for pair in self.pairs]
        self.elements = list(dict.fromkeys(elements for elements, _ in keys))
        self.groups = {group for _, group in keys}
        self.reads_groups = len(self.groups) > 1
        if self.reads_groups and None in self.groups:
            raise ValueError("the law 'chen' needs a block size in every format or in none: it reads log2 of it")

    def _key(self, weights: Format, activations: Format) -> tuple[str, int | None]:
        """("element|element", block size or None) of a pair of formats."""
        used = [part for part in (weights, activations) if part != DENSE]
        for part in used:
            refuse_sparsity("chen", part)
        groups = {part.block.size if part.block and isinstance(part.block.size, int) else None for part in used}
        if len(groups) > 1:
            raise ValueError(f"the law 'chen' has one block size a run; {weights} and {activations} differ")
        names = ("dense" if part.element is None else part.element.name for part in (weights, activations))
        return "|".join(names), groups.pop()

    @property
    def _factors(self) -> list[str]:
        return [f"k[{elements}]" for elements in self.elements]

    @property
    def capacity_names(self) -> tuple[str, ...]:
        """The exponents, γ_G only where block sizes differ, and a k for each pair of elements."""
        return ("gamma_D", "gamma_N", *(["gamma_G"] if self.reads_groups else []), *self._factors)

    @property
    def linear(self) -> tuple[str, ...]:
        """The parameters that scale the terms of the loss, one for each."""
        return ("A", "B", "E", *self._factors)

    def format_columns(self, pairs: list[Pair]) -> Columns:
        """log_log_group: log log2 G of each run; present: (elements, n), 0 where a run has the pair, else NEVER."""
        rows = {pair: self._row(*pair) for pair in dict.fromkeys(pairs)}
        table = np.array([rows[pair] for pair in pairs])
        return {"log_log_group": table[:, 0], "present": table[:, 1:].T}

    def _row(self, weights: Format, activations: Format) -> list[float]:
        """log log2 G, then for each known pair of elements 0 where it is this one."""
        if (weights, activations) == (DENSE, DENSE):
            return [0.0, *[NEVER] * len(self.elements)]
        elements, group = self._key(weights, activations)
        if elements not in self.elements:
            known = ", ".join(self.elements)
            raise ValueError(f"the law 'chen' has no k for {elements}: it saw no such run; it knows {known}")
        if (group is None) if self.reads_groups else (group not in self.groups):
            raise ValueError(f"the law 'chen' saw block sizes {self.groups} and cannot predict {group}")
        log_log_group = np.log(np.log2(group)) if self.reads_groups else 0.0
        return [log_log_group, *(0.0 if known == elements else NEVER for known in self.elements)]

    def log_terms(self, p: Parameters, columns: Columns) -> list[np.ndarray]:
        """Chinchilla's terms, and one for each pair of elements."""
        shared = p.gamma_D * columns["d"] - p.gamma_N * columns["n"]
        if self.reads_groups:
            shared = shared + p.gamma_G * columns["log_log_group"]
        factors = zip(self._factors, columns["present"], strict=True)
        return [*super().log_terms(p, columns), *(p.log(name) + shared + present for name, present in factors)]

    def capacity_guesses(self) -> list[dict[str, float]]:
        """Starting points of the parameters in ``capacity_names``."""
        grid = [(0.05, 0.2), (0.2, 0.3)]
        return [{"gamma_D": gamma_D, "gamma_N": gamma_N, "gamma_G": 0.5} for gamma_D, gamma_N in grid]


LAWS = {"chen": Chen}
