"""What the explorer knows: every number that a plan would say, over a grid of its controls.

Computed with the functions and the draws of ``rl.plan``, at a rent of 1 USD an hour and one request a month.  Price and
requests enter a plan's money as factors, and so do the tokens that a project trains for, so that its quantiles grow by
the same factors: ROWS says which.  Tokens of training change ρ as well: they are an axis.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..hardware import geometry as shapes
from ..hardware.devices import devices
from ..laws.draws import Draws
from ..planning import cases, damage, outcomes, words
from ..planning.cases import Case
from ..planning.columns import COLUMNS
from ..planning.outcomes import Outcome
from ..planning.rows import quantiles
from ..planning.scenario import Scenario
from ..planning.uncertain import Drawn

LABELS = words.texts("en")["labels"]
KINDS = ("qat", "train", "post-training")
"""Kinds of project, in the order of the page's first control."""
MEASURED, RISES = "q4_k", (0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1)
"""The format that may have been measured on a finished model, and what it added, nats a token."""
BILLION = 1e9
GAINS = ("decode", "prefill", "memory")
"""What may gain at equal loss."""


@dataclass(frozen=True)
class Row:
    """A row of the page: a column of a plan.

    axes: of the array of its numbers, the names of the page's controls: c kind, s size, t tokens, o option,
    d device, b batch; "" where the page computes it.  factors: controls that it grows with.  needs: "runs", a kernel;
    "served", and memory enough; "saves", for 16 bits as well.  of: "both", 16 bits ("dense") or the format ("own").
    trained: whether it is about models that are trained in the format only.
    """

    column: str
    axes: str = ""
    factors: tuple[str, ...] = ()
    needs: str = ""
    of: str = "both"
    trained: bool = False


ROWS = {
    "Quality": (
        Row("rho", "sto", trained=True),
        Row("n_params", "csto"),
        Row("loss", "st", of="dense"),
        Row("dloss", "csto", of="own"),
    ),
    "Memory and speed": (
        Row("memory_gb", "cstodb"),
        Row("prefill_tokens_s", "cstodb", needs="served"),
        Row("decode_tokens_s", "cstodb", needs="served"),
        Row("speedup_prefill", "sodb", needs="runs", of="own"),
        Row("speedup_decode", "sodb", needs="runs", of="own"),
    ),
    "Margins at equal loss: above 0 better than 16 bits": (
        Row("margin_prefill", "stodb", needs="runs", of="own", trained=True),
        Row("margin_decode", "stodb", needs="runs", of="own", trained=True),
        Row("margin_memory", "stod", of="own", trained=True),
    ),
    "Money, USD": (
        Row("cost_in", "cstodb", ("price",), "served"),
        Row("cost_out", "cstodb", ("price",), "served"),
        Row("saving_month", "cstodb", ("price", "requests"), "saves", "own"),
        Row("cost_once", of="own"),
        Row("break_even_requests", needs="saves", of="own"),
    ),
}
"""The rows of the page under their headings."""
LOOKED_UP = {row.column: row for group in ROWS.values() for row in group if row.axes}


def labelled(horizon: float) -> Iterator[dict[str, Any]]:
    """ROWS as the page reads them: a heading, or a row with its label."""
    for heading, group in ROWS.items():
        yield {"heading": heading}
        for row in group:
            over = f" in {horizon:g} months" if row.column == "break_even_requests" else ""
            yield dataclasses.asdict(row) | {"label": LABELS[row.column] + over}


def computed(base: Scenario, sizes: list[float], tokens: list[float], drawn: Drawn, draws: Draws) -> dict[str, Any]:
    """values: an array a column, over the axes of its Row and (P10, median, P90), but for ``loss``; gains of the chart,
    likewise over (size, tokens, option, device, batch); added: USD of training a billion tokens, or of rounding; and
    the kernels."""
    hardware = base.hardware
    length = {"c": len(KINDS), "s": len(sizes), "t": len(tokens), "o": len(base.options)}
    length |= {"d": len(hardware.devices), "b": len(hardware.batches)}
    known = devices(hardware.overrides or None)

    def empty(axes: str) -> np.ndarray:
        return np.full((*(length[axis] for axis in axes), 3), np.nan)

    values = {name: empty(row.axes) for name, row in LOOKED_UP.items() if name != "loss"}
    gains, added = {what: empty("stodb") for what in GAINS}, empty("cstod")[..., 0]
    for (s, N), (t, D) in product(enumerate(sizes), enumerate(tokens)):
        every = cases.cases(base.replace(model={"geometry": shapes.of_size(N), "params": 0.0, "tokens": D}), known)
        for c, kind in enumerate(KINDS):
            for place, case, outcome in _outcomes(every, kind, drawn, draws):
                place |= {"c": c, "s": s, "t": t}
                for name, array in values.items():
                    if "c" in LOOKED_UP[name].axes or kind == "qat":
                        _put(array, LOOKED_UP[name].axes, place, _shown(name, outcome))
                for what, gain in _gains(case, outcome).items() if kind == "qat" else ():
                    _put(gains[what], "stodb", place, triples(gain))
                billions = D / BILLION if kind == "train" else 1.0
                added[c, s, t, place["o"], place["d"]] = triples(outcome.usd_once)[0, 1] / billions
    kernels = [
        {"runs": case.kernel.runs, "status": case.kernel.status, "note": case.kernel.note}
        | {"prefill": str(case.faster[0].rung), "decode": str(case.faster[1].rung)}
        for case in every
    ]
    kernels = [kernels[i : i + length["d"]] for i in range(0, len(kernels), length["d"])]
    return {"values": values, "gains": gains, "added": added, "kernels": kernels}


def rounded(base: Scenario, sizes: list[float], tokens: list[float], drawn: Drawn) -> dict[str, Any]:
    """What rounding a finished model adds to its loss, for each option, (P10, median, P90), and where it comes from.

    guessed: by models of a size and of its tokens of training, over (size, tokens, option, 3); measured: where MEASURED
    added one of RISES, over (rise, option, 3); sources: a text an option for the one, and for the other; gaps: what the
    law leaves out of an option, or "".
    """
    base = base.replace(project={"kind": "post-training"})

    def losses(**model: Any) -> list[np.ndarray]:
        scenario = base.replace(model=model)
        return [triples(damage.rise(scenario, option, drawn.damage))[0] for option in base.options]

    def sources(scenario: Scenario) -> list[str]:
        return [words.source(damage.origin(scenario, option), 1) for option in base.options]

    rises = [{"measured": [{"weights": MEASURED, "rise": rise}]} for rise in RISES]
    return {
        "guessed": [[losses(params=N, tokens=D) for D in tokens] for N in sizes],
        "measured": [losses(**model) for model in rises],
        "gaps": [words.gap(next(iter(damage.gaps(base, option)), None)) for option in base.options],
        "sources": [sources(base), sources(base.replace(model=rises[0]))],
    }


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


def _put(array: np.ndarray, axes: str, place: dict[str, int], values: np.ndarray) -> None:
    """Write (B, 3) or (1, 3) into its place on all axes but the batch."""
    array[tuple(place[axis] for axis in axes if axis != "b")] = values if "b" in axes else values[0]


def _shown(name: str, outcome: Outcome) -> np.ndarray:
    column = COLUMNS[name]
    return column.factor * triples(getattr(outcome, column.of))


def _gains(case: Case, outcome: Outcome) -> dict[str, np.ndarray]:
    """How many times better than 16 bits at equal loss, by what may gain."""
    with np.errstate(all="ignore"):
        return {
            "memory": 16 * outcome.rho / case.bits[0],
            "decode": outcome.speedup_decode * outcome.rho,
            "prefill": outcome.speedup_prefill * outcome.rho,
        }


def triples(values: Any) -> np.ndarray:
    """P10, median and P90 over the draws, as a plan takes them: (B, 3)."""
    return quantiles(np.atleast_2d(np.asarray(values, dtype=float)))
