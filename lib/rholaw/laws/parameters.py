"""A law's parameters by name: a view of the array of logarithms that a fit moves."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Parameters:
    """Positive parameters, carried as logarithms: ``p.alpha`` is a value, ``p.log("alpha")`` its logarithm.

    names: (P,); u: (…, P), the logarithms of one or many points, real or complex.  A value is (…, 1), and so broadcasts
    over runs.
    """

    names: tuple[str, ...]
    u: np.ndarray

    def log(self, *names: str) -> np.ndarray:
        """The logarithms of these parameters: (…, len(names))."""
        return self.u[..., [self.names.index(name) for name in names]]

    def __getattr__(self, name: str) -> np.ndarray:
        if name not in self.__dict__.get("names", ()):  # no names yet: being copied
            raise AttributeError(f"there is no parameter {name!r}")
        return np.exp(self.log(name))
