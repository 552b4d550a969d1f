"""The book: its chapters' parameters, their execution, pages, figures, cards and the explorer. Nothing imports it."""

from .build import ParameterError, parameters

__all__ = ["ParameterError", "parameters"]
