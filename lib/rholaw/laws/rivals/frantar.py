"""Frantar et al. 2023: sparse weights."""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..chinchilla import EXPONENTS, Columns
from ..compressed import DENSE, Compressed, Pair
from ..parameters import Parameters


class Frantar(Compressed):
    """Loss = (a_S (1−S)^b_S + c_S) n^-b_N + (a_D / D)^b_D + E (Frantar et al. 2023), sparse weights.

    S: the share pruned; n: non-zero parameters, in millions; D: in 1e9 tokens (or images).
    """

    linear = ("a_S", "c_S", "a_D", "E")
    names = ("a_S", "b_S", "c_S", "b_N", "a_D", "b_D", "E")
    dense_is_chinchilla = False
    limits = dict.fromkeys(("a_S", "c_S", "a_D"), (1e-6, 1e9)) | dict.fromkeys(("b_S", "b_N", "b_D"), (1e-3, 10))
    limits |= {"E": (1e-3, 50)}

    def columns(self, runs: pd.DataFrame) -> Columns:
        """log n of the non-zero parameters in millions, log D in 1e9, and the log density of the weights."""
        columns = super().columns(runs)
        nonzero = columns["n"] + columns["log_density"]
        return columns | {"n": nonzero - np.log(1e6), "d": columns["d"] - np.log(1e9)}

    def format_columns(self, pairs: list[Pair]) -> Columns:
        """The log density of the weights. Raises ValueError for anything but sparse weights."""
        for weights, activations in pairs:
            if activations != DENSE or weights.element is not None:
                raise ValueError(
                    f"the law 'frantar' reads the sparsity of weights; it cannot express weights {weights} "
                    f"with activations {activations}"
                )
        return {"log_density": np.log([weights.density for weights, _ in pairs])}

    def log_terms(self, p: Parameters, columns: Columns) -> list[np.ndarray]:
        """a_S (1−S)^b_S n^-b_N, c_S n^-b_N, (a_D / D)^b_D and E."""
        size = -p.b_N * columns["n"]
        sparse = p.log("a_S") + p.b_S * columns["log_density"]
        return [sparse + size, p.log("c_S") + size, p.b_D * (p.log("a_D") - columns["d"]), p.log("E")]

    def log_rho(self, p: Parameters, columns: Columns) -> np.ndarray:
        """log ρ: the dense size that would have the loss of the sparse one, over its own."""
        factor = p.a_S * np.exp(p.b_S * columns["log_density"]) + p.c_S
        return columns["log_density"] + np.log((p.a_S + p.c_S) / factor) / p.b_N

    def guesses(self) -> Iterator[dict[str, float]]:
        """A grid of the exponents."""
        for b_N, b_D, b_S in itertools.product(EXPONENTS, EXPONENTS, (0.3, 1.0, 3.0)):
            yield {"b_N": b_N, "b_D": b_D, "b_S": b_S}


LAWS = {"frantar": Frantar}
