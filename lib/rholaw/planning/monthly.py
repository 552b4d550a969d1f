"""What serves the traffic of a month, how soon it answers, and what that costs."""

from collections.abc import Mapping

import numpy as np

from ..hardware.devices import Price
from . import costs, load
from .cases import Case, bought
from .scenario import Scenario
from .uncertain import Drawn

Numbers = np.ndarray | float
"""What broadcasts to (B, n): batches × draws. A value that no draw moves is one number."""


def carried(case: Case, drawn: Drawn, replica: load.Replica) -> Numbers:
    """Requests a second that a Replica carries at most, (B, n)."""
    traffic = case.scenario.traffic
    limits = (traffic.latency_ms / 1000, traffic.ttft_ms / 1000)
    return load.most(replica, limits, _whole(case), _utilisation(case, drawn))


def _whole(case: Case) -> bool:
    """Whether replicas are paid whole, all month."""
    return case.scenario.prices.billing == "machines"


def _utilisation(case: Case, drawn: Drawn) -> Numbers | None:
    """The busy share of paid hours, where the scenario gives it."""
    return drawn.utilisation if case.scenario.traffic.utilisation else None


def month(
    case: Case,
    drawn: Drawn,
    replica: load.Replica,
    most: Numbers,
    speeds: Mapping[str, Numbers],
    requests: float,
) -> dict[str, Numbers]:
    """What serves so many requests a month, and its latencies; USD and kWh, a month and per million tokens.

    Those of prompts and of output share them as they share the time of a replica that holds all it may; most: of
    ``carried``; speeds: tokens a second of ``prefill_tokens_s`` and ``decode_tokens_s``.
    """
    traffic, prefill, decode = case.scenario.traffic, speeds["prefill_tokens_s"], speeds["decode_tokens_s"]
    rent = hourly(case.scenario, case.price, drawn) * case.gpus
    watts = case.device.power * drawn.power * case.gpus
    rate = requests / (3600 * costs.HOURS)
    lost = 0.0 if bought(case.price) else drawn.interruption  # nobody takes away what is one's own
    served = load.serving(replica, rate / (1 - lost), drawn.peak, most, _whole(case), _utilisation(case, drawn))
    paid, working = served.paid, served.working
    full = 1 / (traffic.tokens_in / prefill + traffic.tokens_out / decode)
    busy = np.where(paid > 0, rate / (paid * full), 0.0)
    kwh = working * costs.HOURS * watts / 1000 * drawn.pue
    bill = np.nan_to_num(kwh) * drawn.electricity if bought(case.price) else 0.0
    spent = np.where(rate > 0, working * full / rate, 1.0)
    return {
        "in_flight": served.load.in_flight,
        "latency_ms": 1000 * served.load.between,
        "ttft_ms": 1000 * served.load.first,
        "usd_in": costs.per_million(prefill, rent, busy),
        "usd_out": costs.per_million(decode, rent, busy),
        "kwh_in": costs.kwh_per_million(prefill, watts, drawn.pue) * spent,
        "kwh_out": costs.kwh_per_million(decode, watts, drawn.pue) * spent,
        "replicas": paid,
        "utilisation": busy,
        "kwh_month": kwh,
        "usd_month": paid * costs.HOURS * rent + bill,
        "usd_used": working * costs.HOURS * rent + bill,
    }


def hourly(scenario: Scenario, price: Price, drawn: Drawn) -> Numbers:
    """USD an hour of one device, with what comes on top of a rent, or stands around a purchase."""
    rent = costs.triangular((price.low, price.mid, price.high), drawn.price)
    if not bought(price):
        return rent * drawn.overhead
    return rent * drawn.server * (1 + drawn.upkeep * scenario.prices.lifetime_months / 12)
