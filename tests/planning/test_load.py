"""The load of a replica: Little's law against a simulation of an engine, limits, whole replicas."""

import numpy as np
import pytest

from rholaw.planning import load

FLIGHT = np.array([1.0, 2, 4, 8, 16, 32, 64])[:, None]
TOKENS = 60


def step(n):
    """Seconds of a step: weights are read whatever is in flight, and a little comes with each sequence."""
    return 0.010 + 0.0002 * n


def serving(own, rate, peak, limits, whole, utilisation):
    return load.serving(own, rate, peak, load.most(own, limits, whole, utilisation), whole, utilisation)


def replica(most=64, prompt=0.03, tokens_out=TOKENS):
    return load.replica(FLIGHT, np.array([[most]]), step(FLIGHT), np.full_like(FLIGHT, prompt), tokens_out)


def simulated(rate, places, prompt, requests=6000, seed=0):
    """(in flight, seconds between tokens, seconds to the first) of an engine that reads prompts first, one by one."""
    generator = np.random.default_rng(seed)
    arrivals = np.cumsum(generator.exponential(1 / rate, requests))
    lengths = iter(generator.geometric(1 / TOKENS, requests))
    now, area, waiting, left, started, first, spent, following = 0.0, 0.0, [], [], [], [], 0.0, 0
    while left or waiting or following < requests:
        while following < requests and arrivals[following] <= now:
            waiting.append(arrivals[following])
            following += 1
        if waiting and len(left) < places:
            area += (len(left) + 1) * prompt
            now += prompt
            first.append(now - waiting.pop(0))
            left.append(next(lengths))
            started.append(now)
        elif left:
            area += len(left) * step(len(left))
            now += step(len(left))
            left = [tokens - 1 for tokens in left]
            spent += sum(now - begun for begun, tokens in zip(started, left, strict=True) if not tokens)
            started = [begun for begun, tokens in zip(started, left, strict=True) if tokens]
            left = [tokens for tokens in left if tokens]
        else:
            now = arrivals[following]
    return area / now, spent / requests / TOKENS, np.mean(first)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "places", "prompt"), [(0.3, 64, 0.03), (6.0, 64, 0.03), (14.0, 64, 0.03), (1.0, 1, 0.03), (3.0, 64, 0.2)]
)
def test_what_is_in_flight_and_both_latencies_are_those_of_a_simulated_engine(rate, places, prompt):
    flight, between, first = simulated(rate, places, prompt)
    own = load.at(replica(places, prompt), rate)
    assert own.in_flight[0] == pytest.approx(flight, rel=0.15)
    assert own.between[0] == pytest.approx(between, rel=0.15)
    assert own.first[0] == pytest.approx(first, rel=0.3)


def test_little_s_law_holds_and_below_one_in_flight_a_request_is_alone():
    own = replica()
    for rate in (0.01, 1.0, 5.0, 0.9 * own.rates[-1, 0]):
        at = load.at(own, rate)
        assert at.in_flight == pytest.approx(rate * (TOKENS * at.between + 0.03))
    alone = load.at(own, 0.001)
    assert alone.between == pytest.approx(step(1), rel=1e-3) and alone.first == pytest.approx(0.03, abs=1e-3)
    assert load.at(own, own.rates[-1, 0] * 2).first == np.inf


@pytest.mark.slow
def test_more_traffic_never_shortens_a_latency_nor_needs_fewer_replicas():
    own, rates = replica(), np.geomspace(1e-3, 0.999 * replica().rates[-1, 0], 200)
    loads = [load.at(own, rate) for rate in rates]
    for name in ("in_flight", "between", "first"):
        assert (np.diff([getattr(one, name)[0] for one in loads]) > -1e-12).all(), name
    for whole in (True, False):
        served = [serving(own, rate, 2.0, (0.02, 1.0), whole, None) for rate in 10 * rates]
        assert (np.diff([one.paid[0] for one in served]) >= 0).all()


def test_replicas_are_whole_ones_for_the_peak_and_at_least_one():
    own = replica()
    few, many = (serving(own, rate, 2.5, (np.inf, np.inf), True, None) for rate in (1e-4, 100.0))
    assert few.paid == 1 and few.working < 0.001
    assert many.paid == np.ceil(250 / (load.FULL * own.greatest)) and many.paid > many.working > 0.99 * many.paid
    assert many.load.in_flight < 64


@pytest.mark.parametrize("limits", [(0.016, np.inf), (np.inf, 0.05), (0.016, 0.05)])
def test_replicas_keep_the_limits_at_the_peak_where_any_number_of_them_does(limits):
    free, bound = (serving(replica(), 100.0, 2.0, ends, True, None) for ends in ((np.inf, np.inf), limits))
    assert bound.paid > free.paid
    assert bound.load.between <= limits[0] and bound.load.first <= limits[1]
    fewer = load.at(replica(), 200 / (0.95 * bound.paid))
    assert fewer.between > limits[0] or fewer.first > limits[1]


def test_a_limit_that_one_request_alone_breaks_is_not_bought_with_replicas():
    bound = load.carried(replica(), np.inf, 0.02)
    assert bound == pytest.approx(replica().rates[:1]) and load.at(replica(), bound).first > 0.02


def test_paid_as_used_scales_to_zero_and_with_a_given_utilisation_is_full_while_it_works():
    own = replica()
    idle = serving(own, 1e-3, 2.0, (np.inf, np.inf), False, None)
    assert idle.paid == pytest.approx(1e-3 / own.rates[:1], rel=0.01) and idle.working == idle.paid
    busy = serving(own, 500.0, 2.0, (np.inf, np.inf), False, None)
    assert busy.paid == pytest.approx(500 / (load.FULL * own.greatest))
    given = serving(own, 1e-3, 2.0, (np.inf, np.inf), False, 0.5)
    assert given.paid == pytest.approx(2 * 1e-3 / own.greatest) and given.working == pytest.approx(given.paid / 2)


def test_a_limit_is_sought_alike_in_pieces(monkeypatch):
    spread = np.linspace(0.5, 3, 50)
    own = load.replica(FLIGHT, np.array([[8], [64]]), step(FLIGHT) * spread, 0.03 * spread, TOKENS)
    whole = load.carried(own, 0.04, 1.0)
    monkeypatch.setattr(load, "AT_ONCE", 7)
    np.testing.assert_array_equal(load.carried(own, 0.04, 1.0), whole)
    assert len(np.unique(whole)) > 3 and (whole < load.FULL * own.greatest).sum() > 14


def test_draws_are_independent_and_unknown_speeds_stay_unknown():
    slow = np.array([1.0, 2.0, np.nan])
    own = load.replica(FLIGHT, np.array([[64]]), step(FLIGHT) * slow, 0.03 * slow, TOKENS)
    served = serving(own, 50.0, 2.0, (0.04, np.inf), True, None)
    alone = serving(replica(), 50.0, 2.0, (0.04, np.inf), True, None)
    same, slower, unknown = served.paid[0]
    assert same == alone.paid and slower > same and np.isnan(unknown)
    assert np.isnan(load.at(own, 1.0).first[0, 2])
