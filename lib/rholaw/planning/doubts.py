"""What a plan assumed, with sources and dates, and what to doubt about it."""

import numpy as np
import pandas as pd

from .. import runs, tables
from ..checked import unknown
from ..hardware import observed
from ..hardware.devices import STALE_DAYS, facts
from ..hardware.kernels import engines
from . import uncertain

INPUTS = {
    "law": ("the law and its capacities", "スケーリング則と容量 ρ"),
    "kernels": ("the speed of the kernels", "カーネルの速度"),
    "place": ("overhead that does not shrink", "圧縮しても短くならない処理時間"),
    "system": ("the efficiency of the engine", "推論エンジンの効率"),
    "parallel": ("the efficiency of several devices", "複数台での並列効率"),
    "price": ("the price of the devices", "機器の価格"),
    "utilisation": ("utilisation", "稼働率"),
    "overhead": ("costs beside the rent", "付帯費用"),
    "effort": ("engineering weeks", "開発工数"),
    "mfu": ("utilisation in training", "学習時の計算効率"),
    "slowdown": ("slowdown of training in the format", "圧縮形式での学習速度の低下"),
    "power": ("the power drawn", "消費電力"),
    "pue": ("the power of the building", "施設の電力効率（PUE）"),
    "electricity": ("the price of electricity", "電気料金"),
}
"""What the uncertain inputs are called, in English and in Japanese."""
assert set(INPUTS) == set(uncertain.NAMES)
UNITS = {
    "effort": "weeks",
    "slowdown": "times",
    "overhead": "times the rent",
    "pue": "times",
    "electricity": "USD a kWh",
}
MANY = 10_000
"""Devices, of more than which a plan asks whether the traffic is meant."""
FACTS = ("memory", "bandwidth", "bf16", "fp8", "fp4", "int8", "power")


def assumptions(scenario, cases, draws):
    """A row per assumption: item, value (or low / middle / high), unit, source, as_of, status."""
    rows = []

    def add(item, value, unit, source, as_of="", status=""):
        text = " / ".join(f"{each:.4g}" for each in value) if isinstance(value, tuple) else f"{value:.6g}"
        rows.append((item, text, unit, source, as_of, status))

    shape, hardware = scenario.model.shape, scenario.hardware
    add("N, non-embedding parameters", shape.non_embedding, "parameters", "scenario")
    add(
        "D, training tokens",
        scenario.model.n_tokens,
        "tokens",
        "scenario" if scenario.model.tokens else "20 a parameter",
    )
    own = facts(hardware.overrides or None)
    for row in own[own.device.isin(hardware.devices) & own.property.isin(FACTS)].itertuples():
        add(f"{row.device}: {row.property}", row.value, row.unit, row.source, row.as_of, row.status)
    for name, price in {case.device.name: case.price for case in cases}.items():
        add(f"{name}: an hour", (price.low, price.mid, price.high), "USD", price.source, price.as_of)

    for name, (bounds, source) in uncertain.ranges(scenario).items():
        if name != "parallel" or max(hardware.gpus) > 1:
            add(INPUTS[name][0], bounds, UNITS.get(name, "share"), source)
    for option in scenario.formats:
        if option.slowdown:
            add(f"{option.name}: {INPUTS['slowdown'][0]}", option.slowdown, UNITS["slowdown"], "scenario")
    for name in ("A", "alpha", "B", "beta", "E"):
        value = tuple(np.quantile(getattr(draws, name), [0.1, 0.5, 0.9]))
        add(f"law: {name}", value, "", f"bootstrap of {len(draws.fits)} fits")
    return pd.DataFrame(rows, columns=["item", "value", "unit", "source", "as_of", "status"])


def warnings(scenario, cases, table, draws, sources):
    """What to doubt: a sentence each."""
    yield from _of_devices(scenario, {case.device.name: case for case in cases}.values())
    yield from _of_kernels(cases)
    if any(case.kernel.status == "dequantising" for case in cases):
        change = tables.read("hardware/energy").groupby("numbers").change
        seen = ", ".join(
            f"{name} {low:+.0%}" + (f" to {high:+.0%}" if low < high else "")
            for (name, low), high in zip(change.min().items(), change.max(), strict=True)
        )
        yield f"kWh assume equal power in all formats. Energy seen where kernels dequantise, over 16 bits: {seen}."
    hardware = scenario.hardware
    if hardware.engine not in engines():
        yield f"No kernel of this engine is known. hardware.engine: {unknown(hardware.engine, engines(), 'engine')}"
    if max(hardware.gpus) > 1 and not hardware.parallel_efficiency:
        yield "Several devices a replica: what they lose to communication is assumed, not measured."
    if not hardware.system_efficiency and hardware.engine not in observed.calibrated():
        yield f"No whole-engine speed of {hardware.engine} was observed: its efficiency is that of other engines."
    fewest = (table.gpus * table.replicas)[table.meets].min()
    if fewest > MANY:
        yield f"Even the leanest option needs {fewest:,.0f} devices: check what traffic says of requests and tokens."
    yield from _of_the_law(scenario, table, draws, {o: s for o, s in sources.items() if not o.dense})


def _of_devices(scenario, cases):
    for case in cases:
        name, price = case.device.name, case.price
        if price.stale:
            yield f"The price of {name} is {price.stale} days old, more than {STALE_DAYS}: check it."
        if not np.isfinite(price.mid):
            yield f"No price of {name} is known: give prices.gpu_hour_usd or prices.purchase_usd."
        elif price.low == price.high and price.source != "scenario":
            yield f"Only one price of {name} was seen: its spread is not known."
        if case.fit.source == "nominal":
            yield f"{name}: its matrix products were not measured; speeds stand on data-sheet peaks, an upper bound."
        if not np.isfinite(case.device.bf16):
            yield f"{name}: its 16-bit arithmetic is unknown; only memory bandwidth limits the speeds shown."
    own = facts(scenario.hardware.overrides or None)
    for row in own[own.device.isin(scenario.hardware.devices)].itertuples():
        if row.status in ("conflict", "unverified"):
            what = "sources differ about" if row.status == "conflict" else "no source was seen for"
            yield f"{row.device}: {what} its {row.property}; {row.value:g} {row.unit} is used."


def _of_kernels(cases):
    for case in {(case.option, case.device.name): case for case in cases}.values():
        name, rungs = f"{case.option.name} on {case.device.name}", {faster.rung for faster in case.faster}
        timed, engine = case.faster[1], case.scenario.hardware.engine
        if timed.rung == "measured" and not timed.source.startswith(engine):
            yield f"{name}: its matrix products were timed with {timed.source}, not with {engine}."
        if "yours" in rungs:
            yield f"{name}: its speed-up is yours, measured on {case.option.measured_on}; {case.kernel.note}."
        elif not case.kernel.runs:
            yield f"{name}: {case.kernel.note}."
        elif "nominal (upper bound)" in rungs:
            yield f"{name}: its speed-up was not measured; the square root of the nominal one is taken."
        elif "emulated (at most 1)" in rungs:
            yield f"{name}: emulated, so that it is stored and computed in 16 bits and is no faster."


def _of_the_law(scenario, table, draws, sources):
    project, N = scenario.project, scenario.model.shape.non_embedding
    if project.kind == "post-training":
        yield "The law does not cover post-training compression: losses are those that you measured, or unknown."
    else:
        times = N / runs.one_estimator(runs.load("quest2025")).n_params.max()
        if times > 1.05:
            shown = f"{float(f'{times:.2g}'):,.4g}"
            yield f"The model is {shown} times as large as the largest run behind the law: an extrapolation."
        for option, source in sources.items():
            if source.startswith("printed"):
                yield f"{option.name}: no run was sparse alone; ρ comes from printed figures that disagree."
            elif source == "law, format without runs":
                yield f"{option.name}: no run was trained in it; ρ follows from its GMSE."
    if project.kind == "train":
        yield "The cheapest training to a loss rests on B and β, which few runs fix; its N and D are extrapolations."
    if project.kind == "qat":
        yield "The law stands on models trained in the format from the start; training on a finished one may do worse."
    if any(option.kv != "dense" for option in sources):
        yield "What a compressed key-value cache costs in loss is not counted: no law covers it."
    if project.target_loss:
        lost = float(np.mean(np.asarray(project.target_loss) <= draws.E))
        if lost > 0:
            yield f"A loss of {project.target_loss:g} is out of reach in {lost:.0%} of the law's draws: E is no less."
    if (table["rho_p10"] <= 0.02).any():
        yield "Some options have a capacity near 0: at equal loss they would need models without bound."
