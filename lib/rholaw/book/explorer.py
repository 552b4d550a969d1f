"""The explorer: a page on which one moves N, D, format, machine, price and traffic, and reads what a plan would say.

    explore(scenario, sizes, tokens)      an Explorer, which a notebook shows; it asks the network for nothing

Everything uncertain is computed here, once, with the functions and the draws of ``rl.plan``, at a rent of 1 USD an hour
and one request a month.  Price, requests and tokens of training enter a plan's money as factors, so that its quantiles
grow by the same factors: the page looks numbers up and multiplies.  explorer.html holds these products, and writes each
setting as a scenario of which ``rl.plan`` makes the same numbers.
"""

import dataclasses
import html
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..hardware import geometry as shapes
from ..hardware.devices import devices
from ..laws import draws as capacities
from ..planning import costs, outcomes, rows, uncertain
from .figures import GREY, KINDS
from .pages import VEGA

PROJECTS = {"equal-n": "qat", "equal-loss": "train"}
"""What is compared, and the kind of project that compares so."""
BILLION = 1e9
GRID = {  # name of an array → (name in an outcome, factor)
    "memory": ("memory", 1e-9),
    "prefill": ("prefill_tokens_s", 1.0),
    "decode": ("decode_tokens_s", 1.0),
    "cost_in": ("usd_in", 1.0),
    "cost_out": ("usd_out", 1.0),
    "saving": ("saving", 1.0),
}
SAME = ("speedup_prefill", "speedup_decode", "margin_prefill", "margin_decode")  # alike in both comparisons
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
class Explorer:
    """What ``display`` shows as the explorer. data: what the page knows, as JSON has it.

    Without scripts the page is ``table`` and ``chart``, at the setting at which its controls start.
    """

    data: dict

    def _at_start(self, name, option):
        """The triple of an array at the start."""
        c, s, d, b = (self.data["start"][axis] for axis in "csdb")
        return (self.data[name][s] if name in SAME else self.data[name][c][s])[option][d][b]

    def table(self):
        """Every option at the start: a DataFrame."""
        device = self.data["start"]["d"]
        price, found = self.data["prices"][device]["mid"] or 1.0, []
        for o, option in enumerate(self.data["options"]):
            memory = self._at_start("memory", o)
            served = self.data["kernels"][o][device]["runs"] and memory[2] <= self.data["room"][device]
            money = [price * self._at_start(name, o)[1] if served else np.nan for name in ("cost_in", "cost_out")]
            dloss = self.data["dloss"][self.data["start"]["c"]][self.data["start"]["s"]][o][1]
            found.append([option, self.data["rho"][o][1], dloss, memory[1], *money])
        columns = ["format", "ρ", "added loss", "memory, GB", "USD per million in", "USD per million out"]
        return pd.DataFrame(found, columns=columns).set_index("format")

    def points(self):
        """Rows of the chart at the start: option, what, low, mid, high, chosen; a gain is a ratio to 16 bits."""
        found = []
        for o, option in enumerate(self.data["options"][1:], 1):
            kernel = self.data["kernels"][o][self.data["start"]["d"]]
            gains = {"memory": [16 * rho / kernel["bits"] for rho in self.data["rho"][o]]}
            for phase in ("decode", "prefill") if kernel["runs"] else ():
                gains[phase] = [1 + margin for margin in self._at_start(f"margin_{phase}", o)]
            for what, (low, mid, high) in gains.items():
                chosen = o == self.data["start"]["o"]
                found.append({"option": option, "what": what, "low": low, "mid": mid, "high": high, "chosen": chosen})
        return found

    def chart(self):
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

    def _repr_html_(self):
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
        return re.sub(r"{{(\w+)}}", lambda found: parts[found[1]], page)

    def __repr__(self):
        return repr(self.table())


def explore(scenario, sizes, tokens, law=None):
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
    drawn_law, project = draws.at(drawn.law), scenario.project
    memory = devices(scenario.hardware.overrides or None)
    data = {
        "start": {"c": 0, "o": 1, "d": 0, "s": len(sizes) // 2, "t": len(tokens) // 2}
        | {"b": len(scenario.hardware.batches) // 2, "r": len(REQUESTS) // 2, "p": len(PROJECT) // 2},
        "sizes": sizes,
        "tokens": tokens,
        "batches": scenario.hardware.batches,
        "requests": REQUESTS,
        "projects": PROJECT,
        "options": [option.name for option in base.options],
        "sources": [outcomes.source(base, option, draws) for option in base.options],
        "devices": names,
        "room": [memory[name].memory * scenario.hardware.gpus[0] / 1e9 for name in names],
        "prices": [dataclasses.asdict(outcomes.priced(scenario, name)) for name in names],
        "engine": scenario.hardware.engine,
        "request": [scenario.traffic.tokens_in, scenario.traffic.tokens_out],
        "horizon": project.horizon_months,
        "loss": [[_spread(drawn_law.loss(N, D))[0] for D in tokens] for N in sizes],
        "annuity": costs.annuity(project.horizon_months, project.discount_rate),
        "scenario": _toml(scenario),
        **_computed(base, sizes, drawn, draws),
    }
    return Explorer(_plain(data))


def _computed(base, sizes, drawn, draws):
    """Arrays over (comparison, size, option, device, batch, share), or some of these; and the kernels."""
    counts = (len(sizes), len(base.options), len(base.hardware.devices))
    each, machines = (*counts, len(base.hardware.batches), 3), devices(base.hardware.overrides or None)
    found = {name: np.empty((2, *each)) for name in GRID} | {name: np.empty(each) for name in SAME}
    found |= {name: np.empty((2, *counts[:2], 3)) for name in ("dloss", "params")}
    found |= {"rho": np.empty((counts[1], 3)), "added": np.empty((2, *counts))}
    for s, N in enumerate(sizes):
        cases = outcomes.cases(base.replace(model={"geometry": shapes.of_size(N), "params": 0.0}), machines)
        for c, kind in enumerate(PROJECTS.values()):
            scenario, dense = cases[0].scenario.replace(project={"kind": kind}), {}
            for i, case in enumerate(cases):
                o, d = divmod(i, counts[2])
                case = dataclasses.replace(case, scenario=scenario, training=(case.device, case.price))
                result = outcomes.outcome(case, drawn, draws)
                result |= rows.against(case, result, dense.setdefault(d, result["usd_month"]))
                for name, (source, factor) in GRID.items():
                    found[name][c, s, o, d] = factor * _spread(result[source])
                for name in SAME:
                    found[name][s, o, d] = _spread(result[name])
                found["rho"][o], found["added"][c, s, o, d] = _spread(result["rho"]), _spread(result["usd_once"])[0, 1]
                found["dloss"][c, s, o] = _spread(result["dloss"])
                found["params"][c, s, o] = _spread(result["n_params"])
    kernels = [
        {"runs": case.kernel.runs, "status": case.kernel.status, "note": case.kernel.note, "bits": case.bits[0]}
        | {"prefill": case.faster[0].rung, "decode": case.faster[1].rung}
        for case in cases
    ]
    return found | {"kernels": [kernels[i : i + counts[2]] for i in range(0, len(kernels), counts[2])]}


def _spread(values):
    """P10, median and P90 over the draws, as a plan takes them: (B, 3)."""
    return rows.quantiles(np.atleast_2d(np.asarray(values, dtype=float)))


def _toml(scenario):
    """{part: the keys that the controls leave alone, where they are not the default}; and the formats."""

    def lines(part):
        for item in dataclasses.fields(part):
            value = getattr(part, item.name)
            default = item.default_factory() if item.default is dataclasses.MISSING else item.default
            if item.name not in WRITTEN and value != default:
                yield f"{item.name} = {json.dumps(value, ensure_ascii=False)}\n"

    parts = ("hardware", "traffic", "prices", "project", "run")
    formats = "\n".join("[[formats]]\n" + "".join(lines(option)) for option in scenario.formats)
    return {part: "".join(lines(getattr(scenario, part))) for part in parts} | {"formats": formats}


def _plain(data):
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
