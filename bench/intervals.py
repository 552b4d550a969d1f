"""How often the intervals of the unified law hold on real runs, and what its curvature says beside the bootstrap.

python bench/intervals.py      minutes; writes data/measured/intervals and standard_errors with their manifests
"""

import numpy as np
import pandas as pd

import rholaw as rl
from rholaw import files, tables
from rholaw.laws import held_out

RESAMPLES = 100
"""For an interval; five times as many for a standard error."""
DRAWS = 5
"""Of the random folds, since one draw alone moves a share by several points."""
quartet = rl.runs.load("quartet2025")
SETS = {
    "quest2025": rl.runs.one_estimator(rl.runs.load("quest2025")),
    "quartet2025": quartet[quartet["backward"] == "BF16"],
    "frantar2023_t5": rl.runs.load("frantar2023_t5"),
    "frantar2023_vit": rl.runs.load("frantar2023_vit"),
    "gpu2026": rl.runs.load("gpu2026"),
    "cpu2026": rl.runs.load("cpu2026"),
}


def splits(runs: pd.DataFrame) -> dict[tuple[str, int], dict[str, np.ndarray]]:
    """Folds by what they leave out, and draw: quarters of runs or of sizes, and all beyond a size or a length."""
    result = {}
    for draw in range(DRAWS):
        result["runs", draw] = held_out.random_folds(runs, seed=draw)
        result["sizes", draw] = held_out.random_folds(runs, "n_params", seed=draw)
    for name, column, least in (("larger", "n_params", 4), ("longer", "n_tokens", 3)):
        cuts = np.unique(runs[column])[least - 1 : -1]
        result[name, 0] = {str(cut): (runs[column] > cut).to_numpy() for cut in cuts}
    return result


def record(name: str, rows: list[dict]) -> None:
    """The table data/measured/``name``, and the hash in its manifest."""
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    files.write(tables.DATA / "measured" / f"{name}.csv", text)
    tables.update(f"measured/{name}")


covers, errors = [], []
for series, runs in SETS.items():
    for (left_out, draw), folds in splits(runs).items():
        inside = held_out.covered("unified", runs, folds, n_bootstrap=RESAMPLES)
        if len(inside):
            about = {"series": series, "left_out": left_out, "draw": draw, "predicted": len(inside)}
            covers.append(about | inside.mean().to_dict())
            print(*covers[-1].values(), flush=True)
    curved, drawn = (rl.fit("unified", runs, n_bootstrap=count).standard_errors for count in (0, 5 * RESAMPLES))
    known = [name for name in drawn if np.isfinite([curved[name], drawn[name]]).all()]
    errors += [
        {"series": series, "parameter": name, "curvature": curved[name], "bootstrap": drawn[name]} for name in known
    ]
record("intervals", covers)
record("standard_errors", errors)
