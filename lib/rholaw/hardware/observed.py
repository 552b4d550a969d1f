"""Rooflines beside observed speeds of whole engines; memory, predicted against observed, with every miss.

What speeds say of engines is learnt in ``residuals``.
"""

import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd

from .. import tables
from ..checkpoints import families
from ..checkpoints.config import from_json
from ..formats.grammar import parse
from . import geometry as shapes
from . import speed
from .devices import Device, devices
from .kernels import kernel, vocabulary_bits
from .links import gathered, together

MOST_SEQUENCES = 2048  # TensorRT-LLM's default limit of a batch
KV_SHARE = 0.9  # of the free memory, for the key-value cache
NO_EVICTION = ("TensorRT-LLM",)
"""Engines that let a sequence in where all that it may become fits; others where what it is now fits.

By default GUARANTEED_NO_EVICT (TensorRT-LLM's page on useful runtime flags); vLLM and SGLang evict where it is needed.
"""


def memory() -> pd.DataFrame:
    """A row per published figure of memory: model, what, format, tokens, value and predicted in its unit, error.

    what: the checkpoint; the key-value cache ("kv") of so many tokens; or both, "in use", beside what else is held.
    """
    rows = tables.read("hardware/memory").copy()
    predicted = []
    for row in rows.itertuples():
        shape, stored = shapes.named()[row.model], parse(row.format)
        if row.what == "kv":
            predicted.append(shape.kv_bytes(stored.bits) * row.tokens)
        else:
            parts = shapes.memory(shape, stored.bits, 16, 1, np.nan_to_num(row.tokens), reserve=0)
            predicted.append(sum(parts.values()))
    rows["predicted"] = np.array(predicted) / rows.unit.map({"GB": 1e9, "MiB": 2.0**20, "GiB": 2.0**30})
    return rows.assign(error=rows.predicted / rows.value - 1)


def rooflines(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows as those of data/hardware/observed with ``sequences``, ``rung``, ``mixture`` and ``roofline`` beside them.

    roofline: tokens/s by the roofline alone, of ``devices`` together where rows have them; mixture: whether the model
    is one of experts; rung: of ``speed.Rung``, of the speed-up.
    """
    return rows.join(pd.DataFrame([_roofline(row) for row in rows.itertuples()], rows.index))


@cache
def public() -> dict[str, shapes.Geometry]:
    """{name: Geometry} of the public models of data/hardware/configs and geometries, without their owners' names."""
    public = tables.read("hardware/configs")
    names = public.model.str.rpartition("/")[2]
    read = {
        name: families.geometry(from_json(json.loads(text))) for name, text in zip(names, public.config, strict=True)
    }
    return read | shapes.named()


def _roofline(row: tuple) -> dict:
    shape = public()[row.model]
    device = together(devices()[row.device], getattr(row, "devices", 1), shape, row.engine)
    weights, activations, kv = (parse(text) for text in (row.weights, row.activations, row.kv))
    own, fit = kernel(weights, activations, device, row.engine), speed.efficiency(device, row.engine)
    if not own.runs:  # it was run, so that there is one
        own = kernel(weights, activations, device, row.engine, "native" if activations.parts else "dequantising")
    bits = (weights.bits, activations.bits)
    most = _batch(row, device, shape, weights.bits, kv.bits)
    batch = min(row.batch, most) if row.batch > 0 else most
    at_once = min(speed.PREFILL_TOKENS, row.tokens_in * batch)
    gather = gathered(row.engine, activations)
    read = speed.prefill(shape, device, fit, at_once, row.tokens_in, gather=gather)
    context, head = row.tokens_in + row.tokens_out / 2, vocabulary_bits(weights, row.engine)
    faster = [speed.speedup(shape, device, row.engine, own, bits, tokens) for tokens in (at_once, batch)]

    def step(sequences: float) -> float:
        write = speed.decode(shape, device, fit, sequences, context, kv.bits, 1.0, head, row.engine, gather)
        return float(write.seconds(speed.speedup(shape, device, row.engine, own, bits, sequences).mid, 1.0, 0.0))

    prompt = read.seconds(faster[0].mid, 1.0, 0.0) / at_once * row.tokens_in
    output = row.tokens_out * _per_token(step, batch, row.requests)
    seconds = float({"prefill": prompt, "decode": output, "mixed": prompt + output}[row.phase])
    tokens = row.tokens_in if row.phase == "prefill" else row.tokens_out
    rung = str(faster[0 if row.phase == "prefill" else 1].rung)
    return {"sequences": batch, "rung": rung, "roofline": tokens / seconds, "mixture": shape.sparse}


def _per_token(step: Callable[[float], float], batch: float, requests: float) -> float:
    """Seconds a token of output: step(sequences) over them, and at the end of a test those that are left.

    Requests that were asked at once and are equally long end together: they are served in rounds of ``batch``.
    """
    if not requests > batch:
        return step(batch) / batch
    rounds, left = divmod(requests, batch)
    return (rounds * step(batch) + (step(left) if left else 0.0)) / requests


def _batch(row: tuple, device: Device, shape: shapes.Geometry, bits: float, kv_bits: float) -> int:
    """The sequences that fit in memory, at most MOST_SEQUENCES and those of the test.

    Each at its mean length, or at its last for engines of NO_EVICTION.  Of a mixture each rank has a batch of its own:
    these engines share its experts, not its attention.
    """
    written = row.tokens_out if row.engine in NO_EVICTION else row.tokens_out / 2
    need = shapes.memory(shape, bits, kv_bits, 1, row.tokens_in + written)
    free = device.memory - need["weights"] - need["embeddings"] - need["reserve"]
    most = np.fmin(MOST_SEQUENCES * (device.ranks if shape.sparse else 1), row.requests)
    return max(1, int(min(most, KV_SHARE * free / need["kv"])))
