"""Measures every format of the catalogue whose GMSE has to be sampled, and writes data/measured/gmse.csv.

    .venv/bin/python bench/record_gmse.py        # then: .venv/bin/python -m rholaw update measured/gmse

Takes minutes. A test samples each value again, with fewer samples.
"""

import rholaw as rl
from rholaw import files, tables
from rholaw.error import measure

path = tables.DATA / f"{measure.TABLE}.csv"
frame = measure.record(rl.catalogue().values())
files.write(path, frame.to_csv(index=False, lineterminator="\n"))
print(frame.to_string())
