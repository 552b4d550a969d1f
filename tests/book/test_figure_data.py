"""The data of a figure as CSV: every point that a reader sees, by the words that stand beside it."""

import csv
import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_output

from rholaw.book import figure_data


@pytest.fixture
def axes():
    axes = Figure().subplots()
    axes.set(xlabel="bits", ylabel="error")
    return axes


def rows(axes, *columns: str) -> list[tuple[str, ...]]:
    table = csv.DictReader(io.StringIO(figure_data.as_csv(axes.figure)))
    return [tuple(row[column] for column in columns) for row in table]


def test_lines_and_points_have_their_series_and_the_axes_their_names(axes):
    axes.plot([1, 2], [0.5, 0.25], label="integers")
    axes.plot([3], [1 / 3], "o")
    assert rows(axes, *figure_data.COLUMNS) == [
        ("1", "bits", "error", "integers", "line", "1", "0.5", ""),
        ("1", "bits", "error", "integers", "line", "2", "0.25", ""),
        ("1", "bits", "error", "", "points", "3", "0.333333", ""),
    ]


def test_a_line_across_the_panel_has_one_number(axes):
    axes.axhline(4, label="bound")
    axes.axvline(2)
    assert rows(axes, "series", "x", "y") == [("bound", "", "4"), ("", "2", "")]


def test_names_on_an_axis_stand_in_place_of_their_places(axes):
    axes.plot([0.1, 0.2], [0, 1], "o")
    axes.set_yticks([0, 1], ["int4", "nf4"])
    axes.set_xticks([0.1, 0.2], ["10%", "20%"])
    assert rows(axes, "x", "y") == [("0.1", "int4"), ("0.2", "nf4")]


def test_categories_are_named(axes):
    axes.plot(["int4", "2:4"], [1, 2], "o")
    assert rows(axes, "x", "y") == [("int4", "1"), ("2:4", "2")]


def test_bars_intervals_areas_and_marks(axes):
    axes.barh([1], [5], label="bar")
    axes.errorbar([7], [2], yerr=[[1], [0.5]], label="run", linestyle="none", marker="o")
    axes.fill_between([0, 1], [0, 0], [1, 2], label="band")
    axes.scatter([8], [9], c=[0.5], label="dot")
    got = rows(axes, "series", "drawn as", "x", "y", "value")
    assert ("bar", "bar", "5", "1", "") in got and ("run", "points", "7", "2", "") in got
    assert [row for row in got if row[1] == "interval"] == [("run", "interval", "7", y, "") for y in ("1", "2.5")]
    assert {("band", "area", "1", "2", ""), ("band", "area", "0", "1", "")} <= set(got)
    assert ("dot", "points", "8", "9", "0.5") in got


def test_cells_have_values_and_a_bar_of_colours_is_no_panel(axes):
    mesh = axes.pcolormesh([0, 2, 4], [0, 2], np.array([[1.0, np.nan]]))
    axes.figure.colorbar(mesh)
    assert rows(axes, "panel", "drawn as", "x", "y", "value") == [
        ("1", "cell", "1", "1", "1"),
        ("1", "cell", "3", "1", ""),
    ]


def test_pixels_behind_the_rest_are_no_data(axes):
    axes.pcolormesh([0, 2, 4], [0, 2], np.array([[1.0, 2.0]]), rasterized=True)
    axes.plot([1], [2], "o", label="run")
    assert rows(axes, "series", "drawn as", "x", "y") == [("run", "points", "1", "2")]


def test_words_at_a_point_are_told_and_words_of_the_panel_are_not(axes):
    axes.annotate("q4,\nq5", (1, 2), textcoords="offset points", xytext=(3, 3))
    axes.text(3, 4, "here")
    axes.text(0.5, 0.5, "title", transform=axes.transAxes)
    assert rows(axes, "series", "x", "y") == [("q4, q5", "1", "2"), ("here", "3", "4")]


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("01_numbers", '<a href="_static/figures/fig-a.csv" download>Data</a>'),
        ("ja/01_summary", '<a href="../_static/figures/fig-a.csv" download>データ</a>'),
    ],
)
def test_a_page_links_to_the_data_below_the_caption(name, link):
    output = new_output("display_data", {figure_data.MIME: "panel\n1\n", "image/svg+xml": "<svg/>"})
    figure = {"figure": {"caption": "Loss.", "name": "fig-a"}}
    drawn, bare = (new_code_cell("1", metadata={"mystnb": m}, outputs=[output]) for m in (figure, {}))
    assert figure_data.taken({"cells": [drawn, bare]}, name) == {"figures/fig-a.csv": "panel\n1\n"}
    assert drawn["metadata"]["mystnb"]["figure"]["caption"] == f"Loss. {link}"
    assert all(figure_data.MIME not in cell["outputs"][0]["data"] for cell in (drawn, bare))
