"""What a plan has to say, as codes with data; ``words`` makes sentences of them, and nothing reads these back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import pandas as pd


class Origin(StrEnum):
    """Where the capacity of an option, or its loss, comes from, as tables write it."""

    DENSE = "dense"
    LAW = "law"
    WITHOUT_RUNS = "law, format without runs"
    PRINTED = "printed capacities, figures disagree"
    YOURS = "yours"
    YOUR_LOSS = "loss measured by you"
    NOT_COVERED = "not covered: post-training"


class Verdict(StrEnum):
    """What a plan advises."""

    COMPRESS = "compress"
    PILOT = "pilot"
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
    NONE = "none"
    NOTHING = "nothing"
    TRAFFIC = "traffic"


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
        "removed": ("note",),
        "capacity_near_zero": ("least",),
        "arithmetic_unknown": ("device",),
        "memory_unknown": ("device",),
        "too_large": ("need_gb", "room_gb"),
        "too_large_for_any": ("room_gb",),
        "too_slow": ("latency_ms", "limit_ms"),
        "loss_unknown": (),
        "loss_too_high": ("loss", "tolerance"),
        "out_of_reach": ("target",),
        "no_price": ("device",),
    }


class Doubt(Remark):
    """What to doubt about a plan."""

    section: ClassVar = "doubts"
    codes: ClassVar = {
        "price_stale": ("device", "days", "limit"),
        "price_unknown": ("device",),
        "price_single": ("device",),
        "peaks": ("device",),
        "arithmetic_unknown": ("device",),
        "fact_disputed": ("device", "property", "value", "unit"),
        "fact_unseen": ("device", "property", "value", "unit"),
        "timed_elsewhere": ("option", "device", "source", "engine"),
        "speed_yours": ("option", "device", "measured_on"),
        "speed_credited": ("option", "device", "measured_on", "note"),
        "no_kernel": ("option", "device", "note"),
        "speed_nominal": ("option", "device"),
        "emulated": ("option", "device"),
        "energy": ("changes",),
        "engine_unknown": ("hint",),
        "parallel_assumed": (),
        "engine_unobserved": ("engine",),
        "many_devices": ("devices",),
        "post_training": (),
        "extrapolated": ("times",),
        "rho_printed": ("option",),
        "rho_without_runs": ("option",),
        "cheapest_extrapolated": (),
        "finished_model": (),
        "cache_not_counted": (),
        "out_of_reach": ("target", "share"),
        "capacity_near_zero": (),
    }


@dataclass(frozen=True)
class Conclusion:
    """What a plan comes to, of which summaries and recommendations are made.

    choice, baseline: the rows of the table that it speaks of, or None; inputs: what moves the result most, the most
    first; obstacles: {option: the least that stands against it} where nothing is feasible, "dense" among them.
    """

    verdict: Verdict
    ground: Ground
    choice: pd.Series | None
    baseline: pd.Series | None
    inputs: tuple[str, ...]
    currency: str
    horizon_months: float
    obstacles: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)
