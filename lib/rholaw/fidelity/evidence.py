"""The rows of the atlas that the law after training is fitted to: weights in one known format, a rise, a known size."""

import numpy as np
import pandas as pd

from . import atlas
from .sensitivity import COARSE, errors, fit_sensitivity

WEIGHTS_ONLY = ("16", "q8 in kernels")
SATURATED = 1.5  # nats: a model that lost as much is no longer perturbed, it is broken
SMALLEST = 1e-3  # nats: what perplexities are printed to
NEAR = 0.5  # a reference with more than this share of a format's GMSE is no reference for it
# their files come from ggml's search, which leaves more than this project's (lib/rholaw/formats/iq.py)
SEARCHED = ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s")
SAME = ["model", "source", "given"]  # of one compressed file


def usable(inferred: bool = False) -> pd.DataFrame:
    """Measurements of models all of whose matrices are in one format: the columns of the atlas, and ``gmse``.

    Left out: mixtures, rounded activations, references that are coarse themselves, and perplexities where the same
    source gives the KL of the same file.  inferred: with the types whose files have an error
    that only damage tells: ik_llama.cpp's own, and codebooks, for which ggml's search is not that of this project.
    """
    rows = atlas.load(usable=True)
    rows = rows[rows["purity"].isin(["pure", "mostly"]) & rows["activations"].isin(WEIGHTS_ONLY)]
    rows = rows[rows["format"].notna() & rows["n_params"].notna()]
    known = {name: _error(name, inferred) for name in rows["format"].unique()}
    rows = rows.assign(gmse=rows["format"].map(known))
    references = {name: np.nan_to_num(_error(name, True)) for name in rows["reference"].dropna().unique()}
    rows = rows[(rows["gmse"] > 0) & ~(rows["reference"].map(references) > NEAR * rows["gmse"])]
    divergence = rows["metric"] == "kl"
    files = pd.MultiIndex.from_frame(rows[SAME])
    rows = rows[divergence | ~files.isin(files[divergence])]
    return rows.assign(n_active=rows["n_active"].fillna(rows["n_params"])).reset_index(drop=True)


def _error(name: str, inferred: bool) -> float:
    """The GMSE of a format, nan where none is known."""
    if not inferred and name in (*atlas.INFERRED, *SEARCHED):
        return np.nan
    try:
        return float(errors(name, files=inferred)[0])
    except ValueError:
        return np.nan


def costs(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that tell κ: coarse formats that did not break the model, and ``cost``, the rise without the floor.

    The floor is that of the KLs of one model and source; perplexities have none, since the text's own error is in both.
    Models that do not follow the law are left out.
    """
    rows = rows[(rows["rise"] > 0) & (rows["rise"] < SATURATED)]
    floors = pd.Series(0.0, index=rows.index)
    for _, group in rows[rows["metric"] == "kl"].groupby(["model", "source", "reference"], dropna=False):
        fit = fit_sensitivity(group[["gmse", "rise"]])
        floors[group.index] = fit.floor if fit.status == "converged" else np.nan
    rows = rows.assign(cost=rows["rise"] - floors)
    return rows[(rows["gmse"] >= COARSE) & (rows["cost"] > SMALLEST)].reset_index(drop=True)
