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
    limit = cases[0].scenario.traffic.latency_ms
    if kept.empty or not math.isfinite(limit):
        return
    row = table.loc[kept.devices_paid.idxmin()]
    own = next(case for case in cases if (case.option.name, case.device.name, case.gpus) == tuple(row[list(OF)]))
    free = replace(own.scenario, traffic=replace(own.scenario.traffic, latency_ms=math.inf))
    alike = table[table.meets & (table[list(OF)] == row[list(OF)]).all(axis=1)]
    own = replace(own, scenario=free, batches=np.sort(alike.batch.to_numpy(float))[:, None])
    middle = {name: np.full(1, 0.5) for name in uncertain.NAMES}
    outcome = outcomes.outcome(own, uncertain.draw(free, np.zeros(1, dtype=int), middle), draws)
    devices, latency = (np.ravel(value) for value in (own.gpus * outcome.replicas, outcome.latency_ms))
    best = int(devices.argmin())
    if devices[best] <= FEWER * row.devices_paid:
        about = {"option": row.option, "device": row.device, "limit": limit}
        about |= {"free": float(devices[best]), "latency": float(latency[best])}
        yield Doubt("limit_decides", about | {"low": row.devices_paid_p10, "high": row.devices_paid_p90})
