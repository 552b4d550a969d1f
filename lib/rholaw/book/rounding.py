"""Real checkpoints, drawn: how Gaussian their matrices are, and what rounding cost one beside the law."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .figures import COLOURS, GREY, called, plain_log, plt

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
        ax.set(xscale="log", yticks=range(len(order)), yticklabels=[*map(called, order)])
        ax.invert_yaxis()
    axes[0].set(ylabel="as stored")
    axes[1].set(ylabel="rotated", xlabel="error / Gaussian error", xticks=[0.5, 1, 2, 5, 10, 20])
    plain_log(axes[1].xaxis)
    axes[0].legend(markerscale=2)
    return fig


def against_the_law(rounded: pd.DataFrame) -> Figure:
    """The rise over κ · GMSE of each format, where the loss rose: weights as stored, and rotated."""
    rose = rounded[rounded.rise > 0]
    order = rose.times.xs(0, level="rotation").sort_values().index
    order = [*(name for name in rose.index.unique("format") if name not in order), *order]
    fig, ax = plt.subplots(figsize=(5.6, 5))
    for rotation, (marker, colour, label) in LOOKS.items():
        part = rose.xs(rotation, level="rotation")
        bar = 2 * part.times * part.stderr / part.rise
        bars = [np.minimum(bar, 0.9 * part.times), bar]
        places = [order.index(name) for name in part.index]
        ax.errorbar(part.times, places, xerr=bars, fmt=marker, color=colour, linewidth=0.8, label=label)
    ax.axvline(1, color=GREY, linewidth=1)
    ax.set(
        xscale="log", xlabel="measured rise / (κ · GMSE)", yticks=range(len(order)), yticklabels=[*map(called, order)]
    )
    plain_log(ax.xaxis)
    ax.legend(loc="lower right")
    return fig
