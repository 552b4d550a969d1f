"""From formats to a decision: what a compressed model costs to serve and to train, and whether it pays.

    remarks · columns                     reasons, doubts and verdicts as codes with data; the columns of the table
    words/                                sentences for these codes: en.toml, ja.toml
    inputs → scenario                     what a plan is asked, refused before any work where it is wrong
    damage                                what rounding a finished model costs, as a scenario knows it
    costs → uncertain → cases             money, time and power; draws of what is uncertain; each option on each machine
    outcomes → rows → advice → doubts     what follows for each case; the table; the verdict; assumptions and doubts
    unused · slips · money                keys that count for nothing; values and prices to doubt
    measuring · alternatives              how to measure what is open; training on in the format instead
    decide                                ``plan`` itself
    comparisons                           what chapters compare beside a plan

A module imports only from its left.  Devices, prices, kernels and speeds are in ``rholaw.hardware``, what a format does
to the loss in ``rholaw.laws``, and what chapters show of a plan in ``rholaw.book``.
"""

from .decide import Plan, plan
from .scenario import Scenario, ScenarioError

__all__ = ["Plan", "Scenario", "ScenarioError", "plan"]
