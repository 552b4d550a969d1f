"""The atlas: published measurements of what compressing a finished model cost, one a row."""

import numpy as np
import pandas as pd

from .. import tables
from ..checked import unknown

TABLE = "fidelity/atlas"
COLUMNS = (
    *("source", "model", "family", "n_params", "n_active", "n_tokens", "format", "given", "bits", "purity", "shares"),
    *("method", "activations", "metric", "value", "stderr", "base", "reference", "corpus", "context", "engine"),
    *("place", "licence", "date", "credit", "doubt"),
)
KEY = ["source", "model", "given", "method", "activations", "metric", "corpus", "context", "engine"]  # of one row
METRICS = ("kl", "ce", "ppl", "word_ppl", "bpb", "task")
PURITIES = ("pure", "mostly", "mixed", "unknown")  # of a file: all matrices, nine in ten, or fewer in the format
ACTIVATIONS = ("16", "q8 in kernels", "8", "4", "4 and 8", "unknown")  # or "KV …", where the cache is compressed
METHODS = (
    *("rtn", "ggml", "imatrix", "scale-search"),  # rounded to nearest, by llama.cpp without and with importance, …
    *("gptq", "awq", "omniquant", "autoround", "hqq", "ldlq", "quip", "qtip", "aqlm", "low-rank", "modelopt"),
    *("pv-tuning", "qat"),  # trained: discrete weights after rounding, or all of training
    "unknown",
)
INFERRED = (  # types of ik_llama.cpp that have no definition here: their error can only be inferred from damage
    *("iq1_bn", "iq1_kt", "iq2_bn", "iq2_k", "iq2_kl", "iq2_ks", "iq2_kt", "iq3_k", "iq3_ks", "iq3_kt"),
    *("iq4_k", "iq4_ks", "iq4_kss", "iq4_kt", "iq5_k", "iq5_ks", "iq6_k", "q8_kv"),
)


def load(usable: bool = False, **values: str | list[str]) -> pd.DataFrame:
    """The measurements, a row each, with `rise`: nats per token above the reference.

    `rise` is the KL; or ln(value / base) of a perplexity; or value − base of a cross-entropy (`ce`).  It is missing
    for tasks, perplexities per word and bits per byte, and where the value of the reference is.  `rise_stderr` is
    that of a KL: a perplexity's own error is that of the text, which both models share.

    usable: only rows with a rise and without doubt.  values: only rows with this value, or one of these, in a
    column: ``load(metric="kl", format=["q4_k", "q2_k"])``.  ValueError for what is no column or not in it.
    """
    frame = derived(tables.read(TABLE))
    for column, wanted in values.items():
        if column not in frame:
            raise ValueError(unknown(column, list(frame.columns), "column of the atlas"))
        chosen = [wanted] if isinstance(wanted, str) else list(wanted)
        if missing := [value for value in chosen if value not in set(frame[column])]:
            raise ValueError(unknown(str(missing[0]), sorted(map(str, set(frame[column].dropna()))), column))
        frame = frame[frame[column].isin(chosen)]
    if usable:
        frame = frame[frame["rise"].notna() & frame["doubt"].isna()]
    return frame.reset_index(drop=True)


def derived(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with the columns of the atlas, and `rise` and `rise_stderr` (nats per token) as `load` has them."""
    metric = frame["metric"]
    value, base, stderr = (pd.to_numeric(frame[name]) for name in ("value", "base", "stderr"))
    with np.errstate(divide="ignore", invalid="ignore"):
        rises = {"kl": value, "ppl": np.log(value / base), "ce": value - base}
    rise = pd.Series(np.nan, index=frame.index)
    for name, numbers in rises.items():
        rise = rise.mask(metric == name, numbers)
    return frame.assign(rise=rise, rise_stderr=stderr.where(metric == "kl"))


def sources() -> pd.DataFrame:
    """A row for each source: models, rows, metrics, licence, date, place (or the first of several) and credit."""
    groups = tables.read(TABLE).groupby("source")
    counts = pd.DataFrame({"models": groups["model"].nunique(), "rows": groups.size()})
    counts["metrics"] = groups["metric"].agg(lambda names: ", ".join(sorted(set(names))))
    counts["place"] = groups["place"].agg(_place)
    first = groups[["licence", "date", "credit"]].first()
    return counts.join(first).sort_values("rows", ascending=False).reset_index()


def _place(places: pd.Series) -> str:
    others = places.nunique() - 1
    return places.iloc[0] + (f" and {others} more" if others else "")
