"""The book: its chapters' parameters, their execution, pages, figures, cards and the explorer. Nothing imports it."""

from .parameters import ParameterError, parameters
from .workplace import ROOT

__all__ = ["ROOT", "ParameterError", "parameters"]
