"""Where a limit of the scenario, and not the traffic, decides how many devices are paid."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from ..laws.draws import Draws
from . import outcomes, uncertain
from .cases import Case
from .remarks import Doubt

OF = ("option", "device", "gpus")
"""What a row and its Case have in common."""
APART = 4.0
"""Times the devices at P10, at P90, from which a plan says why they lie so far apart."""
FEWER = 0.5
"""Of the devices that are paid, what the limit must be seen to cost."""


def edge(cases: list[Case], table: pd.DataFrame, draws: Draws) -> Iterator[Doubt]:
    """A limit of a token where a step with many in flight takes little longer than one with few, of the leanest row: a
    little speed decides there between few devices and many."""
    few, many = table.devices_paid_p10, table.devices_paid_p90
    kept = table[table.meets & (few >= 1) & (many >= APART * few)]
    scenario = cases[0].scenario
    limit = scenario.traffic.latency_ms
    if kept.empty or not math.isfinite(limit):
        return
    row = table.loc[kept.devices_paid.idxmin()]
    free = replace(scenario, traffic=replace(scenario.traffic, latency_ms=math.inf))
    middle = {name: np.full(1, 0.5) for name in uncertain.NAMES}
    drawn = uncertain.draw(free, np.zeros(1, dtype=int), middle)
    meets = table.batch[table.meets & (table[list(OF)] == row[list(OF)]).all(axis=1)]
    ways = []
    for case in cases:  # of many draws, some of its batches are in each
        batches = case.batches[np.isin(case.batches[:, 0], meets)]
        if (case.option.name, case.device.name, case.gpus) == tuple(row[list(OF)]) and len(batches):
            outcome = outcomes.outcome(replace(case, scenario=free, batches=batches), drawn, draws)
            ways += zip(np.ravel(case.gpus * outcome.replicas), np.ravel(outcome.latency_ms), strict=True)
    devices, latency = min(ways, key=lambda way: way[0])
    if devices <= FEWER * row.devices_paid:
        about = {"option": row.option, "device": row.device, "limit": limit}
        about |= {"free": float(devices), "latency": float(latency)}
        yield Doubt("limit_decides", about | {"low": row.devices_paid_p10, "high": row.devices_paid_p90})
