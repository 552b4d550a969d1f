"""Every law on QuEST's runs: in sample, on larger models, on formats left out; and three of them on this project's own.

    .venv/bin/python bench/rivals.py        # then: .venv/bin/python -m rholaw data update measured/rivals

Writes data/measured/rivals.csv and rivals_gpu.csv.  Takes minutes: each number is a hundred fits.
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
frame.round(6).to_csv(tables.DATA / "measured" / "rivals.csv", index=False, lineterminator="\n", float_format="%.6g")

own = rl.runs.load("gpu2026")
own = validation.counted(own[~own["weights"].str.contains(r":|^s0|vq|\+")].reset_index(drop=True), 112)
rows = []
for law in ("unified", "additive", "additive-exponents"):
    fit = rl.fit(law, own)
    row = {"law": law, "free": len(fit.standard_errors), "aic": round(fit.aic, 1), "seen": round(fit.rmse, 5)}
    folds = validation.leave_one_format_out(law, own, n_bootstrap=60).set_index("fold")
    row |= dict(
        zip(["format", "format_low", "format_high"], folds.loc["all", ["log_rmse", "low", "high"]], strict=True)
    )
    row |= {name: folds.log_rmse[f"{name}|dense"] for name in ("int2", "int4")}
    row["size"] = validation.leave_one_size_out(law, own).iloc[-1].log_rmse
    rows.append(row)
path = tables.DATA / "measured" / "rivals_gpu.csv"
pd.DataFrame(rows).to_csv(path, index=False, lineterminator="\n", float_format="%.6g")
