"""Figures of one style: a format has the colour and mark of its kind, and names that would overlap stand together."""

import os
import subprocess
import sys

import matplotlib as mpl
import pytest

import rholaw as rl
from rholaw.book import figures
from rholaw.book.figures import plt

KINDS = {
    "int4": "integer",
    "sint4/g128": "integer",
    "nvfp4": "float",
    "e4m3fn": "float",
    "nf4": "codebook",
    "q4_k": "codebook",
    "trellis2": "codebook",
    "2:4": "sparse",
    "s0.5": "sparse",
    "2:4+int4": "sparse + quantised",
}

CELL = """
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rholaw.book import figures

drawn = []
FigureCanvasAgg.draw = lambda canvas: drawn.append(canvas)
InteractiveShell.instance()
figures.style()
result = InteractiveShell.instance().run_cell("from matplotlib import pyplot; _ = pyplot.subplots()")
assert result.success
from matplotlib import pyplot
shown, _ = InteractiveShell.instance().display_formatter.format(pyplot.subplots()[0])
print(sorted(shown), len(shown["image/svg+xml"].splitlines()), "line,", len(drawn), "in pixels")
"""


@pytest.fixture
def axes():
    with mpl.rc_context():
        fig, axes = plt.subplots(figsize=(5, 5))
        axes.set(xlim=(0, 10), ylim=(0, 10))
        yield axes
        plt.close(fig)


@pytest.mark.parametrize("text", KINDS)
def test_a_format_is_drawn_as_its_kind(text):
    format = rl.parse(text)
    assert figures.kind(format) == KINDS[text]
    assert figures.marks(format) == dict(zip(("color", "marker"), figures.KINDS[KINDS[text]], strict=True))


def test_no_two_kinds_look_alike():
    colours, marks = zip(*figures.KINDS.values(), strict=True)
    assert len(set(colours)) == len(set(marks)) == len(figures.KINDS)
    assert len(set(figures.COLOURS)) == len(figures.COLOURS)


def test_no_series_has_the_colour_of_a_kind_or_a_source():
    taken = {colour for colour, _ in [*figures.KINDS.values(), *figures.SOURCES.values()]}
    assert not taken & set(figures.COLOURS)


def test_a_scatter_has_a_point_a_format_and_an_entry_a_kind(axes):
    formats = rl.parse_list("int4, int3, 2:4")
    figures.scatter(axes, formats, [1, 5, 9], [2, 5, 8])
    assert [line.get_xydata()[0].tolist() for line in axes.lines] == [[1, 2], [5, 5], [9, 8]]
    assert [line.get_marker() for line in axes.lines] == ["o", "o", "^"]
    assert axes.get_legend_handles_labels()[1] == ["integer", "sparse"]
    assert [text.get_text() for text in axes.texts] == ["2:4-sparse", "3-bit", "4-bit"]


def test_names_that_cannot_be_told_apart_share_a_label(axes):
    figures.name_points(axes, rl.parse_list("int4, int3, 2:4"), [5, 5.01, 9], [5, 5.01, 9])
    assert [(text.get_text(), text.xy) for text in axes.texts] == [("2:4-sparse", (9, 9)), ("4-bit and 3-bit", (5, 5))]


def test_names_cover_no_name_no_point_and_no_edge(axes):
    places = [0.2, 1, 1.3, 1.6, 5, 5.2, 5.4, 9.9]
    figures.name_points(
        axes, ["nvfp4", "mxfp4", "q4_0", "q5_0", "q8_0", "q6_k", "fp8_row", "int4/g128"], places, places
    )
    named = [text.get_window_extent() for text in axes.texts if text.get_text()]
    frame, points = axes.get_window_extent(), axes.transData.transform([(at, at) for at in places])
    assert len(named) == 8 and len(axes.texts) > 8  # some stand off, with a line to their point
    assert not any(one.overlaps(other) for one in named for other in named if one is not other)
    assert not any(box.contains(*point) for box in named for point in points)
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in named)


def test_names_leave_the_legend_alone(axes):
    axes.plot([], [], label="what stands in the corner")
    legend = axes.legend(loc="lower right")
    figures.name_points(axes, ["nvfp4", "mxfp4"], [5, 6], [0.4, 0.4])
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == 2 and not any(box.overlaps(legend.get_window_extent()) for box in boxes)


def test_logarithms_are_plain_numbers(axes):
    axes.set(xscale="log", xlim=(1, 2000))
    figures.plain_log(axes.xaxis)
    shown = axes.xaxis.get_major_formatter()
    assert [shown(value) for value in (1e6, 1000, 0.5, 1e-5, -10)] == ["1,000,000", "1,000", "0.5", "0.00001", "−10"]
    assert axes.xaxis.get_minor_formatter()(300) == ""


def test_an_interval_reaches_from_low_to_high(axes):
    figures.interval(axes, 2, 5, 4, 8)
    (bar,) = [bars.get_segments()[0].tolist() for bars in axes.collections]
    assert bar == [[2, 4], [2, 8]]


@pytest.mark.slow
def test_a_figure_is_shown_as_one_line_of_vectors_with_its_data_and_not_drawn_in_pixels_before():
    inline = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    done = subprocess.run([sys.executable, "-c", CELL], env=inline, capture_output=True, text=True, check=True)
    kinds = ["image/svg+xml", "text/csv", "text/plain"]
    assert done.stdout.splitlines()[-1] == f"{kinds} 1 line, 0 in pixels"
    assert "Figure" in done.stdout
