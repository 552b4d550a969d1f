"""Chinchilla's law with free parameters, and with it what ``fitting`` asks of every law.

A law is made for a table of runs.  It says its parameters (``names``, ``bounds``, ``held``), what it reads of runs
(``columns``), where to start (``guesses``) and its loss (``log_terms``); all parameters are positive.
"""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pandas as pd

from .. import runs as run_tables
from ..formats.format import Format
from .parameters import Parameters

EXPONENTS = np.geomspace(0.05, 1.0, 7)

Columns = dict[str, np.ndarray]  # what a law reads of runs; the last axis is the runs'


class Chinchilla:
    """Loss = A N^-α + B D^-β + E (Hoffmann et al. 2022): no formats, ρ = 1."""

    linear: tuple[str, ...] = ("A", "B", "E")  # the parameters that scale the terms of the loss, one for each
    capacity_names: tuple[str, ...] = ()
    has_capacity = True  # a format acts as a factor ρ on N; where False, the law has no ρ to ask for
    dense_is_chinchilla = True  # without formats the loss is A N^-α + B D^-β + E
    limits: ClassVar = {
        "A": (1e-6, 1e15),
        "B": (1e-6, 1e15),
        "alpha": (1e-3, 5),
        "beta": (1e-3, 5),
        "E": (1e-3, 50),
    }  # by what stands before [
    families: tuple[str, ...] = ()  # of formats, whose ρ is a curve over GMSE
    pairs: tuple[tuple[Format, Format], ...] = ()  # weights and activations of the runs, without the dense ones

    def __init__(self, runs: pd.DataFrame) -> None:
        run_tables.check(runs)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, in the order in which a fit carries them."""
        return ("A", "alpha", "B", "beta", "E", *self.capacity_names)

    def level(self, series: str | None = None) -> str:
        """The parameter that is the E of a series; here there is one for all."""
        return "E"

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """{name: (lower, upper)}, by what stands before a bracket.

        Wide, so that a fit which ends on one says that the data do not hold it.
        """
        return {name: self.limits[name.partition("[")[0]] for name in self.names}

    @property
    def held(self) -> dict[str, float]:
        """{name: value} of the parameters that a fit holds unless it is told otherwise."""
        return {}

    def columns(self, runs: pd.DataFrame) -> Columns:
        """What ``log_terms`` reads. Raises ValueError for what the law cannot predict."""
        run_tables.check(runs, ("n_params", "n_tokens"))
        return {"n": np.log(runs["n_params"].to_numpy(float)), "d": np.log(runs["n_tokens"].to_numpy(float))}

    def format_columns(self, pairs: list[tuple[Format, Format]]) -> Columns:
        """The part of ``columns`` that ``log_rho`` reads, for these formats of weights and activations."""
        return {}

    def log_rho(self, p: Parameters, columns: Columns) -> np.ndarray:
        """log ρ of every run, or something that broadcasts to it."""
        return np.zeros(1)

    def log_terms(self, p: Parameters, columns: Columns) -> list[np.ndarray]:
        """Logarithms of the terms whose sum is the loss: each linear in the logarithm of its ``linear`` parameter."""
        size = p.log("A") - p.alpha * (columns["n"] + self.log_rho(p, columns))
        return [size, p.log("B") - p.beta * columns["d"], p.log("E")]

    def log_loss(self, p: Parameters, columns: Columns) -> np.ndarray:
        """log loss of every run: (…, n) for parameters (…, P)."""
        return np.log(sum(np.exp(term) for term in self.log_terms(p, columns)))

    def guesses(self) -> Iterator[dict[str, float]]:
        """Starting points, without the ``linear`` parameters: a grid of exponents."""
        for alpha in EXPONENTS:
            for beta in EXPONENTS:
                for guess in self.capacity_guesses():
                    yield {"alpha": alpha, "beta": beta} | guess

    def capacity_guesses(self) -> list[dict[str, float]]:
        """Starting points of the parameters in ``capacity_names``."""
        return [{}]

    def starts(self, columns: Columns, log_loss: np.ndarray) -> np.ndarray:
        """Logarithms (S, P): the guesses, with the best ``linear`` parameters for each by linear least squares."""
        names, loss = self.names, np.exp(log_loss)
        places = [names.index(name) for name in self.linear]
        u = np.log([[guess.get(name, 1.0) for name in names] for guess in self.guesses()])
        raised = u.copy()
        raised[:, places] = 1.0
        logs, above = (
            np.stack([np.broadcast_to(term, (len(u), len(loss))) for term in self.log_terms(p, columns)], axis=-1)
            for p in (Parameters(names, u), Parameters(names, raised))
        )
        top = logs.max(axis=1)
        # In relative error, as the logarithm that is fitted later; scaled, so that the columns are comparable.
        bases = np.exp(logs - top[:, None]) / loss[:, None]
        scaled = np.array([np.linalg.lstsq(basis, np.ones_like(loss), rcond=1e-8)[0] for basis in bases])
        u[:, places] = (np.log(np.maximum(scaled, 0.02 * loss.min())) - top) / (above - logs)[:, 0]
        return u
