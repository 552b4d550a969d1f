"""One model's losses after rounding, drawn: what was measured, and what the law makes of it."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..fidelity.predicted import LEVEL
from ..fidelity.sensitivity import SensitivityFit
from . import figures
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
    ax.axhline(tolerance, color=GREY, linestyle="--", linewidth=1, label="may cost")
    ax.plot(measured.gmse, measured.rise, "o", color=COLOURS[1], markersize=8, label="measured, used")
    if len(others):
        ax.plot(others.gmse, others.rise, "o", color=COLOURS[1], markerfacecolor="white", label="measured, not used")
    ax.set(xscale="log", yscale="log", xlabel="error of the format on Gaussian weights", ylabel="nats per token")
    plain_log(ax.xaxis)
    plain_log(ax.yaxis)
    figures.name_points(ax, shown["format"], shown.gmse, shown.rise)
    ax.legend(loc="upper left")
    return fig
