"""What a plan has to say, as codes with data; ``words`` makes sentences of them, and nothing reads these back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar

import pandas as pd


class Origin(StrEnum):
    """Where the capacity of an option comes from, as tables write it."""

    DENSE = "dense"
    LAW = "law"
    WITHOUT_RUNS = "law, format without runs"
    PRINTED = "printed capacities, figures disagree"
    YOURS = "yours"


class LossOrigin(StrEnum):
    """Where the loss that an option adds comes from; ``words`` says it under ``sources``."""

    DENSE = "dense"
    EQUAL = "equal"
    GIVEN = "given"
    LAW = "law"
    ITSELF = "itself"
    KAPPA = "kappa"
    MEASURED = "measured"
    PRIOR = "prior"
    PUBLISHED = "published"


class Gap(StrEnum):
    """What the law after training leaves out of an option's loss."""

    ACTIVATIONS = "activations"
    ROWS = "rows"
    PRUNED = "pruned"
    MISFIT = "misfit"


class Verdict(StrEnum):
    """What a plan advises."""

    COMPRESS = "compress"
    PILOT = "pilot"
    MEASURE = "measure this"
    REJECT = "do not compress"
    CANNOT_TELL = "cannot tell"


class Ground(StrEnum):
    """Why: which sentences follow a verdict."""

    PAYS = "pays"
    GAINS = "gains"
    SWAPS = "swaps"
    LATE = "late"
    DEARER = "dearer"
    ONLY = "only"
    ONLY_UNPRICED = "only_unpriced"
    UNPRICED = "unpriced"
    SAME = "same"
    WORK = "work"
    NONE = "none"
    NOTHING = "nothing"
    TRAFFIC = "traffic"
    UNTRIED = "untried"
    UNKNOWN = "unknown"
    UNSETTLED = "unsettled"
    UNSETTLED_ALONE = "unsettled_alone"


@dataclass(frozen=True)
class Remark:
    """A code with the numbers and names that its sentence needs. Raises ValueError where these are not its own."""

    code: str
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)

    section: ClassVar[str]
    """Where its sentences stand in planning/words/*.toml."""
    codes: ClassVar[Mapping[str, tuple[str, ...]]]
    """{code: names of its data}."""

    def __post_init__(self) -> None:
        if set(self.data) != set(self.codes.get(self.code, ("",))):
            raise ValueError(f"{self.section}: {self.code!r} with {sorted(self.data)} is no remark of a plan")


class Reason(Remark):
    """What stands against an option on a machine."""

    section: ClassVar = "reasons"
    codes: ClassVar = {
        "no_kernel": ("note",),
        "kernel_unknown": ("engine", "numbers"),
        "removed": ("note",),
        "capacity_near_zero": ("least",),
        "arithmetic_unknown": ("device",),
        "bandwidth_unknown": ("device",),
        "memory_unknown": ("device",),
        "too_large": ("need_gb", "room_gb"),
        "too_large_for_any": ("room_gb",),
        "too_slow": ("latency_ms", "limit_ms"),
        "too_late": ("ttft_ms", "limit_ms"),
        "loss_too_high": ("loss", "tolerance"),
        "loss_unsettled": ("low", "high", "tolerance", "because"),
        "out_of_reach": ("target",),
        "no_price": ("device",),
    }


MISSING = {"arithmetic_unknown": "bf16", "bandwidth_unknown": "bandwidth", "memory_unknown": "memory"}
"""{code of a Reason: the property of its device that is not known}."""


class Doubt(Remark):
    """What to doubt about a plan."""

    section: ClassVar = "doubts"
    codes: ClassVar = {
        "experts": ("total", "active", "few", "read_few", "many", "read_many"),
        "published_so": ("option",),
        "windows": ("layers", "window"),
        "state": ("megabytes",),
        "too_long": ("longest", "window"),
        "layers_ahead": ("total", "counted"),
        "active_alone": ("total",),
        "senses": ("gigabytes",),
        "senses_unknown": (),
        "rounded_before": (),
        "not_counted": (),
        "not_read": ("files",),
        "turned": ("what",),
        "unapplied": ("what",),
        "price_stale": ("device", "days", "limit"),
        "price_unknown": ("device",),
        "price_single": ("device",),
        "price_offered": ("device", "file", "count", "instance", "location", "gpus", "price", "highest"),
        "price_spot": ("device", "file", "count", "instance", "location", "gpus", "price", "highest"),
        "price_unusual": ("device", "price", "low", "high"),
        "bought_alone": ("device",),
        "unused": ("keys", "why"),
        "rate_unlike": ("currency", "rate", "low", "high", "until"),
        "bought_unusual": ("device", "price", "months", "rent"),
        "idle": ("share",),
        "interrupted": ("share",),
        "peaks": ("device",),
        "arithmetic_unknown": ("device",),
        "fact_disputed": ("device", "property", "value", "unit"),
        "fact_unseen": ("device", "facts"),
        "timed_elsewhere": ("option", "device", "source", "engine"),
        "speed_measured": ("option", "device", "files"),
        "speed_simulated": ("option", "device", "files"),
        "speed_moved": ("option", "device", "files"),
        "measured_by_name": ("file", "model", "option"),
        "measured_unused": ("file", "device", "engine", "gpus"),
        "speed_yours": ("option", "device", "measured_on"),
        "speed_below": ("option", "times"),
        "speculation_yours": ("option", "measured_on"),
        "speed_credited": ("option", "device", "measured_on", "note"),
        "no_kernel": ("option", "device", "note"),
        "kernel_unknown": ("option", "device", "engine", "numbers", "elsewhere"),
        "speed_nominal": ("options",),
        "seen_slow": ("option", "device", "maker", "low", "high"),
        "emulated": ("option", "device"),
        "energy": ("changes",),
        "engine_unknown": ("hint",),
        "parallel_assumed": (),
        "limit_decides": ("option", "device", "limit", "low", "high", "free", "latency"),
        "staged": ("devices", "ranks", "stages"),
        "engine_unobserved": ("engine",),
        "speed_untested": ("options",),
        "many_devices": ("devices",),
        "no_cheapest": (),
        "unlikely": ("key", "value", "low", "high"),
        "trained_unlikely": ("ratio", "low", "high"),
        "context_short": ("context", "needed"),
        "cache_unknown": ("options", "engine"),
        "rate_unknown": ("currency",),
        "beyond_activations": ("option",),
        "beyond_rows": ("option",),
        "beyond_pruned": ("option",),
        "beyond_misfit": ("status",),
        "kappa_of_others": (),
        "unsafe": ("option", "loss"),
        "rounding_may_do": ("option", "low", "high"),
        "close": ("option", "share", "least"),
        "worth_measuring": ("option", "low", "high"),
        "extrapolated": ("times",),
        "length_extrapolated": ("ratio", "shortest", "longest"),
        "rho_printed": ("options",),
        "rho_without_runs": ("options",),
        "cheapest_extrapolated": (),
        "finished_model": (),
        "cache_not_counted": (),
        "out_of_reach": ("target", "share"),
        "capacity_near_zero": (),
    }

    def of(self, asked: Callable[[str | None, str | None], bool]) -> "Doubt | None":
        """The part of it that is of an option and a device that are ``asked`` for, None where that is nothing."""
        if "options" not in self.data:
            return self if asked(self.data.get("option"), self.data.get("device")) else None
        left = tuple(pair for pair in self.data["options"] if asked(*pair))
        return replace(self, data={**self.data, "options": left}) if left else None


class Alternative(Remark):
    """How training on in the format of an option compares with rounding the finished model; tokens: D."""

    section: ClassVar = "alternatives"
    codes: ClassVar = {
        "qat_pays": ("option", "rise", "ends", "low", "high", "tokens", "tokens_low", "tokens_high", "anew"),
        "qat_no_better": ("option", "rise", "ends", "low", "high"),
        "qat_never_pays": ("option", "rise", "ends", "low", "high"),
        "qat_not_needed": ("option", "rise", "ends", "low", "high"),
        "qat_not_enough": ("option", "rise", "ends", "low", "high", "tolerance"),
    }


@dataclass(frozen=True)
class Measurement:
    """What to measure so that the loss of an option is settled, and what would settle it: nats per token.

    option: its name; weights: their format, and weights_alone: whether activations stay at 16 bits; origin, count: what
    its loss stands on now, and on how many measurements; gap: what the law leaves out of it, if anything;
    formats: the coarser and the finer one to which this model is to be rounded, or () where the option itself is to be
    measured; passes, fails: rises of the coarser one, or of the option itself, up to which the option is good enough,
    and from which it is not; evaluated: the commands that evaluate 16 bits, and the option, as they are served.
    """

    option: str
    weights: str
    weights_alone: bool
    origin: LossOrigin
    count: int
    tolerance: float
    gap: Gap | None
    formats: tuple[str, ...]
    passes: float
    fails: float
    evaluated: tuple[str, str]


@dataclass(frozen=True)
class Turning:
    """The value of what is not known at which an option begins to pay, and whether it pays above it; infinite: nowhere.

    Times the speed of 16 bits where it is not known whether it runs, money an hour where a price is not known, or once
    where the work is not.
    """

    value: float
    above: bool = True


@dataclass(frozen=True)
class Conclusion:
    """What a plan comes to, of which summaries and recommendations are made.

    choice, baseline: the rows of the table that it speaks of, or None; inputs: what moves the result, the most first;
    obstacles: {option: the least that stands against it}, of those that are feasible nowhere, "dense" among them;
    measurement: what to do first where the verdict is to measure, of the choice, else None; turning: from where on it
    pays, where a price, a kernel or the work is not known and there is a baseline, else None; surer: the row of another
    option that is surer to pay, if one clearly is; known: where the choice is not known to run, the best row that is;
    alike: whether choice and baseline cost as little a month.
    """

    verdict: Verdict
    ground: Ground
    choice: pd.Series | None
    baseline: pd.Series | None
    inputs: tuple[str, ...]
    currency: str
    horizon_months: float
    obstacles: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)
    measurement: Measurement | None = None
    turning: Turning | None = None
    surer: pd.Series | None = None
    known: pd.Series | None = None
    alike: bool = False
