"""Several devices that serve one copy of a model, and what they tell each other over their links.

    t = sums × (t₀ + 2 (n − 1) / n × bytes / (SHARE × link))      n ranks share each product, which ends in a sum

Up to NODE devices, whose number divides the heads, share every product (tensor parallel: two sums a layer, of a ring's
bytes); what is more follows in stages of a pipeline, each of some layers, between which so little is sent that it is
left out.  llama.cpp splits by layers from the first device on.  Experts are shared as other matrices are; the attention
before them is taken to be whole on every rank, for sequences of its own: one sum a layer, a gather before the experts,
of as many bits as ``gathered`` says, and a scatter of 16 bits behind them.
"""

from dataclasses import replace

import numpy as np

from ..formats.format import Format
from .devices import Device
from .geometry import Geometry, factors

NODE = 8
"""Devices in one machine, at most, as DGX and HGX have them."""
ROUNDED_FIRST = ("TensorRT-LLM",)
"""Engines that gather activations of experts after these were rounded (fused_moe_cutlass.py, as of 2025-06)."""
BY_LAYERS = ("llama.cpp",)
"""Engines that split by layers wherever they can (`--split-mode layer`, its default)."""
BUS = 32e9
"""Bytes a second each way where no link is known: PCIe 4.0 of 16 lanes, assumed."""
SWITCHED = 100e9
"""Bytes a second each way from which a link is NVLink or the like, not PCIe."""
SHARE = 0.6
"""Of a link's bytes a second that a sum moves; this and what follows are those of ai-dynamo/aiconfigurator 0.12, comm:
on H100 and A100 of 2 to 8 devices 0.5 to 0.9 of the largest sums, on PCIe 0.6 of two devices."""
BUS_SHARE = 0.4
"""Likewise of more than two devices on PCIe: 0.4 on RTX PRO 6000; on four or eight L40S 0.65 where they reach each
other, and 0.06 to 0.16 where they do so over the processors only."""
LATENCY = 5e-6
"""Seconds of a short sum over NVLink, by the engines' own kernels in a CUDA graph (3 to 6 µs there; NCCL: 7–27)."""
BUS_LATENCY = 4e-6
"""Seconds a rank of a short sum over PCIe (6 to 8 µs of two there, 14 to 16 of four, 27 to 42 of eight)."""


def link(device: Device) -> float:
    """Bytes a second each way between Devices of a kind; those of PCIe where none is known."""
    return device.link if device.link > 0 else BUS


def divides(geometry: Geometry, ranks: int) -> bool:
    """Whether each of so many ranks has as many heads as the others; those of keys and values may be repeated.

    What vLLM, SGLang and TensorRT-LLM ask for; true of a model whose heads are not known.
    """
    kv_heads = geometry.kv_heads
    return geometry.heads % ranks == 0 and (kv_heads % ranks == 0 or ranks % kv_heads == 0)


def together(device: Device, count: int, geometry: Geometry, engine: str = "") -> Device:
    """``count`` Devices as if they were one: memory in sum; bandwidth and arithmetic of those that share a product."""
    alike = (n for n in range(1, NODE + 1) if count % n == 0 and divides(geometry, n))
    ranks = 1 if engine in BY_LAYERS else max(alike)
    shared = ("bandwidth", "bf16", "fp8", "fp4", "int8", "int4")
    sums = {name: getattr(device, name) * ranks for name in shared}
    return replace(device, **sums, memory=device.memory * count, ranks=ranks, stages=count // ranks)


def gathered(engine: str, activations: Format) -> float:
    """Bits of a number that the ranks of an engine gather before experts."""
    return min(16.0, activations.bits) if engine in ROUNDED_FIRST else 16.0


def sums(geometry: Geometry, device: Device, tokens: np.ndarray, size: float = 1.0, gather: float = 16.0) -> np.ndarray:
    """Seconds of all layers' sums over the ranks of a Device, for ``tokens`` tokens in a step; size: see ``factors``.

    What writes to the residual stream is summed: attention and the feed-forward, of a mixture its experts, in 16 bits;
    gather: bits of a number on the way to the experts, see ``gathered``.
    """
    tokens = np.asarray(tokens, dtype=float)
    if device.ranks == 1:
        return np.zeros_like(tokens)
    rate, grow = link(device), factors(size)
    written = [m for m in geometry.body.matrices if m.outputs == geometry.d_model]
    routed = sum(m.count for m in written if m.routed)
    count, there = (routed, gather) if routed else (sum(m.count for m in written), 16.0)
    moved = (device.ranks - 1) / device.ranks * tokens * geometry.d_model * (there + 16.0) / 8
    short = LATENCY if rate >= SWITCHED else BUS_LATENCY * device.ranks
    share = SHARE if rate >= SWITCHED or device.ranks == 2 else BUS_SHARE
    return count * (grow["products"] * short + grow["kv"] * moved / (share * rate))
