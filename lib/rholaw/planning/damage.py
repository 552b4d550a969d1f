"""What rounding a finished model costs, by the law after training: a rise of the loss of κ · GMSE, nats per token.

κ is the scenario's (``model.kappa``), or that of formats measured on this model (``model.measured``), or that of models
of its size.  A loss that was measured in an option itself (its ``dloss``) needs no law.
"""

from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtri

from ..fidelity.population import prior_sensitivity
from ..fidelity.sensitivity import SensitivityFit, file_error, fit_sensitivity
from ..formats.grammar import parse
from ..hardware.geometry import Geometry
from ..hardware.kernels import numbers
from . import costs
from .inputs import Model, Option
from .prices import Spread
from .remarks import Gap, LossOrigin
from .scenario import Scenario, ScenarioError

LEVEL = 0.8
"""Of the interval between P10 and P90."""
PUBLISHED = {"gpt_oss": "mxfp4", "deepseek_v3": "fp8", "deepseek_v32": "fp8"}
"""{model_type: numbers of the weights} of models that were trained and published so: arXiv 2508.10925, 2412.19437."""
ALONE_SO = {"kimi_k2": "fp8", "minimax_m2": "fp8"}
"""Likewise of families of which some models were published in these alone, as their quantization_config says then."""
COARSE = 4
"""Bits of an element up to which one scale for a whole row can break a model, whatever the law says."""


def origin(scenario: Scenario, option: Option) -> LossOrigin:
    """Where the loss that an Option adds comes from."""
    model, project = scenario.model, scenario.project
    if option.dense:
        return LossOrigin.DENSE
    if project.comparison == "equal-loss":
        return LossOrigin.EQUAL
    if option.dloss:
        return LossOrigin.GIVEN
    if project.kind != "post-training":
        return LossOrigin.LAW
    if _measured(model, option):
        return LossOrigin.ITSELF
    if published(model, option):
        return LossOrigin.PUBLISHED
    return LossOrigin.KAPPA if model.kappa else LossOrigin.MEASURED if model.measured else LossOrigin.PRIOR


def by_law(scenario: Scenario, option: Option) -> bool:
    """Whether the loss of an Option is what the law after training says of it."""
    return origin(scenario, option) in (LossOrigin.KAPPA, LossOrigin.MEASURED, LossOrigin.PRIOR)


def published(model: Model, option: Option) -> bool:
    """Whether the weights of an Option are in the format that the model was trained and published in."""
    weights = numbers(option.weights)
    return published_in(model.shape) == weights and numbers(option.activations) in (weights, "bf16")


def published_in(shape: Geometry) -> str:
    """The numbers of the weights that a model was published in by those who trained it, and in no others; else ""."""
    return PUBLISHED.get(shape.family) or (ALONE_SO.get(shape.family, "") if shape.method == "fp8" else "")


def rise(scenario: Scenario, option: Option, quantile: ArrayLike) -> np.ndarray:
    """Nats per token that rounding a finished model to an Option adds, at ``quantile``; one number where it is certain.

    Between P10, median and P90 of the law's prediction, and beyond, its logarithm is normal on either side.
    """
    if option.dloss:
        return costs.triangular(option.dloss, quantile)
    error = file_error(option.weights)
    if known := _measured(scenario.model, option):
        return np.asarray(np.mean(known))
    if published(scenario.model, option):
        return np.zeros(())
    if scenario.model.kappa:
        return costs.triangular(scenario.model.kappa, quantile) * error
    if error == 0:
        return np.zeros(())
    known = sensitivity(scenario.model, option.method or _usual(option))
    low, high = (float(ends[0]) for ends in known.rise_interval([option.weights], LEVEL))
    middle = float(known.rise([option.weights])[0])
    steps = ndtri(np.asarray(quantile, dtype=float)) / ndtri(0.5 + LEVEL / 2)
    return middle * np.where(steps < 0, middle / low, high / middle) ** steps


def kappa(scenario: Scenario, option: Option) -> Spread:
    """P10, median and P90 of κ, nats per token and unit of GMSE, for an Option whose loss is ``by_law``."""
    if scenario.model.kappa:
        return tuple(costs.triangular(scenario.model.kappa, share) for share in (0.1, 0.5, 0.9))
    known = sensitivity(scenario.model, option.method or _usual(option))
    low, high = known.intervals["kappa"]
    return low, known.kappa, high


def _measured(model: Model, option: Option) -> list[float]:
    """The rises that were measured in the very format of an Option whose activations stay at 16 bits."""
    if parse(option.activations).parts:
        return []
    weights = {option.weights, str(parse(option.weights))}
    return [item.rise for item in model.measured if item.weights in weights]


def _usual(option: Option) -> str:
    """How the weights of an Option are rounded where it does not say: as ggml does its own types, else to nearest."""
    element = parse(option.weights).element
    return "ggml" if element is not None and element.kind == "ggml" else "rtn"


@lru_cache(maxsize=64)
def sensitivity(model: Model, method: str = "rtn") -> SensitivityFit:
    """The law after training of a Model without ``kappa``: by what was measured on it, else by models of its size.

    method: how its weights are rounded, one of ``population.METHODS``; what was measured has its own.  Raises
    ScenarioError for sizes that no model has.
    """
    if model.measured:
        rows = [(item.weights, item.rise) for item in model.measured]
        return fit_sensitivity(pd.DataFrame(rows, columns=["format", "rise"]))
    try:
        return prior_sensitivity(model.shape.total, model.tokens or None, method, model.n_active)
    except ValueError as error:
        raise ScenarioError(f"model: nothing is known of what rounding costs such a model: {error}") from None


def status(model: Model) -> str:
    """ "converged", or what is wrong with the law after training for a Model that was measured."""
    return sensitivity(model).status if model.measured and not model.kappa else "converged"


def gaps(scenario: Scenario, option: Option) -> tuple[Gap, ...]:
    """What the law after training leaves out of an Option's loss, so that it may be higher than predicted."""
    weights, activations = parse(option.weights), parse(option.activations)
    every = {
        Gap.MISFIT: status(scenario.model) != "converged",
        Gap.ACTIVATIONS: bool(activations.parts),
        Gap.ROWS: weights.one_scale and weights.element.bits <= COARSE,
        Gap.PRUNED: weights.sparsity is not None,
    }
    return tuple(gap for gap, there in every.items() if there)
