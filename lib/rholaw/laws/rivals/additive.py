"""Laws in which a format adds to the loss, whatever the size of the model."""

import numpy as np

from ...error.measure import gmse
from ...formats.format import Format
from ..chinchilla import Columns
from ..compressed import NEVER, SIZE, Compressed, Pair, composed_error
from ..parameters import Parameters


class Additive(Compressed):
    """Loss = A N^-α + B D^-β + E + k Σ m^c over the parts of weights and activations, m the GMSE of each."""

    linear = (*Compressed.linear, "k")
    capacity_names = ("k", "c")
    has_capacity = False
    limits = Compressed.limits | {"k": (1e-6, 1e6), "c": (1e-2, 20)}

    def errors(self, parts: tuple[Format, ...]) -> list[float]:
        """The m that are summed, for a run with these parts; at most four."""
        return [gmse(part).value for part in parts]

    def format_columns(self, pairs: list[Pair]) -> Columns:
        """log_error: (4, n), log m of each part; present: 0, or NEVER where a run has fewer parts."""
        of_pair = {pair: self.errors(pair[0].parts + pair[1].parts) for pair in dict.fromkeys(pairs)}
        errors = np.array([of_pair[pair] + [0.0] * (4 - len(of_pair[pair])) for pair in pairs]).T
        logs = np.log(np.where(errors > 0, errors, 1.0))
        return {"log_error": logs, "present": np.where(errors > 0, 0.0, NEVER)}

    def log_part(self, p: Parameters, columns: Columns, log_error: np.ndarray) -> np.ndarray:
        """log m^c of a part in each run, from its log m: (…, n)."""
        return p.c * log_error

    def log_terms(self, p: Parameters, columns: Columns) -> list[np.ndarray]:
        """Chinchilla's terms, and k times the sum over the parts."""
        slots = zip(columns["log_error"], columns["present"], strict=True)
        total = sum(np.exp(self.log_part(p, columns, log_error) + present) for log_error, present in slots)
        return [*super().log_terms(p, columns), p.log("k") + np.log(total + 1e-300)]  # a dense run has no error

    def capacity_guesses(self) -> list[dict[str, float]]:
        """Starting points of the parameters in ``capacity_names``."""
        return [{"c": 0.5}, {"c": 1.0}]


class AdditiveComposed(Additive):
    """Loss = A N^-α + B D^-β + E + k m^c, with m the composed error 1 − Π(1 − GMSE) of weights and activations."""

    def errors(self, parts: tuple[Format, ...]) -> list[float]:
        """The composed error alone."""
        return [composed_error(parts)]


class AdditiveExponents(Additive):
    """Loss = A N^-α + B D^-β + E + k Σ m^c (N / 1e8)^-a over the parts, m the GMSE of each, a = r (log_{1/4} m)^s.

    The finer a part, the faster its cost falls with N.  With r = 0 it is the law "additive".
    """

    capacity_names = (*Additive.capacity_names, "r", "s")
    limits = Additive.limits | {"r": (1e-4, 1), "s": (1e-2, 2)}

    def log_part(self, p: Parameters, columns: Columns, log_error: np.ndarray) -> np.ndarray:
        """log m^c (N / 1e8)^-a of a part in each run, from its log m: (…, n)."""
        fineness = np.where(log_error < 0, -log_error / np.log(4), 1.0)  # 1 where a run has no such part
        a = np.exp(p.log("r") + p.s * np.log(fineness))
        return super().log_part(p, columns, log_error) - a * (columns["n"] - np.log(SIZE))

    def capacity_guesses(self) -> list[dict[str, float]]:
        """Starting points of the parameters in ``capacity_names``."""
        return [guess | {"r": 0.1, "s": 1.0} for guess in super().capacity_guesses()]


LAWS = {"additive": Additive, "additive-composed": AdditiveComposed, "additive-exponents": AdditiveExponents}
