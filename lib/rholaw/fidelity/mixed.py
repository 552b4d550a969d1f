"""A regression on rows that come in groups: models, and series within models, differ by amounts of their own.

    y = X β + u(model) + v(series) + e        u, v, e: normal, of three standard deviations

Restricted maximum likelihood (Patterson & Thompson, 1971).  Groups are independent of each other, so that the
likelihood is a sum over models of small matrices.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

START = np.log([0.4, 0.2, 0.2])
SMALLEST = 0.02  # of a standard deviation: the likelihood is flat below


@dataclass(frozen=True)
class Mixed:
    """beta: (P,); covariance: of beta, (P, P); spread: standard deviations between models, series and rows."""

    beta: np.ndarray
    covariance: np.ndarray
    spread: tuple[float, float, float]


def fit(
    y: np.ndarray, x: np.ndarray, models: np.ndarray, series: np.ndarray, spread: np.ndarray | None = None
) -> Mixed:
    """β and the spreads of rows (n,), with (n, P) of what is known of each, and the group of each; spread: given.

    Raises ValueError where the columns of ``x`` depend on each other: some effect is then in no row by itself.
    """
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError(
            "the columns of x depend on each other: leave out the effects that these rows cannot tell apart"
        )
    groups = [np.flatnonzero(models == name) for name in np.unique(models)]
    blocks = [(y[rows], x[rows], series[rows][:, None] == series[rows]) for rows in groups]

    def sums(logs: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
        between, within, single = np.exp(2 * np.maximum(logs, np.log(SMALLEST)))
        quadratic, projected, information, determinant = 0.0, 0.0, 0.0, 0.0
        for values, known, same in blocks:
            covariance = between + within * same + single * np.eye(len(values))
            over = np.linalg.solve(covariance, np.column_stack([known, values]))
            information, projected = information + known.T @ over[:, :-1], projected + known.T @ over[:, -1]
            quadratic, determinant = quadratic + values @ over[:, -1], determinant + np.linalg.slogdet(covariance)[1]
        return quadratic, projected, information, determinant

    def objective(logs: np.ndarray) -> float:
        quadratic, projected, information, determinant = sums(logs)
        rest = quadratic - projected @ np.linalg.solve(information, projected)
        return 0.5 * (rest + determinant + np.linalg.slogdet(information)[1])

    logs = np.log(spread) if spread is not None else optimize.minimize(objective, START, method="L-BFGS-B").x
    _, projected, information, _ = sums(logs)
    covariance = np.linalg.inv(information)
    return Mixed(covariance @ projected, covariance, tuple(np.exp(np.maximum(logs, np.log(SMALLEST)))))
