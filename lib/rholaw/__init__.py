"""Scaling laws for compressed representations: formats, their capacity, and what follows from it.

A name is imported when it is first used, so that reading tables or asking the command line for help loads no torch.
"""

import importlib

PLACES = {
    "BoundedLogistic": "laws.curves",
    "Curve": "laws.curves",
    "Fit": "laws.fitted",
    "Format": "formats.format",
    "Law": "laws.law",
    "Logistic": "laws.curves",
    "Measured": "error.measure",
    "Plan": "planning",
    "QuantizedLinear": "train.model",
    "Scenario": "planning",
    "ScenarioError": "planning",
    "Sensitivity": "fidelity.sensitivity",
    "SensitivityFit": "fidelity.sensitivity",
    "allocate": "fidelity.allocation",
    "catalogue": "formats.named",
    "effective_bits": "laws.curves",
    "evaluate": "checkpoints.evaluating",
    "fidelity": "",
    "fit": "laws.fitting",
    "fit_curve": "laws.curves",
    "fit_families": "laws.curves",
    "fit_sensitivity": "fidelity.sensitivity",
    "gmse": "error.measure",
    "parse": "formats.grammar",
    "parse_list": "formats.grammar",
    "plan": "planning",
    "predicted_sensitivities": "fidelity.parts",
    "prior_sensitivity": "fidelity.population",
    "profile": "laws.fitting",
    "runs": "",
    "survey": "checkpoints.surveying",
    "tensor_sensitivities": "fidelity.parts",
    "totals": "checkpoints.summing",
}
"""Public name → the module that has it; "" where it is a module itself."""

__all__ = [*PLACES]


def __getattr__(name: str) -> object:
    if name not in PLACES:
        raise AttributeError(f"module 'rholaw' has no attribute {name!r}")
    if not PLACES[name]:
        return importlib.import_module(f"rholaw.{name}")
    value = globals()[name] = getattr(importlib.import_module(f"rholaw.{PLACES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *PLACES})
