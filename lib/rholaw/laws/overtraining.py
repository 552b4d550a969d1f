"""What a format costs as training goes on: exponents of the extra loss over the dense run of the same seed.

A compressed run and the dense one of its size, tokens and seed start from the same weights and read the same data.  The
difference of their losses is the rise, in nats per token, and is taken to follow

    rise = c · x₁^e₁ · x₂^e₂ · …        a coefficient c for each cell, such as a format at a size; exponents for all

along columns x of one's choice.  Along tokens_per_param in cells of format and size, e is the γ of the law in which
training length counts; along n_params in cells of format and tokens it is the exponent of N at fixed D.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import optimize, special

from .. import runs as run_tables

PAIR = ("n_params", "n_tokens", "seed")
LARGEST = 3.0  # magnitude of an exponent; one that runs so far away is that of noise


def rises(runs: pd.DataFrame) -> pd.DataFrame:
    """The compressed runs of a table, with their rise and tokens_per_param; those without a dense partner are left out.

    runs: rows of `rholaw.runs` with a seed and, per size, tokens and seed, at most one dense run.  ValueError for two,
    and where no run has a partner.
    """
    run_tables.check(runs, ("n_params", "n_tokens", "loss"))
    if missing := [name for name in ("seed", "weights", "activations") if name not in runs]:
        raise ValueError(f"the runs lack the columns {', '.join(missing)}")
    is_dense = (runs["weights"] == "dense") & (runs["activations"] == "dense")
    dense = runs[is_dense].set_index(list(PAIR))["loss"]
    if dense.index.has_duplicates:
        twice = zip(PAIR, dense.index[dense.index.duplicated()][0], strict=True)
        shared = ", ".join(f"{name} {value:.0f}" for name, value in twice)
        raise ValueError(f"two dense runs share {shared}: select those of one text and one setting")
    others = runs[~is_dense]
    partner = dense.reindex(pd.MultiIndex.from_frame(others[list(PAIR)])).to_numpy()
    table = others.assign(rise=others["loss"] - partner, tokens_per_param=others["n_tokens"] / others["n_params"])
    if (table := table[table["rise"].notna()]).empty:
        raise ValueError("no compressed run has a dense one of its size, tokens and seed")
    return table


def rise_exponents(
    table: pd.DataFrame,
    along: Sequence[str] = ("tokens_per_param",),
    cells: Sequence[str] = ("weights", "n_params"),
    clusters: Sequence[str] = ("n_params", "seed"),
    level: float = 0.95,
) -> pd.DataFrame:
    """The exponents of the rise: a row for each column of `along`, with exponent, stderr, low, high and clusters.

    table: of `rises`.  Least squares in nats, so that a rise below the noise, even a negative one, counts for what it
    says.  stderr is the jackknife's, which leaves out whole clusters: a dense run is in all rises of its size and
    seed.  low and high are Student's with one degree of freedom less than clusters; nan for one cluster.  All is nan
    for an exponent that leaves ±LARGEST.  ValueError where no cell has several values along a column, or where two
    columns go together in all of them.
    """
    logs = np.log(table[list(along)].to_numpy(dtype=float))
    cell = table.groupby(list(cells), sort=False).ngroup().to_numpy()
    cluster = table.groupby(list(clusters), sort=False).ngroup().to_numpy()
    logs -= (_sums(cell, logs) / _sums(cell, np.ones((len(cell), 1))))[cell]
    if np.linalg.matrix_rank(logs, tol=1e-6) < len(along):
        raise ValueError(
            f"along {', '.join(along)}, in cells of one {' and '.join(cells)}, the runs do not tell the exponents: "
            "give cells that hold runs of several values, which do not rise together"
        )
    rise, count = table["rise"].to_numpy(dtype=float), int(cluster.max()) + 1
    estimate = _fitted(rise, logs, cell)
    left_out = [_fitted(rise[cluster != i], logs[cluster != i], cell[cluster != i]) for i in range(count)]
    scatter = np.std(left_out, axis=0) if count > 1 else np.full(len(along), math.nan)
    estimate = np.where(np.abs(estimate) < 0.99 * LARGEST, estimate, math.nan)
    stderr = np.where(np.isnan(estimate), math.nan, math.sqrt(count - 1) * scatter)
    half = special.stdtrit(max(count - 1, 1), (1 + level) / 2) * stderr
    columns = {"exponent": estimate, "stderr": stderr, "low": estimate - half, "high": estimate + half}
    return pd.DataFrame(columns | {"clusters": count}, index=list(along))


def _sums(cell: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums over the rows of each cell, (cells, columns)."""
    return np.stack([np.bincount(cell, column) for column in values.T], axis=1)


def _fitted(rise: np.ndarray, logs: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The exponents, (columns,); the coefficients of the cells follow from them by linear least squares."""

    def residuals(exponents):
        shape = np.exp(logs @ exponents)
        products, squares = _sums(cell, np.stack([rise * shape, shape**2], axis=1)).T
        coefficients = np.divide(products, squares, out=np.zeros(len(squares)), where=squares > 0)
        return rise - coefficients[cell] * shape

    return optimize.least_squares(residuals, np.zeros(logs.shape[1]), bounds=(-LARGEST, LARGEST)).x
