"""What a plan compares: every option on every machine, with its kernel, its speed-ups and its price."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..formats.grammar import parse
from ..hardware import devices, residuals, speed
from ..hardware import geometry as shapes
from ..hardware.benchmarks import Shift
from ..hardware.devices import Device, Price
from ..hardware.kernels import Kernel, kernel, shared_bits, vocabulary_bits
from ..hardware.links import gathered, together
from ..laws.draws import Draws
from . import costs
from .inputs import Option
from .remarks import Origin
from .scenario import Scenario

VALUES = 500_000
"""Batches times draws of a Case at most: what follows from them then takes about 300 MB."""


@dataclass(frozen=True)
class Case:
    """One Option on so many Devices: what no draw changes.

    batches: (B, 1) sequences that a replica may hold; flight: (G, 1) sequences in flight at which its speeds are
    computed, powers of two up to the most, and the batches; tokens: (G, 1) prefilled at once; bits: of a weight and
    an activation, as stored; kv_bits, vocabulary_bits, shared_bits, gather: of the cache, of embeddings and head, of a
    mixture's matrices beside its experts, and of what devices gather before experts; faster: the Speedups of prefill
    and decode; beliefs: how far times are from the roofline, of both, or () where the scenario says how efficient the
    engine is; machine: the devices as if they were one, or one of them where the scenario
    says how efficient several are; credited: whether a speed-up of the scenario stands in for a kernel that is not
    known; training: the Device that trains, and its Price; timed: what your measurements do to the speeds of
    prefill and decode, and timed_dense to those of 16 bits there.
    """

    scenario: Scenario
    option: Option
    device: Device
    gpus: int
    kernel: Kernel
    shape: shapes.Geometry
    bits: tuple[float, float]
    kv_bits: float
    vocabulary_bits: float
    shared_bits: float
    gather: float
    batches: np.ndarray
    flight: np.ndarray
    tokens: np.ndarray
    fit: speed.Efficiency
    faster: tuple[speed.Speedup, speed.Speedup]
    beliefs: tuple[residuals.Belief, ...]
    machine: Device
    credited: bool
    price: Price
    training: tuple[Device, Price]
    timed: tuple[Shift | None, Shift | None] = (None, None)
    timed_dense: tuple[Shift | None, Shift | None] = (None, None)


def cases(scenario: Scenario, known: Mapping[str, Device]) -> list[Case]:
    """Every option on every device and number of devices, in this order; known: {name: Device}.

    Batches that have more than VALUES draws together are in a Case each, or a few in each.
    """
    trainer = scenario.project.train_device or scenario.hardware.devices[0]
    paid = {name: (known[name], priced(scenario, name)) for name in {trainer, *scenario.hardware.devices}}
    column = np.array(scenario.hardware.batches, dtype=float)[:, None]
    most = max(1, VALUES // scenario.run.samples)
    return [
        case(scenario, option, paid[name], gpus, batches, paid[trainer])
        for option in scenario.options
        for name in scenario.hardware.devices
        for gpus in scenario.hardware.gpus
        for batches in np.array_split(column, math.ceil(len(column) / most))
    ]


def case(
    scenario: Scenario,
    option: Option,
    serving: tuple[Device, Price],
    gpus: int,
    batches: np.ndarray,
    training: tuple[Device, Price],
) -> Case:
    """The Case of an Option on ``gpus`` devices, at (B, 1) batches.

    serving, training: the Device of which so many serve, and that which trains, each with its Price.
    """
    device, price = serving
    engine, shape = scenario.hardware.engine, scenario.model.shape
    weights, activations, kv = (parse(text) for text in (option.weights, option.activations, option.kv))
    own = kernel(weights, activations, device, engine, option.kernel)
    credited = option.credited and not own.runs
    if credited:
        own = replace(own, status="native")
    as_one = 1 if scenario.hardware.parallel_efficiency else gpus
    machine = together(device, as_one, shape, engine)
    bits = (16.0, 16.0) if own.status == "emulated" else (weights.bits, activations.bits)
    flight = np.union1d(batches, 2.0 ** np.arange(np.log2(batches.max())))[:, None]
    tokens = np.minimum(flight * scenario.traffic.tokens_in, speed.PREFILL_TOKENS)
    prefill, decode = (
        speed.given(yours, at_once, option.measured_on)
        if yours
        else speed.speedup(shape, machine, engine, own, bits, at_once)
        for yours, at_once in ((option.speedup_prefill, tokens), (option.speedup_decode, flight))
    )
    in_flight = tuple(flight[:, 0].tolist())
    beliefs = (
        _belief(engine, device, phase, in_flight, faster.rung, shape.sparse, as_one)
        for phase, faster in (("prefill", prefill), ("decode", decode))
    )
    return Case(
        scenario=scenario,
        option=option,
        device=device,
        gpus=gpus,
        kernel=own,
        shape=shape,
        bits=bits,
        kv_bits=kv.bits,
        vocabulary_bits=vocabulary_bits(weights, engine),
        shared_bits=16.0 if own.status == "emulated" else shared_bits(weights, engine),
        gather=gathered(engine, activations),
        batches=batches,
        flight=flight,
        tokens=tokens,
        fit=speed.efficiency(device, engine),
        faster=(prefill, decode),
        beliefs=() if scenario.hardware.system_efficiency else tuple(beliefs),
        machine=machine,
        credited=credited,
        price=price,
        training=training,
    )


@lru_cache(maxsize=256)
def _belief(
    engine: str, device: Device, phase: str, flight: tuple[float, ...], rung: speed.Rung, mixture: bool, gpus: int
) -> residuals.Belief:
    """What is believed of (G, 1) sequences in flight, which options on one machine share."""
    return residuals.belief(engine, device, phase, np.array(flight)[:, None], rung, mixture, gpus)


def priced(scenario: Scenario, device: str) -> Price:
    """The Price of a device (its name): the scenario's own, that of its catalogue, else the table's.

    A purchase is spread over its life.
    """
    prices, day, own = scenario.prices, scenario.run.date.isoformat(), scenario.hardware.overrides or None
    rents, purchases = prices.rents, prices.purchases
    if device in rents:
        return Price(*rents[device], np.nan, "scenario", day)
    if (offered := prices.offered(devices.devices(own)[device])) is not None:
        best = offered.iloc[0]
        source = f"{prices.offers.attrs['file']}: {best.instance}, {best.location}"
        return Price(*(best.price,) * 3, np.nan, source, "", 0)  # a catalogue says nothing of its date
    listed = devices.price(device, scenario.run.date, own)
    bought = purchases.get(device, (listed.purchase,) * 3)
    if not np.isfinite(bought[1]) or (np.isfinite(listed.mid) and device not in purchases):
        return replace(listed, purchase=np.nan)
    hourly = (value / prices.lifetime_months / costs.HOURS for value in bought)
    if device in purchases:
        return Price(*hourly, bought[1], "scenario", day)
    return Price(*hourly, bought[1], listed.source, listed.as_of, listed.stale)


def bought(price: Price) -> bool:
    """Whether a Price is that of a purchase: its electricity is paid apart, and nothing comes on top of a rent."""
    return bool(np.isfinite(price.purchase))


def tested(case: Case) -> bool:
    """Whether reports may have tested the interval of its speeds: not where you say or measured them."""
    return bool(case.beliefs) and case.faster[1].rung not in (speed.Rung.TIMED, speed.Rung.SIMULATED)


def held(case: Case) -> tuple[int, int]:
    """How many reports of the kind of a Case were held out, and how many of them its 80 % interval of decode held."""
    return residuals.held(case.device, str(case.faster[1].rung), case.shape.sparse)


def origin(scenario: Scenario, option: Option, draws: Draws) -> Origin:
    """Where the capacity of an Option comes from."""
    if option.rho or option.dloss:
        return Origin.YOURS
    return Origin(draws.capacity(option.weights, option.activations)[1])
