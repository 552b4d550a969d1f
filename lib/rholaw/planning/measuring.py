"""What to measure where the law after training leaves open whether an option is good enough, and how."""

import math

import pandas as pd

from ..fidelity.sensitivity import file_error, fit_sensitivity
from ..formats.grammar import parse
from . import damage, serving
from .inputs import Option
from .remarks import LossOrigin, Measurement
from .scenario import Scenario

LADDER = ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k")
"""Formats to measure, each of about a quarter of the error of the one before.

Coarser ones break models, finer ones cost less than the engine's own rounding.
"""
LLAMA = {name: name.upper() for name in ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "iq4_nl", "iq4_xs", "q2_k", "q6_k")}
LLAMA |= {name: f"{name.upper()}_S" for name in ("q3_k", "q4_k", "q5_k")}
"""What llama-quantize calls a format."""
SERVED = ("MODEL", "COMPRESSED")
ENOUGH = 2
"""Measured formats after which more of them do not settle a loss: the option itself has to be measured."""


def measurement(
    scenario: Scenario, option: Option, row: pd.Series | None = None, beside: pd.Series | None = None
) -> Measurement:
    """What would settle the loss of an Option, which the law after training leaves open.

    row, beside: of a plan's table, on whose machines it and 16 bits are to be evaluated; None: on one device.
    """
    limit, origin, count = scenario.project.tolerance, damage.origin(scenario, option), len(scenario.model.measured)
    gap = next(iter(damage.gaps(scenario, option)), None)
    itself = gap is not None or (count >= ENOUGH and origin == LossOrigin.MEASURED)
    formats = () if itself else pair(option)
    passes, fails = (limit, limit) if itself else limits(option, formats, limit)
    return Measurement(
        option=option.name,
        weights=option.weights,
        weights_alone=not parse(option.activations).parts,
        origin=origin,
        count=count,
        tolerance=limit,
        gap=gap,
        formats=formats,
        passes=passes,
        fails=fails,
        evaluated=_evaluated(scenario, option, row, row if beside is None else beside),
    )


def _evaluated(scenario: Scenario, option: Option, row: pd.Series | None, beside: pd.Series | None) -> tuple[str, str]:
    """The commands that evaluate 16 bits, and the Option."""
    first = (scenario.hardware.devices[0], 1)
    machines = (first if one is None else (one.device, int(one.gpus)) for one in (beside, row))
    both = zip((Option(), option), machines, SERVED, strict=True)
    return tuple(serving.evaluate(scenario, own, *machine, model) for own, machine, model in both)


def pair(option: Option) -> tuple[str, str]:
    """The format of LADDER whose error is nearest to an Option's, and the next finer one."""
    far = [abs(math.log(file_error(name) / file_error(option.weights))) for name in LADDER[:-1]]
    nearest = far.index(min(far))
    return LADDER[nearest], LADDER[nearest + 1]


def limits(option: Option, formats: tuple[str, str], tolerance: float) -> tuple[float, float]:
    """(passes, fails): rises of the coarser of two formats, nats per token, that settle the loss of an Option.

    Were both measured, in proportion to their errors, it would surely be good enough up to the first, at P90, and
    surely not from the second, at P10; between the two it has to be measured itself.  If it is that format both are
    the tolerance.
    """
    if option.weights == formats[0]:
        return tolerance, tolerance
    kappa = tolerance / file_error(option.weights)
    rises = [kappa * file_error(name) for name in formats]
    fit = fit_sensitivity(pd.DataFrame({"format": formats, "rise": rises}))
    low, high = (float(ends[0]) for ends in fit.rise_interval([option.weights], damage.LEVEL))
    return rises[0] * tolerance / high, rises[0] * tolerance / low


def commands(measurement: Measurement) -> tuple[tuple[str, str], ...]:
    """(code, command) of each step; ``words`` says under ``measuring`` what a code means.

    MODEL is the file or folder of the model and COMPRESSED what an engine serves instead; TEXT is a file with text like
    yours, BASE one that is written once, and large.
    """
    names = measurement.formats or (measurement.weights,)
    rises = ", ".join(f'{{ weights = "{name}", rise = … }}' for name in names)
    give = ("give_both", f"measured = [{rises}]") if measurement.formats else ("give_loss", "dloss = …")
    own = "papermill chapters/16_your_model.ipynb out.ipynb -p checkpoint MODEL -p text TEXT"
    own = ("own", f'{own} -p formats "{", ".join(names)}"')
    if not measurement.weights_alone or not set(names) <= set(LLAMA):
        return ("engine", "\n".join(measurement.evaluated)), *(own,) * measurement.weights_alone, give
    perplexity = "llama-perplexity -m MODEL{}.gguf {}--kl-divergence-base BASE{}"
    rounded = (
        f"llama-quantize --pure MODEL.gguf MODEL-{name}.gguf {LLAMA[name]}\n"
        + perplexity.format(f"-{name}", "", f" --kl-divergence 2>&1 | tee {name}.log")
        for name in names
    )
    predict = "rholaw predict " + " ".join(f"{name}.log" for name in names)
    base = ("base", perplexity.format("", "-f TEXT ", ""))
    return base, ("rounded", "\n".join(rounded)), ("predict", predict), own, give
