"""Measures the formats of catalogue and atlas whose GMSE has to be sampled, and writes data/measured/gmse.csv.

    .venv/bin/python bench/record_gmse.py        # then: .venv/bin/python -m rholaw update measured/gmse

Takes minutes. A test samples each value again, with fewer samples.
"""

import rholaw as rl
from rholaw import files, tables
from rholaw.error import measure
from rholaw.fidelity.atlas import INFERRED

path = tables.DATA / f"{measure.TABLE}.csv"
names = [name for name in rl.fidelity.load()["format"].dropna().unique() if name not in INFERRED]
formats = [*rl.catalogue().values(), *map(rl.parse, names)]
frame = measure.record({str(format): format for format in formats}.values())
files.write(path, frame.to_csv(index=False, lineterminator="\n"))
print(frame.to_string())
