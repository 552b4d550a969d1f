"""Every law on QuEST's runs: in sample, on larger models, on formats left out; writes data/measured/rivals.csv.

    .venv/bin/python bench/rivals.py        # then: .venv/bin/python -m rholaw data update measured/rivals

Takes minutes: each number is a hundred fits.
"""

import pandas as pd

import rholaw as rl
from rholaw import tables
from rholaw.laws import held_out as validation

LAWS = ["unified", "unified-bounded", "unified-logistic", "unified-composed", "additive", "additive-composed"]
LAWS += ["additive-exponents", "decoupled", "decoupled-exponents", "chen", "kumar", "kumar-offset", "frantar", "sun"]
HELD = {"free": {}, "1.0": {"E": 1.0}, "1.5": {"E": 1.5}}

chosen = validation.counted(rl.runs.one_estimator(rl.runs.load("quest2025")), 74)
parts = []
for name, fixed in HELD.items():
    table = validation.compare(LAWS, chosen, max_params=2.1e8, fixed=fixed, n_bootstrap=60)
    print(table.drop(columns="reason").to_string(), flush=True)
    parts.append(table.reset_index().assign(E=name))
columns = [
    "E",
    "law",
    "free",
    "aic",
    "seen",
    "size",
    "size_low",
    "size_high",
    "format",
    "format_low",
    "format_high",
    "reason",
]
frame = pd.concat(parts)[columns]
frame["reason"] = frame["reason"].str.replace("ρ", "rho")  # tables are ASCII
frame.to_csv(tables.DATA / "measured" / "rivals.csv", index=False, lineterminator="\n", float_format="%.6g")
