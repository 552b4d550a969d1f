"""Where an option begins to pay against a dense one: at which traffic, speed or price its median NPV turns positive.

Each Case here has one batch; both are served as they stand in the plan, whatever else may be cheaper elsewhere.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..hardware import speed
from ..hardware.devices import Price
from ..laws.draws import Draws
from . import outcomes, work
from .cases import Case
from .remarks import Ground, Turning
from .uncertain import Drawn

FARTHEST = 1e4
"""Times the traffic of a scenario, or a USD an hour, both ways, within which it is sought."""
FASTEST = 16.0
"""Times the speed of 16 bits up to which it is."""
STEP, HALVINGS = 10**0.25, 10
"""The factor by which it is sought, and how often the last step is halved: to 0.06 %."""


def requests(case: Case, base: Case, drawn: Drawn, draws: Draws) -> Turning:
    """Requests a month: where the option pays at the scenario's traffic those below which it no more does, else those
    from which on it does. 0 where it pays without traffic worth the name, infinite where it never does."""
    own, dense = (outcomes.by_requests(one, drawn, draws) for one in (case, base))
    present = case.scenario.traffic.requests_per_month

    def pays(count: float) -> bool:
        return _pays(case, own(count), dense(count))

    return Turning(_lowest(pays, present / FARTHEST, present if pays(present) else present * FARTHEST))


def speedup(case: Case, base: Case, drawn: Drawn, draws: Draws) -> Turning:
    """Times the speed of 16 bits, in both phases, from which on the option pays; 1 where it does without any gain."""
    dense = outcomes.outcome(base, drawn, draws)

    def pays(times: float) -> bool:
        faster = tuple(speed.given((times,) * 3, at, "") for at in (case.tokens, case.flight))
        return _pays(case, outcomes.outcome(replace(case, faster=faster), drawn, draws), dense)

    return Turning(max(_lowest(pays, 1.0, FASTEST), 1.0))


def price(case: Case, base: Case, drawn: Drawn, draws: Draws) -> Turning:
    """An hour of the devices without a price, in the scenario's money, at which the option begins to pay or ends to.

    What it is worth in each draw is linear in that price: two of them say all. A value of
    0 is one at which it always pays, above it, or never does, below it.
    """

    def worth(dollars: float) -> outcomes.Numbers:
        own, dense = (outcomes.outcome(_at(one, dollars), drawn, draws) for one in (case, base))
        return outcomes.compared(case, own, dense.usd_month).npv

    one, two = worth(1.0), worth(2.0)

    def pays(dollars: float) -> bool:
        return _positive(one + (dollars - 1) * (two - one))

    least, most, rate = 1 / FARTHEST, FARTHEST, case.scenario.prices.rate
    if pays(most):
        return Turning(rate * _lowest(pays, least, most))
    return Turning(rate / _lowest(lambda hours: pays(1 / hours), least, most), above=False)


def cost(case: Case, base: Case, drawn: Drawn, draws: Draws) -> Turning:
    """The most that the work may cost which nobody gave and which is assumed, in the scenario's money; 0: nothing."""
    own, dense = (outcomes.outcome(one, drawn, draws) for one in (case, base))
    worth = outcomes.compared(case, own, dense.usd_month).npv + work.assumed(case.scenario, drawn.effort)
    least = float(np.quantile(worth, 0.5, method="inverted_cdf"))
    return Turning(case.scenario.prices.rate * max(least, 0.0), above=False)


def _at(case: Case, dollars: float) -> Case:
    """The Case at a price of the devices that have none."""
    known = Price(dollars, dollars, dollars, np.nan, "", "")
    device, rent = case.training
    return replace(
        case,
        price=case.price if np.isfinite(case.price.mid) else known,
        training=(device, rent if np.isfinite(rent.mid) else known),
    )


def _pays(case: Case, own: outcomes.Outcome, dense: outcomes.Outcome) -> bool:
    return _positive(outcomes.compared(case, own, dense.usd_month).npv)


def _positive(worth: outcomes.Numbers) -> bool:
    """Whether a plan's table has a median above zero: one of the draws, where their number is even the lower middle."""
    return bool(np.quantile(worth, 0.5, method="inverted_cdf") > 0)


def _lowest(pays: Callable[[float], bool], least: float, high: float) -> float:
    """The lowest value from which on, up to ``high``, it pays; 0 where it does at ``least``, else infinite."""
    if not pays(high):
        return np.inf
    low = high / STEP
    while pays(low):
        if low <= least:
            return 0.0
        high, low = low, low / STEP
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if pays(middle) else (middle, high)
    return float(high)


OF = {Ground.UNTRIED: speedup, Ground.UNPRICED: price, Ground.LATE: requests, Ground.DEARER: requests}
"""What would have to be otherwise for an option to pay, by the ground of a verdict."""
