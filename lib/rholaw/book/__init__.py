"""The book: its chapters' parameters, their execution, pages, figures, cards and the explorer. Nothing imports it."""

from .parameters import ParameterError, between, only, parameters
from .workplace import ROOT

__all__ = ["ROOT", "ParameterError", "between", "only", "parameters"]
