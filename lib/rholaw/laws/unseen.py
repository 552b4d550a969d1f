"""Runs of others against laws that never saw them: extra losses, intervals, comparisons within a model, verdicts.

runs = offered.read("mine.csv")              a checked table, losses in nats per token
table = predicted(runs, load("frozen2026"))  a row a law and run
verdicts(runs, table)                        a row a law
"""

import numpy as np
import pandas as pd
from scipy.special import bdtr

from .. import runs as run_tables
from ..checked import shortened
from .frozen import FrozenLaw

SAME = (
    "series",
    "model",
    "architecture",
    "corpus",
    "seq_len",
    "n_params",
    "n_tokens",
    "seed",
)  # where there: one model
ENOUGH = 5  # runs, or comparisons, without which nothing is said to hold
RIGHT = 0.9  # share of comparisons within a model that a law should get right
ALIKE = 0.01  # nats, within which two statements of one dense loss agree
COLUMNS = (*("law", "row", "n_params", "n_tokens", "weights", "activations"),
           *("extra", "predicted", "low", "high", "inside", "reason"))  # fmt: skip


def with_dense(runs: pd.DataFrame) -> pd.DataFrame:
    """The compressed runs, with ``dense_loss`` where the table has it or a dense run of the same model (its mean).

    Raises ValueError where it has both and they differ.
    """
    run_tables.check(runs)
    dense = (runs["weights"] == "dense") & (runs["activations"] == "dense")
    model = _models(runs)
    there = model.map(runs[dense].groupby(model[dense])["loss"].mean())
    given = runs["dense_loss"].fillna(there) if "dense_loss" in runs else there
    if (apart := (given - there).abs() > ALIKE).any():
        row = apart.idxmax()
        raise ValueError(
            f"line {row}: its dense_loss is {given[row]:.4g}, and the dense run of the same model ended at "
            f"{there[row]:.4g}; leave one of them out, or tell the models apart by a column such as seed"
        )
    return runs.assign(dense_loss=given)[~dense]


def predicted(runs: pd.DataFrame, laws: dict[str, FrozenLaw], level: float = 0.95) -> pd.DataFrame:
    """COLUMNS, a row a law and compressed run; row: its index in ``runs``.

    extra: the loss above that of the dense run, nats per token, nan where none is known; predicted, low and high: what
    the law says of it; inside: whether the interval holds it.  reason: why a law says nothing.
    """
    runs = with_dense(runs)
    if runs.empty:
        raise ValueError("all of these runs are dense: there is no format to predict")
    extra = runs["loss"] - runs["dense_loss"]
    errors = [runs[name].fillna(0.0) for name in ("loss_stderr", "dense_loss_stderr") if name in runs]
    variance = sum((error**2 for error in errors), pd.Series(0.0, runs.index))
    tables = []
    for name, law in laws.items():
        parts = []
        for _, part in runs.groupby(["weights", "activations"], sort=False):
            row = part[["n_params", "n_tokens", "weights", "activations"]].assign(law=name, row=part.index, reason="")
            try:
                middle, low, high = law.extra_interval(part, level, variance[part.index].to_numpy())
                parts.append(row.assign(predicted=middle, low=low, high=high))
            except ValueError as error:
                parts.append(row.assign(predicted=np.nan, low=np.nan, high=np.nan, reason=shortened(str(error), 200)))
        tables.append(pd.concat(parts).loc[runs.index])
    table = pd.concat(tables)
    table["extra"] = extra.reindex(table["row"]).to_numpy()
    known = table["extra"].notna() & table["predicted"].notna()
    table["inside"] = table["extra"].between(table["low"], table["high"]).astype("boolean").where(known)
    return table[[*COLUMNS]].reset_index(drop=True)


def compared(runs: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Of `predicted`: a row a law and pair of formats in one model: first, second, observed and predicted.

    Both are the loss of the first less that of the second, in nats per token; ``right``: whether the signs agree.
    Runs of one model in one format count once, by their mean; first and second are the first of them.
    """
    about = pd.DataFrame(
        {"model": _models(runs), "pair": runs["weights"] + "|" + runs["activations"], "loss": runs["loss"]}
    )
    said, parts = table[table["predicted"].notna()].join(about, on="row"), []
    for law, own in said.groupby("law", sort=False):
        means = own.groupby(["model", "pair"], sort=False).agg(
            row=("row", "first"), predicted=("predicted", "mean"), loss=("loss", "mean")
        )
        one = means.reset_index("pair", drop=True).assign(place=np.arange(len(means)))
        both = one.merge(one, on="model", suffixes=("_1", "_2"))
        both = both[both["place_1"] < both["place_2"]]
        columns = {"first": both["row_1"], "second": both["row_2"]}
        columns |= {"observed": both["loss_1"] - both["loss_2"], "predicted": both["predicted_1"] - both["predicted_2"]}
        parts.append(pd.DataFrame(columns | {"law": law}))
    pairs = pd.concat(parts) if parts else pd.DataFrame(columns=["first", "second", "observed", "predicted", "law"])
    pairs = pairs[pairs["predicted"].abs() > 1e-9].reset_index(drop=True)
    return pairs.assign(right=np.sign(pairs["predicted"]) == np.sign(pairs["observed"]))


def verdicts(runs: pd.DataFrame, table: pd.DataFrame, laws: dict[str, FrozenLaw], level: float = 0.95) -> pd.DataFrame:
    """Of `predicted`: a row a law, with how much it predicts, how well, and a verdict.

    predicted: runs that it says something of; of them with a known ``extra``, coverage: the share inside the interval;
    factor: median of observed over predicted; off: the median of that, either way up.  pairs and right: comparisons
    within a model, and the share with the right sign; clear and clear_right: those that differ by more than twice the
    law's noise.
    """
    pairs, rows = compared(runs, table), []
    for name, law in laws.items():
        own, its = table[(table["law"] == name) & table["predicted"].notna()], pairs[pairs["law"] == name]
        known = own[own["extra"].notna()]
        clear = its[its["observed"].abs() > 2 * law.noise]
        positive = known[(known["extra"] > 0) & (known["predicted"] > 0)]
        logs = np.log(positive["extra"] / positive["predicted"])
        inside = int(known["inside"].sum())
        row = {
            "law": name,
            "predicted": len(own),
            "extra": len(known),
            "coverage": inside / len(known) if len(known) else np.nan,
            "factor": np.exp(logs.median()),
            "off": np.exp(logs.abs().median()),
            "pairs": len(its),
            "right": its["right"].mean(),
            "clear": len(clear),
            "clear_right": clear["right"].mean(),
        }
        rows.append(row | {"verdict": _verdict(row, inside, level)})
    return pd.DataFrame(rows)


def _models(runs: pd.DataFrame) -> pd.Series:
    """The number of the model of each run: one where all of SAME agree."""
    return runs.groupby([name for name in SAME if name in runs], sort=False, dropna=False).ngroup()


def _verdict(row: dict, inside: int, level: float) -> str:
    """Sizes fail where so few inside the interval would come about in less than 5 % of cases, were its level true."""
    if not row["predicted"]:
        return "says nothing of these formats"
    known, pairs = row["extra"], row["pairs"]
    sizes = "sizes hold" if known >= ENOUGH else "too few runs for sizes" if known else ""
    if bdtr(inside, known, level) < 0.05 - 1e-9:  # one run alone, outside of 95 %, is just 5 %
        sizes = "sizes fail"
    order = "" if not pairs else "order holds" if row["right"] >= RIGHT else "order fails"
    if 0 < pairs < ENOUGH:
        order = "too few pairs for order"
    return ", ".join(part for part in (sizes, order) if part) or "nothing to compare with"
