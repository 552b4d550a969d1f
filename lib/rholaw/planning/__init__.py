"""From formats to a decision: what a compressed model costs to serve and to train, and whether it pays.

    geometry → speed → observed           bytes and seconds of a model on a device, held against what was observed
    capacities · costs                    what a format does to the loss; money, time and power
    checked → inputs → scenario           what a plan is asked, refused before any work where it is wrong
    uncertain → outcomes → rows           draws of what is uncertain, what follows for each option, the table
    doubts → wording → advice → decide    assumptions and warnings, sentences, the verdict, and ``plan`` itself
    figures · explorer · japanese         what chapters show of it

A module imports only from its left.  Devices, prices and kernels are in ``rholaw.hardware``.
"""

from .decide import Plan, plan
from .scenario import Scenario, ScenarioError

__all__ = ["Plan", "Scenario", "ScenarioError", "plan"]
