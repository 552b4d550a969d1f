"""Forecasts of measurements that the atlas lacks, written once: python bench/forecast.py 2026-11

NVFP4 and MXFP4 of the models whose other types GGUF Tool Suite measured, by the law fitted to those; and types of
models that are not in the atlas, by their size.  A series that exists is not written again: no forecast is revised.

Most of those types were made with an importance matrix, of which these two make little use.  Where the atlas has
both, a type costs 1.04 to 1.5 times as much without: they are taken to cost PLAIN times what the law says.
"""

import argparse
import datetime
import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd

import rholaw as rl
from rholaw import files, tables
from rholaw.fidelity import evidence, forecasts
from rholaw.fidelity.sensitivity import SensitivityFit

SOURCE = "gguf_tool_suite"
MEASURED = ["nvfp4", "mxfp4"]  # formats to forecast for models of SOURCE
FEWEST = 5  # types of a model that tell its κ, by a GMSE of their own and a reference finer than they are
PLAIN, UNSURE = 1.12, 0.12  # a factor, and the standard deviation of its logarithm
SIZES = {  # models that the atlas lacks: parameters and tokens of training, by their publishers
    "Llama-3.2-1B": (1.236e9, 9e12),
    "SmolLM3-3B-Base": (3.075e9, 11e12),
    "OLMo-2-1124-7B": (7.30e9, 4e12),
    "OLMo-2-1124-13B": (13.72e9, 5e12),
    "OLMo-2-0325-32B": (32.23e9, 6e12),
    "Gemma-3-12B-pt": (11.77e9, 12e12),
}
UNMEASURED = ["q4_0", "q3_k", "nvfp4"]
MANIFEST = """title = "Forecasts of what formats will be measured to cost finished models, made {date}"
class = "synthetic"
source = "computed by this project: bench/forecast.py {name}, the law after training on data/fidelity"
licence = "MIT, as this project"
date = "{date}"
columns = [{columns}]
rows = 0
sha256 = ""
unknown = ["whether anybody will measure them", "what an importance matrix of the file will change"]
[units]
rise = "nats per token that the measurement will print: the median; low and high: intervals of 50, 80 and 95 %"
context = "tokens"
law = "the first 12 digits of the sha256 of data/fidelity/population.csv"
sha256 = "of this row and the hash of the row before it"
"""


def rows(date: str) -> pd.DataFrame:
    """All forecasts of one date, with their hashes."""
    law = hashlib.sha256((tables.DATA / "fidelity" / "population.csv").read_bytes()).hexdigest()
    about, parts = {"date": date, "law": f"population {law[:12]}"}, []
    there = set(rl.fidelity.load(metric="kl")[["model", "format"]].itertuples(index=False, name=None))
    known = evidence.usable()
    known = known[(known.source == SOURCE) & (known.metric == "kl") & (known.rise < evidence.SATURATED)]
    for _, part in known.groupby("model"):
        if len(part) < FEWEST:
            continue
        first = part.iloc[0]
        missing = [name for name in MEASURED if (first.model, name) not in there]
        same = {name: first[name] for name in ("model", "n_params", "reference", "corpus", "context", "engine")}
        fit = without_importance(rl.fit_sensitivity(part[["gmse", "rise"]]))
        basis = f"fit of {len(part)} types of {SOURCE}: {fit.status.split(':')[0]}"
        parts.append(forecasts.made(fit, missing, about | same | {"method": "ggml", "metric": "kl", "basis": basis}))
    same = {"method": "ggml", "metric": "ppl", "reference": "bf16", "corpus": "WikiText-2 test", "context": 512}
    for model, (n_params, n_tokens) in SIZES.items():
        fit = rl.prior_sensitivity(n_params, n_tokens, method="ggml")
        its = {
            "model": model,
            "n_params": n_params,
            "engine": "llama.cpp",
            "basis": "size and tokens of training",
        }
        parts.append(forecasts.made(fit, UNMEASURED, about | same | its))
    table = pd.concat(parts, ignore_index=True)
    table["n_params"] = table.n_params.round().astype("int64")
    table["context"] = table.context.astype("int64")
    return table.assign(sha256=forecasts.chain(table))[[*forecasts.COLUMNS]]


def without_importance(fit: SensitivityFit) -> SensitivityFit:
    """The fit with a κ that is PLAIN times as large, and less certain."""
    factors = np.exp(np.log(PLAIN) + UNSURE * np.random.default_rng(0).standard_normal(len(fit.draws)))
    draws = fit.draws * np.column_stack([factors, np.ones_like(factors), np.ones_like(factors)])
    return replace(fit, kappa=PLAIN * fit.kappa, draws=draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the month, as 2026-11")
    name = parser.parse_args().name
    folder = tables.DATA / "forecasts"
    if (folder / f"{name}.csv").exists():
        raise SystemExit(
            f"data/forecasts/{name}.csv was made before, and a forecast is not revised: choose another name"
        )
    folder.mkdir(exist_ok=True)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    columns = ", ".join(f'"{column}"' for column in forecasts.COLUMNS)
    files.write(folder / f"{name}.csv", rows(date).to_csv(index=False, lineterminator="\n"))
    files.write(folder / f"{name}.toml", MANIFEST.format(date=date, name=name, columns=columns))
    tables.update(f"forecasts/{name}")
    print(f"{len(forecasts.load(name))} forecasts in data/forecasts/{name}.csv")


if __name__ == "__main__":
    main()
