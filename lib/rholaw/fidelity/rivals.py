"""Other laws of what rounding costs, on the rows of the atlas: what of a format decides, its error or its bits?

    gmse          κ · GMSE                       this project
    gmse power    κ · GMSE^s                     the same with a free slope
    bits          κ · exp(−bits / γ)             Kumar et al., arXiv 2411.04330, eq. 2 (post-training term)
    bits power    κ · bits^−γ                    Ouyang et al., arXiv 2411.17691 ("low-bit quantization favors …")

All have the same terms in size, tokens and method, so that only the part of the format differs.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..checked import unknown
from ..formats.grammar import parse
from . import mixed
from .population import METHODS, design, series

LAWS = ("gmse", "gmse power", "bits", "bits power")


def part(law: str, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """What a law adds to log κ for the format of each row, (n,), and what with a slope to be fitted, (n, 0 or 1).

    Raises ValueError for an unknown law.
    """
    if law not in LAWS:
        raise ValueError(unknown(law, LAWS, "law after training"))
    logs = np.log(rows["gmse"].to_numpy())
    bits = rows["format"].map({name: parse(name).bits for name in rows["format"].unique()}).to_numpy(float)
    fixed = logs if law == "gmse" else np.zeros(len(rows))
    slopes = {"gmse": [], "gmse power": [logs], "bits": [bits], "bits power": [np.log(bits)]}[law]
    return fixed, np.array(slopes).reshape(-1, len(rows)).T


def without_format(law: str, costs: pd.DataFrame) -> pd.Series:
    """log predicted − log cost of each row, (n,), its format left out, and only the series' other formats known.

    The slope is that of all series without the format; a series' level is the mean of its other rows. nan: it has none.
    """
    fixed, slopes = part(law, costs)
    rest = np.log(costs["cost"].to_numpy()) - fixed
    group = series(costs)
    result = np.full(len(costs), np.nan)
    for name in costs["format"].unique():
        out = (costs["format"] == name).to_numpy()
        known = pd.DataFrame(np.column_stack([slopes, rest])[~out])
        inside = known.groupby(group[~out])
        around = (known - inside.transform("mean")).to_numpy()
        slope = np.linalg.lstsq(around[:, :-1], around[:, -1], rcond=None)[0]
        level = inside.mean().reindex(group[out]).to_numpy()
        result[out] = level[:, -1] + (slopes[out] - level[:, :-1]) @ slope - rest[out]
    return pd.Series(result, index=costs.index)


def slope(costs: pd.DataFrame) -> tuple[float, float]:
    """The power of GMSE that these rows ask for where it is free, and its standard error; the law says 1."""
    _, slopes = part("gmse power", costs)
    result = mixed.fit(np.log(costs["cost"].to_numpy()), *_known(costs, slopes))
    return float(result.beta[-1]), float(np.sqrt(result.covariance[-1, -1]))


def _known(costs: pd.DataFrame, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is known of the rows, the part with a slope last, (n, P); and their models and series, each (n,)."""
    known = np.column_stack([design(costs), slopes])
    return known[:, (known != 0).any(axis=0)], costs["model"].to_numpy(str), series(costs)


def without_model(law: str, costs: pd.DataFrame) -> pd.Series:
    """log predicted − log cost of each row, (n,), its model left out. Methods without a name are not judged."""
    costs = costs[costs["method"].isin(METHODS)]
    fixed, slopes = part(law, costs)
    rest = np.log(costs["cost"].to_numpy()) - fixed
    known, models, group = _known(costs, slopes)
    spread = np.array(mixed.fit(rest, known, models, group).spread)
    result = np.empty(len(costs))
    for model in np.unique(models):
        out = models == model
        used = (known[~out] != 0).any(axis=0)
        beta = mixed.fit(rest[~out], known[~out][:, used], models[~out], group[~out], spread).beta
        result[out] = known[out][:, used] @ beta - rest[out]
    return pd.Series(result, index=costs.index)


def compared(costs: pd.DataFrame, left_out: Sequence[str] = ("format", "model")) -> pd.DataFrame:
    """Each law out of sample: law, left_out, rows, and median and p90 of the factor it is off by."""
    judges = {"format": without_format, "model": without_model}
    rows = []
    for law in LAWS:
        for name in left_out:
            factor = np.exp(judges[name](law, costs).dropna().abs())
            rows.append((law, name, len(factor), float(factor.median()), float(factor.quantile(0.9))))
    return pd.DataFrame(rows, columns=["law", "left_out", "rows", "median", "p90"])
