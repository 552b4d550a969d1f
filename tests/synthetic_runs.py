"""Synthetic runs, of laws whose parameters are known, for tests of fits."""

import numpy as np
import pandas as pd
import pytest
from sampling import FULL

import rholaw as rl
from rholaw import tables
from rholaw.laws import registry
from rholaw.laws.parameters import Parameters

TRUTH = {"A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28, "E": 1.69}
LAW = rl.Law(**TRUTH)
CURVE = rl.Curve(F=0.41, C=1.39)
HELD = {} if FULL else {"beta": TRUTH["beta"]}  # one exponent less to look for: seven times fewer starts
SIZES = (3e7, 1e8, 3e8, 1e9)


def dense_runs(seed, count=200, noise=0.005):
    """Synthetic runs of the law that Hoffmann et al. print."""
    generator = np.random.default_rng(seed)
    runs = pd.DataFrame(
        {"n_params": 10 ** generator.uniform(7, 10, count), "n_tokens": 10 ** generator.uniform(8.5, 11.5, count)}
    )
    runs["loss"] = LAW.loss(runs.n_params, runs.n_tokens) * np.exp(noise * generator.standard_normal(count))
    return runs


def compressed_runs(noise=0.0, formats=("dense", "int2", "int3", "int4", "int8", "e2m1"), sizes=SIZES, seed=0):
    """Synthetic runs of the unified law: weights in each format, activations dense or the same."""
    rows = [
        (n, ratio * n, weights, activations)
        for n in sizes
        for ratio in (20, 100)
        for weights in formats
        for activations in {"dense", weights if "+" not in weights and ":" not in weights else "dense"}
    ]
    runs = pd.DataFrame(rows, columns=["n_params", "n_tokens", "weights", "activations"]).sort_values(
        ["weights", "activations", "n_params", "n_tokens"], ignore_index=True
    )
    rho = [
        np.prod([CURVE(rl.gmse(part).value) for text in pair for part in rl.parse(text).parts])
        for pair in zip(runs.weights, runs.activations, strict=True)
    ]
    scatter = np.exp(noise * np.random.default_rng(seed).standard_normal(len(runs)))
    return runs.assign(rho=rho, loss=LAW.loss(runs.n_params, runs.n_tokens, rho) * scatter)


QUANTISED = [(f, a) for f in ("dense", "int2", "int3", "int4", "int8") for a in ("dense", f)][1:]


def noiseless(law, pairs, truth, names=("weights", "activations")):
    """Runs without noise of the law with these parameters: every pair at three sizes and three ratios of tokens."""
    rows = [(n, r * n, *pair) for n in (3e7, 3e8, 3e9) for r in (5, 20, 100) for pair in pairs]
    runs = pd.DataFrame(rows, columns=["n_params", "n_tokens", *names]).assign(loss=1.0)
    model = registry.find(law)(runs)
    assert set(model.names) == set(truth)
    p = Parameters(model.names, np.log([truth[name] for name in model.names]))
    return runs.assign(loss=np.exp(model.log_loss(p, model.columns(runs))))


def assert_gives_back(fit, truth):
    """The fit to noiseless runs has found the parameters that made them."""
    assert fit.status == "converged"
    assert fit.params == pytest.approx(truth, rel=2e-4)
    assert all(fit.identified.values())


def constants(name, **query):
    """{parameter: value} of a table of printed constants."""
    table = tables.read(f"published/{name}_constants")
    for column, value in query.items():
        table = table[table[column] == value]
    return table.set_index("quantity" if "quantity" in table else "parameter")["value"]
