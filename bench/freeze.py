"""Freezes the laws that predict runs of others: python bench/freeze.py 2026

Fits the recipes of data/frozen/2026.csv that have no hash yet, and writes their samples beside it.  To add a law, add
its line, with nothing after `held`, and run this; a law that has a hash is never fitted again.
"""

import argparse

import numpy as np
import pandas as pd

from rholaw import files, tables
from rholaw.laws import frozen


def main() -> None:
    """Samples of every new recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the set, such as 2026")
    stem = tables.DATA / "frozen" / parser.parse_args().name
    recipes = pd.read_csv(f"{stem}.csv", keep_default_na=False)
    recipes["noise"] = pd.to_numeric(recipes["noise"])
    path = stem.with_name(f"{stem.name}_samples.csv")
    parts = [pd.read_csv(path)] if path.exists() else []
    for place in recipes.index[recipes["sha256"] == ""]:
        noise, samples = frozen.made(recipes.loc[place])
        recipes.loc[place, "noise"] = noise
        recipes.loc[place, "sha256"] = frozen.digest(recipes.loc[place], samples)
        print(recipes.loc[place, "law"], f"{noise:.4g}", samples.groupby("parameter")["value"].median().to_dict())
        parts.append(samples)
    for name, table in ((stem.name, recipes), (path.stem, pd.concat(parts))):
        files.write(path.with_name(f"{name}.csv"), table.to_csv(index=False, lineterminator="\n"))
        tables.update(f"frozen/{name}")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
