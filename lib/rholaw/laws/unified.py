"""Laws with free parameters: the columns each reads, its parameters, and its log-loss, for ``fitting`` to fit.

Every parameter is positive and is carried as its logarithm.  A new law is a class with ``names``, ``limits``,
``columns``, ``log_terms`` and ``guesses``; see ``rivals``.
"""

import numpy as np

from .. import runs as run_tables
from ..error.measure import gmse
from ..formats.grammar import parse
from .curves import BoundedLogistic, Curve, Logistic, effective_bits

EXPONENTS = np.geomspace(0.05, 1.0, 7)
LIMITS = {"A": (1e-6, 1e15), "B": (1e-6, 1e15), "alpha": (1e-3, 5), "beta": (1e-3, 5), "E": (1e-3, 50)}
DENSE = parse("dense")


class Chinchilla:
    """Loss = A N^-α + B D^-β + E (Hoffmann et al. 2022): no formats, ρ = 1."""

    linear = ("A", "B", "E")  # the parameters that scale the terms of the loss, one for each
    capacity_names = ()
    has_capacity = True  # a format acts as a factor ρ on N; where False, the law has no ρ to ask for
    limits = LIMITS

    def __init__(self, runs):
        run_tables.check(runs)

    @property
    def names(self):
        return ("A", "alpha", "B", "beta", "E", *self.capacity_names)

    @property
    def bounds(self):
        """{name: (lower, upper)}: wide, so that a fit which ends on one says that the data do not hold it."""
        return {name: self.limits[name.partition("[")[0]] for name in self.names}

    def columns(self, runs):
        """The arrays that ``log_loss`` reads. Raises ValueError for what the law cannot predict."""
        run_tables.check(runs, ("n_params", "n_tokens"))
        return {"n": np.log(runs["n_params"].to_numpy(float)), "d": np.log(runs["n_tokens"].to_numpy(float))}

    def log_rho(self, u, columns):
        """log ρ of every run: u (…, P) → (…, n) or something that broadcasts to it."""
        return 0.0

    def log_terms(self, u, columns):
        """Logarithms of the terms whose sum is the loss: each linear in the logarithm of its ``linear`` parameter."""
        a, alpha, b, beta, e = (u[..., i, None] for i in range(5))
        size = a - np.exp(alpha) * (columns["n"] + self.log_rho(u, columns))
        return [size, b - np.exp(beta) * columns["d"], e]

    def log_loss(self, u, columns):
        """log loss of every run: u (…, P), logarithms of the parameters → (…, n)."""
        return np.log(sum(np.exp(term) for term in self.log_terms(u, columns)))

    def starts(self, columns, log_loss):
        """Starting points (S, P): the guesses, with the best ``linear`` parameters for each by linear least squares."""
        return np.array([self._linear_start(guess, columns, np.exp(log_loss)) for guess in self.guesses()])

    def guesses(self):
        """Logarithms of the parameters, 0 for the linear ones: a grid of exponents."""
        for alpha in EXPONENTS:
            for beta in EXPONENTS:
                for guess in self.capacity_guesses():
                    yield np.concatenate([np.log([1, alpha, 1, beta, 1]), guess])

    def capacity_guesses(self):
        """Starting points for the parameters after the first five."""
        return [()]

    def _linear_start(self, u, columns, loss):
        places = [self.names.index(name) for name in self.linear]
        raised = u.copy()
        raised[places] = 1.0
        terms = [self.log_terms(v, columns) for v in (u, raised)]
        logs, above = (np.array([np.broadcast_to(term, loss.shape) for term in each]) for each in terms)
        top = logs.max(axis=1)
        # In relative error, as the logarithm that is fitted later; scaled, so that the columns are comparable.
        basis = np.exp(logs - top[:, None]).T / loss[:, None]
        scaled, *_ = np.linalg.lstsq(basis, np.ones_like(loss), rcond=1e-8)
        scaled = np.maximum(scaled, 0.02 * loss.min())
        u[places] = (np.log(scaled) - top) / (above - logs)[:, 0]
        return u


class Compressed(Chinchilla):
    """What the laws with capacities share: formats of weights and activations, and log ρ as a sum over parts."""

    def __init__(self, runs):
        super().__init__(runs)
        self.known = dict.fromkeys(part for pair in pairs(runs) for part in self.parts(*pair))

    def parts(self, weights, activations):
        """What multiplies to the ρ of a run with these formats."""
        raise NotImplementedError

    def columns(self, runs):
        columns = super().columns(runs)
        formats = pairs(runs)
        parts = list(dict.fromkeys(part for pair in dict.fromkeys(formats) for part in self.parts(*pair)))
        counts = {pair: [self.parts(*pair).count(part) for part in parts] for pair in dict.fromkeys(formats)}
        return columns | {"parts": parts, "counts": np.array([counts[pair] for pair in formats], dtype=float)}

    def log_rho(self, u, columns):
        return self.log_parts(u, columns["parts"]) @ columns["counts"].T

    def log_parts(self, u, parts):
        """log ρ of each part: u (…, P) → (…, number of parts). Raises ValueError for one that the fit did not see."""
        raise NotImplementedError


class Decoupled(Compressed):
    """One free ρ for every pair of formats of weights and activations (Frantar et al. 2025); dense has ρ = 1."""

    limits = Chinchilla.limits | {"rho": (1e-8, 50)}

    def __init__(self, runs):
        super().__init__(runs)
        if (DENSE, DENSE) not in pairs(runs):
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


class Unified(Compressed):
    """ρ from GMSE: one Curve for each family of formats, multiplied over parts (Panferov et al. 2025).

    A run's parts are the sparsity and the element of its weights and of its activations.  Where all parts are of one
    family the parameters are F, C and L; else F[sparse], F[quantised] and so on.
    """

    form = Curve
    curve_names = ("F", "C", "L")
    curve_guesses = ([0.45, 1.2, 1.0], [0.3, 0.6, 1.0])
    limits = Chinchilla.limits | {"F": (1e-3, 20), "C": (1e-2, 20), "L": (1e-2, 1.5)}

    def __init__(self, runs):
        super().__init__(runs)
        if not self.known:
            raise ValueError("the law 'unified' needs runs in some format; all of these are dense: fit 'chinchilla'")
        self.families = tuple(sorted({self.part_family(part) for part in self.known}))

    def parts(self, weights, activations):
        return weights.parts + activations.parts

    def part_family(self, part):
        """Which curve serves a part."""
        return part.family

    def part_gmse(self, part):
        """The error from which the capacity of a part is read."""
        return gmse(part).value

    @property
    def capacity_names(self):
        if len(self.families) == 1:
            return self.curve_names
        return tuple(f"{name}[{family}]" for family in self.families for name in self.curve_names)

    def curve_start(self, family):
        """Where the parameters of a family's curve stand among ``names``."""
        if family not in self.families:
            raise ValueError(f"no run had a {family} part; the fit knows the curves of {', '.join(self.families)}")
        return 5 + len(self.curve_names) * self.families.index(family)

    def curve(self, family, values):
        """The curve of a family, from the values of all parameters."""
        first = self.curve_start(family)
        return self.form(*values[first : first + len(self.curve_names)])

    def log_parts(self, u, parts):
        if not parts:
            return np.zeros((*u.shape[:-1], 0))
        bits = effective_bits([self.part_gmse(part) for part in parts])
        first = np.array([self.curve_start(self.part_family(part)) for part in parts])
        return self.log_curve(bits, *(u[..., first + i] for i in range(len(self.curve_names))))

    @staticmethod
    def log_curve(bits, F, C, L):
        """log ρ from effective bits and the logarithms of the curve's parameters."""
        return L + np.exp(C) * np.log(np.tanh(np.exp(F) * bits))

    def capacity_guesses(self):
        return [np.log(guess * len(self.families)) for guess in self.curve_guesses]


class UnifiedLogistic(Unified):
    """ρ = 1 / (1 + gain · GMSE^slope), which does not vanish at GMSE = 1 (Panferov et al. 2025, Table 3)."""

    form = Logistic
    curve_names = ("slope", "gain")
    curve_guesses = ([0.8, 5.0], [1.2, 20.0])
    limits = Chinchilla.limits | {"slope": (1e-2, 20), "gain": (1e-3, 1e4)}

    @staticmethod
    def log_curve(bits, slope, gain):
        return -np.log1p(np.exp(gain - np.exp(slope) * bits * np.log(4)))


class UnifiedBounded(UnifiedLogistic):
    """ρ = (1 − GMSE^slope) / (1 + gain · GMSE^slope), 0 at GMSE = 1 (Panferov et al. 2025, Table 3)."""

    form = BoundedLogistic

    @staticmethod
    def log_curve(bits, slope, gain):
        power = -np.exp(slope) * bits * np.log(4)
        return np.log(-np.expm1(power)) - np.log1p(np.exp(gain + power))


class UnifiedComposed(Unified):
    """ρ = tanh(F log_{1/4} m)^C of the composed error m = 1 − Π(1 − GMSE) of all parts, instead of a product of ρ."""

    def parts(self, weights, activations):
        whole = weights.parts + activations.parts
        return (whole,) if whole else ()

    def part_family(self, part):
        return "composed"

    def part_gmse(self, part):
        return composed_error(part)


def composed_error(parts):
    """1 − Π(1 − GMSE): the error of several parts together, were what each keeps independent; 0 for none."""
    return 1 - float(np.prod([1 - gmse(part).value for part in parts]))


def pairs(runs):
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
