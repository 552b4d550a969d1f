"""Where a prediction leaves the runs of a fit, by how much, what stays among them, and the interval that says so."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

QUANTITIES = ("N", "D", "D/N")


@dataclass(frozen=True, eq=False)
class Prediction:
    """An interval of the loss for each run; ``low, high = prediction``.

    low, high: (n,), nats per token.  outside: for each run which of N, D and D/N lie beyond the fitted runs, such as
    "N, D/N", or "".
    """

    low: np.ndarray
    high: np.ndarray
    outside: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.low, self.high))


@dataclass(frozen=True, eq=False)
class Reach:
    """The logarithms of the least and the largest N, D and D/N that were fitted, each (3,), and the cells.

    A cell is what the fitted runs of one cluster and one pair of formats have in these ``columns``; none without any.
    """

    least: np.ndarray
    largest: np.ndarray
    columns: tuple[str, ...] = ()
    cells: frozenset[tuple] = frozenset()

    def distances(self, runs: pd.DataFrame) -> np.ndarray:
        """(n, 3): how far N, D and D/N of runs lie outside, in e-folds; 0 within."""
        logs = _logs(runs)
        return np.maximum(np.maximum(self.least - logs, logs - self.largest), 0)

    def among(self, runs: pd.DataFrame) -> np.ndarray:
        """(n,): whether a run is of a cell that was fitted."""
        if not self.cells or not {*self.columns} <= {*runs.columns}:
            return np.zeros(len(runs), dtype=bool)
        return np.array([cell in self.cells for cell in _cells(runs, self.columns)], dtype=bool)


def reach_of(runs: pd.DataFrame, columns: tuple[str, ...] = ()) -> Reach:
    """The Reach of the runs of a fit, with the cells that these columns tell."""
    logs = _logs(runs)
    return Reach(logs.min(axis=0), logs.max(axis=0), columns, frozenset(_cells(runs, columns)))


def outside(distances: np.ndarray) -> np.ndarray:
    """What is outside, in words, for each row of ``distances``: (n,)."""
    beyond = distances > 1e-6
    return np.array([", ".join(np.array(QUANTITIES)[row]) for row in beyond], dtype=object)


def _cells(runs: pd.DataFrame, columns: tuple[str, ...]) -> list[tuple]:
    known = runs[[*columns]].astype(object)
    return [*known.where(known.notna(), None).itertuples(index=False, name=None)] if columns else []


def _logs(runs: pd.DataFrame) -> np.ndarray:
    n, d = (np.log(runs[name].to_numpy(float)) for name in ("n_params", "n_tokens"))
    return np.stack([n, d, d - n], axis=1)
