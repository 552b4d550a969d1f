"""What a format does to the loss, with its uncertainty: draws of the law and of ρ for any pair of formats.

The default law is "unified-tokens", whose ρ falls as a model is trained for longer, fitted to runs of one estimator.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .. import runs, tables
from ..error.measure import gmse
from ..formats.format import Format
from ..formats.grammar import parse
from .curves import Curve, fit_curve
from .fitted import Fit
from .fitting import fit
from .training_length import TOKENS_PER_PARAM

DEFAULT, RECORDED = "unified-tokens", "laws/default"
REPETITIONS = 40
"""Of the search for the cheapest model, at most: each brings its tokens per parameter several times as near."""
NAMES = ("A", "alpha", "B", "beta", "E", "gamma")


@dataclass(frozen=True, eq=False)  # compared and remembered by identity: its arrays cannot be
class Draws:
    """Parameters of the law, arrays (S,), and the Fits they come from."""

    A: np.ndarray
    alpha: np.ndarray
    B: np.ndarray
    beta: np.ndarray
    E: np.ndarray
    gamma: np.ndarray
    fits: tuple[Fit, ...] = field(repr=False)

    def at(self, places: np.ndarray) -> "Draws":
        """The Draws at these places, any number of them and each as often as it is named."""
        return Draws(**{name: getattr(self, name)[places] for name in NAMES}, fits=self.fits)

    def loss(self, N: ArrayLike, D: ArrayLike, rho: ArrayLike = 1.0) -> np.ndarray:
        """Nats per token, (S,); infinite where ρ = 0."""
        with np.errstate(divide="ignore"):
            return self.A * (N * np.asarray(rho, dtype=float)) ** -self.alpha + self.B * D**-self.beta + self.E

    def cheapest(
        self, loss: ArrayLike, rho: ArrayLike, since: float = TOKENS_PER_PARAM
    ) -> tuple[np.ndarray, np.ndarray]:
        """(N, D), each (S,), of least 6 N D that reach ``loss``; infinite where a draw of the law never does.

        rho: after ``since`` tokens a parameter.  At the optimum each term has its share of the room: without training
        length α A (N ρ)^-α = β B D^-β (Hoffmann et al. 2022, approach 3); with it, the part of the first term that a
        format adds weighs α + 2 gamma, and ρ is that after D/N, which is found by repetition.
        """
        room, ratio = np.asarray(loss - self.E), since
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for _ in range(REPETITIONS):
                own = self.longer(rho, ratio, since)
                slope = self.alpha + 2 * self.gamma * (1 - own**self.alpha)
                N = (self.A * (1 + slope / self.beta) / room) ** (1 / self.alpha) / own
                D = (self.B * (1 + self.beta / slope) / room) ** (1 / self.beta)
                before, ratio = ratio, np.where(room > 0, np.maximum(D / N, 1e-9), since)  # N may be infinite
                if np.allclose(ratio, before, rtol=1e-10, atol=0, equal_nan=True):
                    break
        return np.where(room > 0, N, np.inf), np.where(room > 0, D, np.inf)

    def capacity(self, weights: str | Format, activations: str | Format = "dense") -> tuple[np.ndarray, str]:
        """(ρ (S,), source) of a pair of formats, after TOKENS_PER_PARAM.

        source: "dense"; "law"; "law, format without runs"; or, where a part is sparse and no run was sparse alone,
        "printed capacities, figures disagree": the curves of the paper's figures, each as often as the others.
        """
        return _capacity(self, parse(weights), parse(activations))

    def longer(self, rho: ArrayLike, to: ArrayLike, since: float = TOKENS_PER_PARAM) -> np.ndarray:
        """The ρ (S,) after ``to`` tokens a parameter of what has the capacity ``rho`` after ``since``."""
        with np.errstate(divide="ignore"):
            growth = (np.asarray(to) / since) ** self.gamma
            return (1 + (np.asarray(rho, dtype=float) ** -self.alpha - 1) * growth) ** (-1 / self.alpha)

    def order(self, options: Iterable) -> np.ndarray:
        """Places of the draws, from those that give the options little capacity to those that give much: (S,).

        options: each has formats as its ``weights`` and ``activations``.
        """
        rhos = [self.capacity(option.weights, option.activations)[0] for option in options]
        return np.argsort(np.mean([np.log(np.maximum(rho, 1e-300)) for rho in rhos], axis=0), kind="stable")


@lru_cache(maxsize=256)
def _capacity(draws: Draws, weights: Format, activations: Format) -> tuple[np.ndarray, str]:
    first, rho, source = draws.fits[0], np.ones_like(draws.A), "dense"
    trained = {part for pair in first.pairs for format in pair for part in format.parts}
    for part in weights.parts + activations.parts:
        if part.sparsity is not None and part.family not in first.families:
            rho = rho * np.resize([float(curve(gmse(part).value)) for curve in _printed_sparse()], rho.shape)
            source = "printed capacities, figures disagree"
            continue
        rho = rho * np.concatenate([of_law.capacity_draws(part) for of_law in draws.fits])
        if source in ("dense", "law"):
            source = "law" if part in trained else "law, format without runs"
    return rho, source


OPEN = "int4"
"""A format whose capacity is open where those of all are."""


def draws(law: Fit | Iterable[Fit] | None = None) -> Draws:
    """The Draws of a Fit with a bootstrap, of several such Fits pooled, or of the default law.

    Raises ValueError for a Fit without bootstrap, of a law that reads no capacity off a format, or of runs that leave
    capacities open: of one size, or in which D goes with N.
    """
    fits = (default_fit(),) if law is None else (law,) if isinstance(law, Fit) else tuple(law)
    for of_law in fits:
        if of_law.samples.empty:
            raise ValueError("the law has no bootstrap: fit with n_bootstrap of 100 or more")
        if not of_law.families:
            raise ValueError(f"a plan needs the law 'unified', which has a ρ for any format; this is {of_law.name!r}")
        if of_law.confounded:
            raise ValueError(
                "the runs of the law leave ρ open, as D goes with N: add runs of other lengths, or hold B and beta"
            )
        if np.isnan(of_law.capacity(OPEN)[0]):
            raise ValueError("the runs of the law leave ρ open, as those of one size do: add runs of other sizes")
    samples = pd.concat([of_law.samples.assign(E=of_law.samples[of_law.model.level()]) for of_law in fits])
    values = {name: samples[name].to_numpy() for name in NAMES if name in samples}
    return Draws(**{"gamma": np.zeros(len(samples))} | values, fits=fits)


def default_runs() -> pd.DataFrame:
    """The runs behind the default law: QuEST's way of training, in QuEST's own series and, for longer, in Quartet's.

    Of Quartet those without quantised gradients, dense or by QuEST's rounding, and not the two dense runs that QuEST's
    table prints too.  Without binary weights: at the ρ of them one α and one curve for all formats miss their cost, and
    bend γ, which is then half of what the other formats have.
    """
    quest, quartet = runs.one_estimator(runs.load("quest2025")), runs.load("quartet2025")
    quartet = quartet[(quartet["backward"] == "BF16") & quartet["forward"].isin(["BF16", "QuEST"])]
    both = pd.concat([quest[quest["weights"] != "int1"], quartet], ignore_index=True)
    printed = both[["n_params", "n_tokens", "weights", "activations", "loss"]].round({"loss": 5})
    return both[~printed.duplicated()].reset_index(drop=True)


@cache
def default_fit(n_bootstrap: int = 400) -> Fit:
    """The default law, "unified-tokens" fitted to ``default_runs``.

    Read from data/laws/default as long as that was recorded for these runs, and has so many resamples.
    """
    table, known = default_runs(), tables.read(RECORDED)
    if n_bootstrap < len(known) and recipe(table) in tables.manifest(RECORDED).source:
        return fit(DEFAULT, table, known=known[: 1 + n_bootstrap])
    return fit(DEFAULT, table, n_bootstrap=n_bootstrap)


def recipe(runs: pd.DataFrame) -> str:
    """What the default law is a fit of: the first 16 digits of the sha256 of its name and its runs."""
    used = runs[["series", "n_params", "n_tokens", "weights", "activations", "loss"]]
    return hashlib.sha256(f"{DEFAULT}\n{used.to_csv(index=False, float_format='%.10g')}".encode()).hexdigest()[:16]


@cache
def _printed_sparse() -> tuple[Curve, ...]:
    """Curves of sparsity alone, from each figure of the paper that prints it: bootstraps of each, equally many."""
    rows = tables.read("published/panferov2025_capacities")
    alone = "activation_bits == 16 and activation_sparsity == 0 and weight_bits == 16 and weight_sparsity > 0"
    curves = []
    for _, group in rows.query(alone).groupby("figure"):
        if group.weight_sparsity.nunique() >= 3:
            errors = [gmse(f"s{share:g}").value for share in group.weight_sparsity]
            curves += fit_curve(Curve, errors, group.rho.to_numpy(), n_bootstrap=60).samples[:40]
    return tuple(np.random.default_rng(0).permutation(np.array(curves, dtype=object)))
