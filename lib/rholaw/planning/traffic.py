"""What a million tokens cost, against traffic."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from ..hardware.devices import devices
from ..laws import draws as capacities
from . import cases, costs, outcomes, rows, timed, uncertain
from .advice import TIES
from .scenario import Scenario

RATES = tuple(np.geomspace(1 / 60, 2000, 17))
"""Requests a second from one a minute to what few services have."""


def over_rates(scenario: Scenario, rates: Iterable[float]) -> pd.DataFrame:
    """What a million tokens, read or written, cost at so many requests a second, in whole replicas paid all month.

    A row a rate, for 16 bits and for the cheapest compressed option, where there is a feasible one: rate, side ("dense"
    or "compressed"), option, device, gpus, devices_paid, ttft_ms, and cost_p10, cost, cost_p90 in the scenario's money.
    """
    draws = capacities.draws()
    prices, traffic = replace(scenario.prices, billing="machines"), replace(scenario.traffic, utilisation=())
    whole = replace(scenario, prices=prices, traffic=traffic)
    drawn = uncertain.random(whole, draws.order(whole.options))
    lines = []
    for case in timed.timed(cases.cases(whole, devices(whole.hardware.overrides or None))):
        if rows.unpriced(case):
            continue
        outcome = outcomes.by_requests(case, drawn, draws)
        about = {"option": case.option.name, "device": case.device.name, "gpus": case.gpus}
        about |= {"side": "dense" if case.option.dense else "compressed"}
        for rate in map(float, rates):
            requests = rate * 3600 * costs.HOURS
            spreads = rows.Spreads(outcome(requests))
            unit = prices.rate / (requests * (traffic.tokens_in + traffic.tokens_out) / 1e6)
            lines += [
                {"rate": rate, **about, **_line(spreads, i, unit), "batch": int(batch)}
                for i, (batch, against) in enumerate(zip(case.batches[:, 0], rows.reasons(case, spreads), strict=True))
                if not against
            ]
    order = ["rate", "side", "cost", *TIES]
    table = pd.DataFrame(lines, columns=None if lines else order).sort_values(order, kind="stable", ignore_index=True)
    return table.drop_duplicates(["rate", "side"], ignore_index=True)


def _line(spreads: rows.Spreads, i: int, unit: float) -> dict[str, float]:
    """Devices, latencies and money of a row; unit: of the currency, a USD a month and a million tokens."""
    medians = {name: rows.at(spreads[name], i)[1] for name in ("devices_paid", "latency_ms", "ttft_ms")}
    money = unit * rows.at(spreads["usd_month"], i)
    return medians | dict(zip(("cost_p10", "cost", "cost_p90"), money, strict=True))
