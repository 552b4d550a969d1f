"""A worked case with four choices, and what a plan says for each: a model, a device, a traffic and a currency.

The case is the chat service of the ledger, which is one of the choices.  The first pages of the book offer them.  The
plans take minutes together, so that what they say is recorded in data/plans/glance, and what their options cost and
gain in data/plans/glance_options, by ``bench/ledger.py``; a test makes some of them anew.
"""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .. import tables
from . import advice, decide
from .ledger import SPREAD
from .scenario import Scenario
from .words import LANGUAGES

RECORDED, OPTIONS, CASE = "plans/glance", "plans/glance_options", "chat_8b"
TAKEN = ("gpus", "batch", "kernel", *(f"{name}{part}" for name in ("dloss", "speedup_decode") for part in SPREAD))
"""Columns of a plan's table that are recorded of an option."""
MODELS = {"Llama-3.1-8B": 15e12, "Qwen3-32B": 36e12, "Llama-3.1-70B": 15e12}
"""Models, and the tokens that each was trained on by its authors (of Qwen3: arXiv 2505.09388)."""
DEVICES = ("L40S", "H100 80GB SXM", "H200 SXM", "B200 SXM", "MI300X")
GPUS = (1, 2, 4, 8)
"""Devices of a replica, of which a plan takes the cheapest number."""
RATES = {"minute": 43_800.0, "second": 2.628e6, "fifty": 131.4e6, "thousands": 5256e6}
"""Requests a month of traffic that a page calls one a minute, and 1, 50 and 2,000 a second."""
CURRENCIES = {"USD": 1.0, "JPY": 150.0}
"""What a USD is in each: yen by a round rate for planning, as on the Japanese pages; it is no quotation."""
CHOICES = {"model": MODELS, "device": DEVICES, "traffic": RATES, "currency": CURRENCIES}
"""{what is chosen: what of}, in the order in which a page asks."""


@dataclass(frozen=True)
class Cell:
    """One choice of each."""

    model: str
    device: str
    traffic: str
    currency: str

    def of(self, case: Scenario) -> Scenario:
        """The case with what is chosen in it."""
        return case.replace(
            model={"geometry": self.model, "tokens": MODELS[self.model]},
            hardware={"devices": [self.device], "gpus": list(GPUS)},
            traffic={"requests_per_month": RATES[self.traffic]},
            prices={"currency": self.currency, "rate": CURRENCIES[self.currency]},
        )


def cells() -> list[Cell]:
    """Every choice, the last one changing fastest."""
    return [Cell(*chosen) for chosen in itertools.product(*CHOICES.values())]


def recorded() -> pd.DataFrame:
    """What ``made`` gave for all cells, in their order; the record has its texts as JSON strings."""
    table = tables.read(RECORDED)
    return table.assign(**{name: table[name].map(json.loads) for name in LANGUAGES})


def recorded_options() -> pd.DataFrame:
    """What ``options`` gave for all cells of one currency, in their order."""
    return tables.read(OPTIONS)


def made(scenarios: Path, chosen: Iterable[Cell]) -> pd.DataFrame:
    """A row for each Cell: what is chosen, the verdict, and the summary in English (``en``) and Japanese (``ja``).

    scenarios: the folder with the file of the CASE.
    """
    scenario, rows = Scenario.read(scenarios / f"{CASE}.toml"), []
    for cell in chosen:
        plan = decide.plan(cell.of(scenario))
        rows.append({**vars(cell), "verdict": plan.verdict, "en": plan.summary_en, "ja": plan.summary_ja})
    return pd.DataFrame(rows)


def options(scenarios: Path, chosen: Iterable[Cell]) -> pd.DataFrame:
    """The compressed options of each Cell at their best where they fit: model, device, traffic, weights, activations
    and the columns TAKEN.  No currency changes them.

    scenarios: as of ``made``.
    """
    scenario, rows = Scenario.read(scenarios / f"{CASE}.toml"), []
    for cell in chosen:
        table = decide.plan(cell.of(scenario)).table
        best = advice.best(table[table.fits & (table.option != "dense")]).sort_index()
        of = {"model": cell.model, "device": cell.device, "traffic": cell.traffic}
        rows += [of | dict(row) for _, row in best[["weights", "activations", *TAKEN]].iterrows()]
    return pd.DataFrame(rows)
