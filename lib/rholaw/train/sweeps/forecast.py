"""What a sweep would do: its runs in groups, what they compute, and how long a device measured here would take."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import fields, replace

from tqdm import tqdm

from ..config import Config
from .run import Unit, flops
from .store import Store

SECONDS = 2.0  # of training that measure the speed of a unit


def label(config: Config) -> str:
    """How a run differs from a dense one: formats, and the ways to train that are not the default."""
    parts = [config.weights] + [f"x {config.activations}"] * (config.activations != "dense")
    ways = [field for field in fields(Config) if field.name in ("method", "backward", "schedule")]
    return " ".join(parts + [getattr(config, way.name) for way in ways if getattr(config, way.name) != way.default])


def measured(groups: Iterable[Unit], device: str, train: Callable[..., list[dict]]) -> dict[Unit, float]:
    """Seconds that each unit takes in training, from its speed over SECONDS; units that look alike are tried once."""
    speeds, seconds = {}, {}
    for unit in tqdm(list(groups), desc="measuring", unit="unit", leave=False):
        alike = tuple((label(config), replace(config, tokens=1).shape) for config in unit)
        if alike not in speeds:
            steps = 2
            for _ in range(2):  # the first warms up, and says how many steps fill the time
                trial = [replace(config, tokens=steps * config.batch_tokens) for config in unit]
                record = train(trial, device=device, progress=False)[0]
                steps = min(unit[0].steps, max(2, int(SECONDS * steps / record["seconds"])))
            speeds[alike] = record["tokens_per_s"]
        seconds[unit] = sum(config.steps * config.batch_tokens for config in unit) / speeds[alike]
    return seconds


def report(groups: list[Unit], store: Store | None = None, seconds: dict[Unit, float] | None = None) -> str:
    """The plan in words: a line for each shape and budget of tokens, then its runs, and the sums."""
    settled = store.settled() if store else set()
    shapes: dict[tuple, list[Unit]] = {}
    for unit in groups:
        shapes.setdefault(unit[0].shape, []).append(unit)
    lines = []
    for units in shapes.values():
        runs, first = [config for unit in units for config in unit], units[0][0]
        shape = f"layers {first.layers}, width {first.width}, hidden {first.hidden}, {first.corpus} {first.vocabulary}"
        lines.append(f"N = {first.n_params:,} ({shape}), D = {first.tokens:,}: {_sums(runs, units, settled, seconds)}")
        lines += [f"    {count} x {what}" for what, count in Counter(map(label, runs)).items()]
    every = [config for unit in groups for config in unit]
    return "\n".join([*lines, f"in all: {_sums(every, groups, settled, seconds)}"])


def _sums(runs: list[Config], units: list[Unit], settled: set[str], seconds: dict[Unit, float] | None) -> str:
    tokens = sum(config.steps * config.batch_tokens for config in runs)
    left = [config for config in runs if config.id not in settled]
    parts = [f"runs {len(runs)}", f"units {len(units)}", f"tokens {tokens:,}", f"FLOPs {sum(map(flops, runs)):.3g}"]
    if settled:
        parts.append(f"runs left {len(left)}")
    if seconds:  # a unit that is partly done costs its share
        share = {config.id: seconds[unit] / len(unit) for unit in units for config in unit}
        parts.append(f"minutes of one worker {sum(share[config.id] for config in left) / 60:.1f}")
    return ", ".join(parts)
