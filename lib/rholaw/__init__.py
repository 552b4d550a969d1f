"""Scaling laws for compressed representations: formats, their capacity, and what follows from it."""

from . import runs
from .checkpoints.surveying import survey, totals
from .error.measure import Measured, gmse
from .formats.grammar import Format, parse, parse_list
from .formats.named import catalogue
from .laws.curves import BoundedLogistic, Curve, Logistic, effective_bits, fit_curve, fit_families
from .laws.fitting import Fit, fit, profile
from .laws.law import Law
from .planning import Plan, Scenario, ScenarioError, plan
from .train.model import QuantizedLinear

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
