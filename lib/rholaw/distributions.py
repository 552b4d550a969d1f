"""The distributions a weight may come from, of mean 0 and variance 1, with their partial moments in closed form."""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from .checked import shown

Moments = tuple[np.ndarray, np.ndarray, np.ndarray]  # ∫_t^∞ xᵏ f(x) dx for k = 0, 1, 2
NAMES = ("normal", "laplace", "logistic", "student-t(ν)")


@dataclass(frozen=True)
class Source:
    """A symmetric distribution of mean 0 and variance 1; degrees: ν of Student's t, which must exceed 2.

    ``tail_moments(t)`` gives ∫_t^∞ xᵏ f(x) dx for k = 0, 1, 2 and t ≥ 0; everything that this package integrates in
    closed form is a difference of such tails.
    """

    name: str
    degrees: float | None = None

    @cached_property
    def distribution(self) -> Any:
        """The frozen scipy distribution, for what is not in closed form here, and samples."""
        from scipy import stats  # here, since it takes as long to import as all else of this package

        if self.name == "normal":
            return stats.norm()
        if self.name == "laplace":
            return stats.laplace(scale=np.sqrt(0.5))
        if self.name == "logistic":
            return stats.logistic(scale=np.sqrt(3) / np.pi)
        return stats.t(self.degrees, scale=np.sqrt((self.degrees - 2) / self.degrees))

    def tail_moments(self, t: ArrayLike) -> Moments:
        """(P(X > t), E[X; X > t], E[X²; X > t]), each of the shape of t ≥ 0; ∞ is allowed and gives zeros."""
        t = np.asarray(t, dtype=float)
        finite = np.isfinite(t)
        if finite.all():
            return _TAILS[self.name](t, self.degrees)
        moments = _TAILS[self.name](np.where(finite, t, 0.0), self.degrees)
        return tuple(np.where(finite, moment, 0.0) for moment in moments)

    def density(self, x: ArrayLike) -> np.ndarray:
        """f(x), of the shape of x."""
        x = np.asarray(x, dtype=float)
        return np.exp(-x * x / 2) / np.sqrt(2 * np.pi) if self.name == "normal" else self.distribution.pdf(x)

    def exceeded(self, p: ArrayLike) -> np.ndarray:
        """The t with P(X > t) = p, of the shape of p in [0, 1]."""
        return -special.ndtri(p) if self.name == "normal" else self.distribution.isf(p)

    def magnitude_quantile(self, p: ArrayLike) -> np.ndarray:
        """The t with P(|X| < t) = p, of the shape of p in [0, 1]."""
        return self.beyond(1 - np.asarray(p))

    def beyond(self, p: ArrayLike) -> np.ndarray:
        """The t with P(|X| > t) = p, of the shape of p in [0, 1]."""
        return self.exceeded(np.asarray(p) / 2)

    @property
    def label(self) -> str:
        """What a sentence calls weights from it: "Gaussian", "Laplace", "logistic" or "Student-t(ν)"."""
        kind = {"normal": "Gaussian", "logistic": "logistic"}.get(self.name, self.name.capitalize())
        return kind if self.degrees is None else f"{kind}({self.degrees:g})"

    def __str__(self) -> str:
        return self.name if self.degrees is None else f"{self.name}({self.degrees:g})"


def _normal(t: np.ndarray, _: None) -> Moments:
    tail, density = special.ndtr(-t), np.exp(-t * t / 2) / np.sqrt(2 * np.pi)
    return tail, density, t * density + tail


def _laplace(t: np.ndarray, _: None) -> Moments:
    b = np.sqrt(0.5)
    half = np.exp(-t / b) / 2
    return half, half * (t + b), half * (t * t + 2 * b * t + 2 * b * b)


def _logistic(t: np.ndarray, _: None) -> Moments:
    s = np.sqrt(3) / np.pi
    u = np.exp(-t / s)
    tail, integral = u / (1 + u), s * np.log1p(u)  # P(X > t) and ∫_t^∞ P(X > x) dx
    return tail, t * tail + integral, t * t * tail + 2 * (t * integral - s * s * special.spence(1 + u))


def _student(t: np.ndarray, nu: float) -> Moments:
    c = np.sqrt((nu - 2) / nu)  # X = c T with T the standard Student variable
    y = t / c
    tail = special.stdtr(nu, -y)
    density = np.exp(special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2)) / np.sqrt(nu * np.pi)
    density = density * (1 + y * y / nu) ** (-(nu + 1) / 2)
    first = (nu + y * y) / (nu - 1) * density
    second = (y * (nu + y * y) * density + nu * tail) / (nu - 2)
    return tail, c * first, c * c * second


_TAILS = {"normal": _normal, "laplace": _laplace, "logistic": _logistic, "student-t": _student}


@lru_cache
def source(name: str) -> Source:
    """The Source called "normal", "laplace", "logistic" or "student-t(ν)" with ν > 2.

    Raises ValueError that lists the names, and for a ν of which the variance is infinite.
    """
    if name in ("normal", "laplace", "logistic"):
        return Source(name)
    match = re.fullmatch(r"student-t\(([0-9.]+)\)", str(name))
    if match is None:
        raise ValueError(f"unknown source {shown(name)}; there are {', '.join(NAMES)}, for instance 'student-t(5)'")
    if not (degrees := float(match[1])) > 2:
        raise ValueError(f"source {shown(name)}: ν must exceed 2, or the variance is infinite")
    return Source("student-t", degrees)
