"""How long a step takes: prefill and decode, always apart, from measured products of matrices up to a whole engine.

    t₁₆  = roofline of 16 bits / η        η: the share of the engine's time that the roofline explains
    t_q ∈ [roofline_q / η, roofline_q + (t₁₆ − roofline₁₆)]      what is no product of matrices may not shrink

The products of 16 bits follow a fitted roofline; a format divides their time by its speed-up, from the first of:
measured products → a fitted roofline → the nominal ratio, an upper bound.  A measured speed-up is the median over
matrices of many sizes: it is moved by what fitted rooflines say of the model's own beside one of these.  A layer's
experts have a roofline of their own, fitted to what they take together: with few tokens most of that is no reading.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np

from ..checkpoints.parts import STATE_BYTES
from .devices import Device, where
from .efficiencies import Efficiency, efficiency
from .geometry import Geometry, Matrix, Part, factors
from .kernels import DENSE, Kernel, measured_speedups
from .links import sums

Numbers = np.ndarray | float
"""An array, or one number."""

PREFILL_TOKENS = 8192
"""Tokens that an engine prefills at once, at most."""
LAUNCHED = {"bitsandbytes": {"data centre": (231e-6, 325e-6), "edge": (153e-6, 216e-6)}}
"""Seconds a product, in 16 bits and in NF4, that transformers takes to launch a decode step kernel by kernel while the
device waits: those of the reports that are not held out, of a server's processor and of a desktop's, which is faster
(there of NF4 alone, 16 bits in the server's ratio); other engines replay a graph."""


class Rung(StrEnum):
    """Where a speed-up comes from, as tables write it."""

    DENSE = "dense"
    MEASURED = "measured"
    FITTED = "fitted"
    NOMINAL = "nominal (upper bound)"
    EMULATED = "emulated (at most 1)"
    NO_KERNEL = "no kernel"
    UNKNOWN = "kernel not known"
    YOURS = "yours"
    TIMED = "measured by you"
    SIMULATED = "AI Configurator"


IDLE = (Rung.NO_KERNEL, Rung.UNKNOWN)
"""Where no kernel is credited: a speed-up of 1 is reckoned with."""


@dataclass(frozen=True)
class Speedup:
    """Of a format's matrix products over those of 16 bits, at each of some numbers of tokens in flight.

    mid, low, high: arrays; source: what was measured; engine: with which the products were timed, where they were.
    """

    mid: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rung: Rung
    source: str = ""
    engine: str = ""

    def draw(self, z: Numbers) -> np.ndarray:
        """The speed-up ``z`` standard deviations off, as if log-normal with ``low`` and ``high`` its 10 % and 90 %.

        Where these are equal the one value, whatever ``z``.
        """
        if np.array_equal(self.low, self.high):
            return self.mid
        z = np.asarray(z, dtype=float)
        below, above = np.log(self.mid / self.low), np.log(self.high / self.mid)
        return self.mid * np.exp(np.where(z < 0, below, above) * z / 1.2816)


Terms = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Seconds of products by the roofline: of arithmetic, of bytes, and beside both."""


def products(
    geometry: Geometry,
    device: Device,
    tokens: Numbers,
    bits: tuple[float, float] = (16, 16),
    kernel: Kernel = DENSE,
    fit: Efficiency | None = None,
    size: float = 1.0,
) -> tuple[Terms, ...]:
    """The Terms of all the layers' products: of those that every token takes, then of experts, if there are any.

    tokens: in flight; bits: of a weight and of an activation, as stored; fit: the Efficiency; size: see ``factors``.
    Time is max(compute, bandwidth) + overhead (formulas: max(2 m n k / (η_c F), bytes / (η_b W)) + t₀).  Of a mixture
    the arithmetic is that of the experts that a token uses, the bytes those of all that the tokens together hit, as if
    each chose at random, and all experts of a layer are one product.
    """
    fit, grow, matrices = fit or Efficiency(), factors(size), geometry.body.matrices
    tokens, peak = np.asarray(tokens, dtype=float), getattr(device, kernel.compute)

    def terms(own: list[Matrix], fit: Efficiency) -> Terms:
        moved = sum(m.count * m.used * (m.inputs * bits[1] / 8 + m.outputs * 2) for m in own)
        compute = 2 * tokens * sum(m.active for m in own) * grow["linear"] / (peak * fit.compute)
        weights = sum(m.read(tokens) for m in own) * grow["linear"] * bits[0] / 8
        bandwidth = (weights + tokens * moved * grow["kv"]) / (device.bandwidth * fit.bandwidth)
        overhead = sum(m.count for m in own) * grow["products"] * fit.overhead
        return compute, bandwidth, overhead + np.zeros_like(compute)

    experts = [matrix for matrix in matrices if matrix.routed]
    shared = terms([matrix for matrix in matrices if not matrix.routed], fit)
    return (shared, terms(experts, fit.experts or fit)) if experts else (shared,)


def time_of(terms: tuple[Terms, ...]) -> np.ndarray:
    """Seconds of ``products``: max(compute, bandwidth) + overhead; unknown arithmetic does not hide the bandwidth."""
    return sum(np.fmax(compute, bandwidth) + overhead for compute, bandwidth, overhead in terms)


def speedup(
    geometry: Geometry, device: Device, engine: str, kernel: Kernel, bits: tuple[float, float], tokens: Numbers
) -> Speedup:
    """The Speedup of a Kernel for these numbers of tokens, and where it comes from.

    device: or several as one, of which each then multiplies a part of every matrix.  Dense products that were timed say
    nothing of experts: a mixture has the fitted rooflines of both, and where a kernel was timed on experts alone, it
    gains on experts alone.
    """
    tokens = np.asarray(tokens, dtype=float)
    one = np.ones_like(tokens)
    if kernel.name == DENSE.name:
        return Speedup(one, one, one, Rung.DENSE)
    if not kernel.runs:
        return Speedup(one, one, one, Rung.NO_KERNEL if kernel.known else Rung.UNKNOWN)
    if kernel.status == "emulated":
        return Speedup(one, one, one, Rung.EMULATED, kernel.source)
    timed = None if geometry.sparse else measured_speedups(device.name, engine, kernel.name)
    base, fit = efficiency(device, engine), efficiency(device, engine, kernel)
    if timed is not None:
        own, middle = (
            time_of(products(shape, device, tokens, fit=base))
            / time_of(products(shape, device, tokens, bits, kernel, fit))
            for shape in (geometry, _timed(device.ranks))
        )
        moved = own / middle if base.measured and fit.measured else one
        return Speedup(*(gain * moved for gain in timed.at(tokens)), Rung.MEASURED, timed.source, timed.engine)
    of, own = (base.experts, fit.experts) if geometry.sparse else (base, fit)
    if own and own.measured and of and of.measured:
        dense = products(geometry, device, tokens, fit=base)
        faster = products(geometry, device, tokens, bits, kernel, fit)
        faster = faster if fit.measured else dense[:1] + faster[1:]
        ratio = time_of(dense) / time_of(faster)
        spread = math.exp(1.2816 * 1.4826 * math.hypot(of.error, own.error))
        return Speedup(ratio, ratio / spread, ratio * spread, Rung.FITTED, own.source)
    ratio = time_of(products(geometry, device, tokens)) / time_of(products(geometry, device, tokens, bits, kernel))
    ratio = np.maximum(ratio, 1)
    return Speedup(np.sqrt(ratio), one, ratio, Rung.NOMINAL, "ratio of peaks; half way to it, in logarithm, taken")


@lru_cache
def _timed(ranks: int) -> Geometry:
    """A matrix such that each of so many ranks has one in the middle of those whose medians stand in gemm_speedups."""
    side = math.sqrt(math.sqrt(16.8e6 * 235e6))  # weights, of the least and of the largest
    return Geometry("timed", Part((Matrix(side, side * ranks),)), side, 1)


def given(bounds: tuple[float, float, float], tokens: np.ndarray, source: str) -> Speedup:
    """The Speedup that somebody measured on a whole engine: (low, middle, high)."""
    low, mid, high = (np.full_like(tokens, value) for value in bounds)
    return Speedup(mid, low, high, Rung.YOURS, source)


def critical_batch(device: Device, bits: float, kernel: Kernel = DENSE, fit: Efficiency | None = None) -> float:
    """Tokens in flight above which arithmetic limits, not memory: F η_c b / 8 / (2 W η_b) (scaling-book, inference)."""
    fit = fit or Efficiency()
    return getattr(device, kernel.compute) * fit.compute * bits / 8 / (2 * device.bandwidth * fit.bandwidth)


@dataclass(frozen=True)
class Step:
    """Seconds by the roofline: of the products of 16 bits, of the rest of a 16-bit model, of the rest of this one.

    launched: the least that a step takes to launch, of 16 bits and of this one.
    """

    products: np.ndarray
    rest: np.ndarray
    rest_dense: np.ndarray
    limits: dict[str, np.ndarray]
    launched: tuple[float, float] = (0.0, 0.0)

    def dense(self, share: Numbers) -> Numbers:
        """Seconds of the 16-bit model, of whose time the roofline explains ``share``."""
        return np.maximum(self.products + self.rest_dense, self.launched[0]) / share

    def seconds(self, speedup: Numbers, share: Numbers, place: Numbers = 0.5) -> Numbers:
        """Seconds in a format whose products are ``speedup`` times faster; place 0: all shrinks, 1: products alone."""
        roof, dense = np.maximum(self.products / speedup + self.rest, self.launched[1]), self.dense(1.0)
        if np.array_equal(roof, dense):  # nothing shrinks, wherever the overhead lies
            return self.dense(share)
        all_shrinks = roof / share
        products_alone = roof + dense * (1 / share - 1)
        return all_shrinks ** (1 - place) * products_alone**place


def prefill(
    geometry: Geometry,
    device: Device,
    fit: Efficiency,
    tokens: Numbers,
    prompt: Numbers,
    size: float = 1.0,
    gather: float = 16,
) -> Step:
    """The Step that reads ``tokens`` tokens of prompts, each ``prompt`` long. The head is read once a prompt: left out.

    Attention costs 4 layers heads head_dim FLOPs a token for each before it, S / 2 of a prompt of S tokens
    (scaling-book), fewer behind a window; a state costs 4 for each of its numbers: it is updated and read.  Without
    known arithmetic the time is not known either: nan.  Stages of a pipeline read a part each at once.
    """
    tokens = np.asarray(tokens, dtype=float) / device.stages
    terms = products(geometry, device, tokens, fit=fit, size=size)
    body = geometry.body
    before = sum(cache.layers * cache.work * cache.before(prompt) for cache in body.caches) + 4 * body.state
    flops = before * tokens * factors(size)["kv"]
    attention = flops / (device.bf16 * fit.compute)
    linked_16, linked = (sums(geometry, device, tokens, size, bits) for bits in (16, gather))
    limits = _limits(terms) | {"links": linked_16}
    limits["arithmetic"] = limits["arithmetic"] + attention
    products_16 = sum(np.maximum(*both) + overhead for *both, overhead in terms)
    return Step(products_16, attention + linked, attention + linked_16, limits)


def decode(
    geometry: Geometry,
    device: Device,
    fit: Efficiency,
    sequences: Numbers,
    context: Numbers,
    kv_bits: float = 16,
    size: float = 1.0,
    head_bits: float = 16,
    engine: str = "",
    gather: float = 16,
) -> Step:
    """The Step that writes one token of each of ``sequences`` sequences, ``context`` tokens long so far.

    It reads the cache and the head, and reads and writes the states; with latents (MLA) it may take longer to compute
    than to read them. Stages of a pipeline work on a part of the sequences each.
    """
    grow, sequences = factors(size), np.maximum(np.asarray(sequences, dtype=float) / device.stages, 1)
    terms = products(geometry, device, sequences, fit=fit, size=size)
    head = geometry.vocabulary_matrix * grow["vocabulary"]
    compute = 2 * sequences * head / (device.bf16 * fit.compute)
    reading = head / 8 / (device.bandwidth * fit.bandwidth)
    head_16, head_q = (np.fmax(compute, bits * reading) + fit.overhead for bits in (16, head_bits))
    spread = sequences * grow["kv"] / (device.bandwidth * fit.bandwidth)
    state = geometry.body.state * STATE_BYTES
    caches = geometry.body.caches
    work = sum(cache.layers * max(cache.work, cache.absorbed) * cache.tokens(context) for cache in caches)
    attention = sequences * grow["kv"] * work / (device.bf16 * fit.compute)
    cache_16, cache_q = (
        np.fmax(attention, spread * (geometry.sequence_bytes(context, bits) + state)) for bits in (16, kv_bits)
    )
    linked_16, linked = (sums(geometry, device, sequences, size, bits) for bits in (16, gather))
    limits = _limits(terms) | {"key-value cache": cache_q, "links": linked_16}
    count = sum(matrix.count for matrix in geometry.body.matrices) * grow["products"]
    launched = tuple(count * seconds for seconds in LAUNCHED.get(engine, {}).get(where(device), (0.0, 0.0)))
    rest, rest_16 = head_q + linked + cache_q, head_16 + linked_16 + cache_16
    return Step(time_of(terms), rest, rest_16, limits, launched)


def _limits(terms: tuple[Terms, ...]) -> dict[str, np.ndarray]:
    """Seconds of all products by what may limit them."""
    return {
        name: sum(one)
        for name, one in zip(("arithmetic", "weights", "overhead"), zip(*terms, strict=True), strict=True)
    }
