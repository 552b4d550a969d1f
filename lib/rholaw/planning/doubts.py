"""What to doubt about a plan."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import numpy as np
import pandas as pd

from ..checked import listed, shortened, unknown
from ..checkpoints.parts import STATE_BYTES
from ..formats.grammar import parse
from ..hardware.devices import facts
from ..hardware.kernels import caches, engines, kernel, numbers
from ..hardware.links import BY_LAYERS
from ..hardware.speed import Rung
from ..laws.draws import Draws, default_runs
from . import advice, damage, limits, money, seen, timed
from .assumptions import FACTS
from .cases import Case, bought, held, tested
from .inputs import Option
from .remarks import Doubt, Gap, LossOrigin, Origin
from .scenario import Scenario, ScenarioError
from .slips import unlikely
from .unused import unused

LAID = {Rung.TIMED: "speed_measured", Rung.SIMULATED: "speed_simulated"}
"""What is said of a speed from a file."""
MANY = 10_000
"""Devices, of more than which a plan asks whether the traffic is meant."""
IDLE = 0.01
"""Share of the paid hours, below which a plan asks whether they have to be paid."""
SMALL = 0.02
"""A capacity, at P10, at which a model of equal loss has no bound worth the name."""
UNSAFE = 1.0
"""Nats per token, at P90, of which a finished model may not recover: rounding so far is no small error any more."""


def doubts(
    scenario: Scenario,
    cases: list[Case],
    table: pd.DataFrame,
    draws: Draws,
    origins: Mapping[Option, Origin],
    compared: bool,
    cheapest: bool,
) -> Iterator[Doubt]:
    """What to doubt about a plan; origins: of each option's capacity; compared: whether it tells of training on;
    cheapest: whether the baseline is one that no other 16 bits undercut in most draws."""
    yield from _of_the_shape(scenario)
    yield from _of_devices(scenario, {case.device.name: case for case in cases}.values())
    yield from money.of_rate(scenario)
    yield from _of_kernels({(case.option, case.device.name): case for case in cases}.values())
    yield from _of_engines(scenario, cases)
    for run in timed.by_name(cases):
        served = Option(run.weights, run.activations, run.kv).name
        yield Doubt("measured_by_name", {"file": run.file, "model": run.model, "option": served})
    for run in timed.unused(cases):
        yield Doubt("measured_unused", {name: getattr(run, name) for name in ("file", "device", "engine", "gpus")})
    fewest = (table.gpus * table.replicas)[table.meets].min()
    if fewest > MANY:
        yield Doubt("many_devices", {"devices": fewest})
    yield from limits.edge(cases, table, draws)
    yield from _of_idle_hours(scenario, cases, table)
    yield from unused(scenario, cases)
    yield from unlikely(scenario)
    if not cheapest:
        yield Doubt("no_cheapest")
    yield from _of_rounding(scenario, table)
    best, better = advice.choose(table), advice.unsettled(table)
    for least in (advice.PILOT, advice.SURE):
        if best is not None and abs(table.pays[best] - least) <= advice.NEAR:
            yield Doubt("close", {"option": table.option[best], "share": table.pays[best], "least": least})
    if best is not None and better is not None and table.pays[best] >= advice.PILOT:
        own = table.loc[better]
        if own.npv > table.npv[best]:
            yield Doubt("worth_measuring", {"option": own.option, "low": own.dloss_p10, "high": own.dloss_p90})
    if any(option.kv != "dense" for option in scenario.formats):
        yield Doubt("cache_not_counted")
    if not scenario.model.shape.sparse and (compared or scenario.project.kind != "post-training"):
        yield from _of_the_law(scenario, draws, {o: where for o, where in origins.items() if not o.dense})
    if (table.rho_p10 <= SMALL).any():
        yield Doubt("capacity_near_zero")


@cache
def largest_run() -> float:
    """Parameters of the largest run behind the default law."""
    return float(default_runs().n_params.max())


@cache
def lengths() -> tuple[float, float]:
    """Tokens per parameter of the shortest and of the longest run behind the default law that is not dense."""
    table = default_runs().query("weights != 'dense' or activations != 'dense'")
    ratios = table.n_tokens / table.n_params
    return float(ratios.min()), float(ratios.max())


def _of_the_shape(scenario: Scenario) -> Iterator[Doubt]:
    """What was assumed of a model that is no plain decoder: of its memory and its speed."""
    shape, batches = scenario.model.shape, scenario.hardware.batches
    if shape.sparse:
        few, many = 1, max(*batches, 32)
        read = [sum(m.read(batch) for m in shape.body.matrices) / shape.linear for batch in (few, many)]
        counts = {"total": shape.total, "active": shape.active, "few": few, "many": many}
        yield Doubt("experts", counts | {"read_few": read[0], "read_many": read[1]})
    windows = [cache for cache in shape.body.caches if cache.width and cache.window < scenario.traffic.window]
    if windows:
        layers = sum(cache.layers for cache in windows)
        yield Doubt("windows", {"layers": layers, "window": max(cache.window for cache in windows)})
    if shape.body.state:
        yield Doubt("state", {"megabytes": shape.body.state * STATE_BYTES / 1e6})
    if 0 < shape.longest < scenario.traffic.window:
        yield Doubt("too_long", {"longest": shape.longest, "window": scenario.traffic.window})
    if shape.ahead > 0:
        counted = any(option.speculation for option in scenario.options)
        yield Doubt("layers_ahead", {"total": shape.ahead, "counted": counted})
    if scenario.model.active and not shape.sparse:
        yield Doubt("active_alone", {"total": shape.non_embedding})
    if shape.senses is None:
        yield Doubt("senses_unknown")
    elif shape.senses:
        yield Doubt("senses", {"gigabytes": 2 * shape.senses / 1e9})
    if shape.rounded and not damage.published_in(shape):
        yield Doubt("rounded_before")
    if not shape.counted:
        yield Doubt("not_counted")
    if shape.changes:
        yield Doubt(shape.changes.code, {"what": shortened(shape.changes.what)})
    if shape.beside:
        yield Doubt("not_read", {"files": listed(shape.beside)})


def _of_devices(scenario: Scenario, cases: Iterable[Case]) -> Iterator[Doubt]:
    for case in cases:
        name = {"device": case.device.name}
        yield from money.of_price(scenario, case)
        if not case.fit.measured:
            yield Doubt("peaks", name)
        if not np.isfinite(case.device.bf16):
            yield Doubt("arithmetic_unknown", name)
    if scenario.prices.spot and not all(bought(case.price) for case in cases):
        yield Doubt("interrupted", {"share": scenario.prices.interruption[1]})
    own = facts(scenario.hardware.overrides or None)
    own = own[own.device.isin(scenario.hardware.devices) & own.property.isin(FACTS) & (own.value != 0)]
    for row in own[own.status == "conflict"].itertuples():
        value = {"property": row.property, "value": row.value, "unit": row.unit}
        yield Doubt("fact_disputed", {"device": row.device} | value)
    for device, rows in own[own.status == "unverified"].groupby("device", sort=False):
        values = tuple((row.property, row.value, row.unit) for row in rows.itertuples())
        yield Doubt("fact_unseen", {"device": device, "facts": values})


def _of_kernels(cases: Iterable[Case]) -> Iterator[Doubt]:
    nominal: list[tuple[str, str]] = []
    for case in cases:
        name = {"option": case.option.name, "device": case.device.name}
        rungs, decode, engine = {faster.rung for faster in case.faster}, case.faster[1], case.scenario.hardware.engine
        if decode.rung == Rung.MEASURED and decode.engine != engine:
            yield Doubt("timed_elsewhere", name | {"source": decode.source, "engine": engine})
        files = ", ".join(dict.fromkeys(shift.source for shift in case.timed if shift))
        if files:
            code = next((code for rung, code in LAID.items() if rung in rungs), "speed_moved")
            yield Doubt(code, name | {"files": files})
        if case.credited:
            yield Doubt("speed_credited", name | {"measured_on": case.option.measured_on, "note": case.kernel.note})
        elif Rung.YOURS in rungs:
            yield Doubt("speed_yours", name | {"measured_on": case.option.measured_on})
        elif not case.kernel.known:
            of = (case.option.weights, case.option.activations, case.device)
            others = engines() if engine in engines() else ()  # of another engine more is doubted
            elsewhere = tuple(other for other in others if kernel(*of, other).runs)
            about = {"engine": engine, "numbers": case.kernel.name, "elsewhere": elsewhere}
            yield Doubt("kernel_unknown", name | about)
        elif not case.kernel.runs:
            yield Doubt("no_kernel", name | {"note": case.kernel.note})
        elif Rung.NOMINAL in rungs:
            nominal.append((case.option.name, case.device.name))
            if (slow := seen.slow(case)) is not None:
                yield Doubt("seen_slow", name | slow)
        elif Rung.EMULATED in rungs:
            yield Doubt("emulated", name)
    if nominal:
        yield Doubt("speed_nominal", {"options": tuple(nominal)})
    for option in dict.fromkeys(case.option for case in cases):
        given = [times[1] for times in (option.speedup_prefill, option.speedup_decode) if times]
        if (slowest := min(given, default=1.0)) < 1:
            yield Doubt("speed_below", {"option": option.name, "times": slowest})
    for option in {case.option: None for case in cases if case.option.speculation}:
        yield Doubt("speculation_yours", {"option": option.name, "measured_on": option.measured_on})
    if any(case.kernel.status == "dequantising" for case in cases):
        yield Doubt("energy", {"changes": seen.energy()})


def _of_engines(scenario: Scenario, cases: list[Case]) -> Iterator[Doubt]:
    hardware = scenario.hardware
    if hardware.engine not in engines():
        yield Doubt("engine_unknown", {"hint": unknown(hardware.engine, engines(), "engine")})
    others = [o for o in scenario.formats if not {(hardware.engine, n) for n in (o.kv, numbers(o.kv))} & caches()]
    if named := tuple((option.name, None) for option in others if parse(option.kv).parts):
        yield Doubt("cache_unknown", {"options": named, "engine": hardware.engine})
    if max(hardware.gpus) > 1 and not hardware.parallel_efficiency:
        yield Doubt("parallel_assumed")
    split = {case.gpus: case.machine for case in cases if case.machine.stages > 1 and hardware.engine not in BY_LAYERS}
    for count, machine in split.items():
        yield Doubt("staged", {"devices": count, "ranks": machine.ranks, "stages": machine.stages})
    if any(not belief.runs for case in cases for belief in case.beliefs):
        yield Doubt("engine_unobserved", {"engine": hardware.engine})
    untested = (case for case in cases if tested(case) and not held(case)[0])
    if names := dict.fromkeys((case.option.name, case.device.name) for case in untested):
        yield Doubt("speed_untested", {"options": tuple(names)})


def _of_idle_hours(scenario: Scenario, cases: list[Case], table: pd.DataFrame) -> Iterator[Doubt]:
    busy = table.utilisation[table.meets].max()
    rented = all(not bought(case.price) and np.isfinite(case.price.mid) for case in cases)
    if scenario.prices.billing == "machines" and rented and 0 < busy < IDLE:
        yield Doubt("idle", {"share": busy})


def _of_rounding(scenario: Scenario, table: pd.DataFrame) -> Iterator[Doubt]:
    """What the law after training may get wrong, and where it says that no training is needed."""
    if scenario.project.kind == "qat":
        yield from _needless(scenario)
    rounded = [option for option in scenario.formats if {option.weights, option.activations} != {"dense"}]
    options = [option for option in rounded if damage.by_law(scenario, option)]
    if any(damage.origin(scenario, option) == LossOrigin.PRIOR for option in options):
        yield Doubt("kappa_of_others")
    if options and (status := damage.status(scenario.model)) != "converged":
        yield Doubt("beyond_misfit", {"status": status})
    for option in rounded:
        if damage.origin(scenario, option) == LossOrigin.PUBLISHED:
            yield Doubt("published_so", {"option": option.name})
    for option in options:
        gaps = [gap for gap in damage.gaps(scenario, option) if gap != Gap.MISFIT]
        yield from (Doubt(f"beyond_{gap}", {"option": option.name}) for gap in gaps)
        worst = table.dloss_p90[table.option == option.name].max()
        if worst > UNSAFE:
            yield Doubt("unsafe", {"option": option.name, "loss": worst})


def _needless(scenario: Scenario) -> Iterator[Doubt]:
    """Options that rounding the finished model would make good enough; none where nothing is known of such a model."""
    rounded = scenario.replace(project={"kind": "post-training"})
    for option in rounded.formats:
        if damage.by_law(rounded, option) and not damage.gaps(rounded, option):
            try:
                low, high = (float(damage.rise(rounded, option, share)) for share in (0.1, 0.9))
            except ScenarioError:
                return
            if high <= scenario.project.tolerance:
                yield Doubt("rounding_may_do", {"option": option.name, "low": low, "high": high})


def _of_the_law(scenario: Scenario, draws: Draws, origins: Mapping[Option, Origin]) -> Iterator[Doubt]:
    """What the law of training may get wrong; it is not applied to mixtures of experts."""
    project, N = scenario.project, scenario.model.shape.non_embedding
    times = N / largest_run()
    if times > 1.05:
        yield Doubt("extrapolated", {"times": float(f"{times:.2g}")})
    (shortest, longest), ratio = lengths(), scenario.model.tokens_per_param
    if project.kind != "post-training" and not shortest / 1.05 <= ratio <= longest * 1.05:
        yield Doubt("length_extrapolated", {"ratio": ratio, "shortest": shortest, "longest": longest})
    codes = {Origin.PRINTED: "rho_printed", Origin.WITHOUT_RUNS: "rho_without_runs"}
    codes = {} if project.kind == "post-training" else codes  # where ρ counts for nothing
    for where, code in codes.items():
        if named := tuple((option.name, None) for option, its in origins.items() if its == where):
            yield Doubt(code, {"options": named})
    if project.kind == "train":
        yield Doubt("cheapest_extrapolated")
    else:
        yield Doubt("finished_model")
    if project.target_loss:
        lost = float(np.mean(np.asarray(project.target_loss) <= draws.E))
        if lost > 0:
            yield Doubt("out_of_reach", {"target": project.target_loss, "share": lost})
