"""A scenario: everything a plan needs to know, checked before any work; read from TOML or YAML, or built in Python.

    scenario = Scenario.read("chapters/scenario.toml")              every wrong key, value and unit is named at once
    scenario = Scenario.of({"model": {"geometry": "Llama-3.1-8B"}, "formats": [{"weights": "fp8_row"}]})
    scenario.replace(traffic={"requests_per_month": 2e6})           a copy with other values

Money goes in as USD; ``prices.currency`` and ``prices.rate`` say in what it comes out.  A number that is uncertain is
given as [low, middle, high]; a single number is certain.  chapters/scenario.toml explains every key.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..checked import build, few, shortened, unknown
from ..checkpoints.changes import BLANK, DRAFTS, ROUNDS, SEES
from ..fidelity.sensitivity import errors
from ..formats.grammar import parse
from ..hardware import benchmarks
from ..hardware import geometry as shapes
from ..hardware.devices import devices, unlisted
from . import plausible, reading
from .inputs import KINDS, Hardware, Model, Option, Project, Rounded, Run, Traffic, measured
from .prices import Prices

PARTS = {"model": Model, "hardware": Hardware, "traffic": Traffic, "prices": Prices, "project": Project, "run": Run}
UNPLANNED = dict.fromkeys((DRAFTS, SEES), "a plan is for models that write by themselves")
UNPLANNED[ROUNDS] = "a plan compares with the model in 16 bits, and there is none of it; "
UNPLANNED[ROUNDS] += "rounding what is ternary to wider formats saves nothing"
UNPLANNED[BLANK] = "give the trained one; or, for a plan by its shape, a folder with its config.json and no weights"
"""Codes of changes → why there is no plan for such a model."""
MOST = 20
"""Lines of a message, which then has less than 10,000 characters."""


class ScenarioError(ValueError):
    """A scenario cannot be used; the message has a line for each thing that is wrong with it."""


@dataclass(frozen=True)
class Scenario:
    """A whole scenario. formats: the Options to compare with 16 bits, which are always among them."""

    model: Model
    formats: tuple[Option, ...]
    hardware: Hardware = field(default_factory=Hardware)
    traffic: Traffic = field(default_factory=Traffic)
    prices: Prices = field(default_factory=Prices)
    project: Project = field(default_factory=Project)
    run: Run = field(default_factory=Run)

    def __post_init__(self) -> None:
        _refuse("this scenario", list(_contradictions(self, _Problems())))

    @classmethod
    def read(cls, path: str | Path) -> "Scenario":
        """The scenario in a .toml, .yaml or .yml file. Raises ScenarioError with every wrong key, value or unit."""
        path = Path(path)
        try:
            data = reading.read(path)
        except ValueError as error:
            raise ScenarioError(str(error)) from None
        for holder, key in _files(data):
            value = holder[key]
            if isinstance(value, str) and value and not value.startswith("~") and "://" not in value:
                holder[key] = str(path.parent / value)  # named from where the scenario lies
        return cls.of(data, str(path))

    @classmethod
    def of(cls, data: dict[str, Any], where: str = "scenario") -> "Scenario":
        """The scenario in nested dicts, as a file has them. Raises ScenarioError as ``read``."""
        known, problems = [*PARTS, "formats"], _Problems()
        if not isinstance(data, dict):
            raise ScenarioError(f"{shortened(where)} must have the parts {', '.join(known)}")
        problems.lines += [unknown(key, known, "part") for key in data if key not in known]
        parts = {key: problems.built(kind, data.get(key, {}), key) for key, kind in PARTS.items()}
        formats = data.get("formats")
        if not isinstance(formats, list) or not formats:
            hint = "; each is a table of a list: write [[formats]], not [formats]" if isinstance(formats, dict) else ""
            problems.lines.append(f'formats: name at least one, as in [[formats]] weights = "fp8_row"{hint}')
            formats = []
        parts["formats"] = problems.options(formats)
        _refuse(where, problems.lines + list(_contradictions(SimpleNamespace(**parts), problems)))
        return cls(**parts)

    def replace(self, **parts: Any) -> "Scenario":
        """A copy; each part is a dict of the values to change, or formats=[…] a list of dicts."""
        changed, problems = {}, _Problems()
        for key, values in parts.items():
            if key == "formats":
                changed[key] = problems.options(values)
            elif key in PARTS:
                changed[key] = problems.built(PARTS[key], values, key, getattr(self, key))
            else:
                problems.lines.append(unknown(key, [*PARTS, "formats"], "part"))
        whole = SimpleNamespace(
            **{item.name: changed.get(item.name, getattr(self, item.name)) for item in fields(self)}
        )
        _refuse("the change", problems.lines + list(_contradictions(whole, problems)))
        return dataclasses.replace(self, **changed)

    def in_currency(self, currency: str, rate: float) -> "Scenario":
        """A copy with results in another currency, ``rate`` units a USD; what is priced in its own keeps its worth.

        Raises ScenarioError.
        """
        own, work, none = self.prices, self.project, float("nan")
        rents, purchases = tuple(own.rents.items()), tuple(own.purchases.items())
        week, once = own.usd(work.engineer_week, work.engineer_week_usd), own.usd(work.evaluation, work.evaluation_usd)
        prices = dataclasses.replace(own, gpu_hour_usd=rents, gpu_hour=(), purchase_usd=purchases, purchase=())
        hour = own.electricity if own.electricity_kwh else own.electricity_usd_kwh
        prices = dataclasses.replace(prices, electricity_usd_kwh=hour, electricity_kwh=())
        project = dataclasses.replace(work, engineer_week_usd=week, engineer_week=none)
        project = dataclasses.replace(project, evaluation_usd=once, evaluation=none)
        same = dataclasses.replace(self, prices=prices, project=project)
        return same.replace(prices={"currency": currency, "rate": rate})

    @property
    def options(self) -> tuple[Option, ...]:
        """16 bits, as the scenario has them, if it does, then the others."""
        dense = next((option for option in self.formats if option.dense), Option())
        return (dense, *(option for option in self.formats if not option.dense))


class _Problems:
    """What is wrong with a scenario: a line for each thing, and the (part, key) of the values that were refused."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.refused: set[tuple[str, str]] = set()

    def built(self, kind: type, data: object, part: str, base: object = None) -> Any:
        """A ``kind`` from its dict, over ``base``; where a value is refused, what stood there stays."""
        if not isinstance(data, dict):
            self.refused.add((part, ""))
            return build(kind, data, part, self.lines, base)
        whole = kind() if base is None else base
        for key, value in data.items():
            before = len(self.lines)
            if key in plausible.ELSEWHERE:
                self.lines.append(f"{part}.{key}: there is no such key; here it is called {plausible.ELSEWHERE[key]}")
            else:
                whole = build(kind, {key: value}, part, self.lines, whole)
            if len(self.lines) > before:
                self.refused.add((part, key))
        return whole

    def options(self, formats: list) -> tuple[Option, ...]:
        """The Options of a scenario's list of formats."""
        return tuple(self.built(Option, item, f"formats {i}") for i, item in enumerate(formats, 1))


def _files(data: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of each name of a file in nested dicts: overrides, checkpoint, catalogue, what was measured."""
    parts = {name: part for name, part in data.items() if isinstance(part, dict)} if isinstance(data, dict) else {}
    files = parts.get("hardware", {}).get("measured")
    for i, item in enumerate(files if isinstance(files, list) else ()):
        yield (item, "file") if isinstance(item, dict) and "file" in item else (files, i)
    for name, key in (("hardware", "overrides"), ("model", "checkpoint"), ("prices", "catalogue")):
        if key in parts.get(name, {}):
            yield parts[name], key


def _refuse(where: str, lines: list[str]) -> None:
    if lines:
        raise ScenarioError("\n  ".join([f"{shortened(where)} cannot be used:", *few(lines, MOST)]))


def _contradictions(scenario: Any, problems: _Problems) -> Iterator[str]:
    """What each part allows and the whole does not: a line each.

    Where a value was refused, a default stands in for it: what would follow from that default is left out.
    """
    hardware, project, prices = scenario.hardware, scenario.project, scenario.prices
    yield from _of_the_model(scenario.model, project, problems)
    try:
        known = devices(hardware.overrides or None)
    except OSError as error:
        yield f"hardware.overrides: there is no file {shortened(hardware.overrides)} to read: {error.strerror}"
        known = devices()
    except ValueError as error:
        yield f"hardware.overrides: {error}"
        known = devices()
    yield from plausible.of_model(scenario.model)
    yield from plausible.of_formats(scenario.formats)
    yield from plausible.of_hardware(hardware, len(scenario.formats), known)
    yield from plausible.of_traffic(scenario.traffic)
    yield from plausible.of_prices(prices)
    rented = (known[name] for name in dict.fromkeys([*hardware.devices, project.train_device]) if name in known)
    yield from plausible.of_offers(prices, rented)
    for where, chosen in (
        ("hardware.devices", hardware.devices),
        ("project.train_device", [project.train_device] if project.train_device else []),
        *(
            (f"prices.{key}", dict(getattr(prices, key)))
            for key in ("gpu_hour_usd", "gpu_hour", "purchase_usd", "purchase")
        ),
    ):
        if ("hardware", "overrides") not in problems.refused:
            own = "; one of your own stands in the file of hardware.overrides"
            yield from (f"{where}: {unlisted(name, known)}{own}" for name in chosen if name not in known)
    yield from _of_what_was_measured(hardware, scenario, problems)
    for i, option in enumerate(scenario.formats, 1):
        for role in ("weights", "activations", "kv"):
            try:
                parse(getattr(option, role))
            except ValueError as error:
                yield f"formats {i}.{role}: {error}{plausible.of_name(getattr(option, role))}"
        yours = option.credited or option.speculation
        refused = {key for part, key in problems.refused if part == f"formats {i}"}
        if yours and not option.measured_on and "measured_on" not in refused:
            yield f"formats {i}: a speed-up of yours needs measured_on: the kernel, machine and version"
        if option.measured_on and not yours and not refused:
            yield f"formats {i}.measured_on: of no speed-up: give speedup_prefill, speedup_decode or speculation too"
        if option.dloss and project.comparison == "equal-loss":
            yield f'formats {i}.dloss: at equal loss it is none, of a larger model: project.compare = "equal-n", or rho'
    if prices.currency != "USD" and prices.rate == 1 and ("prices", "rate") not in problems.refused:
        yield f"prices.rate: say how many {shortened(prices.currency)} a USD is; keys that end in _usd are in USD"
    if not project.kind and not {("project", "kind"), ("project", "")} & problems.refused:
        meanings = ", ".join(f'"{kind}" {does}' for kind, does in KINDS.items())
        yield f"project.kind: say what is planned: {meanings}"
    if project.kind and project.kind != "train" and project.comparison == "equal-loss":
        yield f"project.compare: equal-loss trains a larger model anew; {project.kind} keeps the model it has: equal-n"
    yield from plausible.of_project(project)
    yield from plausible.of_run(scenario.run)


def _of_what_was_measured(hardware: Hardware, scenario: Any, problems: _Problems) -> Iterator[str]:
    """Files that cannot be read, that leave open what was served, or that are of another model."""
    try:
        runs = measured(hardware, scenario.formats)
    except ValueError as error:
        yield f"hardware.measured: {error}"
        return
    try:
        total = scenario.model.shape.total if runs and not problems.refused else 0
    except (ValueError, KeyError):  # which is said of the model
        total = 0
    for run in {run.file: run for run in runs}.values():
        entry = f'{{ file = "{run.file}", device = "…", weights = "…", activations = "…" }}'
        if not run.weights or not run.device:
            what = " and ".join(name for name in ("device", "weights") if not getattr(run, name))
            yield f"hardware.measured: {run.file} does not say the {what}: write {entry}"
        elif total and (against := benchmarks.other_model(run, total)):
            yield f"hardware.measured: {run.file} is of another model: {against}, the scenario's has {total:.4g}"
        for name in ("weights", "activations", "kv"):
            try:
                parse(getattr(run, name) or "dense")
            except ValueError as error:
                yield f"hardware.measured: {run.file}: {name}: {error}"


def _of_the_model(model: Model, project: Project, problems: _Problems) -> Iterator[str]:
    given = [name for name in ("geometry", "checkpoint", "params") if getattr(model, name)]
    if len(given) != 1:
        if "model" not in {part for part, _ in problems.refused}:
            yield f"model: give one of geometry, checkpoint and params, not {' and '.join(given) or 'none'}"
    elif isinstance(model.geometry, str) and model.geometry not in ("", *shapes.named()):
        hint = "; of another model give model.checkpoint, a folder with its config.json"
        yield f"model.geometry: {unknown(model.geometry, [*shapes.named()], 'geometry')}{hint}"
    elif model.checkpoint or model.active:
        try:
            if model.active > (most := model.params or model.shape.total):
                yield f"model.active: {model.active:g} is more than the {most:.4g} that the model has"
            elif model.active and not model.params and not model.shape.sparse:
                yield f"model.active: a token passes through all of a {model.shape.family}: leave it out"
            mixture = model.shape.family if model.shape.sparse else "model.active" if model.params else ""
            yield from _of_the_shape(model.shape, project, mixture)
        except ValueError as error:
            yield f"model.{given[0]}: {error}"
    if model.kappa and model.measured:
        yield "model: give kappa or measured, not both: kappa follows from what was measured"
    first: dict[str, Rounded] = {}
    for i, item in enumerate(model.measured, 1):
        try:
            if not (error := errors([item.weights])[0]) > 0:
                yield f"model.measured: {i} rounds nothing in {item.weights}: a rise in it says nothing about formats"
            yield from plausible.of_rise(item, error)
            before = first.setdefault(item.weights, item)
            if before.rise != item.rise:
                rises = f"{before.rise:g} and {item.rise:g}"
                yield f"model.measured: {i} is of {item.weights} again, with another rise ({rises}): give one"
        except ValueError as error:
            yield f"model.measured: {i} has no such weights: {error}"


def _of_the_shape(shape: shapes.Geometry, project: Project, mixture: str) -> Iterator[str]:
    if not shape.decoder:
        told = f"it is a {shape.family} that writes no tokens, one after another"
        yield f"model.checkpoint: {told}: a plan is for models that do"
    if why := UNPLANNED.get(shape.changes.code):
        yield f"model.checkpoint: {shape.changes}: {why}"
    if mixture and project.kind in ("qat", "train"):
        yield (
            f"project.kind: the law of training stands on dense models, and {mixture} has experts, of which a "
            'token uses some: it says nothing of such a loss or size; plan for kind = "post-training"'
        )
