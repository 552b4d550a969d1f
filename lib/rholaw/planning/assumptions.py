"""What a plan assumed, with sources and dates."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..hardware import residuals
from ..hardware.devices import facts
from ..laws.draws import NAMES, Draws
from . import damage, uncertain, words
from .cases import Case
from .scenario import Scenario

FACTS = ("memory", "bandwidth", "bf16", "fp8", "fp4", "int8", "power")
"""Of a device, those that move a plan."""
UNITS = {
    "effort": "weeks",
    "slowdown": "times",
    "overhead": "times the rent",
    "pue": "times",
    "electricity": "USD a kWh",
}
"""Of the uncertain inputs that are no shares."""
TIMES = "times as long as the roofline"
LARGE = 1e6
"""From where on a number is told in words."""


def assumptions(scenario: Scenario, cases: Iterable[Case], draws: Draws) -> pd.DataFrame:
    """A row per assumption: item, value (or low / middle / high), unit, source, as_of, status."""
    rows, names = [], words.texts("en")["inputs"]

    def add(item: str, value: tuple | float, unit: str, source: str, as_of: str = "", status: str = "") -> None:
        text = " / ".join(_number(part, 4) for part in value) if isinstance(value, tuple) else _number(value, 6)
        rows.append((item, text, unit, source, as_of, status))

    model, hardware = scenario.model, scenario.hardware
    add("N, non-embedding parameters", model.shape.non_embedding, "parameters", "scenario")
    if model.n_active:
        add("parameters active for a token", model.n_active, "parameters", "scenario" if model.active else "its shape")
    add("D, training tokens", model.n_tokens, "tokens", "scenario" if model.tokens else "20 a parameter")
    own = facts(hardware.overrides or None)
    for row in own[own.device.isin(hardware.devices) & own.property.isin(FACTS)].itertuples():
        add(f"{row.device}: {row.property}", row.value, row.unit, row.source, row.as_of, row.status)
    for name, price in {case.device.name: case.price for case in cases if np.isfinite(case.price.mid)}.items():
        add(f"{name}: an hour", (price.low, price.mid, price.high), "USD", price.source, price.as_of)

    for case in {(case.option, case.device.name, case.gpus): case for case in cases}.values():
        for phase, faster in zip(("prefill", "decode"), case.faster, strict=True):
            what = f"{case.option.name} on {case.gpus} × {case.device.name}: {phase}"
            source = f"{faster.rung}: {faster.source}" if faster.source else str(faster.rung)
            add(
                what,
                tuple(float(part.flat[-1]) for part in (faster.low, faster.mid, faster.high)),
                "times 16 bits",
                source,
            )

    for case in {(case.device.name, case.gpus): case for case in cases if case.beliefs}.values():
        for phase, belief in zip(("prefill", "decode"), case.beliefs, strict=True):
            middle, error = float(belief.factor[0].flat[-1]), float(belief.error[0].flat[-1])
            bounds = tuple(middle * math.exp(z * error) for z in (-residuals.Z, 0, residuals.Z))
            add(f"{hardware.engine} on {case.gpus} × {case.device.name}: {phase}", bounds, TIMES, belief.source)
    for name, (bounds, source) in uncertain.ranges(scenario).items():
        if name != "parallel" or max(hardware.gpus) > 1:
            add(names[name], bounds, UNITS.get(name, "share"), source)
    for option in scenario.formats:
        if option.slowdown:
            add(f"{option.name}: {names['slowdown']}", option.slowdown, UNITS["slowdown"], "scenario")
        if damage.by_law(scenario, option):
            source = words.source(damage.origin(scenario, option), len(model.measured))
            add(f"{option.name}: κ", damage.kappa(scenario, option), "nats a unit of GMSE", source)
    for name in NAMES:
        value = tuple(np.quantile(getattr(draws, name), [0.1, 0.5, 0.9]))
        add(f"law: {name}", value, "", f"{len(draws.A)} resamples of the runs")
    return pd.DataFrame(rows, columns=["item", "value", "unit", "source", "as_of", "status"])


def _number(value: float, digits: int) -> str:
    """A large number in words, as people write it."""
    return words.large(value, digits=digits) if abs(value) >= LARGE else f"{value:.{digits}g}"
