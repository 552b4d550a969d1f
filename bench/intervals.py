"""How often intervals hold, of the losses of real runs and of the constants of a law that is known; what is identified.

python bench/intervals.py      minutes; writes data/measured/intervals, identified and constants with their manifests
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
LAW = rl.Law(A=406.4, alpha=0.34, B=410.7, beta=0.28, E=1.69)  # Hoffmann et al. 2022, approach 3
RHO = {"dense": 1.0, "int2": 0.4, "int4": 0.8}
SHIFTS = (0.003, 0.002, 0.001)  # standard deviations of a loss: of a size, of a format at a size, of a run
EXPERIMENTS = 100


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


def experiment(sizes: int, seed: int) -> dict[str, bool]:
    """Whether the intervals of a fit to synthetic runs hold the constants of LAW and of RHO."""
    rng = np.random.default_rng(seed)
    grid = [(n, ratio * n, name) for n in np.geomspace(3e7, 1e9, sizes) for name in RHO for ratio in (20, 100, 400)]
    runs = pd.DataFrame(grid, columns=["n_params", "n_tokens", "weights"]).assign(activations="dense")
    shifts = [np.arange(len(runs)) // group for group in (3 * len(RHO), 3, 1)]
    logs = sum(sd * rng.standard_normal(len(runs))[place] for sd, place in zip(SHIFTS, shifts, strict=True))
    runs["loss"] = LAW.loss(runs.n_params, runs.n_tokens, runs.weights.map(RHO)) * np.exp(logs)
    intervals = rl.fit("decoupled", runs, n_bootstrap=RESAMPLES, seed=seed).intervals
    truth = vars(LAW) | {f"rho[{name}|dense]": rho for name, rho in RHO.items()}
    return {name: low <= truth[name] <= high for name, (low, high) in intervals.items()}


covers, told = [], []
for series, runs in SETS.items():
    for (left_out, draw), folds in splits(runs).items():
        inside = held_out.covered("unified", runs, folds, n_bootstrap=RESAMPLES)
        if len(inside):
            about = {"series": series, "left_out": left_out, "draw": draw, "predicted": len(inside)}
            covers.append(about | inside.mean().to_dict())
            print(*covers[-1].values(), flush=True)
    curved, drawn = (rl.fit("unified", runs, n_bootstrap=count) for count in (0, 5 * RESAMPLES))
    told += [
        {
            "series": series,
            "parameter": name,
            "curvature": int(curved.identified[name]),
            "bootstrap": int(drawn.identified[name]),
        }
        for name in drawn.standard_errors
    ]
record("intervals", covers)
record("identified", told)
held = []
for sizes in (5, 8, 12):
    shares = pd.DataFrame([experiment(sizes, seed) for seed in range(EXPERIMENTS)])
    held += [
        {"sizes": sizes, "parameter": name, "fits": shares[name].count(), "held": shares[name].mean()}
        for name in shares
    ]
    print(sizes, shares.mean().to_dict(), flush=True)
record("constants", held)
