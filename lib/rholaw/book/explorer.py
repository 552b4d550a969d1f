"""The explorer: a page on which one moves N, D, format, machine, price and traffic, and reads what a plan would say.

    explore(scenario, sizes, tokens)      an Explorer, which a notebook shows; it asks the network for nothing

Everything uncertain is computed once, by ``explorer_grid``; explorer.html looks numbers up and multiplies, and writes
each setting as a scenario of which ``rl.plan`` makes the same numbers.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..checked import separated, unknown
from ..formats.grammar import parse
from ..hardware.devices import STALE_DAYS, devices
from ..laws import draws as capacities
from ..laws.fitting import Fit
from ..planning import cases, costs, names, uncertain
from ..planning.inputs import Model
from ..planning.scenario import Scenario
from .escaped import cell, filled, in_script
from .explorer_grid import BILLION, LABELS, LOOKED_UP, MEASURED, RISES, computed, labelled, rounded, triples
from .figures import COLOURS, GREY
from .pages import VEGA

PHASES = ("decode", "prefill", "memory")
"""What may gain."""
GAIN = "times 16 bits, at equal loss"
ALT = "For each format, how many times better than 16 bits it is at equal loss: decode, prefill and memory."
REQUESTS = (1e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9)
BUSY = (0.3, 0.5, 0.7)
"""Share of the paid hours in which devices are busy, where a scenario says none: assumed."""
PROJECT = (0.0, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6)
WRITTEN = {"geometry", "checkpoint", "params", "tokens", "devices", "batches", "requests_per_month", "latency_ms"}
WRITTEN |= {"gpu_hour_usd", "purchase_usd", "currency", "rate", "kind", "compare", "engineer_weeks", "evaluation_usd"}
WRITTEN |= {"ttft_ms", "qat_tokens", "target_loss", "train_device", "gpu_hour", "purchase", "evaluation"}
"""Keys of a scenario that the page's controls replace."""


def options(text: str) -> list[dict[str, str]]:
    """Options of a scenario from text such as "sint4/g128, nvfp4 x nvfp4"; ValueError for a format that is none."""
    pairs = [name.partition(" x ") for name in separated(text, "sint4/g128, nvfp4 x nvfp4")]
    chosen = {
        (parse(weights), parse(activations or "dense")): (weights, activations) for weights, _, activations in pairs
    }
    if dense := [pair for pair in chosen if not any(format.parts for format in pair)]:
        raise ValueError(f"{dense[0][0]} compresses nothing: 16 bits are shown beside all others")
    return [
        {"weights": weights.strip(), "activations": activations.strip() or "dense"}
        for weights, activations in chosen.values()
    ]


def machines(text: str) -> list[str]:
    """Names of devices that commas separate in ``text``; ValueError for one that is not known."""
    chosen, known = separated(text, "L40S, H200 SXM"), devices()
    if strange := [name for name in chosen if name not in known]:
        raise ValueError(unknown(strange[0], known, "device"))
    return chosen


@dataclass(frozen=True)
class Explorer:
    """What ``display`` shows as the explorer. data: what the page knows, as JSON has it.

    Without scripts the page is ``table`` and ``chart``, at the setting at which its controls start.
    """

    data: dict[str, Any]

    def at_start(self, column: str, option: int) -> list[float | None]:
        """(P10, median, P90) of a column for one option, at the setting at which the controls start."""
        values, place = self.data["values"][column], self.data["start"] | {"o": option}
        for axis in LOOKED_UP[column].axes:
            values = values[place[axis]]
        return values

    def table(self) -> pd.DataFrame:
        """Every option at the start: a row each, with ρ, added loss, memory and costs."""
        device = self.data["start"]["d"]
        price, table = self.data["prices"][device]["mid"] or 1.0, {}
        for o, option in enumerate(self.data["names"]):
            memory = self.at_start("memory_gb", o)
            served = self.data["kernels"][o][device]["runs"] and memory[2] <= self.data["room"][device]
            money = [price * self.at_start(name, o)[1] if served else np.nan for name in ("cost_in", "cost_out")]
            table[option] = [self.at_start("rho", o)[1], self.at_start("dloss", o)[1], memory[1], *money]
        names = [LABELS[name] for name in ("rho", "dloss", "memory_gb")]
        names += [f"USD, {LABELS[name]}" for name in ("cost_in", "cost_out")]
        return pd.DataFrame.from_dict(table, orient="index", columns=names).rename_axis("format")

    def points(self) -> list[dict[str, Any]]:
        """Rows of the chart at the start: option, what, low, mid, high, chosen; a gain is a ratio to 16 bits."""
        start = self.data["start"]
        points = []
        for o, option in enumerate(self.data["names"][1:], 1):
            runs = self.data["kernels"][o][start["d"]]["runs"]
            for what in ("memory", "decode", "prefill") if runs else ("memory",):
                gain = self.data["gains"][what][start["s"]][start["t"]][o][start["d"]][start["b"]]
                ends = dict(zip(("low", "mid", "high"), gain, strict=True))
                points.append({"option": option, "what": what, **ends, "chosen": o == start["o"]})
        return points

    def chart(self) -> Any:
        """The gains at equal loss, a row per option, with the line of no gain: an Altair chart of ``points``."""
        import altair as alt

        options, phases = self.data["names"][1:], list(PHASES)
        colours = alt.Scale(domain=phases, range=list(COLOURS[:3]))
        shapes = alt.Scale(domain=phases, range=["circle", "square", "diamond"])
        axis = alt.Axis(values=[0.25, 0.5, 1, 1.5, 2, 3, 4, 6], format="~g", grid=False)
        x = alt.X("low:Q", scale=alt.Scale(type="log", nice=False, padding=8), axis=axis, title=GAIN)
        y = alt.Y("option:N", sort=options, scale=alt.Scale(domain=options), title=None)
        gains = alt.Chart(alt.InlineData(self.points(), name="points")).encode(
            y=y.axis(labelExpr="split(datum.label, regexp(', | (?=and )'))", labelLimit=150, domain=False, tickSize=0),
            yOffset=alt.YOffset("what:N", sort=phases),
            color=alt.Color("what:N", scale=colours, title=None).legend(orient="top"),
            opacity=alt.condition("datum.chosen", alt.value(1), alt.value(0.45)),
        )
        shape = alt.Shape("what:N", scale=shapes, title=None).legend(orient="top")
        line = alt.Chart(alt.InlineData([{"one": 1}])).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x="one:Q")
        bars = gains.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
        marks = gains.mark_point(filled=True, size=55).encode(x=alt.X("mid:Q", title=GAIN), shape=shape)
        return alt.layer(line, bars, marks, width=190, height=33 * len(options)).configure_axis(labelFontSize=11)

    def _repr_html_(self) -> str:
        from vl_convert import vegalite_to_svg

        start, data = self.data["start"], self.data
        device = cell(data["devices"][start["d"]])
        live = self.chart().properties(width="container")
        parts = {
            "start": f"{data['sizes'][start['s']] / BILLION:g} billion parameters on {device}, "
            f"{data['batches'][start['b']]} sequences in flight, at equal size",
            "table": self.table().to_html(float_format="{:.3g}".format, na_rep="–", border=0),
            "alt": ALT,
            "svg": vegalite_to_svg(self.chart().to_json()),
            "data": in_script(json.dumps(_folded(data), ensure_ascii=False, separators=(",", ":"))),
            "chart": in_script(live.to_json(indent=None)),
            "vega": f"_static/{VEGA}",
        }
        return filled(Path(__file__).with_suffix(".html"), parts)

    def __repr__(self) -> str:
        return repr(self.table())


def explore(
    scenario: Scenario, sizes: Iterable[float], tokens: Iterable[float], law: Fit | Iterable[Fit] | None = None
) -> Explorer:
    """The Explorer of a Scenario's formats, devices and batches; what the controls set does not matter.

    Hours are paid as used, at the scenario's utilisation, else at BUSY: only then is what is paid a product.
    sizes: non-embedding parameters to choose from; tokens: of training, likewise; law: as for ``rl.plan``.
    Raises ValueError for several numbers of devices.
    """
    if len(scenario.hardware.gpus) > 1:
        raise ValueError("the explorer needs one number of hardware.gpus")
    busy = {"utilisation": scenario.traffic.utilisation or BUSY}
    scenario = scenario.replace(traffic=busy, prices={"billing": "hours"})
    sizes, tokens = _plain(list(sizes)), _plain(list(tokens))
    rented, draws = scenario.hardware.devices, capacities.draws(law)
    unpaid = dataclasses.replace(scenario.project, evaluation=math.nan)
    base = dataclasses.replace(scenario, model=Model(params=sizes[0], tokens=BILLION), project=unpaid).replace(
        traffic={"requests_per_month": 1.0, "latency_ms": math.inf, "ttft_ms": math.inf},
        prices={"gpu_hour_usd": dict.fromkeys(rented, 1.0), "gpu_hour": {}, "purchase_usd": {}, "purchase": {}},
        project={"kind": "qat", "compare": "", "qat_tokens": BILLION, "engineer_weeks": 0.0, "evaluation_usd": 0.0},
    )
    drawn = uncertain.random(base, draws.order(base.options))
    known, law_drawn, project = devices(scenario.hardware.overrides or None), draws.at(drawn.law), scenario.project
    data = {
        "start": {"c": 0, "o": 1, "d": 0, "s": len(sizes) // 2, "t": len(tokens) // 2, "m": 0}
        | {"b": len(scenario.hardware.batches) // 2, "r": len(REQUESTS) // 2, "p": len(PROJECT) // 2},
        "rows": list(labelled(project.horizon_months)),
        "sizes": sizes,
        "tokens": tokens,
        "format": MEASURED,
        "measured": names.format(MEASURED),
        "rises": (None, *RISES),
        "rounded": rounded(base, sizes, tokens, drawn),
        "batches": scenario.hardware.batches,
        "requests": REQUESTS,
        "projects": PROJECT,
        "options": [option.name for option in base.options],
        "names": _told([option.name for option in base.options]),
        "sources": [str(cases.origin(base, option, draws)) for option in base.options],
        "devices": rented,
        "room": [known[name].memory * scenario.hardware.gpus[0] / 1e9 for name in rented],
        "prices": [dataclasses.asdict(cases.priced(scenario, name)) for name in rented],
        "engine": scenario.hardware.engine,
        "tolerance": project.tolerance,
        "stale_days": STALE_DAYS,
        "request": [scenario.traffic.tokens_in, scenario.traffic.tokens_out],
        "annuity": costs.annuity(project.horizon_months, project.discount_rate),
        "scenario": _toml(scenario),
        **computed(base, sizes, tokens, drawn, draws),
    }
    data["values"]["loss"] = [[triples(law_drawn.loss(N, D))[0] for D in tokens] for N in sizes]
    return Explorer(_plain(data))


def _told(options: list[str]) -> list[str]:
    """What options are called; by its code name one that shares its name with another."""
    told = [names.called(option) for option in options]
    return [code if told.count(name) > 1 else name for code, name in zip(options, told, strict=True)]


def _toml(scenario: Scenario) -> dict[str, str]:
    """{part: the keys that the controls leave alone, where they are not the default}; and the formats."""

    def lines(part: Any) -> Iterator[str]:
        for item in dataclasses.fields(part):
            value = getattr(part, item.name)
            default = item.default_factory() if item.default is dataclasses.MISSING else item.default
            if item.name not in WRITTEN and value != default and value == value:  # nan: not given
                yield f"{item.name} = {json.dumps(value, ensure_ascii=False)}\n"

    parts = ("hardware", "traffic", "prices", "project", "run")
    formats = "\n".join("[[formats]]\n" + "".join(lines(option)) for option in scenario.formats)
    return {part: "".join(lines(getattr(scenario, part))) for part in parts} | {"formats": formats}


def _folded(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` for the page, with one entry where all along an axis are the same: it takes the last that there is."""

    def fold(values: Any) -> Any:
        if not isinstance(values, list) or not isinstance(values[0], list):
            return values  # a number, or P10, median and P90
        parts = [fold(part) for part in values]
        return parts[:1] if all(part == parts[0] for part in parts) else parts

    grids = {name: {key: fold(array) for key, array in data[name].items()} for name in ("values", "gains")}
    return data | grids


def _plain(data: Any) -> Any:
    """For JSON: lists, five digits, and None for what is not finite."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if isinstance(data, np.ndarray):
        return _plain(data.tolist())
    if isinstance(data, float):
        return float(f"{data:.5g}") if math.isfinite(data) else None
    return data
