"""The explorer: a page on which one moves N, D, format, machine, price and traffic, and reads what a plan would say.

    explore(scenario, sizes, tokens)      an Explorer, which a notebook shows; it asks the network for nothing

Everything uncertain is computed here, once, with the functions and the draws of ``rl.plan``, at a rent of 1 USD an hour
and one request a month.  Price, requests and tokens of training enter a plan's money as factors, so that its quantiles
grow by the same factors: ROWS says which, and explorer.html looks numbers up and multiplies.  It writes each setting as
a scenario of which ``rl.plan`` makes the same numbers.
"""

import dataclasses
import html
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..hardware import geometry as shapes
from ..hardware.devices import devices
from ..laws import draws as capacities
from ..laws.draws import Draws
from ..laws.fitting import Fit
from ..planning import cases, costs, outcomes, rows, uncertain, words
from ..planning.cases import Case
from ..planning.columns import COLUMNS
from ..planning.outcomes import Outcome
from ..planning.scenario import Scenario
from ..planning.uncertain import Drawn
from .figures import GREY, KINDS
from .pages import VEGA

LABELS = words.texts("en")["labels"]
PROJECTS = {"equal-n": "qat", "equal-loss": "train"}
"""What is compared, and the kind of project that compares so."""
BILLION = 1e9
PHASES = {"decode": "float", "prefill": "integer", "memory": "codebook"}
"""What may gain, and the kind of format whose colour of ``figures`` it takes."""
GAIN = "times better than 16 bits at equal loss"
ALT = "For each format, how many times better than 16 bits it is at equal loss: decode, prefill and memory."
REQUESTS = (1e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9)
PROJECT = (0.0, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6)
WRITTEN = {"geometry", "checkpoint", "params", "tokens", "devices", "batches", "requests_per_month", "latency_ms"}
WRITTEN |= {"gpu_hour_usd", "purchase_usd", "currency", "rate", "kind", "compare", "engineer_weeks", "evaluation_usd"}
WRITTEN |= {"qat_tokens", "target_loss", "train_device"}
"""Keys of a scenario that the page's controls replace."""


@dataclass(frozen=True)
class Row:
    """A row of the page: a column of a plan.

    axes: of the array of its numbers, the names of the page's controls: c comparison, s size, t tokens, o option,
    d device, b batch; "" where the page computes it.  factors: controls that it grows with.  needs: "runs", a kernel;
    "served", and memory enough; "saves", for 16 bits as well.  of: "both", 16 bits ("dense") or the format ("own").
    """

    column: str
    axes: str = ""
    factors: tuple[str, ...] = ()
    needs: str = ""
    of: str = "both"


ROWS = {
    "Quality": (
        Row("rho", "o"),
        Row("n_params", "cso"),
        Row("loss", "st", of="dense"),
        Row("dloss", "cso", of="own"),
    ),
    "Memory and speed": (
        Row("memory_gb", "csodb"),
        Row("prefill_tokens_s", "csodb", needs="served"),
        Row("decode_tokens_s", "csodb", needs="served"),
        Row("speedup_prefill", "sodb", needs="runs", of="own"),
        Row("speedup_decode", "sodb", needs="runs", of="own"),
    ),
    "Break-even at equal loss: it pays above 0": (
        Row("margin_prefill", "sodb", needs="runs", of="own"),
        Row("margin_decode", "sodb", needs="runs", of="own"),
        Row("margin_memory", "od", of="own"),
    ),
    "Money, USD": (
        Row("cost_in", "csodb", ("price",), "served"),
        Row("cost_out", "csodb", ("price",), "served"),
        Row("saving_month", "csodb", ("price", "requests"), "saves", "own"),
        Row("cost_once", of="own"),
        Row("break_even_requests", needs="saves", of="own"),
    ),
}
"""The rows of the page under their headings."""
LOOKED_UP = {row.column: row for group in ROWS.values() for row in group if row.axes}


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
        for o, option in enumerate(self.data["options"]):
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
        for o, option in enumerate(self.data["options"][1:], 1):
            runs = self.data["kernels"][o][start["d"]]["runs"]
            for what in ("memory", "decode", "prefill") if runs else ("memory",):
                gain = self.data["gains"][what][start["s"]][o][start["d"]][start["b"]]
                spread = dict(zip(("low", "mid", "high"), gain, strict=True))
                points.append({"option": option, "what": what, **spread, "chosen": o == start["o"]})
        return points

    def chart(self) -> Any:
        """The gains at equal loss, a row per option, with the line at which it pays: an Altair chart of ``points``."""
        import altair as alt

        options, phases = self.data["options"][1:], list(PHASES)
        colours = alt.Scale(domain=phases, range=[KINDS[kind][0] for kind in PHASES.values()])
        shapes = alt.Scale(domain=phases, range=["circle", "square", "diamond"])
        axis = alt.Axis(values=[0.25, 0.5, 1, 1.5, 2, 3, 4, 6], format="~g", grid=False)
        x = alt.X("low:Q", scale=alt.Scale(type="log", nice=False, padding=8), axis=axis, title=GAIN)
        y = alt.Y("option:N", sort=options, scale=alt.Scale(domain=options), title=None)
        gains = alt.Chart(alt.InlineData(self.points(), name="points")).encode(
            y=y.axis(labelLimit=150, domain=False, tickSize=0),
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
        live = self.chart().properties(width="container")
        parts = {
            "start": f"{data['sizes'][start['s']] / BILLION:g} billion parameters on {data['devices'][start['d']]}, "
            f"{data['batches'][start['b']]} sequences in flight, at equal size",
            "table": self.table().to_html(float_format="{:.3g}".format, na_rep="–", border=0),
            "alt": html.escape(ALT),
            "svg": vegalite_to_svg(self.chart().to_json()),
            "data": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"),
            "chart": live.to_json(indent=None).replace("</", "<\\/"),
            "vega": f"_static/{VEGA}",
        }
        page = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
        return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], page)

    def __repr__(self) -> str:
        return repr(self.table())


def explore(
    scenario: Scenario, sizes: Iterable[float], tokens: Iterable[float], law: Fit | Iterable[Fit] | None = None
) -> Explorer:
    """The Explorer of a Scenario's formats, devices and batches; what the controls set does not matter.

    sizes: non-embedding parameters to choose from; tokens: of training, likewise; law: as for ``rl.plan``.
    Raises ValueError for several numbers of devices, and for whole machines: what they cost is no product.
    """
    if len(scenario.hardware.gpus) > 1 or scenario.prices.billing != "hours":
        raise ValueError('the explorer needs one number of hardware.gpus, and prices.billing = "hours"')
    sizes, tokens = _plain(list(sizes)), _plain(list(tokens))
    names, draws = scenario.hardware.devices, capacities.draws(law)
    base = scenario.replace(
        model={"geometry": "", "checkpoint": "", "params": sizes[0], "tokens": BILLION},
        traffic={"requests_per_month": 1.0},
        prices={"gpu_hour_usd": dict.fromkeys(names, 1.0)},
        project={"kind": "qat", "compare": "", "qat_tokens": BILLION, "engineer_weeks": 0.0, "evaluation_usd": 0.0},
    )
    drawn = uncertain.random(base, draws.order(base.options))
    known, law_drawn, project = devices(scenario.hardware.overrides or None), draws.at(drawn.law), scenario.project
    data = {
        "start": {"c": 0, "o": 1, "d": 0, "s": len(sizes) // 2, "t": len(tokens) // 2}
        | {"b": len(scenario.hardware.batches) // 2, "r": len(REQUESTS) // 2, "p": len(PROJECT) // 2},
        "rows": list(_rows(project.horizon_months)),
        "sizes": sizes,
        "tokens": tokens,
        "batches": scenario.hardware.batches,
        "requests": REQUESTS,
        "projects": PROJECT,
        "options": [option.name for option in base.options],
        "sources": [str(cases.origin(base, option, draws)) for option in base.options],
        "devices": names,
        "room": [known[name].memory * scenario.hardware.gpus[0] / 1e9 for name in names],
        "prices": [dataclasses.asdict(cases.priced(scenario, name)) for name in names],
        "engine": scenario.hardware.engine,
        "request": [scenario.traffic.tokens_in, scenario.traffic.tokens_out],
        "annuity": costs.annuity(project.horizon_months, project.discount_rate),
        "scenario": _toml(scenario),
        **_computed(base, sizes, drawn, draws),
    }
    data["values"]["loss"] = [[_spread(law_drawn.loss(N, D))[0] for D in tokens] for N in sizes]
    return Explorer(_plain(data))


def _rows(horizon: float) -> Iterator[dict[str, Any]]:
    """ROWS as the page reads them: a heading, or a row with its label."""
    for heading, group in ROWS.items():
        yield {"heading": heading}
        for row in group:
            over = f" in {horizon:g} months" if row.column == "break_even_requests" else ""
            yield dataclasses.asdict(row) | {"label": LABELS[row.column] + over}


def _computed(base: Scenario, sizes: list[float], drawn: Drawn, draws: Draws) -> dict[str, Any]:
    """values: an array a column, over the axes of its Row and (P10, median, P90); gains of the chart, likewise over
    (size, option, device, batch); added: USD of training a billion tokens; and the kernels."""
    hardware = base.hardware
    length = {"c": 2, "s": len(sizes), "o": len(base.options), "d": len(hardware.devices), "b": len(hardware.batches)}
    known = devices(hardware.overrides or None)

    def empty(axes: str) -> np.ndarray:
        return np.full((*(length[axis] for axis in axes), 3), np.nan)

    values = {name: empty(row.axes) for name, row in LOOKED_UP.items() if name != "loss"}
    gains, added = {what: empty("sodb") for what in PHASES}, empty("csod")[..., 0]
    for s, N in enumerate(sizes):
        every = cases.cases(base.replace(model={"geometry": shapes.of_size(N), "params": 0.0}), known)
        for c, kind in enumerate(PROJECTS.values()):
            for place, case, outcome in _outcomes(every, kind, drawn, draws):
                place |= {"c": c, "s": s}
                for name, array in values.items():
                    _put(array, LOOKED_UP[name].axes, place, _shown(name, outcome))
                for what, gain in _gains(case, outcome).items():
                    _put(gains[what], "sodb", place, _spread(gain))
                added[c, s, place["o"], place["d"]] = _spread(outcome.usd_once)[0, 1]
    kernels = [
        {"runs": case.kernel.runs, "status": case.kernel.status, "note": case.kernel.note}
        | {"prefill": str(case.faster[0].rung), "decode": str(case.faster[1].rung)}
        for case in every
    ]
    kernels = [kernels[i : i + length["d"]] for i in range(0, len(kernels), length["d"])]
    return {"values": values, "gains": gains, "added": added, "kernels": kernels}


def _outcomes(
    every: list[Case], kind: str, drawn: Drawn, draws: Draws
) -> Iterator[tuple[dict[str, int], Case, Outcome]]:
    """(place on "o" and "d", Case, Outcome) of each case as a project of this kind, trained where it serves."""
    scenario, dense = every[0].scenario.replace(project={"kind": kind}), {}
    for i, case in enumerate(every):
        o, d = divmod(i, len(scenario.hardware.devices))
        case = dataclasses.replace(case, scenario=scenario, training=(case.device, case.price))
        outcome = outcomes.outcome(case, drawn, draws)
        yield {"o": o, "d": d}, case, outcomes.compared(case, outcome, dense.setdefault(d, outcome.usd_month))


def _put(array: np.ndarray, axes: str, place: dict[str, int], spread: np.ndarray) -> None:
    """Write (B, 3) or (1, 3) into its place on all axes but the batch."""
    array[tuple(place[axis] for axis in axes if axis != "b")] = spread if "b" in axes else spread[0]


def _shown(name: str, outcome: Outcome) -> np.ndarray:
    column = COLUMNS[name]
    return column.factor * _spread(getattr(outcome, column.of))


def _gains(case: Case, outcome: Outcome) -> dict[str, np.ndarray]:
    """How many times better than 16 bits at equal loss, by what may gain."""
    with np.errstate(all="ignore"):
        return {
            "memory": 16 * outcome.rho / case.bits[0],
            "decode": outcome.speedup_decode * outcome.rho,
            "prefill": outcome.speedup_prefill * outcome.rho,
        }


def _spread(values: Any) -> np.ndarray:
    """P10, median and P90 over the draws, as a plan takes them: (B, 3)."""
    return rows.quantiles(np.atleast_2d(np.asarray(values, dtype=float)))


def _toml(scenario: Scenario) -> dict[str, str]:
    """{part: the keys that the controls leave alone, where they are not the default}; and the formats."""

    def lines(part: Any) -> Iterator[str]:
        for item in dataclasses.fields(part):
            value = getattr(part, item.name)
            default = item.default_factory() if item.default is dataclasses.MISSING else item.default
            if item.name not in WRITTEN and value != default:
                yield f"{item.name} = {json.dumps(value, ensure_ascii=False)}\n"

    parts = ("hardware", "traffic", "prices", "project", "run")
    formats = "\n".join("[[formats]]\n" + "".join(lines(option)) for option in scenario.formats)
    return {part: "".join(lines(getattr(scenario, part))) for part in parts} | {"formats": formats}


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
