"""Measures every format of the catalogue whose GMSE has to be sampled, and writes data/measured/gmse.csv.

    .venv/bin/python bench/record_gmse.py        # then: .venv/bin/python -m rholaw update measured/gmse

Takes minutes. A test samples each value again, with fewer samples.
"""

import os

import rholaw as rl
from rholaw import tables
from rholaw.error import measure

path = tables.DATA / f"{measure.TABLE}.csv"
temporary = path.with_suffix(".tmp")
frame = measure.record(rl.catalogue().values())
frame.to_csv(temporary, index=False, lineterminator="\n")
os.replace(temporary, path)
print(frame.to_string())
