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
print(len(drawn), "in pixels")
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


def test_a_scatter_has_a_point_a_format_and_an_entry_a_kind(axes):
    formats = rl.parse_list("int4, int3, 2:4")
    figures.scatter(axes, formats, [1, 5, 9], [2, 5, 8])
    assert [line.get_xydata()[0].tolist() for line in axes.lines] == [[1, 2], [5, 5], [9, 8]]
    assert [line.get_marker() for line in axes.lines] == ["o", "o", "^"]
    assert axes.get_legend_handles_labels()[1] == ["integer", "sparse"]
    assert [text.get_text() for text in axes.texts] == ["int4", "int3", "2:4"]


def test_names_too_close_to_be_told_apart_share_a_label(axes):
    figures.name_points(axes, rl.parse_list("int4, int3, 2:4"), [5, 5.1, 9], [5, 5.1, 9])
    assert [(text.get_text(), text.xy) for text in axes.texts] == [("int4, int3", (5, 5)), ("2:4", (9, 9))]


def test_logarithms_are_plain_numbers(axes):
    axes.set(xscale="log", xlim=(1, 2000))
    figures.plain_log(axes.xaxis)
    assert axes.xaxis.get_major_formatter()(1000) == "1000" and axes.xaxis.get_minor_formatter()(300) == ""


def test_an_interval_reaches_from_low_to_high(axes):
    figures.interval(axes, 2, 5, 4, 8)
    (bar,) = [bars.get_segments()[0].tolist() for bars in axes.collections]
    assert bar == [[2, 4], [2, 8]]


def test_a_figure_that_is_shown_in_vectors_is_not_drawn_in_pixels_before():
    inline = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    done = subprocess.run([sys.executable, "-c", CELL], env=inline, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 in pixels"
    assert "Figure" in done.stdout
