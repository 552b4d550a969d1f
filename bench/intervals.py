"""How often the intervals of a fit hold, on real runs: random quarters left out, and all beyond a size or a length.

python bench/intervals.py [n_bootstrap]      a few minutes; prints two tables
"""

import sys

import numpy as np
import pandas as pd

import rholaw as rl

n_bootstrap = int(sys.argv[1]) if len(sys.argv) > 1 else 40
quartet = rl.runs.load("quartet2025")
SETS = {
    "quest2025": rl.runs.one_estimator(rl.runs.load("quest2025")),
    "quartet2025": quartet[quartet["backward"] == "BF16"],
    "frantar2023_t5": rl.runs.load("frantar2023_t5"),
    "frantar2023_vit": rl.runs.load("frantar2023_vit"),
    "gpu2026": rl.runs.load("gpu2026"),
    "cpu2026": rl.runs.load("cpu2026"),
}


def splits(runs):
    """(kind, boolean array, True for the runs left out)."""
    fold = np.random.default_rng(0).integers(0, 4, len(runs))
    yield from (("random quarters", fold == number) for number in range(4))
    for name, least in (("n_params", 4), ("n_tokens", 3)):
        for cut in np.unique(runs[name])[least - 1 : -1]:
            yield f"beyond in {name}", (runs[name] > cut).to_numpy()


rows, errors = [], []
for name, runs in SETS.items():
    for kind, out in splits(runs):
        try:
            fit = rl.fit("unified", runs[~out], n_bootstrap=n_bootstrap)
            predictions = {noise: fit.predict_interval(runs[out], noise=noise) for noise in (True, False)}
        except ValueError:  # a format or a family that the runs left in do not have
            continue
        loss = runs["loss"][out].to_numpy()
        within = {noise: (low <= loss) & (loss <= high) for noise, (low, high) in predictions.items()}
        rows += [(name, kind, *pair) for pair in zip(within[True], within[False], strict=True)]
    curved, drawn = (rl.fit("unified", runs, n_bootstrap=count).standard_errors for count in (0, 5 * n_bootstrap))
    errors += [(name, key, curved[key], drawn[key]) for key in drawn if np.isfinite([curved[key], drawn[key]]).all()]
    print(name, "done", file=sys.stderr, flush=True)

covered = pd.DataFrame(rows, columns=["series", "runs left out", "with noise", "without"])
print(covered.groupby(["series", "runs left out"]).agg({"with noise": ["size", "mean"], "without": "mean"}).round(2))
errors = pd.DataFrame(errors, columns=["series", "parameter", "curvature", "bootstrap"])
print(errors.assign(ratio=errors["curvature"] / errors["bootstrap"]).round(3).to_string(index=False))
