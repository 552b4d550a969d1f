"""The capacity of four bits by every source and definition; writes data/measured/four_bits.csv.

    .venv/bin/python bench/four_bits.py        # then: .venv/bin/python -m rholaw data update measured/four_bits

Takes minutes: 200 resamples of whole sizes behind each fit.
"""

from rholaw import tables
from rholaw.laws.four_bits import computed

frame = computed()
print(frame.to_string())
frame.to_csv(tables.DATA / "measured" / "four_bits.csv", index=False, lineterminator="\n", float_format="%.5g")
