"""Where a prediction leaves the runs of a fit, by how much, and the interval that says so."""

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
    """The logarithms of the least and the largest N, D and D/N that were fitted: each (3,)."""

    least: np.ndarray
    largest: np.ndarray

    def distances(self, runs: pd.DataFrame) -> np.ndarray:
        """(n, 3): how far N, D and D/N of runs lie outside, in e-folds; 0 within."""
        logs = _logs(runs)
        return np.maximum(np.maximum(self.least - logs, logs - self.largest), 0)


def reach_of(runs: pd.DataFrame) -> Reach:
    """The Reach of the runs of a fit."""
    logs = _logs(runs)
    return Reach(logs.min(axis=0), logs.max(axis=0))


def outside(distances: np.ndarray) -> np.ndarray:
    """What is outside, in words, for each row of ``distances``: (n,)."""
    beyond = distances > 1e-6
    return np.array([", ".join(np.array(QUANTITIES)[row]) for row in beyond], dtype=object)


def _logs(runs: pd.DataFrame) -> np.ndarray:
    n, d = (np.log(runs[name].to_numpy(float)) for name in ("n_params", "n_tokens"))
    return np.stack([n, d, d - n], axis=1)
