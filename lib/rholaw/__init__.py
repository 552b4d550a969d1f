"""Scaling laws for compressed representations: formats, their capacity, and what follows from it."""

from . import named_formats as _named_formats  # noqa: F401  (fills the catalogue)
from . import runs
from .capacity import BoundedLogistic, Curve, Logistic, effective_bits, fit_curve, fit_families
from .fitting import Fit, fit, profile
from .formats import Format, parse, parse_list
from .laws import Law
from .measure import Measured, gmse
from .named_formats import catalogue
from .planning import Plan, Scenario, ScenarioError, plan
from .train.model import QuantizedLinear
from .weights import survey, totals

__all__ = [
    "BoundedLogistic",
    "Curve",
    "Fit",
    "Format",
    "Law",
    "Logistic",
    "Measured",
    "Plan",
    "QuantizedLinear",
    "Scenario",
    "ScenarioError",
    "catalogue",
    "effective_bits",
    "fit",
    "fit_curve",
    "fit_families",
    "gmse",
    "parse",
    "parse_list",
    "plan",
    "profile",
    "runs",
    "survey",
    "totals",
]
