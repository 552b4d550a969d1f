"""What the work of a project costs once: engineering and an evaluation, as given or as assumed."""

import math

import numpy as np
from numpy.typing import ArrayLike

from .inputs import Project
from .scenario import Scenario

WEEKS, WEEK_USD, EVALUATION_USD = (2.0, 4.0, 8.0), 4000.0, 5000.0
"""Of engineering, and what one and an evaluation cost, where a scenario says nothing: assumed."""


def usd(scenario: Scenario, weeks: ArrayLike) -> tuple[np.ndarray, float]:
    """USD of ``weeks`` of engineering, and of the evaluation."""
    project, of = scenario.project, scenario.prices.usd
    week = of(project.engineer_week, project.engineer_week_usd, WEEK_USD)
    return np.multiply(weeks, week), of(project.evaluation, project.evaluation_usd, EVALUATION_USD)


def assumed(scenario: Scenario, weeks: ArrayLike) -> np.ndarray:
    """USD of what a scenario does not give of it: its weeks, its evaluation, both or nothing."""
    project, (effort, evaluation) = scenario.project, usd(scenario, weeks)
    evaluated = not (math.isnan(project.evaluation) and math.isnan(project.evaluation_usd))
    return (0.0 if project.engineer_weeks else 1.0) * effort + (0.0 if evaluated else evaluation)


def free(project: Project) -> bool:
    """Whether a finished model is rounded, and nothing that is given of the work costs anything."""
    given = (*project.engineer_weeks, project.evaluation_usd, project.evaluation)
    return project.kind == "post-training" and not any(value > 0 for value in given)
