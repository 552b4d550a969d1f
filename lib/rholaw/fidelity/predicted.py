"""What every format would cost a model, in one table: from measurements of it, or from its size alone.

table(fit_sensitivity(measured), measured=measured)
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..formats.format import Format
from ..formats.grammar import parse
from ..formats.named import catalogue
from . import mixtures
from .sensitivity import SensitivityFit, errors, inferred

LEVEL, Z = 0.8, 1.2816  # of the intervals, and their half width in standard deviations
UNSAFE = 1.5  # nats per token from which on a model is broken, and the law with it
COARSE = 4.5  # bits below which one scale for a row or a tensor can break a model down


def table(
    fit: SensitivityFit, formats: Iterable[str] | None = None, measured: pd.DataFrame | None = None
) -> pd.DataFrame:
    """A row a format, from the least costly to the most: what a measurement like the others would print.

    formats: names; where None all of the catalogue, the inferred types and the mixes of `llama-quantize`.
    measured: what ``fit`` rests on.  Columns: format, bits (nan for types without a definition), gmse, rise, low and
    high (nats per token, 80 %), measured (nats, or nan), basis (of the GMSE: "exact", "inferred" from the damage of
    files, "mix" for what mixes are worth), doubt ("", or why not to rely on it).
    Raises ValueError for a name that is no format.
    """
    everything = [*catalogue(), *inferred(), *mixtures.MIXES]
    names = list(dict.fromkeys(everything if formats is None else formats))
    known, mixes = {}, {name: mixtures.worth(name) for name in mixtures.MIXES if name not in catalogue()}
    for name in names:
        known[name] = None if name in mixes or (name in inferred() and name not in catalogue()) else parse(name)
    items = [mixes[name][0] if name in mixes else name for name in names]
    rise, unsure = fit.predict(items), np.array([mixes[name][1] if name in mixes else 0.0 for name in names])
    low, high = (
        rise * np.exp(np.sign(end - rise) * np.hypot(np.log(end / rise), Z * unsure))
        for end in fit.predict_interval(items, LEVEL)
    )
    seen = {} if measured is None else dict(zip(measured["format"], measured.rise, strict=True))
    rows = pd.DataFrame(
        {
            "format": names,
            "bits": [_bits(name, format) for name, format in known.items()],
            "gmse": errors(items, files=True),
            "rise": rise,
            "low": low,
            "high": high,
            "measured": [seen.get(name, np.nan) for name in names],
            "basis": ["mix" if name in mixes else "inferred" if name in inferred() else "exact" for name in names],
            "doubt": [_doubt(format, most) for format, most in zip(known.values(), high, strict=True)],
        }
    )
    return rows.sort_values(["rise", "format"], ignore_index=True)


def held_out(fit: SensitivityFit, others: pd.DataFrame) -> pd.DataFrame:
    """``others`` (format, gmse, rise), which the fit did not see: with predicted, low and high (80 %), and inside."""
    low, high = fit.predict_interval(others.gmse.to_numpy(), LEVEL) if len(others) else ([], [])
    rows = others.assign(predicted=fit.predict(others.gmse.to_numpy()) if len(others) else [], low=low, high=high)
    return rows.assign(inside=rows.rise.between(rows.low, rows.high))


def typical_factor(rows: pd.DataFrame) -> float:
    """By which factor the predictions of ``held_out`` are off in the median, either way; nan without rows."""
    return float(np.exp(np.log(rows.rise / rows.predicted).abs().median()))


def _bits(name: str, format: Format | None) -> float:
    if format is not None:
        return format.bits
    return mixtures.weighted(mixtures.MIXES[name])[0] if name in mixtures.MIXES else np.nan


def _doubt(format: Format | None, high: float) -> str:
    doubts = ["unsafe"] if high > UNSAFE else []
    if format is not None and format.sparsity is not None:
        doubts.append("pruned: the law was not tried on that")
    elif format is not None and format.one_scale and format.bits < COARSE:
        doubts.append("one scale a row or tensor: can break down")
    return "; ".join(doubts)
