"""Records data/plans/ledger, glance and glance_options, which pages show, by today's plans: python bench/ledger.py

The last two take minutes; ``python bench/ledger.py ledger`` records the first alone.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from rholaw import files, tables
from rholaw.planning import glance, ledger
from rholaw.planning.words import LANGUAGES

SCENARIOS = Path(__file__).parents[1] / "chapters" / "scenarios"


def of_ledger() -> pd.DataFrame:
    """The ledger of the running example."""
    return ledger.made(SCENARIOS)


def of_glance() -> pd.DataFrame:
    """The choices of the first pages; texts as JSON has them, in ASCII."""
    table = glance.made(SCENARIOS, tqdm(glance.cells()))
    return table.assign(**{name: table[name].map(json.dumps) for name in LANGUAGES})


def of_options() -> pd.DataFrame:
    """What the options of these choices cost and gain."""
    return glance.options(SCENARIOS, tqdm([cell for cell in glance.cells() if cell.currency == "USD"]))


MADE = {"ledger": (ledger.RECORDED, of_ledger), "glance": (glance.RECORDED, of_glance)}
MADE["glance_options"] = (glance.OPTIONS, of_options)


def main() -> None:
    """The tables and their manifests."""
    for name in sys.argv[1:] or MADE:
        recorded, made = MADE[name]
        text = made().to_csv(index=False, float_format="%.6g", lineterminator="\n")
        files.write(tables.DATA / f"{recorded}.csv", text)
        tables.update(recorded)


if __name__ == "__main__":
    main()
