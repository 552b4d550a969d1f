"""The book: its chapters' parameters, their execution, pages, figures, cards and the explorer. Nothing imports it."""

from .execute import ROOT
from .parameters import ParameterError, parameters

__all__ = ["ROOT", "ParameterError", "parameters"]
