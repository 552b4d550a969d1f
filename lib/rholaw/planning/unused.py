"""Keys of a scenario that say something and count for nothing in its plan, and why: none is passed over in silence."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from . import damage
from .cases import Case, bought
from .prices import ELECTRICITY
from .remarks import Doubt
from .scenario import Scenario


def unused(scenario: Scenario, cases: Iterable[Case]) -> Iterator[Doubt]:
    """A Doubt for each reason for which keys count for nothing: their names, and the code of why.

    A key at its default says nothing, and what is refused is no part of a Scenario.
    """
    keys: dict[str, list[str]] = {}
    for key, why in (*_of_prices(scenario, cases), *_of_the_project(scenario), *_of_options(scenario)):
        keys.setdefault(why, []).append(key)
    yield from (Doubt("unused", {"keys": tuple(dict.fromkeys(names)), "why": why}) for why, names in keys.items())


def _given(part: Any, name: str, *keys: str) -> Iterator[str]:
    """Those of the ``keys`` of a part, called ``name``, that are not at their defaults."""
    usual = {item.name: item.default for item in fields(part)}
    for key in keys:
        value = getattr(part, key)
        if value == value and value not in (usual[key], ELECTRICITY):  # nan is said of nothing
            yield f"{name}.{key}"


def _of_prices(scenario: Scenario, cases: Iterable[Case]) -> Iterator[tuple[str, str]]:
    prices, hardware, traffic = scenario.prices, scenario.hardware, scenario.traffic
    paid = {device.name: price for case in cases for device, price in ((case.device, case.price), case.training)}
    own = [bought(price) for price in paid.values()]
    if not any(own):
        of = ("lifetime_months", "server", "upkeep", "electricity_usd_kwh", "electricity_kwh")
        yield from ((key, "rented") for key in _given(prices, "prices", *of))
    if all(own):
        yield from ((key, "bought") for key in _given(prices, "prices", "overhead", "interruption"))
    for key in ("gpu_hour_usd", "gpu_hour", "purchase_usd", "purchase"):
        named = dict(getattr(prices, key))
        yield from ((f"prices.{key} {name}", "elsewhere") for name in named if name not in paid)
    if prices.catalogue and not paid.keys() - prices.rents.keys() - prices.purchases.keys():
        yield "prices.catalogue", "priced"
    if max(hardware.gpus) == 1:
        yield from ((key, "alone") for key in _given(hardware, "hardware", "parallel_efficiency"))
    if traffic.utilisation:
        yield from ((key, "busy") for key in _given(traffic, "traffic", "peak_over_mean"))


def _of_the_project(scenario: Scenario) -> Iterator[tuple[str, str]]:
    project, options = scenario.project, [option for option in scenario.options if not option.dense]
    kinds = {"qat_tokens": "qat", "calibration_hours": "post-training"}
    other = (key for key, kind in kinds.items() if kind != project.kind)
    yield from ((key, project.kind) for key in _given(project, "project", *other))
    if project.comparison == "equal-loss":
        yield from ((key, "equal") for key in _given(project, "project", "tolerance"))
    if options and all(option.slowdown for option in options):
        yield from ((key, "own") for key in _given(project, "project", "slowdown"))
    if project.kind == "post-training" and scenario.model.shape.sparse:
        yield from ((key, "mixture") for key in _given(project, "project", "slowdown", "mfu"))


def _of_options(scenario: Scenario) -> Iterator[tuple[str, str]]:
    model, kind = scenario.model, scenario.project.kind
    compressed = [option for option in scenario.formats if not option.dense]
    if kind != "post-training":
        yield from ((key, "trained") for key in _given(model, "model", "kappa", "measured"))
    elif compressed and all(option.dloss for option in compressed):
        of = ("kappa", "measured", *(("tokens", "active") if model.shape.sparse else ()))
        yield from ((key, "given") for key in _given(model, "model", *of))
    for i, option in enumerate(scenario.formats, 1):
        name = f"formats {i}"
        if kind != "post-training":
            yield from ((key, "trained") for key in _given(option, name, "method"))
        elif option.dloss:
            yield from ((key, "given") for key in _given(option, name, "method"))
        elif not damage.by_law(scenario, option) or model.kappa or model.measured:
            yield from ((key, "measured") for key in _given(option, name, "method"))
        if kind == "post-training" and model.shape.sparse:
            yield from ((key, "mixture") for key in _given(option, name, "rho", "slowdown"))
        if option.dense:
            yield from ((key, "dense") for key in _given(option, name, "method", "rho", "dloss", "slowdown"))
