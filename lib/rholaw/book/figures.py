"""One style for every figure, and the colour and the mark of each kind of format."""

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from IPython import get_ipython
from IPython.core.pylabtools import print_figure
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from ..formats.grammar import Format
from ..planning.names import grid
from . import figure_data
from .escaped import in_figure
from .plain import plain

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
# Of series that are no kind of format, after Tol's muted ones: none is a colour of a kind.
COLOURS = ("#332288", "#999933", "#AA4499", "#44AA99", "#661100", "#6699CC", "#DDAA66", "#117733")
GREY = "#767676"
SOURCES = {  # of weights, wherever several are compared
    "normal": (GREY, "o"),
    "logistic": ("#56B4E9", "P"),
    "laplace": ("#8c510a", "X"),
    "student-t(5)": ("#882255", "d"),
}
SMALL = 10
"""The size of names and legends, in points: no less than 9 pixels on a phone."""
BESIDE = [
    (side * 7, up) for far in ((0, 10, -10, 20, -20), (32, -32, 44, -44, 56, -56)) for side in (1, -1) for up in far
]
"""Places of a label beside its point, right and up in points, in the order in which they are tried."""
HALO = [withStroke(linewidth=2.5, foreground="white")]
LEADER = {"arrowstyle": "-", "linewidth": 0.6, "color": GREY, "shrinkA": 0, "shrinkB": 2}
ERROR = "GMSE: squared error / variance"
"""The label of an axis on which the error of a format stands."""


def style(japanese: bool = False) -> None:
    """Set the style: legible at phone width, vector graphics with their data, the same file from the same data.

    japanese: whether to write Japanese as well.  Letters are drawn as outlines, so that a page needs no font for them.
    """
    from matplotlib_inline.backend_inline import set_matplotlib_formats  # which shows figures in the kernel that asks

    set_matplotlib_formats("svg")
    if shell := get_ipython():
        shell.display_formatter.formatters["image/svg+xml"].for_type(Figure, _in_one_line)
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
            "legend.fontsize": SMALL,
            "lines.markersize": 6,
            "svg.hashsalt": "rholaw",
        }
    )


def _in_one_line(figure: Figure) -> str | None:
    """The SVG of a figure, None of an empty one; papermill writes notebooks twice a cell, and slowly line by line."""
    svg = print_figure(figure, "svg")
    return svg and svg.replace("\n", " ")


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


def name_points(axes: Axes, formats: Sequence[Format | str], x: Sequence[float], y: Sequence[float]) -> None:
    """Write what each format is called beside its point (x, y), where it covers no label, point, legend or edge.

    A label that finds no room beside its point has a line to it; points that cannot be told apart share a label.
    """
    axes.figure.draw_without_rendering()  # so that places on the page are known
    groups = _groups(axes, formats, x, y)
    inside, point = axes.get_window_extent(), axes.figure.dpi / 72
    places = map(axes.transData.transform, groups)
    taken = [Bbox.from_extents(*(place - 3 * point), *(place + 3 * point)) for place in places]
    taken += [axes.get_legend().get_window_extent()] if axes.get_legend() else []
    for place, names in sorted(groups.items(), key=lambda group: -group[0][1]):
        look = {"va": "center", "fontsize": SMALL, "color": "#444444", "path_effects": HALO}
        label = axes.annotate(" and ".join(names), place, (0, 0), textcoords="offset points", **look)
        drawn = label.get_window_extent().padded(2 * point, 0)
        for right, up in BESIDE:
            box = drawn.translated(right * point - (drawn.width - 4 * point if right < 0 else 0), up * point)
            free = not any(box.overlaps(other) for other in taken)
            if free and inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1:
                break
        label.set(position=(right, up), horizontalalignment="left" if right > 0 else "right")
        if abs(up) > 10:
            axes.annotate("", place, (right, up), textcoords="offset points", arrowprops=LEADER)
        taken.append(box)


def called(format: Format | str) -> str:
    """What a format is called in a figure, whose axes or caption say what is an integer."""
    return in_figure(grid(str(format)).replace(" integers", ""))


def _groups(axes, formats, x, y):
    """{place: names}: points that cannot be told apart share a label."""
    groups = {}
    for format, a, b in zip(formats, x, y, strict=True):
        place = axes.transData.transform((a, b))
        near = (old for old in groups if abs(axes.transData.transform(old) - place).max() < 3)
        groups.setdefault(next(near, (a, b)), []).append(called(format))
    return groups


def plain_log(axis: Axis) -> None:
    """Ticks of an axis, most often a logarithmic one, as plain numbers: 0.00001, 1,000,000, −10."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value, 6)))
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
    "called",
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
