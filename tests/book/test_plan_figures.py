"""The figures of a plan show its numbers, in the words they are given."""

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.book import figures, plan_figures
from rholaw.book.figures import plt
from rholaw.planning import words

WORDS = {"rho": "容量", "prefill": "P", "decode": "D", "gains": "有利", "none": "なし", "batch": "B", "bits": "ビット"}
WORDS |= {"requests": "R", "npv": "V（千円）", "low": "低", "high": "高", "saves": "節約"}
WORDS |= {"rate": "R/s", "cost": "費用", "paid": "台", "uncompressed": "16", "compressed": "圧縮"}
WORDS |= {name: name.upper() for name in figures.KINDS}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def rows(option, rho, speeds, source="measured"):
    """A plan's rows of one option at batches 1, 8, …"""
    found = []
    for i, value in enumerate(speeds):
        row = {"option": option, "batch": 8**i, "rho": rho, "rho_p10": rho - 0.1, "rho_p90": rho + 0.05}
        for phase in plan_figures.PHASES:
            name = f"speedup_{phase}"
            row |= {
                name: value,
                f"{name}_p10": value - 0.2,
                f"{name}_p90": value + 0.3,
                f"speed_source_{phase}": source,
            }
        found.append(row)
    return found


TABLE = pd.DataFrame(rows("a", 0.8, [1.5, 1.1]) + rows("b", 0.5, [2, 3], "nominal (upper bound)"))
IDLE = pd.DataFrame(rows("c", 0.4, [1, 1], "no kernel"))


def texts(fig):
    return {text.get_text() for axes in fig.axes for text in [*axes.texts, axes.xaxis.label, axes.yaxis.label]} | {
        text.get_text() for legend in fig.legends for text in legend.get_texts()
    }


def points(axes, colour):
    """{(x, y)} of the marks in a colour, and how they are filled."""
    lines = [line for line in axes.lines if line.get_color() == colour and len(line.get_xdata()) == 1]
    return {(x, y): line.get_markerfacecolor() for line in lines for x, y in line.get_xydata()}


def test_break_even_draws_the_line_and_every_option():
    fig = plan_figures.break_even(pd.concat([TABLE, IDLE]), WORDS)
    prefill, decode = fig.axes
    for axes in (prefill, decode):
        x, y = axes.lines[0].get_data()
        assert np.allclose(x * y, 1)
    first, second = plan_figures.COLOURS[:2]
    assert points(prefill, first) == {(0.8, 1.1): first}
    assert points(decode, first) == {(0.8, 1.5): first, (0.8, 1.1): first}
    assert points(decode, second) == {(0.5, 2): "white", (0.5, 3): "white"}
    cross = next(line for line in decode.lines if line.get_marker() == "x")
    assert cross.get_xydata().tolist() == [[0.4, 1]]
    assert {"容量", "P", "D", "有利", "なし", "a", "b"} <= texts(fig) and "c" not in texts(fig)


def test_break_even_without_idle_formats_has_no_cross():
    fig = plan_figures.break_even(TABLE, WORDS)
    assert "なし" not in texts(fig)


def test_bars_reach_from_p10_to_p90():
    fig = plan_figures.break_even(pd.DataFrame(rows("a", 0.8, [1.5])), WORDS)
    ends = [bar.get_segments()[0].tolist() for bar in fig.axes[0].collections if hasattr(bar, "get_segments")]
    assert [np.round(each, 9).tolist() for each in ends] == [[[0.7, 1.5], [0.85, 1.5]], [[0.8, 1.3], [0.8, 1.8]]]


def test_memory_places_each_format_at_its_bits():
    formats = [rl.parse(text) for text in ("int4", "nvfp4", "int8")]
    fig = plan_figures.memory(formats, [(0.6, 0.7, 0.8), (0.5, 0.6, 0.7), (0.8, 0.9, 1.0)], WORDS)
    blue, orange = figures.KINDS["integer"][0], figures.KINDS["float"][0]
    assert set(points(fig.axes[0], blue)) == {(0.7, 0.25), (0.9, 0.5)}
    assert set(points(fig.axes[0], orange)) == {(0.6, 4.5 / 16)}
    assert [text.get_text() for text in fig.axes[0].get_legend().get_texts()] == ["INTEGER", "FLOAT"]


def test_batches_ask_for_one_over_rho_where_it_is_known():
    fig = plan_figures.batches(pd.concat([TABLE, IDLE.assign(rho=np.nan)]), WORDS)
    dashed = {line.get_ydata()[0] for line in fig.axes[1].lines if line.get_linestyle() == "--"}
    assert dashed == {1 / 0.8, 1 / 0.5}
    assert fig.axes[1].lines[0].get_xydata().tolist() == [[1, 1.5], [8, 1.1]]


def test_payoff_shows_the_median():
    fig = plan_figures.payoff([1e3, 1e5], [(-3, -2, -1), (5, 10, 20)], WORDS)
    assert fig.axes[0].lines[0].get_xydata().tolist() == [[1e3, -2], [1e5, 10]]
    assert fig.axes[0].get_ylabel() == "V（千円）"


def test_rates_show_costs_of_both_sides_above_the_devices():
    sides = [
        {"side": side, "cost": cost, "devices_paid": paid}
        for side, cost, paid in (("dense", 8, 4), ("compressed", 4, 2))
    ]
    table = pd.DataFrame([one | {"rate": rate} for rate in (0.1, 10.0) for one in sides])
    fig = plan_figures.rates(table.assign(cost_p10=table.cost / 2, cost_p90=2 * table.cost), WORDS)
    above, below = ([line.get_xydata().tolist() for line in axes.lines] for axes in fig.axes)
    assert above == [[[0.1, 8], [10, 8]], [[0.1, 4], [10, 4]]] and below == [[[0.1, 4], [10, 4]], [[0.1, 2], [10, 2]]]
    assert [text.get_text() for text in fig.axes[0].get_legend().get_texts()] == ["16", "圧縮"]


def test_tornado_shows_what_matters_widest_on_top():
    table = pd.DataFrame(
        {
            "input": ["a", "b", "c"],
            "low": [1e3, 8e3, 5e3],
            "high": [9e3, 4e3, 5e3],
            "centre": 5e3,
            "span": [8e3, 4e3, 1.0],
        }
    )
    fig = plan_figures.tornado(table, {"a": "甲", "b": "乙", "c": "丙"}, WORDS, 1000)
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["乙", "甲"]
    spans = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in fig.axes[0].patches)
    assert spans == [(5, 1), (5, 4), (5, 8), (5, 9)]
    assert {"低", "高"} <= texts(fig)


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_figures_have_all_their_words(language):
    named = plan_figures.named(language, "JPY")
    assert not any("{" in text for text in named.values()) and set(figures.KINDS) <= set(named)
    assert named["npv"] == {"en": "net present value, thousand JPY", "ja": "正味現在価値（万円）"}[language]
