"""The unified law: ρ from GMSE by one curve for each family of formats (Panferov et al. 2025)."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ..error.measure import gmse
from ..formats.format import Format
from .chinchilla import Chinchilla
from .compressed import Product, composed_error
from .curves import BoundedLogistic, Curve, Form, Logistic, effective_bits
from .parameters import Parameters
from .training_length import TrainingLength


class Unified(Product):
    """ρ from GMSE: one curve of a form for each family of formats, multiplied over parts (Panferov et al. 2025).

    A run's parts are the sparsity and the element of its weights and of its activations.  Where all parts are of one
    family the parameters are those of the form, such as F, C and L; else F[sparse], F[quantised] and so on.
    """

    def __init__(self, runs: pd.DataFrame, form: type[Form] = Curve) -> None:
        super().__init__(runs)
        self.form = form
        self.limits = Chinchilla.limits | form.limits
        self.families = tuple(sorted({self.family(part) for pair in self.pairs for part in self.parts(*pair)}))

    def parts(self, weights: Format, activations: Format) -> tuple[Hashable, ...]:
        """The sparsity and the element of each side."""
        return weights.parts + activations.parts

    def family(self, part: Any) -> str:
        """Which curve serves a part."""
        return part.family

    def error(self, part: Any) -> float:
        """The GMSE from which the capacity of a part is read."""
        return gmse(part).value

    def own_names(self, family: str) -> list[str]:
        """The parameters of a family's curve. Raises ValueError for a family without runs."""
        if family not in self.families:
            raise ValueError(f"no run had a {family} part; the fit knows the curves of {', '.join(self.families)}")
        return [name if len(self.families) == 1 else f"{name}[{family}]" for name in self.form.limits]

    @property
    def capacity_names(self) -> tuple[str, ...]:
        """The parameters of every family's curve."""
        return tuple(name for family in self.families for name in self.own_names(family))

    @property
    def held(self) -> dict[str, float]:
        """Every L at 1."""
        return {name: 1.0 for name in self.capacity_names if name.partition("[")[0] == "L"}

    def curve(self, family: str, params: dict[str, float]) -> Form:
        """The curve of a family, from the values of all parameters."""
        return self.form(*(params[name] for name in self.own_names(family)))

    def read(self, parts: list[Any]) -> tuple[np.ndarray, list[tuple[str, ...]]]:
        """(effective bits of each part; for each parameter of a curve its name for each part)."""
        names = zip(*(self.own_names(self.family(part)) for part in parts), strict=True)
        return effective_bits([self.error(part) for part in parts]), list(names)

    def log_parts(self, p: Parameters, read: tuple[np.ndarray, list[tuple[str, ...]]]) -> np.ndarray:
        """log ρ of each part, by its family's curve: (…, number of parts)."""
        bits, names = read
        if not names:
            return np.zeros((*p.u.shape[:-1], 0))
        return self.form.log_rho(bits, *(np.exp(p.log(*of_parts)) for of_parts in names))

    def capacity_guesses(self) -> list[dict[str, float]]:
        """Starting points of the parameters in ``capacity_names``."""
        return [
            {name: value for family in self.families for name, value in zip(self.own_names(family), guess, strict=True)}
            for guess in self.form.guesses
        ]


class UnifiedComposed(Unified):
    """ρ = tanh(F log_{1/4} m)^C of the composed error m = 1 − Π(1 − GMSE) of all parts, instead of a product of ρ."""

    def parts(self, weights: Format, activations: Format) -> tuple[Hashable, ...]:
        """All parts as one."""
        whole = weights.parts + activations.parts
        return (whole,) if whole else ()

    def family(self, part: Any) -> str:
        """The one curve there is."""
        return "composed"

    def error(self, part: Any) -> float:
        """The composed error of all parts."""
        return composed_error(part)


class UnifiedTokens(TrainingLength, Unified):
    """The unified law with an extra loss that grows with the tokens per parameter."""


LAWS = {
    "chinchilla": Chinchilla,
    "unified": Unified,
    "unified-logistic": partial(Unified, form=Logistic),
    "unified-bounded": partial(Unified, form=BoundedLogistic),
    "unified-composed": UnifiedComposed,
    "unified-tokens": UnifiedTokens,
}
