"""Values that are allowed and unusual, as slips of unit are: beyond what plans have, each is told."""

import math
from collections.abc import Iterator
from operator import attrgetter

from .remarks import Doubt
from .scenario import Scenario

USUAL = {
    "traffic.requests_per_month": (1e3, 1e11),
    "traffic.tokens_in": (10, 1e6),
    "traffic.tokens_out": (2, 1e5),
    "traffic.ttft_ms": (20, 6e5),
    "traffic.peak_over_mean": (1, 30),
    "traffic.utilisation": (0.02, 0.95),
    "hardware.reserve_gb": (0, 20),
    "prices.lifetime_months": (12, 120),
    "prices.overhead": (1, 3),
    "prices.interruption": (0, 0.5),
    "prices.server": (1, 5),
    "prices.upkeep": (0, 1),
    "prices.pue": (1, 2.5),
    "project.tolerance": (0, 0.2),
    "project.engineer_weeks": (0, 104),
    "project.engineer_week_usd": (500, 3e4),
    "project.evaluation_usd": (10, 1e6),
    "project.calibration_hours": (0, 2000),
    "project.qat_tokens": (1e6, 1e13),
    "project.slowdown": (0.4, 4),
    "project.mfu": (0.05, 0.75),
    "project.horizon_months": (6, 120),
    "project.discount_rate": (0, 0.3),
    "model.kappa": (0.3, 300),
}
"""What keys of a plan usually hold, of a spread its middle: wide ranges, judged by this project.  0 says none."""
OPTION = {"dloss": (-0.02, 1), "speculation": (1, 6), "slowdown": (0.4, 4)}
"""The same of an option."""
TRAINED = (5, 2e5)
"""Tokens a parameter of which a finished model was trained."""


def unlikely(scenario: Scenario) -> Iterator[Doubt]:
    """A Doubt for each value beyond what is usual."""
    held = ((key, attrgetter(key)(scenario), usual) for key, usual in USUAL.items())
    options = (
        (f"formats {i}.{key}", getattr(option, key), usual)
        for i, option in enumerate(scenario.formats, 1)
        for key, usual in OPTION.items()
    )
    for key, value, (low, high) in (*held, *options):
        value = (value or (0.0,) * 3)[1] if isinstance(value, tuple) else value
        if value and math.isfinite(value) and not low <= value <= high:
            yield Doubt("unlikely", {"key": key, "value": value, "low": low, "high": high})
    if scenario.model.tokens and scenario.project.kind == "post-training":
        about = {"ratio": scenario.model.tokens_per_param, "low": TRAINED[0], "high": TRAINED[1]}
        if not TRAINED[0] <= about["ratio"] <= TRAINED[1]:
            yield Doubt("trained_unlikely", about)
    traffic = scenario.traffic
    if 0 < traffic.context < (needed := traffic.tokens_in + traffic.tokens_out):
        yield Doubt("context_short", {"context": traffic.context, "needed": needed})
