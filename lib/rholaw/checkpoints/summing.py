"""What a ``survey`` says of a whole checkpoint: ``totals``, a row per format, and ``doubt``, why it may say nothing."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..formats.format import DENSE_BITS
from .roles import KEPT

LEAST = 0.5
"""Of the bytes of the matrices, what has to be measured before it says anything of the model."""
TOTALS = [
    *("parameters", "compressed", "error", "rotated_error", "gmse", "rho", "rho_low", "rho_high", "ratio", "bits"),
    *("bytes", "worst", "quantised", "measured"),
]


def totals(table: pd.DataFrame, keep: Iterable[str] = KEPT) -> pd.DataFrame:
    """A row per format of a ``survey``, as if the tensors with a role in ``keep`` stayed in 16 bits.

    parameters and compressed count weights; error, rotated_error, gmse, ratio and the rho are means over the
    compressed weights (ratio that of the means), missing where the survey lacks one, but for rotated_error, where the
    plain error stands in for tensors and formats that were not rotated; bits per value and bytes are of the whole
    checkpoint; worst is the compressed tensor of largest error; quantised says that some matrices were so before;
    measured is the share of all bytes of matrices, but for those in ``keep``, that could be measured.
    """
    rows = {}
    for name, part in table.groupby("format", sort=False):
        measured, kept = part.error.notna(), part.role.isin(keep)
        inside = part[measured & ~kept]
        stored = part.bytes.where(~(measured & kept), part.parameters * DENSE_BITS / 8).sum()
        inside = inside.assign(rotated_error=inside.rotated_error.fillna(inside.error))
        columns = ["error", "rotated_error", "gmse", "rho", "rho_low", "rho_high"]
        means = inside[columns].mul(inside.parameters, axis=0).sum(skipna=False) / (inside.parameters.sum() or np.nan)
        rows[name] = {
            "parameters": part.parameters.sum(),
            "compressed": inside.parameters.sum(),
            **means,
            "ratio": means.error / means.gmse if means.gmse > 0 else np.nan,
            "bits": 8 * stored / max(part.parameters.sum(), 1),
            "bytes": stored,
            "worst": inside.loc[inside.error.idxmax(), "name"] if len(inside) else "",
            "quantised": bool(part[~kept].quantised.any()),
            "measured": _measured_share(part[~kept]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=TOTALS).rename_axis("format")


def doubt(table: pd.DataFrame, keep: Iterable[str] = KEPT) -> str:
    """Why a ``survey`` says nothing of the model, or "".

    Weights are no numbers, most matrices or scaled bytes could not be measured, or hold values of a size that none has
    that was trained, or each holds one number throughout; or the model does more than to multiply by its matrices, as
    the table's attrs say.
    """
    if changes := table.attrs.get("changes"):
        return f"What formats cost the model as it runs is not known: {changes}"
    if len(broken := table[table.outcome == "broken"].drop_duplicates("name")):
        others = f"; so have {len(broken) - 1} others" * (len(broken) > 1)
        return f"The model is broken: {broken.name.iloc[0]} has {broken.note.iloc[0]}{others}"
    inside = table[_unmeasured(table) & ~table.role.isin(keep)]
    if (share := totals(table, keep).measured.min()) < LEAST:
        part = f"Only {share:.0%}" if share else "None"
        return f"{part} of the bytes of its matrices could be measured: {inside.note.mode()[0]}"
    rows = table[table.error.notna() & ~table.role.isin(keep)]
    if len(rows) and not rows.peak.gt(0).any():
        return "Each of its matrices holds one number throughout, as no trained model does"
    strange = rows[rows.outcome.eq("strange")]
    if strange.parameters.sum() > LEAST * rows.parameters.sum():
        return f"Most of its weights are of a size that no trained model has: {strange.note.iloc[0]}"
    floats = inside.note[inside.dtype.str.startswith("F8")]
    return f"Floats of 8 bits have a scale that is unknown: {floats.iloc[0]}" if len(floats) else ""


def _unmeasured(table: pd.DataFrame) -> pd.Series:
    """Which rows are of matrices whose values could not be read, or are no numbers to measure."""
    return _holds_weights(table) & table.outcome.isin(["unread", "broken"])


def _holds_weights(table: pd.DataFrame) -> pd.Series:
    """Which rows are of matrices, or of what may be codes of them, which may lie in a row."""
    return table["shape"].str.contains("x") | table.outcome.eq("unread")


def _measured_share(rows: pd.DataFrame) -> float:
    """Of the bytes in the file of all matrices among ``rows`` of one format; 1 where there are none."""
    stored = (rows.parameters * rows.stored)[_holds_weights(rows)]
    return float(1 - stored[_unmeasured(rows)].sum() / stored.sum()) if stored.sum() else 1.0
