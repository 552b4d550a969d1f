"""Values that are allowed alone and make no sense together, or in their unit: a line for each."""

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Mapping

from ..checked import closest, listed, shortened
from ..formats.element import Element
from ..formats.format import Format
from ..formats.grammar import parse
from ..hardware import devices
from ..hardware.devices import Device
from ..hardware.kernels import engines
from .costs import HOURS
from .inputs import Hardware, Model, Option, Project, Rounded, Run, Traffic
from .prices import Prices

MOST_ROWS = 50_000
"""Of a table: 10 kB a row, half a gigabyte, while it is made."""
FEWEST_PARAMS, MOST_PARAMS = 1e5, 1e15
FEWEST_TOKENS, MOST_TOKENS = 1e6, 1e16
MOST_TOGETHER = 1024
"""Devices of a replica: more than any rack links, and than any deployment that was published."""
DAYS = (datetime.date(2020, 1, 1), datetime.date(2100, 1, 1))
"""Between which a plan is made: no price, device or format of a table is older."""
LONGEST = 2e7
"""Tokens of a request, beyond what any model is known to take."""
FASTEST, SOONEST = 0.1, 5.0
"""Milliseconds a token of output, and to the first, below which no engine is known to write."""
SLOWEST = 10_000.0
"""Milliseconds a token of output: nobody reads, and no batch waits, so slowly."""
GREATEST_SPEEDUP = 16.0
"""Of a whole engine over 16 bits: what one bit a weight would have where nothing but weights were read."""
UNSEEN_KAPPA, SMALL_RISE = 300.0, 0.1
"""Nats per unit of GMSE, more than any model of the atlas has; and a rise up to which that may be noise."""
LONGEST_BLOCK = 65_536
"""Weights: no matrix of a language model has longer rows."""
MOST_LAYERS = 1000
CHEAPEST_WEEK = 20.0
"""USD: nobody's week of engineering costs less, unless nothing."""
WIDE = 4.0
"""Times the highest rate of ten years, or below the lowest, in which no plan of these years has it."""
CALLED = {
    "awq": 'weights = "sint4/g128" and method = "awq"',
    "gptq": 'weights = "sint4/g128" and method = "gptq"',
    "w4a16": 'weights = "sint4/g128"',
    "w8a16": 'weights = "sint8/g128"',
    "w8a8": 'weights = "sint8/row" and activations likewise, or "fp8_row" for both',
    "fp8": '"fp8_row", for FP8 with a scale a row',
    "bf16": "16 bits are always among the options",
    "fp16": "16 bits are always among the options",
}
"""What serving engines call formats, and what a scenario calls them."""
ELSEWHERE = dict.fromkeys(("tensor_parallel", "tensor_parallel_size", "tp", "tp_size"), "hardware.gpus")
ELSEWHERE |= dict.fromkeys(("pp", "pipeline_parallel", "pipeline_parallel_size"), "hardware.gpus")
ELSEWHERE |= {"max_num_seqs": "hardware.batches", "max_model_len": "traffic.context", "ctx_size": "traffic.context"}
ELSEWHERE |= dict.fromkeys(("isl", "input_len", "input_tokens", "prompt_tokens"), "traffic.tokens_in")
ELSEWHERE |= dict.fromkeys(("osl", "output_len", "output_tokens", "max_tokens"), "traffic.tokens_out")
ELSEWHERE |= dict.fromkeys(("qps", "rps", "request_rate"), "traffic.requests_per_month, 2,629,800 times as many")
ELSEWHERE |= dict.fromkeys(("tpot_ms", "itl_ms"), "traffic.latency_ms")
ELSEWHERE |= {"concurrency": "hardware.batches; what is in flight follows from the traffic", "ttft": "traffic.ttft_ms"}
ELSEWHERE |= {"gpu_memory_utilization": "hardware.reserve_gb, in GB", "kv_cache_dtype": "kv, of a [[formats]]"}
ELSEWHERE |= dict.fromkeys(("quantization", "quant"), "weights and activations, of a [[formats]]")
ELSEWHERE |= {"spot": "prices.interruption, with its rent in gpu_hour_usd", "reserved": "prices.gpu_hour_usd"}
ELSEWHERE |= dict.fromkeys(("model_id", "model_path", "path", "name"), "model.checkpoint, or model.geometry")
"""What engines and others call a key of ours."""
BROKEN = 1.0
"""Nats per token: a perplexity 2.7 times as high."""
DEAREST_KWH, CHEAPEST_KWH = 2.0, 0.005
"""USD a kWh, beyond and below which nobody pays for it, unless nothing."""
DEARER = 10.0
"""Times the dearest rent that was seen, for which nobody rents a device; a month of a cheap one costs more."""
CHEAPEST_DEVICE = 40.0
"""USD: no board with a graphics processor costs less."""
LEAST_RATE = 0.2
"""Units a USD: the dearest currency, Kuwait's dinar, has 0.3."""


def of_model(model: Model) -> Iterator[str]:
    """Billions that were meant as such, and sizes beyond any machine."""
    for name, least, example in (
        ("params", FEWEST_PARAMS, "8e9 for eight billion"),
        ("active", FEWEST_PARAMS, "3e9 for three billion"),
        ("tokens", FEWEST_TOKENS, "15e12 for fifteen trillion"),
    ):
        value = getattr(model, name)
        if 0 < value < least:
            yield f"model.{name}: {value:g} is too few for a language model; write {example}"
    if model.tokens > MOST_TOKENS:
        yield f"model.tokens: {model.tokens:g} are more than were ever written, {MOST_TOKENS:g}"
    try:
        total, layers = model.shape.total, sum(cache.layers for cache in model.shape.body.caches)
    except (ValueError, KeyError):  # which is told as what it is
        return
    if layers > MOST_LAYERS:
        yield f"model: {layers:,.0f} layers are more than any model has, at most {MOST_LAYERS:,}"
    if not total <= MOST_PARAMS:
        yield f"model: {total:.3g} parameters are more than {MOST_PARAMS:g}, beyond any machine"


def of_rise(item: Rounded, error: float) -> Iterator[str]:
    """Percent, or perplexities, taken for nats; error: the GMSE of its format."""
    if item.rise > max(SMALL_RISE, UNSEEN_KAPPA * error):
        yield (
            f"model.measured: a rise of {item.rise:g} nats in {item.weights} is more than any model has shown; "
            f"{math.log1p(item.rise / 100):.2g} if perplexity rose by {item.rise:g} %"
        )


def of_formats(formats: tuple[Option, ...]) -> Iterator[str]:
    """The same formats twice, capacities that only a better model than that of 16 bits has, percent for a speed-up."""
    seen: dict[tuple[Format | str, ...], int] = {}
    for i, option in enumerate(formats, 1):
        if (first := seen.setdefault(_meant(option), i)) < i:
            yield f"formats {i}: {option.name} stands there already, as formats {first}: a plan has each option once"
        element, own = _element(option.weights), option.method in ("ggml", "imatrix")
        if option.method and option.method != "rtn" and element and (element.kind == "ggml") != own:
            better = "ggml or imatrix" if element.kind == "ggml" else "rtn, gptq, awq or omniquant"
            yield f"formats {i}.method: {option.method} does not make {option.weights}: {better}"
        if {option.weights, option.activations, option.kv} == {"dense"} and not (option.speculation or option.credited):
            yield f"formats {i}: it compresses nothing, and 16 bits are always among the options: leave it out"
        for role in ("weights", "activations", "kv"):
            block = _block(getattr(option, role))
            if block > LONGEST_BLOCK:
                yield f"formats {i}.{role}: no row has blocks of {block:,} weights; 32 to 256 are usual"
        if option.rho and option.rho[1] > 1:
            yield f"formats {i}.rho: {option.rho[1]:g}, the middle, is above 1: 16 bits have a capacity of 1"
        for name in ("speedup_prefill", "speedup_decode"):
            if (given := getattr(option, name)) and given[1] > GREATEST_SPEEDUP:
                meant = f"; {1 + given[1] / 100:g} for {given[1]:g} % faster" if given[1] <= 100 else ""
                yield f"formats {i}.{name}: {given[1]:g} times 16 bits is more than any format can give{meant}"


def _meant(option: Option) -> tuple[Format | str, ...]:
    """The formats of an Option, however they are written."""
    names = (option.weights, option.activations, option.kv)
    try:
        return tuple(map(parse, names))
    except ValueError:
        return names


def _element(name: str) -> Element | None:
    """The element of a format, None where it has none or is no format."""
    try:
        return parse(name).element
    except ValueError:
        return None


def _block(name: str) -> int:
    """Weights of a block of a format, 0 where it has none or is no format."""
    try:
        block = parse(name).block
    except ValueError:
        return 0
    return block.size if block is not None and isinstance(block.size, int) else 0


def of_name(name: str) -> str:
    """What a format is called here that goes by another name elsewhere, to be told beside an error; "" for others."""
    meant = CALLED.get(name.lower())
    return f"; here it is {meant}" if meant else ""


def of_hardware(hardware: Hardware, formats: int, known: Mapping[str, Device]) -> Iterator[str]:
    """An engine's name misspelt, twice the same, no room left, and more rows than memory takes."""
    if not hardware.engine.strip():
        yield f"hardware.engine: it is empty; name one, as {listed(engines())}"
    elif hardware.engine not in (known_engines := engines()) and (meant := closest(hardware.engine, known_engines)):
        yield f"hardware.engine: {shortened(hardware.engine)}: there is no such engine; did you mean {meant}?"
    for name in ("devices", "gpus", "batches"):
        values = getattr(hardware, name)
        twice = (
            next((value for i, value in enumerate(values) if value in values[:i]), None) if len(values) < 1000 else None
        )
        if twice is not None:
            yield f"hardware.{name}: {twice} stands there twice"
    count = (1 + formats) * len(hardware.devices) * len(hardware.gpus) * len(hardware.batches)
    if count > MOST_ROWS:
        yield f"hardware: formats × devices × gpus × batches make {count:,} rows; a plan has at most {MOST_ROWS:,}"
    if max(hardware.gpus) > MOST_TOGETHER:
        yield f"hardware.gpus: {max(hardware.gpus):,} devices serve no copy of a model; at most {MOST_TOGETHER:,} do"
    room = [known[name].memory for name in hardware.devices if name in known]
    if room and hardware.reserve_gb * 1e9 >= max(room):
        yield f"hardware.reserve_gb: {hardware.reserve_gb:g} GB leave nothing of the {max(room) / 1e9:g} GB of a device"


def of_traffic(traffic: Traffic) -> Iterator[str]:
    """Requests longer than any model takes, a context that does not hold them, and limits in another unit."""
    if traffic.window > LONGEST:
        yield f"traffic: {traffic.window:.3g} tokens a sequence are more than any model takes, {LONGEST:g}"
    if 0 < traffic.context < traffic.tokens_in:
        yield f"traffic.context: {traffic.context:g} tokens do not hold a prompt of {traffic.tokens_in:g}"
    if traffic.latency_ms < FASTEST:
        yield (
            f"traffic.latency_ms: {traffic.latency_ms:g} ms a token is faster than any engine; "
            f"{1000 * traffic.latency_ms:g} for {traffic.latency_ms:g} s"
        )
    if traffic.ttft_ms < SOONEST:
        yield (
            f"traffic.ttft_ms: {traffic.ttft_ms:g} ms to the first token is sooner than any engine; "
            f"{1000 * traffic.ttft_ms:g} for {traffic.ttft_ms:g} s"
        )
    if SLOWEST < traffic.latency_ms < math.inf:
        yield f"traffic.latency_ms: {traffic.latency_ms:g} ms a token limits nothing; 30 for 30 ms, or leave it out"


def of_prices(prices: Prices) -> Iterator[str]:
    """A currency by no code, a device that is rented and bought, and what is priced in USD and in the currency."""
    if not re.fullmatch("[A-Z]{3}", prices.currency):
        yield f"prices.currency: {shortened(prices.currency)}: write its code of three letters, as JPY for yen"
    if prices.currency == "USD" and prices.rate != 1:
        yield f"prices.rate: {prices.rate:g} USD a USD: give prices.currency too, or leave the rate out"
    elif prices.rate < LEAST_RATE:
        how = f"{1 / prices.rate:.4g} if a {shortened(prices.currency)} is {prices.rate:g} USD"
        yield f"prices.rate: {prices.rate:g} {shortened(prices.currency)} a USD: no currency is worth so much; {how}"
    elif prices.rate != 1 and prices.currency in devices.rates():  # of 1, which is no rate, the scenario tells
        low, high = devices.rates()[prices.currency][:2]
        if not low <= prices.rate <= high and low <= 1 / prices.rate <= high:
            turned = f"{1 / prices.rate:.4g} if a {prices.currency} is {prices.rate:g} USD"
            yield f"prices.rate: {prices.rate:g} {prices.currency} a USD stands upside down: {turned}"
        elif not low / WIDE < prices.rate < high * WIDE:
            usual = f"it was {low:g} to {high:g} in ten years of reference rates of the ECB"
            yield f"prices.rate: {prices.rate:g} {prices.currency} a USD: {usual}"
    hour = prices.electricity[1]
    if hour and not CHEAPEST_KWH <= hour <= DEAREST_KWH:
        key = "electricity_kwh" if prices.electricity_kwh else "electricity_usd_kwh"
        yield f"prices.{key}: USD {hour:.3g} a kWh is paid nowhere; 0.12 for 12 cents a kWh"
    if prices.electricity_kwh and prices.electricity_usd_kwh:
        yield "prices: electricity_kwh and electricity_usd_kwh say the same in two currencies: give one"
    for name, spread in prices.purchases.items():
        if spread[1] < CHEAPEST_DEVICE:
            yield f"prices: {name} for USD {spread[1]:g}: no device costs so little; 30000 for thirty thousand"
    bought, rented = prices.purchases, prices.rents
    for name, spread in rented.items():
        if spread[1] > DEARER * devices.dearest():
            yield (
                f"prices: {name} for USD {spread[1]:,.4g} an hour: no device is rented for so much; "
                f"{spread[1] / HOURS:.3g} if that is a month's rent; prices.gpu_hour and a rate for other money"
            )
    for name in rented:
        if name in bought:
            keys = [key for key in ("gpu_hour_usd", "gpu_hour", "purchase_usd", "purchase") if getattr(prices, key)]
            yield f"prices: {name} is rented and bought ({', '.join(keys)}): give one"
    for own, dollars in (("gpu_hour", "gpu_hour_usd"), ("purchase", "purchase_usd")):
        for name in dict(getattr(prices, own)).keys() & dict(getattr(prices, dollars)).keys():
            yield f"prices: {name} stands in {own} and in {dollars}: give one"


def of_offers(prices: Prices, rented: Iterable[Device]) -> Iterator[str]:
    """A catalogue that cannot be read, and devices that it does not offer."""
    try:
        for device in rented:
            offered = prices.offered(device)
            if offered is not None and offered.empty:
                how = "spot" if prices.spot else "on demand"
                name = shortened(prices.offers.attrs["file"])
                yield f"prices.catalogue: {name} offers no {device.name} {how}: give its price in gpu_hour_usd"
    except ValueError as error:
        yield f"prices.catalogue: {error}"


def of_project(project: Project) -> Iterator[str]:
    """Percent of a loss taken for nats."""
    if 0 < project.qat_tokens < FEWEST_TOKENS:
        yield f"project.qat_tokens: {project.qat_tokens:g} train nothing; write 2e9 for two billion"
    for own in ("engineer_week", "evaluation"):
        dollars = f"{own}_usd"
        if not (math.isnan(getattr(project, own)) or math.isnan(getattr(project, dollars))):
            yield f"project: {own} and {dollars} say the same in two currencies: give one"
    if 0 < project.engineer_week_usd < CHEAPEST_WEEK:
        yield f"project.engineer_week_usd: USD {project.engineer_week_usd:g} is paid to nobody; 4000 for four thousand"
    if project.tolerance > BROKEN:
        yield f"project.tolerance: a rise of {project.tolerance:g} nats per token breaks a model; 0.02 for 2 %"


def of_run(run: Run) -> Iterator[str]:
    """A day that is none, or on which nobody makes a plan."""
    try:
        if not DAYS[0] <= run.date < DAYS[1]:
            yield f"run.today: {run.today}: no plan is made on that day; one from {DAYS[0].year} on, or leave it out"
    except ValueError:
        yield f"run.today: {run.today!r} is no date such as 2026-11-24"
