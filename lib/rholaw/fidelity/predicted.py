"""What every format would cost a model, in one table: from measurements of it, or from its size alone.

table(fit_sensitivity(measured), measured=measured)
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..formats.format import Format
from ..formats.grammar import parse
from ..formats.named import catalogue
from .sensitivity import SensitivityFit, errors, inferred

LEVEL = 0.8  # of the intervals
UNSAFE = 1.5  # nats per token from which on a model is broken, and the law with it
COARSE = 4.5  # bits below which one scale for a row or a tensor can break a model down


def table(
    fit: SensitivityFit, formats: Iterable[str] | None = None, measured: pd.DataFrame | None = None
) -> pd.DataFrame:
    """A row a format, from the least costly to the most: what a measurement like the others would print.

    formats: names; all of the catalogue and the inferred types where None.  measured: what ``fit`` rests on.
    Columns: format, bits (nan for types without a definition), gmse, rise, low and high (nats per token, 80 %),
    measured (nats, or nan), basis ("exact" for a GMSE by definition, "inferred" for one from damage), doubt ("", or
    why not to rely on it).
    Raises ValueError for a name that is no format.
    """
    names = list(dict.fromkeys([*catalogue(), *inferred()] if formats is None else formats))
    known = {name: None if name in inferred().keys() - catalogue().keys() else parse(name) for name in names}
    low, high = fit.predict_interval(names, LEVEL)
    seen = {} if measured is None else dict(zip(measured["format"], measured.rise, strict=True))
    rows = pd.DataFrame(
        {
            "format": names,
            "bits": [format.bits if format else np.nan for format in known.values()],
            "gmse": errors(names),
            "rise": fit.predict(names),
            "low": low,
            "high": high,
            "measured": [seen.get(name, np.nan) for name in names],
            "basis": ["inferred" if name in inferred() else "exact" for name in names],
            "doubt": [_doubt(format, most) for format, most in zip(known.values(), high, strict=True)],
        }
    )
    return rows.sort_values(["rise", "format"], ignore_index=True)


def _doubt(format: Format | None, high: float) -> str:
    doubts = ["unsafe"] if high > UNSAFE else []
    if format is not None and format.sparsity is not None:
        doubts.append("pruned: the law was not tried on that")
    elif format is not None and _one_scale(format) and format.bits < COARSE:
        doubts.append("one scale a row or tensor: can break down")
    return "; ".join(doubts)


def _one_scale(format: Format) -> bool:
    """Whether the weights of a row or more share one scale."""
    if format.element is None or format.element.own_scales or format.rotation:
        return False
    return format.block is None or not isinstance(format.block.size, int)
