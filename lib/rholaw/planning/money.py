"""What to doubt about prices and rates of a plan: slips of unit or currency, and what is old or not known."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from .. import tables
from ..hardware import devices
from ..hardware.devices import STALE_DAYS
from .cases import Case, bought
from .costs import HOURS
from .remarks import Doubt
from .scenario import Scenario

UNUSUAL = 5.0
"""Times the highest rent seen, or below the lowest, where a rent is doubted: it may stand in another currency."""
LEAST_RENTS, MOST_RENTS = 3, 200
"""Months of rent, below or above which the price of a purchase is doubted likewise."""
CARD = 200.0
"""Watts, above which a device is a card that needs a server around it, and no machine of its own."""
UNLIKE = 1.1
"""Times the highest rate of a year, or below the lowest, where a rate of the scenario is doubted."""


def of_price(scenario: Scenario, case: Case) -> Iterator[Doubt]:
    """Of the price of the device of a Case."""
    name, price = {"device": case.device.name}, case.price
    usual = devices.price(case.device.name, scenario.run.date, scenario.hardware.overrides or None)
    odd = price.mid > UNUSUAL * usual.high or price.mid < usual.low / UNUSUAL
    if price.source == "scenario" and not bought(price) and odd:
        yield Doubt("price_unusual", name | {"price": price.mid, "low": usual.low, "high": usual.high})
    months = price.purchase / (HOURS * usual.mid)  # nan where there is no rent, or nothing is bought
    if price.source == "scenario" and (months < LEAST_RENTS or months > MOST_RENTS):
        yield Doubt("bought_unusual", name | {"price": price.purchase, "months": months, "rent": usual.mid})
    if bought(price) and not scenario.prices.around and case.device.power > CARD:
        yield Doubt("bought_alone", name)
    if price.stale:
        yield Doubt("price_stale", name | {"days": price.stale, "limit": STALE_DAYS})
    if not np.isfinite(price.mid):
        yield Doubt("price_unknown", name)
    elif (offered := scenario.prices.offered(case.device)) is not None:
        yield Doubt("price_spot" if scenario.prices.spot else "price_offered", name | _offered(scenario, offered))
    elif price.low == price.high and price.source != "scenario":
        yield Doubt("price_single", name)


def of_rate(scenario: Scenario) -> Iterator[Doubt]:
    """Whether the currency has been worth as much in the last year of the table of rates."""
    currency, rate = scenario.prices.currency, scenario.prices.rate
    if currency != "USD" and currency not in devices.rates():
        yield Doubt("rate_unknown", {"currency": currency})
    if currency in devices.rates():
        low, high = devices.rates()[currency][2:]
        if not low / UNLIKE <= rate <= high * UNLIKE:
            until = tables.manifest("hardware/currencies").date
            about = {"currency": currency, "rate": rate, "low": low, "high": high, "until": until}
            yield Doubt("rate_unlike", about)


def _offered(scenario: Scenario, offered: pd.DataFrame) -> dict[str, str | float]:
    """What the price of a device stands on, of its offers."""
    best = {name: offered[name].iloc[0] for name in ("instance", "location", "gpus", "price")}
    return scenario.prices.offers.attrs | best | {"count": len(offered), "highest": offered.price.iloc[-1]}
