"""The law of training and the law after training, drawn: what both predict, and what pairs of runs measured."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from ..error.measure import gmse
from ..fidelity.kept import break_even, over_models, trained, underestimates
from ..formats.grammar import parse
from ..laws.draws import Draws
from ..laws.intervals import percentiles
from ..laws.law import rise_in_training
from . import figures
from .figures import COLOURS, GREY, plain_log, plt
from .plain import plain

NAMED = ("q8_0", "q6_k", "q4_k", "nvfp4", "q3_k", "q2_k")


def predicted(n_params: float, kappa: np.ndarray, law: Draws) -> Figure:
    """What a format costs a model by its GMSE, rounded and trained in it, with 95 % bands, and where both are equal."""
    errors = np.geomspace(2e-5, 0.2, 80)
    fig, ax = plt.subplots()
    costs = {"rounded after training": np.outer(kappa, errors), "trained in the format": trained(n_params, law, errors)}
    for (label, draws), colour in zip(costs.items(), (COLOURS[1], COLOURS[0]), strict=True):
        ax.plot(errors, np.median(draws, axis=0), color=colour, label=label)
        ax.fill_between(errors, *percentiles(draws), color=colour, alpha=0.2, linewidth=0)
    crossing = np.nanmedian(break_even(n_params, kappa, law))
    ax.axvline(crossing, color=GREY, linestyle="--", linewidth=1)
    named = np.array([gmse(name).value for name in NAMED])
    ax.plot(named, np.median(kappa) * named, "o", color=COLOURS[1], markersize=4)
    ax.set(xscale="log", yscale="log", xlabel="GMSE of the format", ylabel="rise of the loss, nats per token")
    plain_log(ax.yaxis)
    ax.legend(loc="lower right")
    for name, error in zip(NAMED, named, strict=True):  # on the side of the line where the other does not run
        place, side = ((-6, 6), "right") if error > crossing else ((7, -9), "left")
        look = {"ha": side, "fontsize": figures.SMALL, "path_effects": figures.HALO, "textcoords": "offset points"}
        ax.annotate(figures.called(name), (error, np.median(kappa) * error), place, **look)
    return fig


def measured(pairs: pd.DataFrame) -> Figure:
    """Rise after rounding over rise in training, of pairs at one N and D; filled where the two surely differ."""
    fig, ax = plt.subplots(figsize=(5.6, 4.4))
    drawn = set()
    for (*_, name), row in pairs[pairs.trained > 0].iterrows():
        look, kind = figures.marks(parse(name)), figures.kind(parse(name))
        face = look["color"] if row.low > 0 or row.high < 0 else "white"
        label = None if kind in drawn else kind
        ax.plot(row.gmse, row.after / row.trained, linestyle="none", markerfacecolor=face, label=label, **look)
        drawn.add(kind)
    ax.axhline(1, color=GREY, linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="GMSE of the format", ylabel="rounded / trained in the format")
    plain_log(ax.xaxis)
    plain_log(ax.yaxis)
    ax.set_xlim(right=4)
    ratio = (pairs.after / pairs.trained)[pairs.trained > 0]
    highest = ratio.loc[ratio.groupby("format").idxmax()]
    ax.legend(loc="lower right")
    figures.name_points(ax, highest.index.get_level_values("format"), pairs.gmse[highest.index], highest)
    return fig


def by_error(rows: pd.DataFrame, law: Draws, edges: Sequence[float]) -> pd.DataFrame:
    """By how much the law of training underestimates rows of ``fidelity.evidence.usable``, between ``edges`` of GMSE.

    A row per pair of edges: their geometric mean; rows, models; the median over models and its 95 % interval; and the
    tenth and the ninetieth percentile.
    """
    table = []
    for low, high in pairwise(edges):
        part = rows[(rows["gmse"] >= low) & (rows["gmse"] < high)]
        factors = underestimates(part, law)
        middle = dict(zip(("median", "low", "high"), over_models(factors), strict=True))
        ends = {"p10": over_models(factors, 0.1)[0], "p90": over_models(factors, 0.9)[0]}
        table.append({"gmse": np.sqrt(low * high), "rows": len(part), "models": factors.shape[1], **middle, **ends})
    return pd.DataFrame(table, index=[f"{low:g} to {high:g}" for low, high in pairwise(edges)])


def against_measurements(rows: pd.DataFrame, law: Draws, table: pd.DataFrame) -> Figure:
    """Measured rise over that of the law of training: a dot a measurement, and the medians of ``by_error``."""
    fig, ax = plt.subplots(figsize=(5.6, 4.2))
    capacity = {name: law.capacity(name)[0] for name in rows["format"].unique()}
    inside = [np.median(rise_in_training(law, row.n_params, capacity[row.format])) for row in rows.itertuples()]
    ax.plot(rows["gmse"], rows["rise"] / inside, ".", color=COLOURS[0], alpha=0.25, markersize=5)
    for row in table.itertuples():
        figures.interval(ax, row.gmse, row.median, row.low, row.high, color="black", marker="o")
    ax.axhline(1, color=GREY, linewidth=1)
    ax.set(xscale="log", yscale="log", ylim=(0.1, 200), xlabel="GMSE of the format")
    ax.set_ylabel("rise after rounding / law of training")
    plain_log(ax.yaxis)
    return fig


def table(predictions: pd.DataFrame) -> Styler:
    """The rows of ``fidelity.kept.two_laws``, medians with their intervals."""
    rows = predictions[["gmse"]].rename(columns={"gmse": "GMSE"})
    columns = {
        "after": "rounded, nats",
        "trained": "trained in it, nats",
        "times": "times",
        "rho": "ρ",
        "kept": "kept ρ",
    }
    for name, label in columns.items():
        ends = predictions[[name, f"{name}_low", f"{name}_high"]].itertuples(index=False)
        rows[label] = ["{} [{}, {}]".format(*map(plain, row)) for row in ends]
    return rows.style.format(plain, subset="GMSE")


def over_sizes(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs of ``fidelity.kept.paired``, means over sizes by tokens and format: after, trained, difference, stderr."""
    groups = pairs.groupby(["n_tokens", "format"])
    table = groups[["gmse", "after", "trained", "difference"]].mean()
    return table.assign(stderr=groups["stderr"].agg(np.linalg.norm) / groups.size())
