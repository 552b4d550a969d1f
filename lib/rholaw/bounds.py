"""Reference lines for N(0,1) data: what no representation beats, and what entropy-coded uniform grids reach."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from .sources import source


def shannon(bits):
    """4^−bits, the least GMSE of all; only coding ever more weights together comes near it (Shannon 1959)."""
    return 4.0**-bits


class EntropyCoded(NamedTuple):
    """A uniform grid without end, with a level at zero, whose codes an ideal entropy coder stores."""

    step: float
    centre: float  # GMSE when a code comes back as the centre of its cell
    centroid: float  # GMSE when it comes back as the mean of its cell


@lru_cache
def entropy_coded(bits):
    """The EntropyCoded grid whose codes have an entropy of ``bits``: exact; 0.1 ≤ bits ≤ 12.

    At high rates it stays ½ log2(πe/6) = 0.254 bits above the bound (Gish and Pierce 1968).
    """
    if not 0.1 <= bits <= 12:
        raise ValueError(f"an entropy-coded grid is computed for 0.1 to 12 bits, not {bits}")
    step = brentq(lambda step: _entropy(*_cells(step)) - bits, 2.0**-bits, 16.0, xtol=1e-15, rtol=1e-14)
    centre, mass, first = _cells(step)
    # E(x − c)² = 1 − 2 E(xc) + E(c²), where a cell has E(xc) = c·first, and its mean is first / mass.
    errors = 1 + (centre**2 * mass - 2 * centre * first).sum(), 1 - (first**2 / mass).sum()
    return EntropyCoded(step, *map(float, errors))


def _cells(step):
    """Centre, mass and first moment of the cells to 30 deviations; a cell and its mirror image count as one."""
    edges = step * (np.arange(30 // step + 1) + 0.5)
    tail, first, _ = source("normal").tail_moments(np.append(edges, np.inf))
    mass = np.concatenate([[1 - 2 * tail[0]], -2 * np.diff(tail)])
    first = np.concatenate([[0.0], -2 * np.diff(first)])
    return step * np.arange(len(mass)), mass, first


def _entropy(_centre, mass, _first):
    """In bits; every cell but the first stands for two of half its mass."""
    return mass[1:].sum() - (mass * np.log2(mass)).sum()
