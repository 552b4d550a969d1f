"""The laws that others proposed, in the interface of ``models``, and what follows from their printed constants.

N is in parameters and D in tokens where a docstring does not say otherwise.  E is the irreducible loss in every law,
whatever letter the paper gives it.
"""

import itertools
import re

import numpy as np
from scipy.optimize import brentq

from ..error.measure import gmse
from .unified import (
    DENSE,
    EXPONENTS,
    Chinchilla,
    Compressed,
    Decoupled,
    Unified,
    UnifiedBounded,
    UnifiedComposed,
    UnifiedLogistic,
    composed_error,
    pairs,
)

NEVER = -1e4  # the logarithm of a term that a run does not have
BITS = 16  # of what is not compressed


class Additive(Chinchilla):
    """Loss = A N^-α + B D^-β + E + k Σ m^c over the parts of weights and activations, m the GMSE of each."""

    linear = ("A", "B", "E", "k")
    capacity_names = ("k", "c")
    has_capacity = False
    limits = Chinchilla.limits | {"k": (1e-6, 1e6), "c": (1e-2, 20)}

    def __init__(self, runs):
        super().__init__(runs)
        _needs_compressed("additive", runs)

    def errors(self, parts):
        """The m that are summed, for a run with these parts; at most four."""
        return [gmse(part).value for part in parts]

    def columns(self, runs):
        formats = pairs(runs)
        found = {pair: self.errors(pair[0].parts + pair[1].parts) for pair in dict.fromkeys(formats)}
        errors = np.array([found[pair] + [0.0] * (4 - len(found[pair])) for pair in formats]).T
        logs = np.log(np.where(errors > 0, errors, 1.0))
        return super().columns(runs) | {"log_error": logs, "present": np.where(errors > 0, 0.0, NEVER)}

    def log_terms(self, u, columns):
        k, c = u[..., 5, None], np.exp(u[..., 6, None])
        slots = zip(columns["log_error"], columns["present"], strict=True)
        total = sum(np.exp(c * log_error + present) for log_error, present in slots)
        return [*super().log_terms(u, columns), k + np.log(total + 1e-300)]  # a dense run has no error

    def capacity_guesses(self):
        return np.log([[1.0, 0.5], [1.0, 1.0]])


class AdditiveComposed(Additive):
    """Loss = A N^-α + B D^-β + E + k m^c, with m the composed error 1 − Π(1 − GMSE) of weights and activations."""

    def errors(self, parts):
        return [composed_error(parts)]


class Chen(Chinchilla):
    """Loss = A N^-α + B D^-β + E + k D^γ_D log2(G)^γ_G / N^γ_N (Chen et al. 2025, quantisation-aware training).

    k is a number for each pair of elements of weights and activations, the exponents are shared; the paper fits each
    pair alone.  G is the block size; where all compressed runs have the same, or none, its factor is part of k.
    """

    has_capacity = False
    limits = Chinchilla.limits | {"k": (1e-9, 1e6)}
    limits |= {"gamma_D": (1e-3, 5), "gamma_N": (1e-3, 5), "gamma_G": (1e-3, 10)}

    def __init__(self, runs):
        super().__init__(runs)
        _needs_compressed("chen", runs)
        found = [self._key(*pair) for pair in dict.fromkeys(pairs(runs)) if pair != (DENSE, DENSE)]
        self.known = list(dict.fromkeys(key for key, _ in found))
        self.groups = {group for _, group in found}
        if len(self.groups) > 1 and None in self.groups:
            raise ValueError("the law 'chen' needs a block size in every format or in none: it reads log2 of it")

    def _key(self, weights, activations):
        """("element|element", block size or None) of a pair of formats."""
        used = [part for part in (weights, activations) if part != DENSE]
        for part in used:
            _no_sparsity("chen", part)
        groups = {part.block.size if part.block and isinstance(part.block.size, int) else None for part in used}
        if len(groups) > 1:
            raise ValueError(f"the law 'chen' has one block size a run; {weights} and {activations} differ")
        names = ("dense" if part.element is None else part.element.name for part in (weights, activations))
        return "|".join(names), groups.pop()

    @property
    def capacity_names(self):
        exponents = ("gamma_D", "gamma_N") + ("gamma_G",) * (len(self.groups) > 1)
        return (*exponents, *(f"k[{key}]" for key in self.known))

    @property
    def linear(self):
        return ("A", "B", "E", *(f"k[{key}]" for key in self.known))

    def columns(self, runs):
        rows = {pair: self._row(*pair) for pair in dict.fromkeys(pairs(runs))}
        table = np.array([rows[pair] for pair in pairs(runs)])
        return super().columns(runs) | {"log_log_group": table[:, 0], "present": table[:, 1:].T}

    def _row(self, weights, activations):
        """log log2 G, then for each known pair of elements 0 where it is this one."""
        row = np.full(1 + len(self.known), NEVER)
        row[0] = 0.0
        if (weights, activations) == (DENSE, DENSE):
            return row
        key, group = self._key(weights, activations)
        if key not in self.known:
            raise ValueError(f"the law 'chen' has no k for {key}: it saw no such run; it knows {', '.join(self.known)}")
        if (len(self.groups) > 1 and group is None) or (len(self.groups) == 1 and group not in self.groups):
            raise ValueError(f"the law 'chen' saw block sizes {self.groups} and cannot predict {group}")
        row[0] = np.log(np.log2(group)) if len(self.groups) > 1 else 0.0
        row[1 + self.known.index(key)] = 0.0
        return row

    def log_terms(self, u, columns):
        first = 5 + 2 + (len(self.groups) > 1)
        shared = np.exp(u[..., 5, None]) * columns["d"] - np.exp(u[..., 6, None]) * columns["n"]
        if len(self.groups) > 1:
            shared = shared + np.exp(u[..., 7, None]) * columns["log_log_group"]
        own = [u[..., first + i, None] + shared + present for i, present in enumerate(columns["present"])]
        return [*super().log_terms(u, columns), *own]

    def capacity_guesses(self):
        group, k = [0.5] * (len(self.groups) > 1), [1.0] * len(self.known)
        return [np.log([gamma_D, gamma_N, *group, *k]) for gamma_D, gamma_N in ((0.05, 0.2), (0.2, 0.3))]


class Sun(Chinchilla):
    """Loss = A N^-α + B D^-β + E + D^β N^-α log2(block) / (γ (e + ½)^δ (m + ½)^ν) (Sun et al. 2025, floating point).

    e and m are the bits of exponent and mantissa, the same for weights and activations; a dense run counts as bfloat16
    (8 and 7).  Without a block, log2(block) is the paper's value for a scale a channel.  A, B and E are its n, d, ε.
    """

    linear = ("A", "B", "E", "gamma")
    capacity_names = ("gamma", "delta", "nu")
    has_capacity = False
    limits = Chinchilla.limits | {"gamma": (1e-6, 1e15), "delta": (1e-2, 20), "nu": (1e-2, 20)}
    log2_channel = 13.1567

    def __init__(self, runs):
        super().__init__(runs)
        _needs_compressed("sun", runs)

    def columns(self, runs):
        layouts = {pair: self._layout(*pair) for pair in dict.fromkeys(pairs(runs))}
        exponent, mantissa, log2_block = np.array([layouts[pair] for pair in pairs(runs)]).T
        logs = {"e": np.log(exponent + 0.5), "m": np.log(mantissa + 0.5), "block": np.log(log2_block)}
        return super().columns(runs) | logs

    def _layout(self, weights, activations):
        if weights != activations:
            raise ValueError(
                f"the law 'sun' has one format a run: weights {weights} and activations {activations} differ"
            )
        if weights == DENSE:
            return 8, 7, self.log2_channel
        _no_sparsity("sun", weights)
        if not (digits := re.fullmatch(r"e(\d)m(\d)(fn)?", weights.element.name)):
            raise ValueError(f"the law 'sun' needs bits of exponent and mantissa, which {weights} does not have")
        block = weights.block.size if weights.block and isinstance(weights.block.size, int) else None
        return int(digits[1]), int(digits[2]), np.log2(block) if block else self.log2_channel

    def log_terms(self, u, columns):
        size, data, e = super().log_terms(u, columns)
        alpha, beta, gamma, delta, nu = (u[..., i, None] for i in (1, 3, 5, 6, 7))
        growth = np.exp(beta) * columns["d"] - np.exp(alpha) * columns["n"] + columns["block"]
        return [size, data, e, growth - gamma - np.exp(delta) * columns["e"] - np.exp(nu) * columns["m"]]

    def capacity_guesses(self):
        return np.log([[1.0, 1.0, 1.0], [1.0, 3.0, 3.0]])


class Frantar(Chinchilla):
    """Loss = (a_S (1−S)^b_S + c_S) n^-b_N + (a_D / D)^b_D + E (Frantar et al. 2023), sparse weights.

    S: the share pruned; n: non-zero parameters, in millions; D: in 1e9 tokens (or images).
    """

    linear = ("a_S", "c_S", "a_D", "E")
    names = ("a_S", "b_S", "c_S", "b_N", "a_D", "b_D", "E")
    limits = dict.fromkeys(("a_S", "c_S", "a_D"), (1e-6, 1e9)) | dict.fromkeys(("b_S", "b_N", "b_D"), (1e-3, 10))
    limits |= {"E": (1e-3, 50)}

    def __init__(self, runs):
        super().__init__(runs)
        _needs_compressed("frantar", runs)

    def columns(self, runs):
        columns, density = super().columns(runs), []
        for weights, activations in pairs(runs):
            if activations != DENSE or weights.element is not None:
                raise ValueError(
                    f"the law 'frantar' reads the sparsity of weights; it cannot express weights {weights} "
                    f"with activations {activations}"
                )
            density.append(weights.density)
        density = np.log(density)
        return {"n": columns["n"] - np.log(1e6) + density, "d": columns["d"] - np.log(1e9), "density": density}

    def log_terms(self, u, columns):
        a_S, b_S, c_S, b_N, a_D, b_D, e = (u[..., i, None] for i in range(7))
        size = -np.exp(b_N) * columns["n"]
        sparse = a_S + np.exp(b_S) * columns["density"]
        return [sparse + size, c_S + size, np.exp(b_D) * (a_D - columns["d"]), e]

    def log_rho(self, u, columns):
        a_S, b_S, c_S, b_N = (u[..., i, None] for i in range(4))
        now = np.exp(a_S + np.exp(b_S) * columns["density"]) + np.exp(c_S)
        return columns["density"] + np.log((np.exp(a_S) + np.exp(c_S)) / now) / np.exp(b_N)

    def guesses(self):
        for b_N, b_D, b_S in itertools.product(EXPONENTS, EXPONENTS, (0.3, 1.0, 3.0)):
            yield np.log([1, b_S, 1, b_N, 1, b_D, 1])


class Kumar(Compressed):
    """Loss = A (N ρ)^-α + B D^-β + E with ρ = Π (1 − exp(−P / γ)), P the bits of weights and of activations.

    Kumar et al. 2024, before post-training quantisation; 16 bits where dense.  The paper ties α = β, this does not.
    A side that no run compresses has no γ and no factor.
    """

    offsets = False
    limits = Chinchilla.limits | {"gamma_w": (1e-2, 1e3), "gamma_a": (1e-2, 1e3), "n_w": (1e-3, 10), "n_a": (1e-3, 10)}

    def __init__(self, runs):
        super().__init__(runs)
        self.sides = [side for side in "wa" if any(part[0] == side and part[1] != BITS for part in self.known)]
        if not self.sides:
            raise ValueError("the law 'kumar' needs runs with fewer than 16 bits; all of these are dense")

    def parts(self, weights, activations):
        return (("w", self._bits(weights)), ("a", self._bits(activations)))

    def _bits(self, format):
        if format == DENSE:
            return BITS
        _no_sparsity("kumar", format)
        return format.element.bits

    @property
    def capacity_names(self):
        gammas = tuple(f"gamma_{side}" for side in self.sides)
        return gammas + tuple(f"n_{side}" for side in self.sides) * self.offsets

    def log_parts(self, u, parts):
        columns = []
        for side, bits in parts:
            if side not in self.sides:
                if bits != BITS:
                    raise ValueError(f"the law 'kumar' saw no compressed {'weights' if side == 'w' else 'activations'}")
                columns.append(np.zeros_like(u[..., 0]))
                continue
            place = 5 + self.sides.index(side)
            offset = np.exp(u[..., place + len(self.sides)]) if self.offsets else 0.0
            share = -np.expm1(offset - bits * np.exp(-u[..., place]))
            columns.append(np.log(np.where(share.real > 1e-9, share, 1e-9)))
        return np.stack(columns, axis=-1)

    def capacity_guesses(self):
        return [np.log([g] * len(self.sides) + [0.1] * len(self.sides) * self.offsets) for g in (1.0, 3.0)]


class KumarOffset(Kumar):
    """The precision law as its printed constants need it: ρ = Π (1 − exp(n − P / γ)) (Kumar et al. 2024, Table 2)."""

    offsets = True


class Quartet(Chinchilla):
    """Loss = (A (N effN)^-α + B (D effD)^-β)^γ + E (Castro et al. 2025, Quartet).

    Reads the columns ``forward`` and ``backward``: effN is a number for each forward method, effD for each backward
    method, both relative to "BF16".
    """

    base = "BF16"
    has_capacity = False
    limits = Chinchilla.limits | {"gamma": (1e-2, 10), "effN": (1e-8, 50), "effD": (1e-8, 50)}

    def __init__(self, runs):
        super().__init__(runs)
        self.known = [*self._methods(runs, "forward"), *self._methods(runs, "backward")]

    def _methods(self, runs, side):
        if side not in runs.columns:
            raise ValueError(f"the law 'quartet' reads the columns forward and backward; the runs have no {side}")
        found = list(dict.fromkeys(runs[side]))
        if self.base not in found:
            raise ValueError(f"the law 'quartet' needs runs whose {side} is {self.base}: the others are relative to it")
        kind = "effN" if side == "forward" else "effD"
        return [f"{kind}[{method}]" for method in found if method != self.base]

    @property
    def names(self):
        return ("A", "alpha", "B", "beta", "E", "gamma", *self.known)

    def columns(self, runs):
        columns = super().columns(runs)
        for side, kind in (("forward", "effN"), ("backward", "effD")):
            keys = [f"{kind}[{method}]" for method in runs[side]]
            if unknown := set(keys) - {*self.known, f"{kind}[{self.base}]"}:
                raise ValueError(f"the law 'quartet' saw no run for {', '.join(sorted(unknown))}")
            columns[kind] = np.array([[key == name for key in keys] for name in self.known], dtype=float)
            columns[kind] = columns[kind].reshape(len(self.known), len(keys))
        return columns

    def log_loss(self, u, columns):
        a, alpha, b, beta, e, gamma = (u[..., i, None] for i in range(6))
        size = a - np.exp(alpha) * (columns["n"] + u[..., 6:] @ columns["effN"])
        data = b - np.exp(beta) * (columns["d"] + u[..., 6:] @ columns["effD"])
        return np.log(np.exp(np.exp(gamma) * np.log(np.exp(size) + np.exp(data))) + np.exp(e))

    def starts(self, columns, log_loss):
        loss, starts = np.exp(log_loss), []
        slow = EXPONENTS[1:5]
        for gamma, share, alpha, beta in itertools.product((0.25, 0.5, 1.0), (0.02, 0.4, 0.6, 0.8), slow, slow):
            u = np.log([1, alpha / gamma, 1, beta / gamma, share * loss.min(), gamma] + [0.7] * len(self.known))
            goal = (loss - share * loss.min()) ** (1 / gamma)
            size = -alpha / gamma * (columns["n"] + u[6:] @ columns["effN"])
            data = -beta / gamma * (columns["d"] + u[6:] @ columns["effD"])
            basis = np.stack([np.exp(size - size.max()), np.exp(data - data.max())], axis=1) / goal[:, None]
            scaled = np.maximum(np.linalg.lstsq(basis, np.ones_like(goal), rcond=1e-8)[0], 0.02 * goal.min())
            u[[0, 2]] = np.log(scaled) - [size.max(), data.max()]
            starts.append(u)
        return np.array(starts)


MODELS = {
    "chinchilla": Chinchilla,
    "unified": Unified,
    "decoupled": Decoupled,
    "unified-logistic": UnifiedLogistic,
    "unified-bounded": UnifiedBounded,
    "unified-composed": UnifiedComposed,
    "frantar": Frantar,
    "kumar": Kumar,
    "kumar-offset": KumarOffset,
    "sun": Sun,
    "quartet": Quartet,
    "chen": Chen,
    "additive": Additive,
    "additive-composed": AdditiveComposed,
}


def kumar_optimal_bits(gammas, offsets=None):
    """P* at which the loss is least for fixed N · D · P, all sides at P bits (Kumar et al. 2024): d ln ρ / d ln P = 1.

    gammas, offsets: γ and n of each side.  Neither the exponents nor the compute enter.
    """
    gammas = np.asarray(gammas, dtype=float)
    offsets = np.zeros_like(gammas) if offsets is None else np.asarray(offsets, dtype=float)

    def excess(bits):
        lost = np.exp(offsets - bits / gammas)
        return float(np.sum(bits / gammas * lost / (1 - lost))) - 1

    return brentq(excess, float((gammas * offsets).max()) + 1e-6, 1e3)


def sun_layout(bits, delta, nu):
    """(exponent bits, mantissa bits) of least loss for a float of ``bits`` with its sign, by Sun et al. 2025."""
    return max(
        ((e, bits - 1 - e) for e in range(bits)), key=lambda pair: (pair[0] + 0.5) ** delta * (pair[1] + 0.5) ** nu
    )


def sun_critical_tokens(N, exponent, mantissa, log2_block, constants):
    """The D beyond which more tokens raise the loss: D^2β = B N^α γ (e + ½)^δ (m + ½)^ν / log2(block).

    constants: {name: value} with the names of ``Sun``.
    """
    c = constants
    precision = c["gamma"] * (exponent + 0.5) ** c["delta"] * (mantissa + 0.5) ** c["nu"]
    return (c["B"] * N ** c["alpha"] * precision / log2_block) ** (1 / (2 * c["beta"]))


def _needs_compressed(law, runs):
    if all(pair == (DENSE, DENSE) for pair in pairs(runs)):
        raise ValueError(f"the law {law!r} needs runs in some format; all of these are dense: fit 'chinchilla'")


def _no_sparsity(law, format):
    if format.sparsity is not None or format.outliers is not None:
        raise ValueError(f"the law {law!r} cannot express the sparsity or the outliers of {format}")
