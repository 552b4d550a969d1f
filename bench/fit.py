"""How long the fit of Hoffmann et al. takes: L-BFGS-B from its grid of starts, the package ``chinchilla``, and ours.

    python bench/fit.py [--points 240] [--bootstrap 4000] [--without scipy chinchilla]

Synthetic runs of A N^-α + B D^-β + E with 0.5 % noise, the same for all; the objective is the sum of Huber losses,
δ = 1e-3, of the log residuals.  scipy, as usually done: 4,500 starts, numerical gradients, a process a core.
``chinchilla`` (0.2, if installed) starts BFGS from the same grid, a process a core.  Ours: one process.  The bootstrap
refits ours to resamples, each from the optimum, in one process a core.
"""

import argparse
import contextlib
import importlib.util
import io
import itertools
import multiprocessing
import os
import tempfile
import time

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

import rholaw as rl

DELTA = 1e-3
GRID = {"e": np.arange(-1, 1.1, 0.5), "a": np.arange(0, 26, 5.0), "b": np.arange(0, 26, 5.0)}
GRID |= {"alpha": np.arange(0, 2.1, 0.5), "beta": np.arange(0, 2.1, 0.5)}
TRUTH = rl.Law(A=406.4, alpha=0.34, B=410.7, beta=0.28, E=1.69)
CORES = len(os.sched_getaffinity(0))


def points(count, seed=0):
    """Synthetic runs."""
    generator = np.random.default_rng(seed)
    runs = pd.DataFrame(
        {"n_params": 10 ** generator.uniform(7, 10, count), "n_tokens": 10 ** generator.uniform(8.5, 11.5, count)}
    )
    noise = np.exp(0.005 * generator.standard_normal(count))
    return runs.assign(loss=TRUTH.loss(runs.n_params, runs.n_tokens) * noise)


def objective(x, n, d, y):
    """Σ Huber of the log residuals at (log E, log A, log B, α, β)."""
    e, a, b, alpha, beta = x
    return huber(DELTA, logsumexp([a - alpha * n, b - beta * d, np.full_like(n, e)], axis=0) - y).sum()


def descend(job):
    """The objective that one start reaches."""
    start, logs = job
    with np.errstate(all="ignore"):
        return minimize(objective, start, args=logs, method="L-BFGS-B").fun


def by_scipy(runs):
    """The objectives of all starts."""
    logs = tuple(np.log(runs[name].to_numpy()) for name in ("n_params", "n_tokens", "loss"))
    jobs = [(start, logs) for start in itertools.product(*GRID.values())]
    with multiprocessing.Pool(CORES) as pool:
        return pool.map(descend, jobs, chunksize=50)


def by_chinchilla(runs):
    """The objective that the package reaches."""
    from chinchilla import Chinchilla
    from chinchilla._metrics import log_huber

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        fit = Chinchilla(
            folder, {k: tuple(v) for k, v in GRID.items()}, loss_fn=lambda y, p: log_huber(y, p, DELTA), log_level=40
        )
        for row in runs.itertuples():
            fit.database.append(C=6 * row.n_params * row.n_tokens, N=row.n_params, D=row.n_tokens, loss=row.loss)
        fit.fit()
        x = np.array([np.log(fit.E), np.log(fit.A), np.log(fit.B), fit.alpha, fit.beta], dtype=float)
    return objective(x, *(np.log(runs[name].to_numpy()) for name in ("n_params", "n_tokens", "loss")))


def resample(job):
    """A share of the bootstrap."""
    runs, count, seed = job
    return rl.fit("chinchilla", runs, n_bootstrap=count, seed=seed).samples


def timed(work, *arguments):
    """(result, wall seconds)."""
    start = time.perf_counter()
    result = work(*arguments)
    return result, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=240)
    parser.add_argument("--bootstrap", type=int, default=4000)
    parser.add_argument("--without", nargs="*", default=[], choices=["scipy", "chinchilla"])
    chosen = parser.parse_args()
    runs = points(chosen.points)
    timed(rl.fit, "chinchilla", runs)  # the first call imports
    repeats = [timed(rl.fit, "chinchilla", runs) for _ in range(7)]
    ours, seconds = repeats[0][0].objective, float(np.median([each[1] for each in repeats]))
    print(f"{chosen.points} points, {CORES} cores\n\n| fit | seconds | times ours | objective |\n|---|--:|--:|--:|")
    print(f"| rholaw | {seconds:.3f} | 1 | {ours:.9g} |", flush=True)
    if "scipy" not in chosen.without:
        reached, took = timed(by_scipy, runs)
        share = np.mean(np.array(reached) < ours * 1.001)
        text = f"scipy L-BFGS-B, {len(reached)} starts ({share:.0%} within 0.1 % of ours)"
        print(f"| {text} | {took:.1f} | {took / seconds:.0f} | {min(reached):.9g} |", flush=True)
        assert ours <= min(reached) * (1 + 1e-6)
    if "chinchilla" not in chosen.without and importlib.util.find_spec("chinchilla"):
        reached, took = timed(by_chinchilla, runs)
        print(f"| chinchilla 0.2 | {took:.1f} | {took / seconds:.0f} | {reached:.9g} |", flush=True)
        assert ours <= reached * (1 + 1e-6)
    share = -(-chosen.bootstrap // CORES)
    with multiprocessing.Pool(CORES) as pool:
        samples, took = timed(pool.map, resample, [(runs, share, seed) for seed in range(CORES)])
    print(f"\n{sum(map(len, samples))} bootstraps, each from the optimum: {took:.1f} s")


if __name__ == "__main__":
    main()
