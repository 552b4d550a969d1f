"""What a scenario is made of: the model, the options, the hardware, the traffic, the prices, the project, the run.

Defaults are at work wherever a scenario says nothing.  chapters/scenario.toml explains every key.
"""

import dataclasses
import datetime
import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ..checked import build, counts, names, number, shown, spread, text, unknown
from ..fidelity.population import METHODS
from ..formats.grammar import parse
from ..hardware import benchmarks, reports
from ..hardware import geometry as shapes
from ..hardware.kernels import STATUSES, numbers

KINDS = {
    "post-training": "rounds the finished model",
    "qat": "trains the finished model on in the format",
    "train": "trains a model anew in the format",
}
"""What a project may be, and what each does."""
COMPARISONS = ("equal-loss", "equal-n")
MOST = 1e15
"""Of any amount of money: sums of such amounts are still numbers."""


def _geometry(value: object, about: Mapping) -> str | shapes.Geometry:
    """A name, or a table of what ``geometry.llama`` takes."""
    if isinstance(value, (str, shapes.Geometry)):
        return value
    known = list(inspect.signature(shapes.llama).parameters)
    if not isinstance(value, dict):
        raise ValueError(f"must be a name or a table with {', '.join(known)}")
    if wrong := [key for key in value if key not in known]:
        raise ValueError(unknown(wrong[0], known))
    if missing := [name for name in shapes.SHAPE if name not in value]:
        raise ValueError(f"lacks {', '.join(missing)}")
    made = shapes.llama(**value)
    if parts := [name for name in shapes.SHAPE if value[name] % 1]:
        raise ValueError(f"{parts[0]}, {value[parts[0]]:g}, is no whole number")
    return made


@dataclass(frozen=True)
class Rounded:
    """A rise that was measured: of this model, rounded to a format, over its 16 bits."""

    weights: str = text("")
    rise: float = number(math.nan, "nats per token: mean KL, or ln of a perplexity ratio", 0.0, 20.0, above=True)


def _measured(value: object, about: Mapping) -> tuple[Rounded, ...]:
    """A list of tables of a Rounded's fields."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f'must be a list, as in [{{ weights = "q4_k", rise = 0.03 }}], not {shown(value)}')
    rows, problems = [], []
    for i, item in enumerate(value, 1):
        rows.append(item if isinstance(item, Rounded) else build(Rounded, item, str(i), problems))
        if isinstance(item, dict) and (missing := [name for name in ("weights", "rise") if name not in item]):
            problems.append(f"{i} lacks {' and '.join(missing)}")
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(rows)


@dataclass(frozen=True)
class Model:
    """What is served or trained: geometry, checkpoint or params says its shape; kappa, or measured, what rounding costs
    it, and where both are left out models of its size do."""

    geometry: str | shapes.Geometry = field(default="", metadata={"read": _geometry})
    checkpoint: str = text("")
    params: float = number(0.0, "non-embedding parameters")
    tokens: float = number(0.0, "training tokens")
    active: float = number(0.0, "parameters active for a token")
    kappa: tuple[float, ...] = spread((), "nats per unit of GMSE", 0.0, 1e3, above=True)
    measured: tuple[Rounded, ...] = field(default=(), metadata={"read": _measured})

    @cached_property
    def shape(self) -> shapes.Geometry:
        """Its Geometry, read once where a checkpoint says it."""
        if isinstance(self.geometry, shapes.Geometry):
            return self.geometry
        if self.geometry:
            return shapes.named()[self.geometry]
        return shapes.of_checkpoint(self.checkpoint) if self.checkpoint else shapes.of_size(self.params)

    @property
    def n_active(self) -> float | None:
        """Parameters active for a token: those given, of a mixture those that it uses, None where all are."""
        return self.active or (self.shape.active if self.shape.sparse else None)

    @property
    def n_tokens(self) -> float:
        """D: the tokens given, or 20 a parameter (Hoffmann et al. 2022)."""
        return self.tokens or 20 * self.shape.non_embedding

    @property
    def tokens_per_param(self) -> float:
        """D/N, on which the capacity of a format depends."""
        return self.n_tokens / self.shape.non_embedding


@dataclass(frozen=True)
class Option:
    """One way to compress: formats as the catalogue writes them, and what you have measured yourself."""

    weights: str = text("dense")
    activations: str = text("dense")
    kv: str = text("dense")
    kernel: str = text("auto", ("auto", *STATUSES))
    method: str = text("", ("", *METHODS))
    rho: tuple[float, ...] = spread((), "capacity, of the parameters", 0.0, 1.5)
    dloss: tuple[float, ...] = spread((), "nats per token", -0.1, 20.0)
    speedup_prefill: tuple[float, ...] = spread((), "times, end to end", 0.0, 100.0, above=True)
    speedup_decode: tuple[float, ...] = spread((), "times, end to end", 0.0, 100.0, above=True)
    speculation: tuple[float, ...] = spread((), "times the speed of decode without it", 0.1, 100.0)
    measured_on: str = text("")
    slowdown: tuple[float, ...] = spread((), "times a training step of 16 bits", 0.1, 20.0)

    @property
    def name(self) -> str:
        """As tables show it: weights, "x" activations where they are compressed, "kv" likewise."""
        parts = [self.weights]
        parts += [f"x {self.activations}"] if self.activations != "dense" else []
        parts += [f"kv {self.kv}"] if self.kv != "dense" else []
        return " ".join(parts)

    @property
    def dense(self) -> bool:
        """Whether nothing is compressed."""
        return not any(parse(format).parts for format in (self.weights, self.activations, self.kv))

    @property
    def credited(self) -> bool:
        """Whether a speed-up of yours stands in for its kernel."""
        return bool(self.speedup_prefill or self.speedup_decode)


@dataclass(frozen=True)
class Benchmark:
    """A file of a benchmark, and what it does not say itself: see ``hardware.reports``."""

    file: str = text("")
    device: str = text("")
    weights: str = text("")
    activations: str = text("")
    kv: str = text("")
    engine: str = text("")
    gpus: int = number(0, "devices a replica", high=1e6, whole=True)


def _benchmarks(value: object, about: Mapping) -> tuple[Benchmark, ...]:
    """A list of files, each its name or a table of a Benchmark's fields."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f'must be a list, as in ["bench.json"], not {shown(value)}')
    problems: list[str] = []
    named = [{"file": item} if isinstance(item, str) else item for item in value]
    made = enumerate(named, 1)
    files = [item if isinstance(item, Benchmark) else build(Benchmark, item, str(i), problems) for i, item in made]
    problems += [f"{i} names no file" for i, item in enumerate(files, 1) if not item.file]
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(files)


@dataclass(frozen=True)
class Hardware:
    """Where it runs."""

    devices: tuple[str, ...] = names(("H100 80GB SXM",), "names of devices")
    gpus: tuple[int, ...] = counts((1,), "devices a replica")
    engine: str = text("vLLM")
    batches: tuple[int, ...] = counts((1, 8, 32, 64, 128, 256), "sequences in flight at most")
    reserve_gb: float = number(shapes.RESERVE / 1e9, "GB a device")
    system_efficiency: tuple[float, ...] = spread(
        (), "share of the time that the roofline explains", 0.0, 1.0, above=True
    )
    parallel_efficiency: tuple[float, ...] = spread(
        (), "share of the ideal speed of several devices", 0.0, 1.0, above=True
    )
    overrides: str = text("")
    measured: tuple[Benchmark, ...] = field(default=(), metadata={"read": _benchmarks})

    @cached_property
    def runs(self) -> tuple[reports.Run, ...]:
        """What the files of ``measured`` say, read once; what they leave open is the scenario's, where it has but one.

        Raises ValueError for a file that cannot be read.
        """
        pairs = ((about, run) for about in self.measured for run in benchmarks.read(about.file))
        return benchmarks.combined(self._completed(run, about) for about, run in pairs)

    def _completed(self, run: reports.Run, about: Benchmark) -> reports.Run:
        device = about.device or benchmarks.device(run.device, self.devices) or run.device
        alone = self.devices[0] if len(self.devices) == 1 else ""
        weights = about.weights or run.weights
        return dataclasses.replace(
            run,
            device=device or alone,
            weights=weights,
            activations=about.activations or run.activations or "dense",
            kv=about.kv or run.kv or "dense",
            engine=about.engine or run.engine or self.engine,
            gpus=about.gpus or run.gpus or (self.gpus[0] if len(self.gpus) == 1 else 1),
        )


def measured(hardware: Hardware, formats: Iterable[Option]) -> tuple[reports.Run, ...]:
    """The runs of ``hardware``; where nothing says their formats, the name of the model does.

    A name without a word of it is of 16 bits, one with it of the one option that has such numbers; else they stay "".
    """
    return tuple(_by_name(run, tuple(formats)) for run in hardware.runs)


def _by_name(run: reports.Run, formats: tuple[Option, ...]) -> reports.Run:
    kind = benchmarks.quantised(run.model)
    meant = [option for option in formats if kind and numbers(option.weights) == kind]
    meant = meant if kind else [Option()] * bool(run.model)
    if run.weights or run.engine == "llama.cpp" or len(meant) != 1:  # llama-bench names a type of its own
        return run
    (own,) = meant
    return dataclasses.replace(run, weights=own.weights, activations=own.activations, kv=own.kv, assumed=True)


@dataclass(frozen=True)
class Traffic:
    """What is asked of it; utilisation, where it is given, says how busy paid hours are in place of peak_over_mean."""

    requests_per_month: float = number(1e6, "requests a month", high=1e15)
    tokens_in: float = number(1000.0, "tokens a request", 1, 1e9)
    tokens_out: float = number(300.0, "tokens a request", 1, 1e9)
    context: float = number(0.0, "tokens a sequence", high=1e9)
    latency_ms: float = number(math.inf, "milliseconds a token of output", high=math.inf, above=True)
    ttft_ms: float = number(math.inf, "milliseconds to the first token", high=math.inf, above=True)
    peak_over_mean: tuple[float, ...] = spread((1.5, 2.0, 3.0), "times the mean rate, in the peak hour", 1.0, 1000.0)
    utilisation: tuple[float, ...] = spread((), "share of the hours paid", 0.0, 1.0, above=True)

    @property
    def window(self) -> float:
        """Tokens that memory must hold for each sequence: the context given, or prompt and answer."""
        return self.context or self.tokens_in + self.tokens_out


@dataclass(frozen=True)
class Project:
    """What it takes to get there, and what would be good enough; a Scenario without a kind is refused."""

    kind: str = text("", KINDS)
    compare: str = text("", ("", *COMPARISONS))
    tolerance: float = number(0.02, "nats per token")
    target_loss: float = number(0.0, "nats per token", high=50)
    engineer_weeks: tuple[float, ...] = spread((), "weeks", 0.0, 1e5)
    engineer_week_usd: float = number(math.nan, "USD a week", high=MOST)
    engineer_week: float = number(math.nan, "units of prices.currency a week", high=MOST)
    evaluation_usd: float = number(math.nan, "USD", high=MOST)
    evaluation: float = number(math.nan, "units of prices.currency", high=MOST)
    qat_tokens: float = number(1e9, "tokens", high=1e16)
    calibration_hours: float = number(8.0, "device hours", high=1e9)
    slowdown: tuple[float, ...] = spread((), "times a training step of 16 bits", 0.1, 20.0)
    mfu: tuple[float, ...] = spread((), "share of the arithmetic in training", 0.0, 1.0, above=True)
    train_device: str = text("")
    horizon_months: float = number(24.0, "months", 1, 600)
    discount_rate: float = number(0.05, "share a year", 0.0, 1.0)

    def __eq__(self, other: object) -> bool:
        """By values, of which those that nobody gave, nan, are equal too: Python 3.13 takes them for unequal."""
        return type(other) is Project and dataclasses.astuple(self) == dataclasses.astuple(other)

    @property
    def comparison(self) -> str:
        """ "equal-loss" where a model is trained anew and nothing else is said, else "equal-n"."""
        return self.compare or ("equal-loss" if self.kind == "train" else "equal-n")


@dataclass(frozen=True)
class Run:
    """How the plan is computed."""

    samples: int = number(2000, "draws", 100, 1e5, whole=True)
    seed: int = number(0, "of the draws", whole=True)
    today: str = text("")

    @property
    def date(self) -> datetime.date:
        """The day of the plan."""
        return datetime.date.fromisoformat(self.today) if self.today else datetime.date.today()
