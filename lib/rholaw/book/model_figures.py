"""Losses of models after rounding, drawn: what was measured of one and what the law makes of it, and forecasts."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from ..fidelity.predicted import LEVEL
from ..fidelity.sensitivity import SensitivityFit
from . import figures
from .escaped import in_figure
from .figures import COLOURS, GREY, plain_log, plt


def predicted(fit: SensitivityFit, measured: pd.DataFrame, others: pd.DataFrame, tolerance: float) -> Figure:
    """Rise against GMSE: the law through the ``measured`` rows, its 80 % interval, and ``others`` that it did not see.

    measured, others: format, gmse and rise in nats per token; ``others`` may have no rows.  tolerance: nats per token.
    """
    fig, ax = plt.subplots(figsize=(5.6, 4.4))
    shown = pd.concat([measured, others])
    errors = np.geomspace(min(2e-4, shown.gmse.min()) / 1.5, max(0.1, shown.gmse.max()) * 1.5, 60)
    low, high = fit.predict_interval(errors, LEVEL)
    ax.fill_between(errors, low, high, color=COLOURS[0], alpha=0.15, linewidth=0, label="80 % of measurements")
    ax.plot(errors, fit.predict(errors), color=COLOURS[0], label="floor + κ · GMSE")
    ax.axhline(tolerance, color=GREY, linestyle="--", linewidth=1, label="tolerance")
    ax.plot(measured.gmse, measured.rise, "o", color=COLOURS[1], markersize=8, label="measured, used")
    if len(others):
        ax.plot(others.gmse, others.rise, "o", color=COLOURS[1], markerfacecolor="white", label="measured, not used")
    ax.set(xscale="log", yscale="log", xlabel="error of the format on Gaussian weights", ylabel="nats per token")
    plain_log(ax.xaxis)
    plain_log(ax.yaxis)
    ax.legend(loc="lower right")
    figures.name_points(ax, shown["format"], shown.gmse, shown.rise)
    return fig


def forecasts(table: pd.DataFrame, scored: pd.DataFrame) -> Figure:
    """Forecasts of one format, a line a model: 80 and 95 %, and as a cross what was measured since.

    table: of `fidelity.forecasts.load`; scored: of `score`, of the same format.
    """
    rows = table.sort_values("rise")
    places = {model: place for place, model in enumerate(rows.model)}
    fig, ax = plt.subplots(figsize=(5.6, 1.0 + 0.24 * len(rows)))
    ax.hlines(places.values(), rows.low95, rows.high95, color=COLOURS[0], linewidth=1, label="95 %")
    ax.hlines(places.values(), rows.low80, rows.high80, color=COLOURS[0], linewidth=4, alpha=0.5, label="80 %")
    ax.plot(rows.rise, places.values(), "o", color=COLOURS[0], markersize=4)
    if len(scored):
        ax.plot(scored.measured, scored.model.map(places), "x", color=COLOURS[1], markersize=8, label="measured since")
    ax.set(
        xscale="log",
        xlabel="nats per token",
        yticks=list(places.values()),
        yticklabels=[in_figure(model) for model in places],
    )
    ax.tick_params(axis="y", labelsize=figures.SMALL)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    plain_log(ax.xaxis)
    ax.legend(loc="lower right")
    return fig
