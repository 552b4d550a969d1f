"""Real checkpoints, drawn: how Gaussian their matrices are, and what rounding cost against what laws predict."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from ..checkpoints.recorded import MEASURES
from ..formats.grammar import parse
from . import figures
from .figures import COLOURS, GREY, plain_log, plt

LOOKS = {0: ("o", COLOURS[0], "as stored"), 64: ("x", COLOURS[1], "rotated")}  # by rotation


def kurtoses(surveys: pd.DataFrame) -> Figure:
    """Excess kurtosis of the matrices of each checkpoint, in order: solid as stored, dashed rotated."""
    fig, ax = plt.subplots()
    groups = surveys.drop_duplicates(["checkpoint", "name"]).groupby("checkpoint", sort=False)
    for (name, part), colour in zip(groups, COLOURS, strict=False):
        share = np.linspace(0, 1, len(part))
        ax.plot(share, np.sort(part.excess_kurtosis), color=colour, label=name)
        ax.plot(share, np.sort(part.rotated_kurtosis), "--", color=colour)
    ax.set(yscale="symlog", xlabel="share of the matrices", ylabel="excess kurtosis", xlim=(0, 1))
    ax.legend()
    return fig


def ratios(surveys: pd.DataFrame) -> Figure:
    """Error of each matrix over that of Gaussian weights, by format: above as stored, below rotated."""
    order = list(dict.fromkeys(surveys.format))
    fig, axes = plt.subplots(2, sharex=True, figsize=(5.6, 5.6))
    for ax, column in zip(axes, ("error", "rotated_error"), strict=True):
        groups = surveys.groupby("checkpoint", sort=False)
        for shift, (name, part), colour in zip((-0.2, 0, 0.2), groups, COLOURS[:3], strict=True):
            look = {"color": colour, "markersize": 3, "alpha": 0.4, "label": name}
            ax.plot(part[column] / part.gmse, part.format.map(order.index) + shift, "o", **look)
        ax.axvline(1, color=GREY, linewidth=1)
        ax.set(xscale="log", yticks=range(len(order)), yticklabels=order)
        ax.invert_yaxis()
    axes[0].set(ylabel="as stored")
    axes[1].set(ylabel="rotated", xlabel="error / Gaussian error", xticks=[0.5, 1, 2, 5, 10, 20])
    plain_log(axes[1].xaxis)
    axes[0].legend(markerscale=2)
    return fig


def against_the_law(rounded: pd.DataFrame) -> Figure:
    """The rise of the loss against what training in the format would cost: filled as stored, hollow rotated."""
    fig, ax = plt.subplots(figsize=(5.6, 5))
    drawn = set()
    for (name, rotation), row in rounded[rounded.rise > 0].iterrows():
        look, kind = figures.marks(parse(name)), figures.kind(parse(name))
        face = "white" if rotation else look["color"]
        label = None if kind in drawn or rotation else kind
        look |= {"markerfacecolor": face, "linestyle": "none", "linewidth": 0.8, "label": label}
        ax.errorbar(row.law, row.rise, [[min(2 * row.stderr, 0.9 * row.rise)], [2 * row.stderr]], **look)
        drawn |= {kind} if label else set()
    _diagonal(ax, 8e-4, 0.4)
    ax.set(xlabel="predicted for training, nats per token", ylabel="measured, nats per token")
    plain_log(ax.xaxis)
    costs = rounded.xs(0, level="rotation").query("rise > 0")
    figures.name_points(ax, costs.index, costs.law, costs.rise)
    ax.legend(loc="lower right")
    return fig


def table(rounded: pd.DataFrame) -> Styler:
    """A row per format: rises as stored and rotated, and what the law for training says."""
    plain, rotated = (rounded.xs(turn, level="rotation") for turn in LOOKS)
    rows = pd.DataFrame({"bits": [parse(name).bits for name in plain.index]}, index=plain.index)
    for (*_, label), part in zip(LOOKS.values(), (plain, rotated), strict=True):
        rows[f"rise {label}"] = part.rise.map("{:.3f} ± ".format) + part.stderr.map("{:.3f}".format)
    ends = plain[["law", "law_low", "law_high"]].itertuples(index=False)
    rows["law for training"] = ["{:.3f} [{:.3f}, {:.3f}]".format(*row) for row in ends]
    rows["times"], rows["times, rotated"] = plain.times, rotated.times
    rows["ρ of the law"], rows["ρ that would explain it"] = plain.rho, plain.rho_needed
    digits = {"bits": "{:.3g}", "times": "{:.1f}", "times, rotated": "{:.1f}"}
    return rows.style.format(digits, precision=3, na_rep="–").set_table_styles(figures.WIDE)


def noise(every: pd.DataFrame, groups: pd.DataFrame) -> Figure:
    """α of Gaussian noise in all matrices, by its error, and the sum over groups."""
    fig, ax = plt.subplots()
    total, stderr = groups.alpha.sum(), np.sqrt((groups.stderr**2).sum())
    ax.errorbar(every.error, every.alpha, 2 * every.stderr, fmt="o-", capsize=3, label="all matrices at once")
    ax.errorbar(groups.error.iloc[0], total, 2 * stderr, fmt="D", capsize=3, label="sum over groups")
    ax.set(xscale="log", xlabel="relative squared error of the noise", ylabel="α, nats per unit of error")
    ax.set_ylim(0, None)
    ax.legend()
    return fig


def against_the_sum(rounded: pd.DataFrame, sums: pd.DataFrame) -> Figure:
    """The rise of the loss against Σ α t²: above t² of the weights, below of the outputs."""
    fig, axes = plt.subplots(2, sharex=True, figsize=(5.6, 7.2))
    for ax, measure in zip(axes, ("error", "output_error"), strict=True):
        for rotation, (marker, colour, label) in LOOKS.items():
            part = rounded.xs(rotation, level="rotation").query("rise > 0")
            x = sums["rise", measure].xs(rotation, level="rotation")[part.index]
            bar = [np.minimum(2 * part.stderr, 0.9 * part.rise), 2 * part.stderr]
            ax.errorbar(x, part.rise, bar, fmt=marker, color=colour, linewidth=0.8, label=label)
        _diagonal(ax, 1e-3, 20)
        ax.set(xlabel=f"Σ α t², t² of the {MEASURES[measure]}", ylabel="measured, nats per token")
    axes[1].set_xlabel(f"{axes[1].get_xlabel()}, nats per token")
    plain_log(axes[1].xaxis)
    axes[0].legend()
    return fig


def groups_alone(alone: pd.DataFrame, least: float = 0.05) -> Figure:
    """α of groups that were rounded alone against that of noise; what lies below ``least`` is drawn there."""
    fig, ax = plt.subplots()
    looks = ((COLOURS[3], "^"), (COLOURS[0], "o"))
    for (name, part), (colour, marker) in zip(alone.groupby("format"), looks, strict=True):
        bar, shown = 2 * part.stderr / part.error, part.alpha.clip(lower=least)
        bars = [np.minimum(bar, 0.9 * shown), bar]
        ax.errorbar(part.by_noise, shown, bars, fmt=marker, color=colour, linewidth=0.8, label=name)
    _diagonal(ax, alone.by_noise.min(), alone.by_noise.max())
    ax.set(xlabel="α by noise, nats per unit of error", ylabel="α by a format", ylim=(0.8 * least, 60))
    ax.set_xticks([0.3, 1, 3])
    plain_log(ax.xaxis)
    ax.legend()
    return fig


def _diagonal(ax: Axes, low: float, high: float) -> None:
    """Both axes logarithmic, and the line on which they agree."""
    ax.plot([low, high], [low, high], color="black", linewidth=1)
    ax.set(xscale="log", yscale="log")
    plain_log(ax.yaxis)
