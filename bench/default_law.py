"""Records the default law of plans, fitted to today's runs, in data/laws: python bench/default_law.py

data/laws/default.csv has a row for the fit itself and one for each of its 400 resamples.  The manifest's source names
what was fitted by the hash of ``rholaw.laws.draws.recipe``; while that is not the hash of the runs, every plan fits
the law anew, for seconds.
"""

import re

import pandas as pd

from rholaw import files, tables
from rholaw.laws.draws import DEFAULT, RECORDED, default_runs, recipe
from rholaw.laws.fitting import fit


def main() -> None:
    """The fit, its resamples, and the hash in the manifest."""
    runs = default_runs()
    law = fit(DEFAULT, runs, n_bootstrap=400)
    if law.status != "converged":
        raise SystemExit(f"the fit did not converge: {law.status}")
    table = pd.concat([pd.DataFrame([law.params]), law.samples], ignore_index=True)
    path = tables.DATA / f"{RECORDED}.csv"
    files.write(path, table.to_csv(index_label="sample", float_format="%.10g", lineterminator="\n"))
    about = path.with_suffix(".toml")
    files.write(about, re.sub(r"recipe [0-9a-f]{16}", f"recipe {recipe(runs)}", about.read_text(encoding="utf-8")))
    tables.update(RECORDED)


if __name__ == "__main__":
    main()
