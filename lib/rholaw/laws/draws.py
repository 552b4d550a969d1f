"""What a format does to the loss, with its uncertainty: draws of the law and of ρ for any pair of formats.

The default law is fitted to QuEST's runs of one estimator.  They do not identify E, so that the draws pool bootstraps
with E held at several values: capacities hardly change with it, losses and training costs do.
"""

from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
import pandas as pd

from .. import runs, tables
from ..error.measure import gmse
from ..formats.grammar import parse
from .curves import Curve, fit_curve
from .fitting import Fit, fit

HELD = (0.0, 0.5, 1.0, 1.5)
"""E, in nats per token, of the default law; above 1.5 the fit is more than twice as bad (chapter 07)."""


@dataclass(frozen=True, eq=False)  # compared and remembered by identity: its arrays cannot be
class Draws:
    """Parameters of the law, arrays (S,), and the Fits they come from."""

    A: np.ndarray
    alpha: np.ndarray
    B: np.ndarray
    beta: np.ndarray
    E: np.ndarray
    fits: tuple = field(repr=False)

    def at(self, places):
        """The Draws at these places, any number of them and each as often as it is named."""
        return Draws(*(getattr(self, name)[places] for name in ("A", "alpha", "B", "beta", "E")), fits=self.fits)

    def loss(self, N, D, rho=1.0):
        """Nats per token, (S,); infinite where ρ = 0."""
        with np.errstate(divide="ignore"):
            return self.A * (N * np.asarray(rho, dtype=float)) ** -self.alpha + self.B * D**-self.beta + self.E

    def cheapest(self, loss, rho):
        """(N, D), each (S,), of least 6 N D that reach ``loss``; infinite where a draw of the law never does.

        At the optimum α A (N ρ)^-α = β B D^-β (Hoffmann et al. 2022, approach 3): each term has its share of the room.
        """
        room = np.asarray(loss - self.E)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            N = (self.A * (1 + self.alpha / self.beta) / room) ** (1 / self.alpha) / rho
            D = (self.B * (1 + self.beta / self.alpha) / room) ** (1 / self.beta)
        return np.where(room > 0, N, np.inf), np.where(room > 0, D, np.inf)

    def capacity(self, weights, activations="dense"):
        """(ρ (S,), source) of a pair of formats.

        source: "dense"; "law"; "law, format without runs"; or, where a part is sparse and no run was sparse alone,
        "printed capacities, figures disagree": the curves of the paper's figures, each as often as the others.
        """
        return _capacity(self, parse(weights), parse(activations))

    def order(self, options):
        """Places of the draws, from those that give the options little capacity to those that give much: (S,).

        options: each has formats as its ``weights`` and ``activations``.
        """
        rhos = [self.capacity(option.weights, option.activations)[0] for option in options]
        return np.argsort(np.mean([np.log(np.maximum(rho, 1e-300)) for rho in rhos], axis=0), kind="stable")


@lru_cache(maxsize=256)
def _capacity(draws, weights, activations):
    model, rho, source = draws.fits[0].model, np.ones_like(draws.A), "dense"
    trained = {part for known in model.known for part in known.parts}
    for part in weights.parts + activations.parts:
        if part.sparsity is not None and part.family not in model.families:
            rho = rho * np.resize([float(curve(gmse(part).value)) for curve in _printed_sparse()], rho.shape)
            source = "printed capacities, figures disagree"
            continue
        rho = rho * np.concatenate([_rho(one, part) for one in draws.fits])
        if source in ("dense", "law"):
            source = "law" if part in trained else "law, format without runs"
    return rho, source


def _rho(one, part):
    """ρ of one format for each bootstrap of a Fit."""
    pair = pd.DataFrame({"n_params": [1.0], "n_tokens": [1.0], "weights": [str(part)], "activations": ["dense"]})
    rho = np.exp(one.model.log_rho(np.log(one.samples), one.model.columns(pair)))
    return np.broadcast_to(rho, (len(one.samples), 1))[:, 0]


def draws(law=None):
    """The Draws of a Fit with a bootstrap, of several such Fits pooled, or of the default law.

    Raises ValueError for a Fit without bootstrap, or of a law that reads no capacity off a format.
    """
    fits = default_fits() if law is None else (law,) if isinstance(law, Fit) else tuple(law)
    for one in fits:
        if not len(one.samples):
            raise ValueError("the law has no bootstrap: fit with n_bootstrap of 100 or more")
        if not hasattr(one.model, "part_gmse") or one.model.curve_names != Curve.__match_args__:
            raise ValueError(f"a plan needs the law 'unified', which has a ρ for any format; this is {one.name!r}")
    names = [one.model.names for one in fits]
    columns = [
        np.concatenate([one.samples[:, list(known).index(name)] for one, known in zip(fits, names, strict=True)])
        for name in ("A", "alpha", "B", "beta", "E")
    ]
    return Draws(*columns, fits=fits)


@cache
def default_fits(n_bootstrap=100):
    """The default law: a Fit for each of HELD."""
    table = runs.one_estimator(runs.load("quest2025"))
    return tuple(fit("unified", table, fixed={"E": value}, n_bootstrap=n_bootstrap) for value in HELD)


@cache
def _printed_sparse():
    """Curves of sparsity alone, from each figure of the paper that prints it: bootstraps of each, equally many."""
    rows = tables.read("published/panferov2025_capacities")
    alone = "activation_bits == 16 and activation_sparsity == 0 and weight_bits == 16 and weight_sparsity > 0"
    curves = []
    for _, group in rows.query(alone).groupby("figure"):
        if group.weight_sparsity.nunique() >= 3:
            errors = [gmse(f"s{share:g}").value for share in group.weight_sparsity]
            curves += fit_curve(Curve, errors, group.rho.to_numpy(), n_bootstrap=60).samples[:40]
    return tuple(np.random.default_rng(0).permutation(np.array(curves, dtype=object)))
