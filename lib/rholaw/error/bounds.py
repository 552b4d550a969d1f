"""Reference lines for N(0,1) data: what no representation beats, and what entropy-coded uniform grids reach."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import entr

from ..distributions import source


def shannon(bits: float | np.ndarray) -> float | np.ndarray:
    """4^−bits, the least GMSE of all; only coding ever more weights together comes near it (Shannon 1959)."""
    return 4.0**-bits


class EntropyCoded(NamedTuple):
    """A uniform grid without end, with a level at zero, whose codes an ideal entropy coder stores."""

    step: float
    centre: float  # GMSE when a code comes back as the centre of its cell
    centroid: float  # GMSE when it comes back as the mean of its cell


class SparseSupport(NamedTuple):
    """GMSE where a share of the weights is kept, by magnitude: which ones is stored, and their values."""

    lower: float  # no code of the values does better
    reached: float  # an ideal code of the values reaches this


def sparse_support(bits: float, density: float) -> SparseSupport:
    """The SparseSupport at ``bits`` stored for each weight, kept or not, of which the share ``density`` is kept.

    The mask costs its entropy; what is left is spent on the values kept.  Their error lies above Shannon's lower bound,
    (p² exp(e/p − 1)) 4^−r of their density with p = density, energy e and rate r, and an ideal code reaches that of a
    Gaussian of their variance, or of their magnitudes after a bit for the sign.  Infinite where the mask does not fit.
    """
    if not (bits >= 0 and 0 < density <= 1):
        raise ValueError(f"bits ≥ 0 and 0 < density ≤ 1 are needed, got {bits} and {density}")
    mask = float(entr([density, 1 - density]).sum() / np.log(2))
    rate = (bits - mask) / density
    if rate < 0:
        return SparseSupport(np.inf, np.inf)
    data = source("normal")
    _, first, energy = (2 * float(moment) for moment in data.tail_moments(data.magnitude_quantile(1 - density)))
    power, mean = energy / density, first / density
    signed = power - mean**2 * rate if rate < 1 else (power - mean**2) * 4.0 ** (1 - rate)
    entropy_power = density**2 * np.exp(power - 1)
    lower = 1 - energy + density * entropy_power * 4.0**-rate
    reached = 1 - energy + density * min(power * 4.0**-rate, signed)
    return SparseSupport(max(float(lower), shannon(bits)), float(reached))


@lru_cache
def entropy_coded(bits: float) -> EntropyCoded:
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


def _cells(step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre, mass and first moment of the cells to 30 deviations; a cell and its mirror image count as one."""
    edges = step * (np.arange(30 // step + 1) + 0.5)
    tail, first, _ = source("normal").tail_moments(np.append(edges, np.inf))
    mass = np.concatenate([[1 - 2 * tail[0]], -2 * np.diff(tail)])
    first = np.concatenate([[0.0], -2 * np.diff(first)])
    return step * np.arange(len(mass)), mass, first


def _entropy(_centre: np.ndarray, mass: np.ndarray, _first: np.ndarray) -> float:
    """In bits; every cell but the first stands for two of half its mass."""
    return mass[1:].sum() - (mass * np.log2(mass)).sum()
