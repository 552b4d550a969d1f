"""The book: its chapters' parameters, their execution, pages, figures, cards and the explorer. Nothing imports it.

Where it is imported, tables show names as they are: `DataFrame.style` escapes them, and dollars are no mathematics.
"""

# ruff: noqa: E402
import gc

gc.set_threshold(100_000)  # what is imported next and read makes many objects and no garbage: looking took a second

import pandas as pd

from .escaped import code, listed, styler, text
from .parameters import ParameterError, between, only, parameters
from .plain import plain
from .workplace import ROOT

pd.DataFrame.style = property(styler)
pd.set_option("styler.html.mathjax", False, "display.html.use_mathjax", False)

__all__ = ["ROOT", "ParameterError", "between", "code", "listed", "only", "parameters", "plain", "text"]
