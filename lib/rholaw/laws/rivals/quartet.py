"""Castro et al. 2025 (Quartet): one efficiency for the method of each pass."""

import itertools

import numpy as np
import pandas as pd

from ..chinchilla import EXPONENTS, Chinchilla, Columns
from ..parameters import Parameters

BASE = "BF16"  # the method whose efficiencies are 1
EFFICIENCIES = {"forward": "effN", "backward": "effD"}


class Quartet(Chinchilla):
    """Loss = (A (N effN)^-α + B (D effD)^-β)^γ + E (Castro et al. 2025, Quartet).

    Reads the columns ``forward`` and ``backward``: effN is a number for each forward method, effD for each backward
    method, both relative to "BF16".
    """

    has_capacity = False
    dense_is_chinchilla = False
    limits = Chinchilla.limits | {"gamma": (1e-2, 10), "effN": (1e-8, 50), "effD": (1e-8, 50)}

    def __init__(self, runs: pd.DataFrame) -> None:
        super().__init__(runs)
        self.methods = {side: self._methods(runs, side) for side in EFFICIENCIES}

    def _methods(self, runs: pd.DataFrame, side: str) -> list[str]:
        if side not in runs.columns:
            raise ValueError(f"the law 'quartet' reads the columns forward and backward; the runs have no {side}")
        methods = list(dict.fromkeys(runs[side]))
        if BASE not in methods:
            raise ValueError(f"the law 'quartet' needs runs whose {side} is {BASE}: the others are relative to it")
        return [method for method in methods if method != BASE]

    def _names(self, side: str) -> list[str]:
        return [f"{EFFICIENCIES[side]}[{method}]" for method in self.methods[side]]

    @property
    def capacity_names(self) -> tuple[str, ...]:
        """γ, and the efficiency of each method of a pass but BF16's."""
        return ("gamma", *self._names("forward"), *self._names("backward"))

    def columns(self, runs: pd.DataFrame) -> Columns:
        """Beside n and d, for each side (methods, runs): 1 where a run has the method."""
        columns = super().columns(runs)
        for side, methods in self.methods.items():
            if unknown := set(runs[side]) - {*methods, BASE}:
                names = ", ".join(sorted(f"{EFFICIENCIES[side]}[{method}]" for method in unknown))
                raise ValueError(f"the law 'quartet' saw no run for {names}")
            used = [(runs[side] == method).to_numpy(float) for method in methods]
            columns[side] = np.array(used).reshape(len(methods), len(runs))
        return columns

    def _log_sides(self, p: Parameters, columns: Columns) -> list[np.ndarray]:
        """log of (N effN)^-α and of (D effD)^-β."""
        n, d = (
            columns[column] + p.log(*self._names(side)) @ columns[side]
            for column, side in (("n", "forward"), ("d", "backward"))
        )
        return [-p.alpha * n, -p.beta * d]

    def log_loss(self, p: Parameters, columns: Columns) -> np.ndarray:
        """log loss of every run: (…, n) for parameters (…, P)."""
        size, data = self._log_sides(p, columns)
        reducible = np.log(np.exp(p.log("A") + size) + np.exp(p.log("B") + data))
        return np.log(np.exp(p.gamma * reducible) + p.E)

    def starts(self, columns: Columns, log_loss: np.ndarray) -> np.ndarray:
        """A grid of exponents, γ and E; A and B for each by linear least squares in loss^(1/γ)."""
        loss, names, starts = np.exp(log_loss), self.names, []
        slow = EXPONENTS[1:5]
        for gamma, share, alpha, beta in itertools.product((0.25, 0.5, 1.0), (0.02, 0.4, 0.6, 0.8), slow, slow):
            guess = dict.fromkeys(names, 0.7) | {"A": 1.0, "B": 1.0, "E": share * loss.min()}
            guess |= {"gamma": gamma, "alpha": alpha / gamma, "beta": beta / gamma}
            sides = self._log_sides(Parameters(names, np.log([guess[name] for name in names])), columns)
            goal = (loss - guess["E"]) ** (1 / gamma)
            basis = np.stack([np.exp(side - side.max()) for side in sides], axis=1) / goal[:, None]
            scaled = np.maximum(np.linalg.lstsq(basis, np.ones_like(goal), rcond=1e-8)[0], 0.02 * goal.min())
            guess |= {name: scale / np.exp(side.max()) for name, scale, side in zip("AB", scaled, sides, strict=True)}
            starts.append(np.log([guess[name] for name in names]))
        return np.array(starts)


LAWS = {"quartet": Quartet}
