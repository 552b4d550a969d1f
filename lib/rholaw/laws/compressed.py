"""What laws share that read formats: the pair of each run, and log ρ as a sum over parts."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from ..error.measure import gmse
from ..formats.format import Format
from ..formats.grammar import parse
from .chinchilla import Chinchilla, Columns
from .parameters import Parameters

DENSE = parse("dense")
SIZE = 1e8  # parameters at which a law with exponents of N by format states what each costs
NEVER = -1e4  # the logarithm of a term that a run does not have

Pair = tuple[Format, Format]  # the formats of weights and of activations


class Compressed(Chinchilla):
    """A law that reads the formats of weights and activations.  Abstract: ``format_columns`` is each law's own."""

    needs_formats = True  # refuses runs that are all dense

    def __init__(self, runs: pd.DataFrame) -> None:
        super().__init__(runs)
        self.pairs = tuple(pair for pair in dict.fromkeys(pairs_of(runs)) if pair != (DENSE, DENSE))
        if self.needs_formats and not self.pairs:
            raise ValueError("this law needs runs in some format; all of these are dense: fit 'chinchilla'")

    def columns(self, runs: pd.DataFrame) -> Columns:
        """Beside n and d, what the law reads of the formats. Raises ValueError for what it cannot predict."""
        return super().columns(runs) | self.format_columns(pairs_of(runs))


class Product(Compressed):
    """A law whose ρ is a product over parts: ``parts`` of a pair of formats, and ``log_parts``, the log ρ of each."""

    def parts(self, weights: Format, activations: Format) -> tuple[Hashable, ...]:
        """What multiplies to the ρ of a run with these formats."""
        raise NotImplementedError

    def read(self, parts: list[Any]) -> Any:
        """What ``log_parts`` needs to know of the parts. Raises ValueError for one that the fit did not see."""
        return parts

    def log_parts(self, p: Parameters, read: Any) -> np.ndarray:
        """log ρ of each part, of which ``read`` told: (…, number of parts)."""
        raise NotImplementedError

    def format_columns(self, pairs: list[Pair]) -> Columns:
        """parts: all that occur, as ``read``; counts: (n, parts), how often each occurs in a run."""
        parts_of = {pair: self.parts(*pair) for pair in dict.fromkeys(pairs)}
        parts = list(dict.fromkeys(part for of_pair in parts_of.values() for part in of_pair))
        counts = {pair: [of_pair.count(part) for part in parts] for pair, of_pair in parts_of.items()}
        return {"parts": self.read(parts), "counts": np.array([counts[pair] for pair in pairs], dtype=float)}

    def log_rho(self, p: Parameters, columns: Columns) -> np.ndarray:
        """log ρ of every run: the sum over its parts."""
        return self.log_parts(p, columns["parts"]) @ columns["counts"].T


def composed_error(parts: tuple[Format, ...]) -> float:
    """1 − Π(1 − GMSE): the error of several parts together, were what each keeps independent; 0 for none."""
    return 1 - float(np.prod([1 - gmse(part).value for part in parts]))


def pairs_of(runs: pd.DataFrame) -> list[Pair]:
    """(weights, activations) of every run, as Formats. ValueError names the row of what is no format."""
    if missing := [name for name in ("weights", "activations") if name not in runs.columns]:
        raise ValueError(f"the runs lack the columns {', '.join(missing)}: this law reads the formats of each run")
    formats = {name: {} for name in ("weights", "activations")}
    for name, known in formats.items():
        for row, text in runs[name].items():
            if text not in known:
                try:
                    known[text] = parse(text)
                except (TypeError, ValueError) as error:
                    raise ValueError(f"runs, column {name}, row {row}: {error}") from None
    columns = ([known[text] for text in runs[name]] for name, known in formats.items())
    return list(zip(*columns, strict=True))


def refuse_sparsity(law: str, format: Format) -> None:
    """ValueError for a format with sparsity or outliers, in the name of a law that reads neither."""
    if format.sparsity is not None or format.outliers is not None:
        raise ValueError(f"the law {law!r} cannot express the sparsity or the outliers of {format}")
