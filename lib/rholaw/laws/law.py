"""The unified scaling law as a value: loss, the parameters or tokens a loss needs, and the compute-optimal split."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from ..checked import shown


@dataclass(frozen=True)
class Law:
    """Loss(N, D; ρ) = A (N ρ)^-α + B D^-β + E, in nats per token (Panferov et al. 2025, equation 1).

    N: parameters without embeddings; D: training tokens; ρ: capacity, 1 for a dense model.  All arguments broadcast.
    """

    A: float
    alpha: float
    B: float
    beta: float
    E: float

    def __post_init__(self) -> None:
        for field in fields(self):
            constant(f"Law: {field.name}", getattr(self, field.name), zero=field.name == "E")

    def loss(self, N: ArrayLike, D: ArrayLike, rho: ArrayLike = 1.0) -> np.ndarray:
        """Nats per token."""
        N, D, rho = positive(N=N, D=D, rho=rho)
        return _finite(lambda: self.A * (N * rho) ** -self.alpha + self.B * D**-self.beta + self.E)

    def params_for(self, loss: ArrayLike, D: ArrayLike, rho: ArrayLike = 1.0) -> np.ndarray:
        """The N that reaches ``loss`` with D tokens; ValueError where even an infinite model does not."""
        loss, D, rho = positive(loss=loss, D=D, rho=rho)
        room = _room(loss, self.B * D**-self.beta + self.E, "with these tokens even an infinite model")
        return _finite(lambda: (self.A / room) ** (1 / self.alpha) / rho)

    def tokens_for(self, loss: ArrayLike, N: ArrayLike, rho: ArrayLike = 1.0) -> np.ndarray:
        """The D that reaches ``loss`` with N parameters; ValueError where even infinite data do not."""
        loss, N, rho = positive(loss=loss, N=N, rho=rho)
        room = _room(loss, self.A * (N * rho) ** -self.alpha + self.E, "with these parameters even unlimited training")
        return _finite(lambda: (self.B / room) ** (1 / self.beta))

    def compute_optimal(self, flops: ArrayLike, rho: ArrayLike = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """(N, D) of least loss at 6 N D = ``flops`` (Hoffmann et al. 2022, approach 3, with A ρ^-α for A)."""
        flops, rho = positive(flops=flops, rho=rho)
        ratio = self.alpha * self.A * rho**-self.alpha / (self.beta * self.B)
        power = self.alpha + self.beta
        N = _finite(lambda: ratio ** (1 / power) * (flops / 6) ** (self.beta / power))
        return N, _finite(lambda: flops / 6 / N)

    def capacity(self, loss: ArrayLike, dense_loss: ArrayLike, N: ArrayLike) -> np.ndarray:
        """The ρ that explains ``loss`` where the dense model of N parameters, on the same tokens, has ``dense_loss``.

        ρ = (1 + N^α ΔL / A)^(-1/α), as in QuEST's notebook; above 1 where the format trained better than dense.
        """
        loss, dense_loss, N = positive(loss=loss, dense_loss=dense_loss, N=N)
        term = 1 + N**self.alpha / self.A * (loss - dense_loss)
        if (term <= 0).any():
            raise ValueError("the loss lies further below the dense loss than any number of parameters explains")
        return _finite(lambda: term ** (-1 / self.alpha))


def numbers(name: str, value: ArrayLike) -> np.ndarray:
    """``value`` as an array of floats. Raises ValueError that calls it by ``name`` for what is no number."""
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be positive and finite, got {shown(value)}") from None


def constant(name: str, value: float, *, zero: bool = False) -> None:
    """Raises ValueError that calls it by ``name`` for what is not one positive and finite number; zero: nor 0."""
    array = numbers(name, value)
    if array.ndim or not np.isfinite(array) or array < 0 or (array == 0 and not zero):
        raise ValueError(f"{name} must be positive and finite, got {shown(value)}")


def positive(**arguments: ArrayLike) -> list[np.ndarray]:
    """The arguments as arrays; ValueError names the first that is not positive and finite."""
    values = [numbers(name, value) for name, value in arguments.items()]
    for name, value in zip(arguments, values, strict=True):
        if (wrong := ~((value > 0) & np.isfinite(value))).any():
            raise ValueError(f"{name} must be positive and finite, got {value[wrong].flat[0]}")
    return values


def _room(loss: np.ndarray, floor: np.ndarray, what: str) -> np.ndarray:
    """What is left of the loss above its floor; ValueError where nothing is."""
    loss, floor = np.broadcast_arrays(loss, floor)
    if (loss <= floor).any():
        worst = np.argmax(floor - loss)
        raise ValueError(f"loss {loss.flat[worst]:.4g} is out of reach: {what} stays above {floor.flat[worst]:.4g}")
    return loss - floor


def _finite(formula: Callable[[], np.ndarray]) -> np.ndarray:
    """What a formula gives; ValueError where it leaves the range of floats, far beyond anything that was trained."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        result = formula()
    if not np.isfinite(result).all():
        raise ValueError("the law gives no finite number here: these values are far beyond anything that was trained")
    return result


def rise_in_training(law: "Law", N: float, rho: np.ndarray | float) -> np.ndarray | float:
    """A N^-α (ρ^-α − 1): by how much a model trained at capacity ρ is worse than a dense one, in nats per token.

    law: a Law, or Draws, whose A and alpha are arrays.  N: parameters without embeddings.  The same whatever the
    tokens, as the unified law has it (Panferov et al. 2025, section 3).
    """
    return law.A * N**-law.alpha * (rho**-law.alpha - 1)


def capacity_explaining(law: "Law", N: float, rise: np.ndarray | float) -> np.ndarray | float:
    """The ρ at which training would cost ``rise`` nats per token: the inverse of ``rise_in_training``."""
    return (1 + rise * N**law.alpha / law.A) ** (-1 / law.alpha)
