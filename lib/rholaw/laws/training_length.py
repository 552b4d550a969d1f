"""Training length: an extra loss that grows with the tokens per parameter, and series with a level of their own."""

import numpy as np
import pandas as pd

from ..checked import unknown
from .chinchilla import Columns
from .compressed import NEVER, Product
from .parameters import Parameters

TOKENS_PER_PARAM = 100.0
"""At which a ρ is stated: that of most of the runs that the paper and QuEST fitted."""


class TrainingLength(Product):
    """Loss = A N^-α [1 + (ρ^-α − 1) (D/N / 100)^gamma] + B D^-β + E: beside a law of ρ, how it falls with training.

    ρ holds at TOKENS_PER_PARAM; gamma = 0 is the law without training length, and a dense model has ρ = 1 at any.
    Where the runs have a column ``series`` with several names, each series has an E[name] of its own.
    """

    def __init__(self, runs: pd.DataFrame) -> None:
        super().__init__(runs)
        self.limits = self.limits | {"gamma": (1e-3, 2.0)}
        series = tuple(dict.fromkeys(runs["series"])) if "series" in runs else ()
        self.series = series if len(series) > 1 else ()

    @property
    def levels(self) -> tuple[str, ...]:
        """The E of each series, or the one E."""
        return tuple(f"E[{name}]" for name in self.series) or ("E",)

    def level(self, series: str | None = None) -> str:
        """The parameter that is the E of a series, or of the first. ValueError for one without runs."""
        if series is not None and series not in self.series:
            raise ValueError(unknown(series, self.series, "series with an E of its own"))
        return self.levels[0] if series is None else f"E[{series}]"

    @property
    def linear(self) -> tuple[str, ...]:
        """The parameters that scale a term each."""
        return ("A", "B", *self.levels)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, in the order in which a fit carries them."""
        return ("A", "alpha", "B", "beta", *self.levels, "gamma", *self.capacity_names)

    def columns(self, runs: pd.DataFrame) -> Columns:
        """Beside what ρ reads: levels (series, n), 0 where a run is of the series and NEVER elsewhere.

        Raises ValueError for a run of no series that was fitted.
        """
        columns = super().columns(runs)
        if self.series:
            if "series" not in runs or not (of_ours := runs["series"].isin(self.series)).all():
                other = "none" if "series" not in runs else repr(runs["series"][~of_ours].iloc[0])
                raise ValueError(f"each run must name its series, one of {', '.join(self.series)}; one names {other}")
            columns["levels"] = np.stack([np.where(runs["series"] == name, 0.0, NEVER) for name in self.series])
        return columns

    def log_rho(self, p: Parameters, columns: Columns) -> np.ndarray:
        """log ρ of every run after its own tokens per parameter."""
        at_reference = super().log_rho(p, columns)
        longer = columns["d"] - columns["n"] - np.log(TOKENS_PER_PARAM)
        extra = np.expm1(-p.alpha * at_reference) * np.exp(p.gamma * longer)
        return -np.log1p(np.maximum(extra, 1e-9 - 1)) / p.alpha  # a ρ above 1 would bring the whole term below 0

    def log_terms(self, p: Parameters, columns: Columns) -> list[np.ndarray]:
        """The terms of Chinchilla's law, with an E for each series."""
        size = p.log("A") - p.alpha * (columns["n"] + self.log_rho(p, columns))
        levels = columns.get("levels", [0.0])
        return [
            size,
            p.log("B") - p.beta * columns["d"],
            *(p.log(name) + here for name, here in zip(self.levels, levels, strict=True)),
        ]
