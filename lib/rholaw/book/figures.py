"""One style for every figure, and the colour and the mark of each kind of format."""

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..formats.grammar import Format
from . import figure_data
from .escaped import in_figure

FONTS = ["DejaVu Sans", "IPAexGothic"]  # the second, which matplotlib-fontja brings, for what the first lacks
# Okabe and Ito's colours, which colour-blind readers tell apart; the mark says the same once more.
KINDS = {
    "dense": ("#000000", "*"),
    "integer": ("#0072B2", "o"),
    "float": ("#D55E00", "s"),
    "codebook": ("#009E73", "D"),
    "sparse": ("#CC79A7", "^"),
    "sparse + quantised": ("#E69F00", "v"),
}
COLOURS = (*(colour for colour, _ in KINDS.values()), "#56B4E9", "#8c510a")[1:]  # of series that are no kind of format
GREY = "#767676"
SOURCES = {  # of weights, wherever several are compared
    "normal": (GREY, "o"),
    "logistic": ("#56B4E9", "P"),
    "laplace": ("#8c510a", "X"),
    "student-t(5)": ("#882255", "d"),
}
ERROR = "GMSE: squared error / variance"
"""The label of an axis on which the error of a format stands."""


def style(japanese: bool = False) -> None:
    """Set the style: legible at phone width, vector graphics with their data, the same file from the same data.

    japanese: whether to write Japanese as well.  Letters are drawn as outlines, so that a page needs no font for them.
    """
    from matplotlib_inline.backend_inline import set_matplotlib_formats  # which shows figures in the kernel that asks

    set_matplotlib_formats("svg")
    plt.switch_backend(plt.get_backend())  # now rather than at the first figure: it installs a hook
    plt.uninstall_repl_displayhook()  # that draws every figure once more than it is shown
    figure_data.show_beside()
    if japanese:
        with mpl.rc_context():  # the import makes its font that of everything
            import matplotlib_fontja  # noqa: F401
    mpl.rcParams.update(
        {
            "font.family": FONTS if japanese else FONTS[:1],
            "figure.figsize": (5.6, 3.8),
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#e6e6e6",
            "axes.axisbelow": True,
            "axes.prop_cycle": mpl.cycler(color=COLOURS),
            "legend.frameon": False,
            "legend.fontsize": 10,
            "lines.markersize": 6,
            "svg.hashsalt": "rholaw",
        }
    )


def shades(count: int) -> list[str]:
    """Colours of as many steps of one quantity, as bits are, from light to dark."""
    return [mpl.colors.to_hex(plt.get_cmap("viridis")(1 - (i + 1) / count)) for i in range(count)]


def kind(format: Format) -> str:
    """Which of KINDS a Format is drawn as."""
    if format.element is None:
        return "dense" if format.sparsity is None else "sparse"
    if format.sparsity is not None:
        return "sparse + quantised"
    return format.element.kind if format.element.kind in ("integer", "float") else "codebook"


def marks(format: Format) -> dict[str, str]:
    """Colour and marker of a Format, as keywords for ``plot``."""
    colour, marker = KINDS[kind(format)]
    return {"color": colour, "marker": marker}


def scatter(axes: Axes, formats: Sequence[Format], x: Sequence[float], y: Sequence[float], label: bool = True) -> None:
    """Draw each format at its (x, y) as the mark of its kind, with one legend entry a kind.

    label: whether to write the names beside the points; the limits of the axes should stand by then.
    """
    drawn = set()
    for format, a, b in zip(formats, x, y, strict=True):
        name = kind(format)
        axes.plot(a, b, linestyle="none", label=None if name in drawn else name, **marks(format))
        drawn.add(name)
    if label:
        name_points(axes, formats, x, y)


def name_points(axes: Axes, formats: Sequence[Format], x: Sequence[float], y: Sequence[float]) -> None:
    """Write each format's name beside its point (x, y); points too close to be told apart share a label."""
    for (a, b), names in _groups(axes, formats, x, y).items():
        text = ", ".join(names) if len(names) < 4 else ",\n".join([", ".join(names[:3]), ", ".join(names[3:])])
        axes.annotate(text, (a, b), textcoords="offset points", xytext=(6, -3), fontsize=8, va="top", color="#444444")


def _groups(axes, formats, x, y):
    """{place: names}: points too close to be named apart share a label."""
    axes.figure.canvas.draw()  # so that places on the page are known
    groups = {}
    for format, a, b in zip(formats, x, y, strict=True):
        place = axes.transData.transform((a, b))
        near = (old for old in groups if abs(axes.transData.transform(old) - place).max() < 14)
        groups.setdefault(next(near, (a, b)), []).append(in_figure(format))
    return groups


def plain_log(axis: Axis) -> None:
    """Ticks of a logarithmic axis as plain numbers."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def log_where_wide(axes: Axes, values: pd.DataFrame) -> None:
    """A logarithmic x axis with ticks at 1, 2 and 5, unless all values lie within a factor of two: few ticks would."""
    if values.max(axis=None) > 2 * values.min(axis=None):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        plain_log(axes.xaxis)


def interval(axes: Axes, x: float, value: float, low: float, high: float, **keywords: object) -> None:
    """Draw a point at (x, value) with its interval from ``low`` to ``high``; keywords as for ``errorbar``."""
    axes.errorbar(x, value, yerr=[[value - low], [high - value]], capsize=3, linestyle="none", **keywords)


__all__ = [
    "COLOURS",
    "GREY",
    "KINDS",
    "SOURCES",
    "interval",
    "kind",
    "marks",
    "name_points",
    "plain_log",
    "plt",
    "scatter",
    "shades",
    "style",
]
