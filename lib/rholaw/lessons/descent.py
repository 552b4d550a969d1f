"""Descent at compressed iterates, small enough to run in seconds: what the convergence theorems say, to be measured."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..laws.intervals import mean_interval


class Floor(NamedTuple):
    """Means over the second half of a descent, an entry a seed; sums over coordinates."""

    gradient: np.ndarray  # ‖∇f(θ̂)‖² at the compressed iterates
    dense: np.ndarray  # ‖∇f(θ)‖² at the iterates themselves
    error: np.ndarray  # ‖H(θ̂ − θ)‖², for a quadratic; nan else
    square: np.ndarray  # ‖θ̂ − θ‖²
    distance: np.ndarray  # ‖θ̂ − θ‖
    excess: np.ndarray  # f(θ̂) − min f
    steps: np.ndarray  # (steps, seeds): ‖∇f(θ̂)‖² at every step


class Quadratic:
    """f(θ) = ½ Σ h (θ − θ*)²; ``h`` a number or an array of curvatures."""

    def __init__(self, h: ArrayLike = 1.0) -> None:
        self.h = h

    def value(self, away: np.ndarray) -> np.ndarray:
        """The term of each coordinate at θ − θ* = ``away``; the same shape."""
        return 0.5 * self.h * away**2

    def gradient(self, away: np.ndarray) -> np.ndarray:
        """The derivative by each coordinate; the same shape."""
        return self.h * away


class LogCosh:
    """f(θ) = Σ (G²/L) log cosh((θ − θ*) L/G): curvature at most L, slope at most G, for any distance."""

    h = np.nan

    def __init__(self, L: float = 1.0, G: float = 1.0) -> None:
        self.L, self.G = L, G

    def value(self, away: np.ndarray) -> np.ndarray:
        """The term of each coordinate at θ − θ* = ``away``; the same shape."""
        x = np.abs(away) * self.L / self.G
        return self.G**2 / self.L * (x + np.log1p(np.exp(-2 * x)) - np.log(2))

    def gradient(self, away: np.ndarray) -> np.ndarray:
        """The derivative by each coordinate; the same shape."""
        return self.G * np.tanh(away * self.L / self.G)


def nearest(theta: np.ndarray, step: float, generator: np.random.Generator | None) -> np.ndarray:
    """The nearest point of the grid step · ℤ: biased, as the formats of the catalogue are."""
    return np.round(theta / step) * step


def unbiased(theta: np.ndarray, step: float, generator: np.random.Generator) -> np.ndarray:
    """One of the two neighbours on the grid, drawn so that the mean is θ: stochastic rounding."""
    return np.floor(theta / step + generator.random(theta.shape)) * step


def descend(
    f: Quadratic | LogCosh,
    compress: Callable[[np.ndarray, float, np.random.Generator], np.ndarray],
    step: float,
    *,
    n: int = 256,
    seeds: int = 8,
    steps: int = 2000,
    rate: float = 0.02,
    noise: float = 0.0,
    adam: bool = False,
    eps: float = 1e-2,
    seed: int = 0,
) -> Floor:
    """The Floor of SGD, or of Adam with AMSGrad's maximum, with straight-through gradients.

    The gradient is taken at θ̂ = compress(θ, step), with ± ``noise`` on each coordinate, and moves θ by ``rate``.  Each
    of ``seeds`` has its own optimum θ* ~ N(0, 1) in ``n`` dimensions, and starts there plus N(0, 1).  step 0: θ̂ = θ.
    """
    generator = np.random.default_rng(seed)
    best = generator.standard_normal((seeds, n))
    theta = best + generator.standard_normal((seeds, n))
    first, second, largest = (np.zeros_like(theta) for _ in range(3))
    sums, path = np.zeros((5, seeds)), np.empty((steps, seeds))
    for t in range(steps):
        seen = compress(theta, step, generator) if step else theta
        gradient = f.gradient(seen - best)
        path[t] = (gradient**2).sum(axis=1)
        if t >= steps // 2:
            off = ((seen - theta) ** 2).sum(axis=1)
            sums += [
                (f.gradient(theta - best) ** 2).sum(axis=1),
                ((f.h * (seen - theta)) ** 2).sum(axis=1),
                off,
                np.sqrt(off),
                f.value(seen - best).sum(axis=1),
            ]
        g = gradient + noise * (2 * generator.integers(0, 2, theta.shape) - 1) if noise else gradient
        if adam:
            first = 0.9 * first + 0.1 * g
            second = 0.999 * second + 0.001 * g**2
            largest = np.maximum(largest, second)
            g = first / np.sqrt(largest + eps)
        theta = theta - rate * g
    means = sums / (steps - steps // 2)
    return Floor(path[steps // 2 :].mean(axis=0), *means, path)


def exponent(x: ArrayLike, y: ArrayLike) -> tuple[float, float, float]:
    """(k, low, high) of y ∝ x^k: x (points), y (points, seeds); a line in logarithms for each seed, and their mean."""
    return mean_interval(np.polyfit(np.log(x), np.log(y), 1)[0])
