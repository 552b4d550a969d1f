"""Laws with free parameters: the columns each reads, its parameters, and its log-loss, for ``fitting`` to fit.

Every parameter is positive and is carried as its logarithm.  A new law is a class with ``names``, ``bounds``,
``columns``, ``log_loss`` and ``starts``.
"""

import numpy as np

from . import runs as run_tables
from .capacity import effective_bits
from .formats import parse
from .measure import gmse

EXPONENTS = np.geomspace(0.05, 1.0, 7)


class Chinchilla:
    """Loss = A N^-α + B D^-β + E (Hoffmann et al. 2022): no formats, ρ = 1."""

    capacity_names = ()

    def __init__(self, runs):
        run_tables.check(runs)

    @property
    def names(self):
        return ("A", "alpha", "B", "beta", "E", *self.capacity_names)

    @property
    def bounds(self):
        """{name: (lower, upper)}: wide, so that a fit which ends on one says that the data do not hold it."""
        known = {"A": (1e-6, 1e15), "B": (1e-6, 1e15), "alpha": (1e-3, 5), "beta": (1e-3, 5), "E": (1e-3, 50)}
        known |= {"F": (1e-3, 20), "C": (1e-2, 20), "L": (1e-2, 1.5), "rho": (1e-8, 50)}
        return {name: known[name.partition("[")[0]] for name in self.names}

    def columns(self, runs):
        """The arrays that ``log_loss`` reads. Raises ValueError for what the law cannot predict."""
        run_tables.check(runs, ("n_params", "n_tokens"))
        return {"n": np.log(runs["n_params"].to_numpy(float)), "d": np.log(runs["n_tokens"].to_numpy(float))}

    def log_rho(self, u, columns):
        """log ρ of every run: u (…, P) → (…, n) or something that broadcasts to it."""
        return 0.0

    def log_loss(self, u, columns):
        """log loss of every run: u (…, P), logarithms of the parameters → (…, n)."""
        a, alpha, b, beta, e = (u[..., i, None] for i in range(5))
        size = np.exp(a - np.exp(alpha) * (columns["n"] + self.log_rho(u, columns)))
        return np.log(size + np.exp(b - np.exp(beta) * columns["d"]) + np.exp(e))

    def starts(self, columns, log_loss):
        """Starting points (S, P): a grid of exponents, with the best A, B and E for each by linear least squares."""
        guesses = [
            self._linear_start(alpha, beta, guess, columns, np.exp(log_loss))
            for alpha in EXPONENTS
            for beta in EXPONENTS
            for guess in self.capacity_guesses()
        ]
        return np.array(guesses)

    def capacity_guesses(self):
        """Starting points for the parameters of ρ."""
        return [()]

    def _linear_start(self, alpha, beta, guess, columns, loss):
        u = np.concatenate([np.log([1, alpha, 1, beta, 1]), guess])
        size = -alpha * (columns["n"] + self.log_rho(u, columns))
        data = -beta * columns["d"]
        basis = np.stack([np.exp(size - size.max()), np.exp(data - data.max()), np.ones_like(loss)], axis=1)
        # In relative error, as the logarithm that is fitted later; scaled, so that the columns are comparable.
        scaled, *_ = np.linalg.lstsq(basis / loss[:, None], np.ones_like(loss), rcond=1e-8)
        scaled = np.maximum(scaled, 0.02 * loss.min())
        u[[0, 2, 4]] = np.log(scaled) - [size.max(), data.max(), 0]
        return u


class _Compressed(Chinchilla):
    """What the laws with capacities share: formats of weights and activations, and log ρ as a sum over parts."""

    def __init__(self, runs):
        super().__init__(runs)
        self.known = dict.fromkeys(part for pair in _pairs(runs) for part in self.parts(*pair))

    def parts(self, weights, activations):
        """What multiplies to the ρ of a run with these formats."""
        raise NotImplementedError

    def columns(self, runs):
        columns = super().columns(runs)
        pairs = _pairs(runs)
        parts = list(dict.fromkeys(part for pair in dict.fromkeys(pairs) for part in self.parts(*pair)))
        counts = {pair: [self.parts(*pair).count(part) for part in parts] for pair in dict.fromkeys(pairs)}
        return columns | {"parts": parts, "counts": np.array([counts[pair] for pair in pairs], dtype=float)}

    def log_rho(self, u, columns):
        return self.log_parts(u, columns["parts"]) @ columns["counts"].T

    def log_parts(self, u, parts):
        """log ρ of each part: u (…, P) → (…, number of parts). Raises ValueError for one that the fit did not see."""
        raise NotImplementedError


class Decoupled(_Compressed):
    """One free ρ for every pair of formats of weights and activations (Frantar et al. 2025); dense has ρ = 1."""

    def __init__(self, runs):
        super().__init__(runs)
        if (DENSE, DENSE) not in _pairs(runs):
            raise ValueError("the law 'decoupled' needs dense runs: a free ρ is relative to them")

    def parts(self, weights, activations):
        return () if (weights, activations) == (DENSE, DENSE) else ((weights, activations),)

    @property
    def capacity_names(self):
        return tuple(f"rho[{weights}|{activations}]" for weights, activations in self.known)

    def log_parts(self, u, parts):
        for weights, activations in parts:
            if (weights, activations) not in self.known:
                raise ValueError(
                    f"the law 'decoupled' has no ρ for weights {weights} with activations {activations}: "
                    f"it saw no such run; it knows {', '.join(self.capacity_names)}"
                )
        return u[..., [5 + list(self.known).index(part) for part in parts]]

    def capacity_guesses(self):
        return [np.full(len(self.known), np.log(0.5))]


class Unified(_Compressed):
    """ρ from GMSE: one Curve for each family of formats, multiplied over parts (Panferov et al. 2025).

    A run's parts are the sparsity and the element of its weights and of its activations.  Where all parts are of one
    family the parameters are F, C and L; else F[sparse], F[quantised] and so on.
    """

    def __init__(self, runs):
        super().__init__(runs)
        if not self.known:
            raise ValueError("the law 'unified' needs runs in some format; all of these are dense: fit 'chinchilla'")
        self.families = tuple(sorted({part.family for part in self.known}))

    def parts(self, weights, activations):
        return weights.parts + activations.parts

    @property
    def capacity_names(self):
        if len(self.families) == 1:
            return ("F", "C", "L")
        return tuple(f"{name}[{family}]" for family in self.families for name in "FCL")

    def curve_start(self, family):
        """Where the F, C and L of a family stand among ``names``."""
        if family not in self.families:
            raise ValueError(f"no run had a {family} part; the fit knows the curves of {', '.join(self.families)}")
        return 5 + 3 * self.families.index(family)

    def log_parts(self, u, parts):
        if not parts:
            return np.zeros((*u.shape[:-1], 0))
        bits = effective_bits([gmse(part).value for part in parts])
        first = np.array([self.curve_start(part.family) for part in parts])
        F, C, L = (u[..., first + i] for i in range(3))
        return L + np.exp(C) * np.log(np.tanh(np.exp(F) * bits))

    def capacity_guesses(self):
        return [np.log(guess * len(self.families)) for guess in ([0.45, 1.2, 1.0], [0.3, 0.6, 1.0])]


MODELS = {"chinchilla": Chinchilla, "unified": Unified, "decoupled": Decoupled}


DENSE = parse("dense")


def _pairs(runs):
    """(weights, activations) of every run, as Formats. ValueError names the row of what is no format."""
    if missing := [name for name in ("weights", "activations") if name not in runs.columns]:
        raise ValueError(f"the runs lack the columns {', '.join(missing)}: this law reads the formats of each run")
    formats = {name: {} for name in ("weights", "activations")}
    for name, known in formats.items():
        for row, text in runs[name].items():
            if text not in known:
                try:
                    known[text] = parse(text)
                except ValueError as error:
                    raise ValueError(f"runs, column {name}, row {row}: {error}") from None
    columns = ([known[text] for text in runs[name]] for name, known in formats.items())
    return list(zip(*columns, strict=True))
