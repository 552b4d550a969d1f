"""The figures of a plan, for any language: every word that they show is passed in, as ``words``, {key: text}.

``named`` has the words in English and in Japanese, from planning/words.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..formats.grammar import Format
from ..hardware.speed import IDLE
from ..planning import words as planned
from ..planning.comparisons import KNOWN
from ..planning.names import called
from .escaped import in_figure
from .figures import COLOURS, GREY, kind, marks, plain_log, plt

Words = Mapping[str, str]

MARKERS = "osD^vPXp"
GREEN = COLOURS[-1]
PHASES = ("prefill", "decode")
SCALES = {"en": 1e3, "ja": 1e4}
"""Money of one unit on an axis, as ``named`` calls it: thousands, 万."""
MANY = {"en": 1e6, "ja": 1e4}
"""Requests of one unit on an axis: millions, 万."""


def named(language: str, currency: str) -> dict[str, str]:
    """Every word that these figures show."""
    texts = planned.texts(language)["figures"]
    return {
        key: text.format(currency=in_figure(planned.unit(currency, language).strip())) for key, text in texts.items()
    }


def looks(options: Iterable[str]) -> dict[str, dict[str, str]]:
    """{option: its "color" and "marker"}."""
    return {
        option: {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
        for i, option in enumerate(dict.fromkeys(options))
    }


def break_even(table: pd.DataFrame, words: Words) -> Figure:
    """Speed-up against capacity, prefill above decode, and the line speed-up × ρ = 1: above it a format gains.

    table: a plan's rows of one machine, compressed options only.  Prefill is drawn at the largest batch; decode at all,
    the larger the bigger; bars from P10 to P90; hollow: not measured; crosses: no kernel known.
    words: rho, prefill, decode, gains, none.
    """
    fig, panels = plt.subplots(2, 1, figsize=(5.6, 8.4), sharex=True)
    idle = table[table.speed_source_decode.isin(IDLE)].drop_duplicates("option")
    runs = table[~table.option.isin(idle.option)].sort_values("batch", kind="stable")
    left, x = min(0.2, table.rho_p10.min() - 0.03), np.linspace(0.01, 1.1, 300)
    for axes, phase in zip(panels, PHASES, strict=True):
        axes.plot(x, 1 / x, color="black")
        axes.fill_between(x, 1 / x, 20, color=GREEN, alpha=0.08, linewidth=0)
        for option, look in looks(runs.option).items():
            rows = runs[runs.option == option]
            known = rows[f"speed_source_{phase}"].iloc[0] in KNOWN
            look["markerfacecolor"] = look["color"] if known else "white"
            for i, row in enumerate(rows.itertuples() if phase == "decode" else ()):
                axes.plot(row.rho, row.speedup_decode, markersize=2 + 5 * i / len(rows), **look)
            _point(axes, rows.iloc[-1], phase, look | {"markersize": 7, "label": called(option)})
        if len(idle):
            axes.plot(idle.rho, [1] * len(idle), "x", color=GREY, label=words["none"])
        axes.set(yscale="log", xlim=(left, 1.02), ylim=(0.6, 5), yticks=[1, 2, 4], ylabel=words[phase])
        axes.text(0.98, 0.95, words["gains"], transform=axes.transAxes, ha="right", va="top", color=GREEN)
        plain_log(axes.yaxis)
    panels[1].set_xlabel(words["rho"])
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def _point(axes: Axes, row: pd.Series, phase: str, look: Mapping[str, Any]) -> None:
    """A point with its P10 to P90 both ways."""
    across, along = (
        [[row[name] - row[name + "_p10"]], [row[name + "_p90"] - row[name]]] for name in ("rho", f"speedup_{phase}")
    )
    axes.errorbar(row["rho"], row[f"speedup_{phase}"], along, across, linestyle="none", linewidth=0.8, **look)


def memory(formats: Iterable[Format], rho: np.ndarray, words: Words) -> Figure:
    """Stored bits over 16 against capacity, and the line bits / (16 ρ) = 1: below it a format saves memory.

    formats: Formats; rho: (len(formats), 3), their P10, P50 and P90.  words: rho, bits, saves, and a word for each of
    ``figures.KINDS`` that is drawn.
    """
    fig, axes = plt.subplots(figsize=(5.6, 4.4))
    axes.plot([0, 1.1], [0, 1.1], color="black")
    axes.fill_between([0, 1.1], [0, 1.1], color=GREEN, alpha=0.08, linewidth=0)
    drawn = set()
    for format, (low, mid, high) in zip(formats, rho, strict=True):
        name = kind(format)
        look = marks(format) | {"label": None if name in drawn else words[name]}
        bars = [[mid - low], [high - mid]]
        axes.errorbar(mid, format.bits / 16, xerr=bars, linestyle="none", linewidth=0.6, markersize=4, **look)
        drawn.add(name)
    axes.text(0.98, 0.05, words["saves"], transform=axes.transAxes, ha="right", color=GREEN)
    axes.set(xlabel=words["rho"], ylabel=words["bits"], xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(loc="upper left")
    return fig


def batches(table: pd.DataFrame, words: Words) -> Figure:
    """Speed-up against the batch, prefill above decode: lines with bands from P10 to P90; dashed: the 1 / ρ that equal
    loss asks for, where the law gives it.

    table: a plan's rows of one machine, compressed options only.  words: batch, prefill, decode.
    """
    fig, panels = plt.subplots(2, 1, figsize=(5.6, 6.6), sharex=True, sharey=True)
    for axes, phase in zip(panels, PHASES, strict=True):
        for option, look in looks(table.option).items():
            rows = table[table.option == option].sort_values("batch")
            low, mid, high = (rows[f"speedup_{phase}{part}"] for part in ("_p10", "", "_p90"))
            axes.fill_between(rows.batch, low, high, color=look["color"], alpha=0.15, linewidth=0)
            axes.plot(rows.batch, mid, label=called(option), **look)
            if rows.rho.notna().all():
                axes.axhline(1 / rows.rho.iloc[0], color=look["color"], linestyle="--", linewidth=1)
        axes.axhline(1, color="black", linewidth=1)
        axes.set(xscale="log", xticks=sorted(set(table.batch)), ylabel=words[phase])
        plain_log(axes.xaxis)
    panels[1].set_xlabel(words["batch"])
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def payoff(requests: np.ndarray, values: np.ndarray, words: Words, scale: float = 1.0) -> Figure:
    """Net present value against requests a month: the median, a band from P10 to P90, and the line 0.

    requests: (n,), rising, in the unit of ``words``; values: (n, 3), P10, P50 and P90; scale: money of one unit.
    words: requests, npv.
    """
    fig, axes = plt.subplots(figsize=(5.6, 3.0))
    low, mid, high = np.transpose(values) / scale
    axes.fill_between(requests, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(requests, mid, color=COLOURS[0])
    axes.axhline(0, color="black", linewidth=1)
    cost = max(abs(mid[0]), 1e-9)
    axes.set_yscale("symlog", linthresh=cost)  # the cost, and what it turns into, both in sight
    axes.set(xscale="log", xlabel=words["requests"], ylabel=words["npv"])
    axes.set_yticks([tick for tick in axes.get_yticks() if not 0 < abs(tick) < cost])  # those would meet the 0
    for axis in (axes.xaxis, axes.yaxis):
        plain_log(axis)
    return fig


def rates(table: pd.DataFrame, words: Words) -> Figure:
    """What a million tokens cost against requests a second, and below it the devices that are paid; 16 bits in grey.

    table: of ``traffic.over_rates``.  Bands from P10 to P90.  words: rate, cost, paid, uncompressed, compressed.
    """
    fig, (above, below) = plt.subplots(2, 1, figsize=(5.6, 6.6), sharex=True)
    for side, name, colour in (("dense", "uncompressed", GREY), ("compressed", "compressed", COLOURS[0])):
        rows = table[table.side == side]
        above.fill_between(rows.rate, rows.cost_p10, rows.cost_p90, color=colour, alpha=0.2, linewidth=0)
        above.plot(rows.rate, rows.cost, color=colour, label=words[name])
        below.plot(rows.rate, rows.devices_paid, color=colour)
    above.set(xscale="log", yscale="log", ylabel=words["cost"])
    below.set(yscale="log", xlabel=words["rate"], ylabel=words["paid"])
    for axis in (above.yaxis, below.yaxis, below.xaxis):
        plain_log(axis)
    above.legend()
    return fig


def tornado(table: pd.DataFrame, names: Mapping[str, str], words: Words, scale: float = 1.0) -> Figure:
    """What moves the result: net present value with one input at its 10 % and 90 %, all others at their medians; inputs
    that move it by less than a hundredth of the first are left out.

    table: a plan's tornado; names: {input: text}; scale: money of one unit.  words: npv, low, high.
    """
    fig, axes = plt.subplots()
    rows = table[table.span > 0.01 * table.span.max()][::-1]
    for (column, colour), key in zip((("low", COLOURS[1]), ("high", COLOURS[0])), ("low", "high"), strict=True):
        axes.barh(
            [names[name] for name in rows.input],
            (rows[column] - rows.centre) / scale,
            left=rows.centre / scale,
            color=colour,
            label=words[key],
        )
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlabel(words["npv"])
    plain_log(axes.xaxis)
    fig.legend(loc="outside lower center", ncols=2)
    return fig


def errors(speeds: pd.DataFrame) -> Figure:
    """Predicted over observed speeds, case by case, with 80 % intervals; grey: within 25 %.

    speeds: of ``hardware.residuals.held_out``, in the order of the axis.
    """
    fig, axes = plt.subplots(figsize=(5.6, 4.4))
    axes.axhspan(0.8, 1.25, color="#dddddd", linewidth=0)
    ratio, low, high = (speeds[name] / speeds.tokens_per_second for name in ("predicted", "low", "high"))
    below, above = (ratio - low).clip(lower=0), (high - ratio).clip(lower=0)
    for engine, look in looks(speeds.engine).items():
        part = speeds.index[speeds.engine == engine]
        shape = look | {"linestyle": "none", "linewidth": 0.6, "markersize": 5, "label": engine}
        axes.errorbar(part, ratio[part], [below[part], above[part]], **shape)
    axes.axhline(1, color="black", linewidth=1)
    axes.set(yscale="log", yticks=[0.5, 1, 2, 5, 10, 20])
    axes.set(ylabel="predicted / observed", xlabel="case, in the order of the table")
    plain_log(axes.yaxis)
    axes.legend()
    return fig
