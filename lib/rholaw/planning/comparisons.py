"""What chapters compare beside a plan: formats on a machine, the line of memory, what is measured, and traffic."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from .. import tables
from ..formats.grammar import Format
from ..hardware.devices import devices
from ..hardware.speed import IDLE, Rung
from ..laws import draws as capacities
from .decide import Plan, plan
from .scenario import Scenario

KNOWN = (Rung.TIMED, Rung.SIMULATED, Rung.MEASURED, Rung.FITTED, Rung.YOURS)
"""Rungs of a speed-up that say more than a data sheet."""

ODD = {
    "no traffic": {"traffic": {"requests_per_month": 0}},
    "one token in, one out": {"traffic": {"tokens_in": 1, "tokens_out": 1}},
    "ten million tokens of prompt": {"traffic": {"tokens_in": 1e7}},
    "a device without the format": {"hardware": {"devices": ["A100 80GB SXM"]}},
    "a target below E": {"project": {"kind": "train", "target_loss": 0.01}},
    "a capacity that may be 0": {"formats": [{"weights": "fp8_row", "rho": [0, 0.1, 0.3]}]},
    "a finished model, not measured": {"project": {"kind": "post-training"}},
    "a device without a price": {"hardware": {"devices": ["B300 SXM"]}},
    "a device too small": {"hardware": {"devices": ["Jetson Orin NX 16GB"], "gpus": [1]}},
}
"""What is changed at the edges of sense, by what is odd about it."""


def formats_on(
    scenario: Scenario, pairs: Iterable[str], devices: Sequence[str], gpus: int, batches: Sequence[int]
) -> pd.DataFrame:
    """The compressed rows of a plan at equal N for many formats: the scenario's, then ``pairs``, on some devices.

    pairs: "weights x activations", or weights alone.
    """
    named = [(option.weights, option.activations) for option in scenario.formats]
    named += [tuple((pair if " x " in pair else f"{pair} x dense").split(" x ")) for pair in pairs]
    kind = "post-training" if scenario.model.shape.sparse else "qat"  # which the law says nothing of for mixtures
    table = plan(
        scenario.replace(
            formats=[{"weights": weights, "activations": activations} for weights, activations in dict.fromkeys(named)],
            hardware={"devices": list(devices), "gpus": [gpus], "batches": list(batches)},
            project={"kind": kind, "compare": "equal-n"},
            run={"samples": 400},
        )
    ).table
    return table[table.option != "dense"]


def gaining(table: pd.DataFrame, phase: str, batch: int) -> pd.DataFrame:
    """The rows at a batch that gain at equal loss even at P10, with ``known``: whether by more than a data sheet.

    phase: "prefill" or "decode".
    """
    above = table[(table.batch == batch) & (table[f"margin_{phase}_p10"] > 0)]
    return above.assign(known=above[f"speed_source_{phase}"].isin(KNOWN))


def idle(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each option without a known kernel, by its name: needed, low, high: the speed-up 1 / ρ it waits for."""
    without = table[table.speed_source_decode.isin(IDLE)].drop_duplicates("option").set_index("option")
    return without.assign(needed=1 / without.rho, low=1 / without.rho_p90, high=1 / without.rho_p10)


def memory_line(formats: Iterable[Format]) -> pd.DataFrame:
    """A row per Format, of weights alone by the default law: format, bits over 16, rho_p10, rho, rho_p90, ratio.

    ratio: bytes beside 16 bits at equal loss, bits / (16 ρ) at the median; above 1 a format saves no memory.
    """
    draws = capacities.draws()
    table = pd.DataFrame({"format": list(formats)})
    table[["rho_p10", "rho", "rho_p90"]] = [
        np.quantile(draws.capacity(format)[0], [0.1, 0.5, 0.9]) for format in table.format
    ]
    table["bits"] = [format.bits / 16 for format in table.format]
    return table.assign(ratio=table.bits / table.rho)


def by_knowledge(decided: Plan) -> dict[str, Plan]:
    """The plans of a finished model by what is measured: each option, other formats of the model, and nothing.

    decided: of kind "post-training", with ``model.measured`` and the ``dloss`` of each format.
    """
    scenario = decided.scenario
    plain = [{"weights": option.weights, "activations": option.activations} for option in scenario.formats]
    of_two, guessed = scenario.replace(formats=plain), scenario.replace(formats=plain, model={"measured": []})
    return {"each option": decided, "two other formats": plan(of_two), "nothing": plan(guessed)}


def over_traffic(decided: Plan, factors: Iterable[float]) -> pd.DataFrame:
    """The choice of a plan with its traffic multiplied: requests, npv_p10, npv, npv_p90, pays; a row a factor.

    Empty where the plan has no choice, no baseline or no traffic.
    """
    columns = ["npv_p10", "npv", "npv_p90", "pays"]
    scenario, choice, base = decided.scenario, decided.choice, decided.baseline
    traffic = scenario.traffic.requests_per_month
    if choice is None or base is None or not traffic:
        return pd.DataFrame(columns=["requests", *columns])
    picked = next(option for option in scenario.formats if option.name == choice.option)
    option = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(picked).items() if value}
    hardware = {"devices": list(dict.fromkeys([choice.device, base.device]))}
    hardware |= {"gpus": sorted({int(choice.gpus), int(base.gpus)})}
    hardware |= {"batches": sorted({int(choice.batch), int(base.batch)})}
    alone, values = scenario.replace(formats=[option], hardware=hardware), []
    for requests in traffic * np.asarray(list(factors), dtype=float):
        again = plan(alone.replace(traffic={"requests_per_month": float(requests)})).choice
        values.append([requests, *again[columns]])
    return pd.DataFrame(values, columns=["requests", *columns]).astype(float)


def trained(plans: Mapping[str, Plan]) -> pd.DataFrame:
    """The best row of each option over plans of the same model, 16 bits of the first alone; the most valuable first.

    plans: {what their slowdown of training stands on: the plan}, which the column ``slowdown`` says.
    """
    first = next(iter(plans))
    tables = [
        plan.table[(plan.table.option != "dense") | (known == first)].assign(slowdown=known)
        for known, plan in plans.items()
    ]
    rows = pd.concat(tables).sort_values("npv", kind="stable")
    return rows.groupby("option", sort=False).tail(1)[::-1].set_index("option")


def energy() -> pd.DataFrame:
    """What plans say of the energy of NF4 beside what was published of it, on the devices that plans know.

    A row a published model: device, model, params, change, that of its energy a token over 16 bits, and planned_low,
    planned, planned_high, the P10, median and P90 of the plan's, which takes equal power in all formats.
    """
    seen = tables.read("hardware/energy").query("numbers == 'nf4 x bf16' and params > 0 and batch == 1")
    seen = seen[seen.device.isin(devices())][["device", "model", "params", "change"]].reset_index(drop=True)
    for i, row in seen.iterrows():
        scenario = {
            "model": {"params": row.params},
            "formats": [{"weights": "nf4/g64"}],
            "hardware": {"devices": [row.device], "engine": "bitsandbytes", "batches": [1]},
            "project": {"kind": "post-training"},
            "run": {"samples": 400},
        }
        own = plan(scenario).table.set_index("option").loc["nf4/g64"]
        faster = [own[f"speedup_decode{part}"] for part in ("_p90", "", "_p10")]
        seen.loc[i, ["planned_low", "planned", "planned_high"]] = [1 / times - 1 for times in faster]
    return seen


def at_the_edges(scenario: Scenario, odd: Iterable[str] = tuple(ODD)) -> dict[str, Plan]:
    """{what is odd about it: the plan} of scenarios that should not work, each ``scenario`` with one of ODD changed."""
    plain = scenario.replace(
        formats=[{"weights": "fp8_row", "activations": "fp8_row"}],
        hardware={"devices": ["H100 80GB SXM"], "gpus": [4], "batches": [1, 256]},
        traffic={"latency_ms": float("inf")},
    )
    return {name: plan(plain.replace(**ODD[name])) for name in odd}
