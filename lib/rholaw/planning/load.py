"""How loaded a replica is: what is in flight follows from traffic, and so do latencies and the replicas that it takes.

    X(n) = n / (tokens_out t(n) + n p(n))     requests a second with n in flight: t, seconds a step; p, seconds a prompt
    X(n) = λ                                  Little's law: which n, and so which t, belong to a rate; below 1, λ / X(1)
    W = p + (tokens_out t + q p) / (1 − λp)   of a request: others' prompts come while it writes, q stand behind its own
    time per output token = (W − p) / tokens_out;   n = λ W
    time to first token   = wait for a place + wait for the prompts before it, and half a step + p(1)

An engine with continuous batching reads prompts first, one after another, and writes a token of each sequence a step.
The wait for one of c places is that of M/M/c by Sakasegawa (1977), ρ^(√(2(c+1)) − 1) / (X(c) (1 − ρ)); prompts wait for
each other as in M/D/1, λp / (2 (1 − λp)) of them.  M/M/c has answers of all lengths; where all are alike, as in the
simulation that tests this, the wait near saturation is up to three times shorter.  Arrays are (n,) draws, or one
number; rates are a second.
"""

from dataclasses import dataclass

import numpy as np

Numbers = np.ndarray | float
FULL = 0.9
"""Share of the greatest rate at which a replica is loaded at most, so that queues end: assumed."""
HALVINGS = 8
"""Of the interval in which the greatest rate within limits is sought: exact to FULL / 256 of the greatest, and kept."""
AT_ONCE = 10_000
"""Draws of which it is sought together: as many as stay near the processor meanwhile."""


@dataclass(frozen=True)
class Replica:
    """A copy of the model, for each number of sequences that it may hold.

    flight: (G,) sequences in flight, rising from 1; last: (B, 1) places in it of the most that it may hold; rates:
    (G, n) requests a second with so many in flight, and their logarithms; prompts: (G, n) seconds to read a prompt
    then.  What follows is (B, n).  One of some (row, draw) has these as its n draws, with (1, n) places.
    """

    flight: np.ndarray
    last: np.ndarray
    rates: np.ndarray
    logs: np.ndarray
    prompts: np.ndarray
    tokens_out: float

    def of_all(self, values: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The ``values``, (G, n), at ``places``; taken from all in a row, five times as fast as by both indices."""
        return values.take(places * values.shape[1] + np.arange(values.shape[1]))

    @property
    def greatest(self) -> np.ndarray:
        """Its rate when it is full."""
        return self.of_all(self.rates, self.last)

    def some(self, which: np.ndarray) -> "Replica":
        """The same in some (row, draw) only, counted row by row."""
        row, draw = np.divmod(which, self.rates.shape[1])
        columns = (values.take(draw, 1) for values in (self.rates, self.logs, self.prompts))
        return Replica(self.flight, self.last[row].T, *columns, self.tokens_out)


@dataclass(frozen=True)
class Load:
    """Of a replica: mean sequences in flight; seconds between two tokens of one, and to the first of a request."""

    in_flight: np.ndarray
    between: np.ndarray
    first: np.ndarray


@dataclass(frozen=True)
class Serving:
    """paid, working: replicas that are paid, and that have something to do, means over the month; carried: requests a
    second that one carries within the limits; load: of one at the peak."""

    paid: np.ndarray
    working: np.ndarray
    carried: np.ndarray
    load: Load


def replica(flight: np.ndarray, most: np.ndarray, step: Numbers, prompt: Numbers, tokens_out: float) -> Replica:
    """The Replica of (G, 1) sequences in flight whose steps and prompts take so many seconds, (G, n) each.

    most: (B, 1) sequences that it may hold, each among ``flight``.  Where a step of more sequences would do less, as
    timed kernels may have it, it does no less.
    """
    rates = flight / (tokens_out * step + flight * prompt)
    rates, prompts = (np.ascontiguousarray(values) for values in np.broadcast_arrays(rates, prompt))
    rates = np.maximum.accumulate(rates)
    return Replica(flight[:, 0], np.searchsorted(flight[:, 0], most), rates, np.log(rates), prompts, tokens_out)


def at(replica: Replica, rate: Numbers) -> Load:
    """The Load of a Replica at ``rate``; beyond its greatest rate it is full, and the wait for a place has no end."""
    greatest, flight = replica.greatest, replica.flight
    slower = (replica.rates[:-1, None] < rate).sum(0, dtype=np.int8)
    above = np.minimum(slower, replica.last)
    below = np.maximum(above - 1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):  # no traffic, one place, full: each has its limit
        rate = np.minimum(rate, greatest)
        log, lower = np.log(rate), replica.of_all(replica.logs, below)
        within, rise = np.maximum(rate, replica.rates[0]), replica.of_all(replica.logs, above) - lower
        share = np.where(rise > 0, (np.maximum(log, replica.logs[0]) - lower) / rise, 0.0)
        first = np.log(flight)
        n = np.exp(first.take(below) * (1 - share) + first.take(above) * share)
        prompt, places = replica.of_all(replica.prompts, above), flight.take(replica.last)
        reading, busy = rate * prompt, rate / greatest
        waiting = reading / (1 - reading) / 2  # for a prompt, in prompts
        others = reading * (1 + waiting) * prompt  # read after the own prompt, and before the first step
        residence = prompt + (n / within - n * prompt + others) / (1 - reading)
        n = np.minimum(rate * residence, places)
        between = (np.where(rate > 0, n / rate, residence) - prompt) / replica.tokens_out
        crowd = np.exp((np.sqrt(2 * (places + 1)) - 1) * (log - replica.of_all(replica.logs, replica.last)))
        place = crowd / (1 - busy) / greatest
        queue = waiting * prompt + np.minimum(n, 1) * between / 2
    return Load(n, between, np.where(busy >= 1, np.inf, place + queue + replica.prompts[0]))


def carried(replica: Replica, between: float, first: float, share: float = FULL) -> np.ndarray:
    """The greatest rate at which a Replica keeps both limits, in seconds, and no more than ``share`` of its greatest.

    Where no rate keeps them: that of one sequence in flight, or ``share`` of the greatest if that is less.
    """
    high = share * replica.greatest

    def kept(rate: np.ndarray, replica: Replica = replica) -> np.ndarray:
        load = at(replica, rate)
        return ((load.between <= between) | np.isinf(between)) & ((load.first <= first) | np.isinf(first))

    keeps = kept(high) if np.isfinite(between) or np.isfinite(first) else np.ones_like(high, dtype=bool)
    if keeps.all():
        return high
    most = np.where(keeps, high, np.minimum(high, replica.rates[0]))
    open_ = np.flatnonzero(~keeps & kept(np.zeros_like(high)))
    for part in np.array_split(open_, len(open_) // AT_ONCE + 1):
        own, low, top = replica.some(part), np.zeros((1, len(part))), high.take(part[None])
        for _ in range(HALVINGS):
            middle = (low + top) / 2
            keeps = kept(middle, own)
            low, top = np.where(keeps, middle, low), np.where(keeps, top, middle)
        most.put(part, np.where(low > 0, low, most.take(part)))
    return most


def most(replica: Replica, limits: tuple[float, float], whole: bool, utilisation: Numbers | None) -> np.ndarray:
    """Requests a second that a replica carries at most, for ``serving``, within ``limits`` as ``carried`` has them."""
    return carried(replica, *limits, share=FULL if whole or utilisation is None else 1.0)


def serving(
    replica: Replica, rate: float, peak: Numbers, most: Numbers, whole: bool, utilisation: Numbers | None
) -> Serving:
    """What serves ``rate``, a mean whose peak is ``peak`` times as much, by replicas that carry ``most`` each.

    whole: replicas are whole ones, as many as the peak needs, all month; else they are paid while they work, none where
    nobody asks, or for ``utilisation`` of the paid time if it is given, always full then.
    """
    full = FULL * replica.greatest
    if whole:
        paid = np.maximum(np.ceil(rate * peak / most - 1e-9), 1.0)
        working = paid * (1 - np.exp(-at(replica, rate / paid).in_flight))
        return Serving(paid, working, most, at(replica, rate * peak / paid))
    load = at(replica, np.minimum(rate * peak, np.minimum(most, full)))
    if utilisation is not None:
        return Serving(rate / most / utilisation, rate / most, most, load)
    working = np.maximum(rate / most, 1 - np.exp(-at(replica, np.minimum(rate, most)).in_flight))
    return Serving(working, working, most, load)
