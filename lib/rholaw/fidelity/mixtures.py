"""Files that mix types: their error from the types in them, with the shares of a known mix or the mean bits per weight.

`llama-quantize` gives the output, and under most names some of the matrices, more bits than the name says.  A log lists
which types a file holds and its bits per weight, and together they leave little room: of two types the bits fix the
shares, of more they bound the error.
"""

import math
import re
from collections.abc import Mapping
from functools import cache
from itertools import combinations_with_replacement

from ..checked import unknown
from ..formats.grammar import parse
from ..formats.named import catalogue
from .sensitivity import file_error, inferred

PLAIN = {"f32": 32.0, "f16": 16.0, "bf16": 16.0}
"""Types that store what was trained, and their bits per weight."""

MIXES = {
    "q2_k_s": {"q2_k": 0.8886, "q4_k": 0.0460, "q6_k": 0.0654},
    "q2_k": {"q2_k": 0.6170, "q3_k": 0.3009, "q4_k": 0.0167, "q6_k": 0.0654},
    "q3_k_s": {"q3_k": 0.9346, "q6_k": 0.0654},
    "q3_k_m": {"q3_k": 0.6170, "q4_k": 0.3019, "q5_k": 0.0157, "q6_k": 0.0654},
    "q3_k_l": {"q3_k": 0.6170, "q5_k": 0.3176, "q6_k": 0.0654},
    "q4_k_s": {"q4_k": 0.9033, "q5_k": 0.0313, "q6_k": 0.0654},
    "q4_k_m": {"q4_k": 0.8092, "q6_k": 0.1908},
    "q5_k_s": {"q5_k": 0.9346, "q6_k": 0.0654},
    "q5_k_m": {"q5_k": 0.8092, "q6_k": 0.1908},
    "q6_k": {"q6_k": 1.0},
    "q8_0": {"q8_0": 1.0},
    "q4_0": {"q4_0": 0.9346, "q6_k": 0.0654},
    "q4_1": {"q4_1": 0.9346, "q6_k": 0.0654},
    "q5_0": {"q5_0": 0.9346, "q6_k": 0.0654},
    "q5_1": {"q5_1": 0.9346, "q6_k": 0.0654},
    "iq4_nl": {"iq4_nl": 0.9179, "q5_k": 0.0167, "q6_k": 0.0654},
    "iq4_xs": {"iq4_xs": 0.9179, "q5_k": 0.0167, "q6_k": 0.0654},
}
"""What `llama-quantize` makes of Llama 3 8B under a name, by shares of the weights.

From its rules (`llama_tensor_get_type` of llama.cpp) and the model's sizes; the bits per weight that follow are those
of tools/quantize/README.md to .001.  Other models differ, most in the share of the output.
"""
CLEVER, SPARED, SPREAD = {"q2_k", "q3_k_m", "q3_k_l", "q4_k_m", "q5_k_m"}, 0.6, 0.25
"""Mixes that give bits to attention's values and the second matrix of the feed-forward, which matter most.

They cost SPARED of what the shares of their types say, as a factor, with a relative standard deviation of SPREAD
between models: by the tables of llama.cpp on LLaMA, Llama 2 and 3, Qwen2 and Mistral, beside types that are plain.
"""
ALIASES = {"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m", "fp16": "f16", "fp32": "f32"}
NEAR = 0.02  # of the bits per weight: norms and biases in f32 are not counted among the types
_NAME = re.compile(r"(?<![a-z0-9])((?:ud-)?(?:i?q\d|tq\d|mxfp\d|nvfp\d|bf16|fp?16|fp?32)(?:_[a-z0-9]+)*)(?![a-z0-9])")


def named(file: str) -> str | None:
    """The type or mix that the name of a file ends in, in lower case, as "q4_k_m"; None where it has none."""
    names = _NAME.findall(re.split(r"[/\\]", file)[-1].lower())
    return ALIASES.get(names[-1], names[-1]) if names else None


def types() -> list[str]:
    """The types of GGUF files whose error is known: by a definition, or from the damage they did."""
    defined = (name for name in catalogue() if re.match(r"i?q\d|tq\d|mxfp4$|nvfp4$", name))
    return list(dict.fromkeys([*PLAIN, *defined, *inferred()]))


def worth(name: str) -> tuple[float, float]:
    """(the GMSE that a mix is worth by its name, a key of MIXES; its relative standard deviation)."""
    error = weighted(MIXES[name])[1]
    return (SPARED * error, SPREAD) if name in CLEVER else (error, 0.0)


def weighted(shares: Mapping[str, float]) -> tuple[float, float]:
    """(bits per weight, GMSE) of a file with ``shares`` = {type: share of the weights}; ValueError as `bounds`."""
    points = [(share, *_point(name)) for name, share in shares.items()]
    return sum(share * bits for share, bits, _ in points), sum(share * error for share, _, error in points)


def bounds(names: list[str], bits: float | None = None) -> tuple[float, float]:
    """The least and the largest GMSE that types can have together at ``bits`` per weight; equal of one type or two.

    Raises ValueError for a type without a GMSE, for several types without bits, and for bits that they cannot have.
    """
    points = sorted({_point(name) for name in names})
    if len(points) == 1:
        return points[0][1], points[0][1]
    if bits is None:
        raise ValueError(f"{', '.join(names)} in unknown shares: the bits per weight are missing")
    if guessed := sorted(set(names) - catalogue().keys() - PLAIN.keys()):
        raise ValueError(
            f"{', '.join(guessed)} beside other types: the bits per weight of such types are not known here"
        )
    least, most = points[0][0], points[-1][0]
    if not least * (1 - NEAR) <= bits <= most * (1 + NEAR):
        raise ValueError(f"{bits:g} bits per weight cannot come of {', '.join(names)} ({least:g} to {most:g} bits)")
    bits = min(max(bits, least), most)
    errors = [
        low + (high - low) * ((bits - start) / (end - start) if end > start else 0)
        for (start, low), (end, high) in combinations_with_replacement(points, 2)
        if start <= bits <= end and (start < end or start == bits)
    ]  # a linear programme with two constraints is extreme where no more than two shares differ from 0
    return min(errors), max(errors)


@cache
def _point(name: str) -> tuple[float, float]:
    if name in PLAIN:
        return PLAIN[name], 0.0
    if name not in types():
        raise ValueError(f"the error of its weights is not known: {unknown(name, types(), 'type')}")
    return parse(name).bits if name in catalogue() else math.nan, file_error(name)
