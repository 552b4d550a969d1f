"""A block of sixteen weights that a reader moves, to see what each format makes of them.

live_block.html knows no rule of any format: levels, and the scale that each largest magnitude gets, are the library's.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..error.measure import gmse
from ..formats.format import Format
from ..formats.grammar import parse
from .escaped import cell, filled, in_script

FORMATS = {
    "e2m1/g16:e4m3": "NVFP4: FP4, scales in FP8",
    "e2m1/g16:e8m0": "FP4, scales that are powers of two",
    "sint4/g16": "INT4 with a zero",
    "nf4/g16": "NF4",
    "sint3/g16": "INT3 with a zero",
    "sint2/g16": "INT2 with a zero",
    "e4m3fn/g16": "FP8",
    "sint8/g16": "INT8 with a zero",
}
"""Formats of blocks of 16, whose largest magnitude fixes the scale; and how the page calls them."""
WEIGHTS = (0.9, -0.3, 0.1, 1.6, -0.7, 0.2, -2.4, 0.4, -1.1, 0.6, -0.1, 1.2, -0.5, 0.8, -1.3, 0.3)
FARTHEST, STEP = 3.0, 0.05
"""How far a weight can be moved, which is also the largest magnitude in the rest of its tensor, and by how much."""


@dataclass(frozen=True)
class LiveBlock:
    """What ``display`` shows as the block; weights: sixteen at first, each within ±FARTHEST."""

    weights: Sequence[float] = WEIGHTS

    def data(self) -> dict[str, Any]:
        """What the page knows: the weights, and of each format its name, bits, GMSE, levels and scales."""
        formats = [{"name": FORMATS[code], **_known(parse(code))} for code in FORMATS]
        return {"weights": list(self.weights), "farthest": FARTHEST, "step": STEP, "formats": formats}

    def _repr_html_(self) -> str:
        parts = {"still": cell(repr(self)), "data": in_script(json.dumps(self.data(), separators=(",", ":")))}
        return filled(Path(__file__).with_suffix(".html"), parts)

    def __repr__(self) -> str:
        code = next(iter(FORMATS))
        pairs = zip(self.weights, stored(parse(code), self.weights), strict=True)
        return f"{FORMATS[code]}: " + ", ".join(f"{weight:g} becomes {value:.3g}" for weight, value in pairs)


def stored(format: Format, weights: Sequence[float]) -> np.ndarray:
    """What a Format makes of a block, in a tensor whose largest magnitude is FARTHEST."""
    rest = [FARTHEST, *[0.0] * (len(weights) - 1)]
    return format.quantize(torch.tensor([[*weights], rest], dtype=torch.float64))[0].numpy()


def _known(format: Format) -> dict[str, Any]:
    """Bits, GMSE, levels, and the scale for each largest magnitude.

    reach: the largest magnitude over the scale, where scales are numbers of 16 bits, too fine to be seen; else from
    each of ``largest`` on the scale is the one of ``scales`` at its place.
    """
    element, scales = format.element, format.block.type
    known = {"bits": format.bits, "gmse": gmse(format).value, "levels": list(map(float, element.levels))}
    reach = format.block.rule.reach(element)
    if scales.any_scale:
        return known | {"reach": reach}
    jumps = scales.jumps(reach, element, FARTHEST, STEP / 4, FARTHEST)
    jumps = np.unique([0.0, *jumps[(jumps > STEP / 4) & (jumps < FARTHEST)]])
    middle = torch.from_numpy(np.mean([jumps, [*jumps[1:], FARTHEST]], axis=0))[:, None]
    between = scales.of_largest(middle, reach, element, FARTHEST)
    return known | {"largest": jumps.tolist(), "scales": between.ravel().tolist()}
