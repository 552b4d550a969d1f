"""What you measured, laid over what is reckoned: a row's own speed, and a shift of the others on its device and engine.

The speed of the very formats, devices and engine that were measured is as measured, at the load that was measured;
between loads the ratio of measured to reckoned is interpolated, and held beyond them.  The others move with it as far
as errors are shared:

    E[e | e_m] = SHARED e_m        var[e | e_m] = (1 - SHARED²) var[e]        e: logarithm of true over reckoned speed
"""

import math
from dataclasses import replace

import numpy as np

from ..formats.grammar import parse
from ..hardware.benchmarks import Shift
from ..hardware.reports import Run
from ..hardware.speed import Rung
from . import cases, outcomes, uncertain
from .cases import Case
from .inputs import Option, measured

SHARED = 0.7
"""Correlation of the errors of two formats on one device and engine: assumed. The pairs of data/hardware/observed have
more, but most of them are of one machine."""
REPEAT = 0.05
"""Error of the logarithm of one measured speed, where no repeat says it: assumed."""


def timed(every: list[Case]) -> list[Case]:
    """The Cases, with what ``hardware.measured`` says of them."""
    runs = _runs(every)
    if not runs:
        return every
    ratios = {run: _ratio(run, case) for run in runs if (case := _case(run, every)) is not None}
    return [_with(case, ratios) for case in every]


def by_name(every: list[Case]) -> tuple[Run, ...]:
    """The Runs whose formats are assumed, by the name of the model."""
    return tuple(run for run in _runs(every) if run.assumed)


def _runs(every: list[Case]) -> tuple[Run, ...]:
    return measured(every[0].scenario.hardware, every[0].scenario.options)


def unused(every: list[Case]) -> tuple[Run, ...]:
    """The Runs that say nothing of any Case: of another device, engine or number of devices."""
    return tuple(run for run in _runs(every) if _case(run, every) is None)


def _case(run: Run, every: list[Case]) -> Case | None:
    """A Case on the machine of a Run; None where there is none."""
    return next((case for case in every if _machine(run, case)), None)


def _machine(run: Run, case: Case) -> bool:
    return (run.device, run.gpus, run.engine) == (case.device.name, case.gpus, case.scenario.hardware.engine)


def _formats(what: Run | Option) -> tuple:
    return tuple(parse(getattr(what, role)) for role in ("weights", "activations", "kv"))


def _ratio(run: Run, beside: Case) -> float:
    """Measured over reckoned speed, at the load of a Run, on the machine of a Case."""
    scenario = beside.scenario
    lengths = {name: max(getattr(run, name), 1.0) for name in ("tokens_in", "tokens_out")}
    load = replace(scenario.traffic, context=0.0, **lengths)
    option = next((o for o in scenario.options if _formats(o) == _formats(run)), None) or Option(
        weights=run.weights, activations=run.activations, kv=run.kv
    )
    case = cases.case(
        replace(scenario, traffic=load),
        option,
        (beside.device, beside.price),
        run.gpus,
        np.array([[run.concurrency]]),
        beside.training,
    )
    middle = {name: np.full(1, 0.5) for name in uncertain.NAMES}
    read, wrote = outcomes.reckoned(_running(case), uncertain.draw(scenario, np.zeros(1, dtype=int), middle))
    prompt, output = load.tokens_in / float(read[-1, 0]), load.tokens_out / float(wrote[-1, 0])
    seconds = {"prefill": prompt, "decode": output, "mixed": prompt + output}[run.phase]
    tokens = load.tokens_in if run.phase == "prefill" else load.tokens_out
    return run.tokens_per_second * seconds / tokens


def _running(case: Case) -> Case:
    """The Case, with a kernel that runs: it was measured."""
    if case.kernel.runs:
        return case
    option = replace(case.option, kernel="dequantising")
    own = cases.case(case.scenario, option, (case.device, case.price), case.gpus, case.batches, case.training)
    return replace(own, option=case.option)


def _with(case: Case, ratios: dict[Run, float]) -> Case:
    """The Case with what the runs on its machine say of it: those of its own formats, else the others."""
    here = {run: ratio for run, ratio in ratios.items() if _machine(run, case)}
    if not here:
        return case
    own = _of(case.option, here)
    case = _running(case) if own else case
    shifts, beside = (
        tuple(_shift(of or here, phase, case.flight, 1.0 if of else SHARED) for phase in ("prefill", "decode"))
        for of in (own, _of(Option(), here))
    )
    rung = Rung.SIMULATED if own and all(run.simulated for run in own) else Rung.TIMED
    faster = tuple(
        replace(one, rung=rung, source=shift.source) if own and shift else one
        for one, shift in zip(case.faster, shifts, strict=True)
    )
    return replace(case, timed=shifts, timed_dense=beside, faster=faster)


def _of(option: Option, ratios: dict[Run, float]) -> dict[Run, float]:
    """Those of the formats of an Option: what was measured, else what was reckoned elsewhere."""
    own = {run: ratio for run, ratio in ratios.items() if _formats(run) == _formats(option)}
    return {run: ratio for run, ratio in own.items() if not run.simulated} or own


def _shift(ratios: dict[Run, float], phase: str, flight: np.ndarray, shared: float) -> Shift | None:
    """The Shift of a phase at numbers in flight, from ratios of runs of that phase or of both."""
    used = [run for run in ratios if run.phase in (phase, "mixed")]
    if not used:
        return None
    loads = sorted({run.concurrency for run in used})
    logs = [np.mean([math.log(ratios[run]) for run in used if run.concurrency == load]) for load in loads]
    factor = np.exp(shared * np.interp(np.log(flight), np.log(loads), logs))
    spreads = [run.spread for run in used if run.spread == run.spread]
    error = max(spreads, default=REPEAT) if shared == 1.0 else 0.0
    source = ", ".join(dict.fromkeys(run.file for run in used))
    return Shift(factor, math.sqrt(1 - shared**2), error, source)
