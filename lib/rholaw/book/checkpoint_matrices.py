"""The matrices of a checkpoint that formats compress: how Gaussian they are, which resist, and a picture of them."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..checkpoints.roles import KEPT
from .figures import COLOURS, GREY, called, log_where_wide, plt

DISTURBED = 1.2  # the ratio of real to Gaussian error from which on a matrix resists a format


def compressed(survey: pd.DataFrame) -> pd.DataFrame:
    """The rows of a ``survey`` that ``totals`` counts as compressed, with rotated_ratio."""
    inside = survey[survey.error.notna() & ~survey.role.isin(KEPT)]
    return inside.assign(rotated_ratio=inside.rotated_error / inside.gmse)


def kurtoses(survey: pd.DataFrame) -> pd.DataFrame:
    """Least, median and largest excess kurtosis of the compressed matrices, plain and rotated: a DataFrame."""
    columns = ["excess_kurtosis", "row_kurtosis", "rotated_kurtosis", "rotated_row_kurtosis"]
    return compressed(survey).drop_duplicates("name")[columns].agg(["min", "median", "max"])


def resisting(survey: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """The matrices whose error is the most times that of Gaussian weights, DISTURBED at least; a DataFrame."""
    inside = compressed(survey).sort_values("ratio", ascending=False)
    columns = ["name", "format", "excess_kurtosis", "peak", "ratio", "rotated_ratio"]
    return inside[inside.ratio >= DISTURBED].head(count)[columns]


def draw(survey: pd.DataFrame) -> Figure:
    """A Figure: the kurtosis of each matrix and, by format, its error over the Gaussian one; plain and rotated."""
    inside = compressed(survey)
    if inside.empty:
        plt.figure(figsize=(5.6, 1)).text(0.5, 0.5, "no matrix of it was measured", ha="center", color=GREY)
        return plt.gcf()
    matrices, formats = inside.drop_duplicates("name"), list(dict.fromkeys(inside.format))
    height = 1.2 + 0.35 * len(formats)
    figure, (upper, lower) = plt.subplots(2, figsize=(5.6, 3 + height), height_ratios=(3, height))
    looks = {"as stored": {"marker": "o", "color": COLOURS[0]}, "rotated": {"marker": "x", "color": COLOURS[1]}}
    for (label, look), kurtosis, ratio, shift in zip(
        looks.items(), ("excess_kurtosis", "rotated_kurtosis"), ("ratio", "rotated_ratio"), (-0.15, 0.15), strict=True
    ):
        upper.plot(np.sort(matrices[kurtosis].dropna()), linestyle="none", markersize=4, label=label, **look)
        places = np.array([formats.index(name) for name in inside.format]) + shift
        lower.plot(inside[ratio], places, linestyle="none", markersize=4, **look)
    heavy = matrices[["excess_kurtosis", "rotated_kurtosis"]].abs().max(axis=None) > 10
    upper.set(yscale="symlog" if heavy else "linear", xlabel="matrices, in order", ylabel="excess kurtosis")
    upper.legend()
    lower.axvline(1, color=GREY, linewidth=1)
    lower.set(xlabel="error / Gaussian error", yticks=range(len(formats)), yticklabels=[*map(called, formats)])
    log_where_wide(lower, inside[["ratio", "rotated_ratio"]])
    return figure
