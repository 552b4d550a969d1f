"""Fit the law after training to the atlas and record it: python bench/fit_population.py [--dry]

Writes data/fidelity/population.csv (priors, effects and spreads) and data/fidelity/inferred.csv (types of GGUF files
without a definition here, or with another search: the median over models of (rise − floor) / κ), and updates both
manifests. Half a minute.
"""

import argparse

import numpy as np
import pandas as pd

from rholaw import files, tables
from rholaw.fidelity import atlas, evidence, trials
from rholaw.fidelity.population import TERMS, Population, fit_population
from rholaw.fidelity.posterior import NAMES, Prior
from rholaw.fidelity.sensitivity import SensitivityFit, fit_sensitivity

FEWEST = 5  # formats of a model from which its κ, floor and scatter are taken
# not what is recorded: that would feed itself
START = Prior((np.log(5), 2.0), (np.log(0.002), 1.5), (np.log(0.1), 0.7))
WIDER = 1.5  # the next model may be of a kind that the atlas does not hold
MODELS = 2  # that must have measured a type before its error is inferred


def measured_models(rows: pd.DataFrame) -> dict[tuple, SensitivityFit]:
    """(source, model, metric, …) → fit, for models that follow the law."""
    groups = rows[(rows["rise"] > 0) & (rows["rise"] < evidence.SATURATED)].groupby(trials.SERIES, dropna=False)
    fits = {key: fit_sensitivity(group[["gmse", "rise"]], START) for key, group in groups if len(group) >= FEWEST}
    for key, fit in fits.items():
        print(
            *key,
            f"kappa {fit.kappa:.2f}, floor {fit.floor:.4f}, scatter {np.median(fit.draws[:, 2]):.3f}: {fit.status}",
        )
    return {key: fit for key, fit in fits.items() if fit.status == "converged"}


def priors(fits: dict[tuple, SensitivityFit]) -> dict[str, float]:
    """Centre and spread between models of log κ, log floor and log scatter."""
    numbers = {}
    for column, name in enumerate(NAMES):
        logs = [np.log(np.median(fit.draws[:, column])) for fit in fits.values()]
        wider = 1.0 if name == "scatter" else WIDER
        numbers |= {f"log_{name}": float(np.mean(logs)), f"log_{name}_sd": wider * float(np.std(logs, ddof=1))}
    return numbers


def effects(law: Population) -> dict[str, float]:
    """The law over models as names and numbers."""
    numbers = dict(zip(TERMS, law.beta, strict=True))
    numbers |= {f"spread_{name}": value for name, value in zip(("models", "series", "rows"), law.spread, strict=True)}
    pairs = [(i, j) for i in range(len(TERMS)) for j in range(i, len(TERMS))]
    return numbers | {f"covariance_{i}_{j}": law.covariance[i, j] for i, j in pairs}


def inferred(rows: pd.DataFrame, fits: dict[tuple, SensitivityFit]) -> pd.DataFrame:
    """The error that damage implies of each type whose files hold it only: median and 10 to 90 % of models."""
    rows = rows[
        rows["format"].isin([*atlas.INFERRED, *evidence.SEARCHED])
        & (rows["metric"] == "kl")
        & rows["purity"].isin(["pure", "mostly"])
    ]
    rows = rows[rows["rise"] < evidence.SATURATED]
    fits = {key[:2]: fit for key, fit in fits.items() if key[2] == "kl"}
    keys = list(zip(rows["source"], rows["model"], strict=True))
    rows = rows[[key in fits and rise > 2 * fits[key].floor for key, rise in zip(keys, rows["rise"], strict=True)]]
    laws = [fits[key] for key in zip(rows["source"], rows["model"], strict=True)]
    error = (rows["rise"] - [law.floor for law in laws]) / [law.kappa for law in laws]
    table = error.groupby(rows["format"]).agg(
        gmse="median", low=lambda e: e.quantile(0.1), high=lambda e: e.quantile(0.9), models="size"
    )
    return table[table["models"] >= MODELS].reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="print only")
    dry = parser.parse_args().dry
    rows = evidence.usable()
    fits = measured_models(rows)
    law = fit_population(evidence.costs(rows))
    numbers = priors(fits) | effects(law)
    types = inferred(atlas.load(usable=True), fits)
    print(f"{len(rows)} rows; {len(fits)} models follow the law")
    shown = {name: round(value, 3) for name, value in numbers.items() if not name.startswith("covariance")}
    print(shown, types.round(5).to_string(), sep="\n")
    if not dry:
        table = pd.DataFrame({"name": numbers.keys(), "value": [f"{value:.9g}" for value in numbers.values()]})
        files.write(tables.DATA / "fidelity/population.csv", table.to_csv(index=False))
        files.write(tables.DATA / "fidelity/inferred.csv", types.round(6).to_csv(index=False))
        for name in ("population", "inferred"):
            tables.update(f"fidelity/{name}")


if __name__ == "__main__":
    main()
