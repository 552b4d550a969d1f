"""What is uncertain in a plan, drawn: the law, speeds, prices, effort; all inputs at any quantiles at once."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import ndtri

from ..hardware import training
from ..hardware.devices import devices
from . import costs, work
from .prices import Spread
from .scenario import Scenario


@dataclass(frozen=True, eq=False)  # compared and remembered by identity: its arrays cannot be
class Drawn:
    """Draws of what is uncertain, each (n,), or one number () where it is certain.

    law: which draw of the law; rank: the quantile behind it; kernels: standard normal, of a format; system: standard
    normal, of an engine, or the efficiency that the scenario gives it; place: of the overhead, 0 where all of it
    shrinks, 1 where none does, where that is given; price, slowdown, damage: quantiles, of each device and option, and
    of what rounding costs; effort: weeks; the rest: values of what they are called.
    """

    law: np.ndarray
    rank: np.ndarray
    kernels: np.ndarray
    place: np.ndarray
    system: np.ndarray
    parallel: np.ndarray
    price: np.ndarray
    utilisation: np.ndarray
    peak: np.ndarray
    overhead: np.ndarray
    effort: np.ndarray
    mfu: np.ndarray
    slowdown: np.ndarray
    power: np.ndarray
    pue: np.ndarray
    electricity: np.ndarray
    damage: np.ndarray
    interruption: np.ndarray
    server: np.ndarray
    upkeep: np.ndarray


NAMES = tuple(item.name for item in fields(Drawn) if item.name != "rank")
"""Of the uncertain inputs; ``words`` calls them by a name in each language."""


def ranges(scenario: Scenario) -> dict[str, tuple[Spread, str]]:
    """{name: ((low, middle, high), source)} of the inputs that are drawn from a triangle."""
    prices, project, hardware, traffic = scenario.prices, scenario.project, scenario.hardware, scenario.traffic
    trainer = devices(hardware.overrides or None)[project.train_device or hardware.devices[0]]

    def given(value: Spread, known: Spread, source: str) -> tuple[Spread, str]:
        return (value, "scenario") if value else (known, source)

    assumed = "scenario; the default is assumed, not measured"
    return {
        **({"system": (hardware.system_efficiency, "scenario")} if hardware.system_efficiency else {}),
        **({"parallel": (hardware.parallel_efficiency, "scenario")} if hardware.parallel_efficiency else {}),
        "mfu": given(
            project.mfu, training.mfu(scenario.model.shape, trainer), "data/hardware/training, training_speeds"
        ),
        **(
            {"utilisation": (traffic.utilisation, "scenario")}
            if traffic.utilisation
            else {"peak": (traffic.peak_over_mean, assumed)}
        ),
        "overhead": (prices.overhead, "scenario; mercatus-ai.com, 2026-05, says 1.3 to 1.5"),
        "effort": given(project.engineer_weeks, work.WEEKS, "assumed"),
        "slowdown": given(project.slowdown, training.ASSUMED, "assumed; of FP8 data/hardware/training_speeds"),
        "power": (prices.power_share, "scenario; 0.4 to 0.9 is what inference services report"),
        "pue": (prices.pue, "scenario"),
        "electricity": (prices.electricity, "scenario"),
        "interruption": (prices.interruption, "scenario"),
        "server": (prices.server, "scenario"),
        "upkeep": (prices.upkeep, "scenario"),
    }


def draw(scenario: Scenario, order: np.ndarray, quantiles: Mapping[str, np.ndarray]) -> Drawn:
    """Drawn at ``quantiles``, {name: (n,) in (0, 1)}; order: the law's draws, from little capacity to much."""
    own = {name: quantiles[name] for name in ("place", "price", "slowdown", "damage")}
    values = {name: costs.triangular(bounds, quantiles[name]) for name, (bounds, _) in ranges(scenario).items()}
    if "utilisation" in values:  # all is asked in the busy hours
        values["peak"] = 1 / values["utilisation"]
    place = np.minimum((quantiles["law"] * len(order)).astype(int), len(order) - 1)
    return Drawn(
        law=order[place],
        rank=quantiles["law"],
        kernels=ndtri(quantiles["kernels"]),
        **{"utilisation": np.nan, "parallel": 1.0, "system": ndtri(quantiles["system"])} | values | own,
    )


def random(scenario: Scenario, order: np.ndarray) -> Drawn:
    """Drawn at random, as many as the scenario wants, from its seed."""
    generator = np.random.default_rng(scenario.run.seed)
    return draw(scenario, order, {name: generator.random(scenario.run.samples) for name in NAMES})


def one_by_one(scenario: Scenario, order: np.ndarray, low: float = 0.1, high: float = 0.9) -> Drawn:
    """Drawn at the medians, and then with each of NAMES at ``low`` and at ``high`` in turn: 1 + 2 len(NAMES) draws."""
    quantiles = {name: np.full(1 + 2 * len(NAMES), 0.5) for name in NAMES}
    for i, name in enumerate(NAMES):
        quantiles[name][1 + 2 * i : 3 + 2 * i] = low, high
    return draw(scenario, order, quantiles)
