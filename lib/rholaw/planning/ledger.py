"""One model through the whole book: what each format does to it, from its bits to the verdict.

Llama-3.1-8B, finished, is served to many on H100s and to one person on a laptop: the worked cases of chapter 18.  A
column of the ledger is an option of one of them, a line is what a chapter adds.  The plans take seconds, so that their
results are recorded in data/plans/ledger, by ``bench/ledger.py``; a test makes them anew.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from .. import tables
from ..error.measure import gmse
from ..formats.grammar import parse
from ..laws import draws as capacities
from . import advice, damage, decide
from .scenario import Scenario

RECORDED = "plans/ledger"
CASES = ("chat_8b", "laptop_8b")
"""Scenarios, by their names in chapters/scenarios."""
SPREAD = ("_p10", "", "_p90")
TAKEN = ("bits", *(f"{name}{part}" for name in ("dloss", "speedup_decode", "saving_month") for part in SPREAD), "pays")
"""Columns of a plan's table that are recorded as they are."""


def recorded() -> pd.DataFrame:
    """What ``made`` gave: a row for each option, in their order."""
    return tables.read(RECORDED).fillna({"against": ""})


def unplanned(case: Scenario) -> pd.DataFrame:
    """The lines of the ledger before speed and money, for each option of a case, in a plan or not.

    Columns: weights, activations, bits and gmse of the weights, rho_p10, rho and rho_p90 by the default law, and
    dloss_p10, dloss and dloss_p90 by the law after training, nats per token; missing where activations are rounded,
    of which that law is silent.
    """
    law, rows = capacities.draws(), []
    for option in case.formats:
        rho = np.quantile(law.capacity(option.weights, option.activations)[0], [0.1, 0.5, 0.9])
        rise = damage.rise(case, option, [0.1, 0.5, 0.9]) if option.activations == "dense" else [np.nan] * 3
        row = {name: getattr(option, name) for name in ("weights", "activations")}
        row |= {"bits": parse(option.weights).bits, "gmse": gmse(option.weights).value}
        row |= {f"rho{part}": value for part, value in zip(SPREAD, rho, strict=True)}
        rows.append(row | {f"dloss{part}": value for part, value in zip(SPREAD, rise, strict=True)})
    return pd.DataFrame(rows)


def made(scenarios: Path) -> pd.DataFrame:
    """The options of the CASES at their best: case, weights, activations, device, devices_paid, the columns TAKEN, gmse
    of the weights, rho_p10, rho and rho_p90 by the default law, verdict of the case and what stands against the option.

    scenarios: the folder with their files.  Money is that of the scenarios a month; against: codes of the reasons.
    """
    law, rows = capacities.draws(), []
    for case in CASES:
        plan = decide.plan(scenarios / f"{case}.toml")
        best = advice.best(plan.table[plan.table.option != "dense"])
        for where in best.sort_index().index:
            row = best.loc[where]
            rho = np.quantile(law.capacity(row.weights, row.activations)[0], [0.1, 0.5, 0.9])
            known = {"case": case} | {
                name: row[name] for name in ("weights", "activations", "device", "devices_paid", *TAKEN)
            }
            known |= {"gmse": gmse(row.weights).value} | dict(zip((f"rho{part}" for part in SPREAD), rho, strict=True))
            against = " ".join(reason.code for reason in plan.reasons[where])
            rows.append(known | {"verdict": plan.verdict, "against": against})
    return pd.DataFrame(rows)
