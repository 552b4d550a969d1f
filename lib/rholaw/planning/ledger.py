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
from ..laws import draws as capacities
from . import advice, decide

RECORDED = "plans/ledger"
CASES = ("chat_8b", "laptop_8b")
"""Scenarios, by their names in chapters/scenarios."""
SPREAD = ("_p10", "", "_p90")
TAKEN = ("bits", *(f"{name}{part}" for name in ("dloss", "speedup_decode", "saving_month") for part in SPREAD), "pays")
"""Columns of a plan's table that are recorded as they are."""


def recorded() -> pd.DataFrame:
    """What ``made`` gave: a row for each option, in their order."""
    return tables.read(RECORDED).fillna({"against": ""})


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
