"""A Format says how a tensor is stored: what survives, to which grid it is rounded, at which scale. Text ↔ Format."""

import difflib
import math
import re
from dataclasses import dataclass, field, replace

import torch

from . import grids
from .scales import gaussian_scale
from .sparsity import NofM, Sparsity, TopK

DENSE_BITS = 16


@dataclass(frozen=True)
class Format:
    """A representation of a tensor: sparsity first, then a grid.

    ``element`` None keeps the survivors in 16 bits.  ``source`` says where the format is defined; it takes no part in
    equality.
    """

    element: grids.Grid | None = None
    sparsity: Sparsity | None = None
    source: str = field(default="", compare=False)

    @property
    def bits(self):
        """Stored bits per weight: survivors × their code, and the mask at its entropy.

        A scale for a whole tensor vanishes over its weights.
        """
        code = DENSE_BITS if self.element is None else self.element.bits
        return code if self.sparsity is None else self.sparsity.density * code + self.sparsity.mask_bits

    @property
    def family(self):
        """Which capacity curve it belongs to: "dense", "quantised", "sparse" or "sparse-quantised"."""
        words = ["sparse"] * (self.sparsity is not None) + ["quantised"] * (self.element is not None)
        return "-".join(words) or "dense"

    @property
    def parts(self):
        """The formats it composes: its sparsity alone and its element alone, without those that it lacks."""
        sparse = (Format(sparsity=self.sparsity),) if self.sparsity is not None else ()
        return sparse + ((Format(self.element),) if self.element is not None else ())

    @torch.no_grad()
    def quantize(self, x):
        """The values that come back when ``x`` is stored in this format.

        x: a floating-point tensor of any shape, type and device; it is not changed.  Half precision is computed in
        float32.  Raises TypeError for other types, and ValueError that names the first NaN or infinity.
        """
        if not torch.is_tensor(x) or not x.is_floating_point():
            raise TypeError(f"{self}: needs a floating-point tensor, got {getattr(x, 'dtype', type(x).__name__)}")
        _refuse_non_finite(x, self)
        if x.numel() == 0 or not self.parts:
            return x.clone()
        if (largest := float(x.abs().max())) == 0:
            return torch.zeros_like(x)
        # Squares and scales of huge and tiny values would leave the range of the type; a power of two loses nothing.
        unit = 1.0 if 2.0**-40 < largest < 2.0**40 else 2.0 ** math.floor(math.log2(largest))
        y = (x if x.dtype in (torch.float32, torch.float64) else x.float()) / unit
        mask = None if self.sparsity is None else self.sparsity.mask(y)
        if self.element is not None:
            survivors = y if mask is None else y[mask]
            rms = float(survivors.square().mean(dtype=torch.float64).sqrt())
            scale = gaussian_scale(self.element, self.sparsity) * rms
            y = self.element.round(y / scale).mul_(scale)
        if mask is not None:
            y = y * mask
        return (y * unit).to(x.dtype)

    def __str__(self):
        words = [str(self.sparsity)] if self.sparsity is not None else []
        words += [self.element.name] if self.element is not None else []
        return "+".join(words) or "dense"


def _refuse_non_finite(x, format):
    if x.isfinite().all():
        return
    position = tuple((~x.isfinite()).nonzero()[0].tolist())
    value = "a NaN" if x[position].isnan() else "an infinity"
    raise ValueError(f"{format}: the tensor has {value} at index {position}; only finite values can be stored")


NAMED = {}  # name → Format, in order of declaration; named_formats fills it

# Elements that a number or two describe: pattern, smallest and largest numbers, grid, what the grammar calls them.
_NUMBERED = [
    (r"int(\d+)", (1,), (8,), grids.mid_rise, "int1 … int8"),
    (r"sint(\d+)", (2,), (8,), grids.mid_tread, "sint2 … sint8"),
    (r"e(\d+)m(\d+)", (1, 0), (6, 6), grids.float_grid, "e1m0 … e6m6"),
    (r"lm(\d+)", (1,), (8,), grids.lloyd_max_grid, "lm1 … lm8"),
]


def declare(name, format, source):
    """Enter ``format`` (a Format, or text of the grammar) in the catalogue, with the source of its definition."""
    NAMED[name] = replace(parse(format), source=source)


def parse(text):
    """The Format that ``text`` names. Raises ValueError that names the offending part and what would be right there.

    The grammar: ``[sparsity +] element``, as in ``int4``, ``2:4``, ``s0.5+e2m1``; or a name of the catalogue.
    """
    if isinstance(text, Format):
        return text
    words = [word.strip() for word in str(text).strip().lower().split("+")]
    starts_sparse = len(words) > 1 or re.match(r"s[\d.]|\d|.*:", words[0])
    sparsity = _parse_sparsity(words.pop(0), text) if starts_sparse else None
    if len(words) > 1:
        raise ValueError(f"format {text!r}: {words[1]!r} is one part too many; right would be [sparsity +] element")
    format = _parse_element(words[0], text) if words else Format()
    if sparsity is None:
        return format
    if format.sparsity is not None:
        raise ValueError(f"format {text!r}: {words[0]!r} is sparse already; right would be one sparsity + element")
    return replace(format, sparsity=sparsity, source="")


def parse_list(text):
    """The Formats that ``text`` names, separated by commas. Raises ValueError as ``parse`` does, and for none."""
    words = [word for word in str(text).split(",") if word.strip()]
    if not words:
        raise ValueError("name at least one format, for instance 'int4, e2m1'")
    return [parse(word) for word in words]


def _parse_sparsity(word, text):
    if match := re.fullmatch(r"(\d+):(\d+)", word):
        n, m = int(match[1]), int(match[2])
        if not 0 < n < m <= 64:
            raise ValueError(f"format {text!r}: {word!r} must keep N of every M with 0 < N < M ≤ 64, as in 2:4")
        return NofM(n, m)
    if match := re.fullmatch(r"s(\d*\.?\d+)", word):
        if not 0 < float(match[1]) < 1:
            raise ValueError(f"format {text!r}: {word!r} must prune a share between 0 and 1, as in s0.5")
        return TopK(float(match[1]))
    raise ValueError(f"format {text!r}: {word!r} is no sparsity; right would be N:M, as in 2:4, or sS, as in s0.5")


def _parse_element(word, text):
    if word in NAMED:
        return NAMED[word]
    for pattern, low, high, make, _ in _NUMBERED:
        if match := re.fullmatch(pattern, word):
            numbers = [int(number) for number in match.groups()]
            if all(a <= number <= b for a, number, b in zip(low, numbers, high, strict=True)):
                return Format(make(*numbers))
            ranges = " and ".join(f"{a} to {b}" for a, b in zip(low, high, strict=True))
            raise ValueError(f"format {text!r}: {word!r} is out of range; its number goes from {ranges}")
    families = ", ".join(family for *_, family in _NUMBERED)
    close = difflib.get_close_matches(word, NAMED, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"format {text!r}: {word!r} is no element.{hint} There are {families}, and {', '.join(_others())}")


def _others():
    """Names that no numbered family covers."""
    return [name for name in NAMED if not any(re.fullmatch(pattern, name) for pattern, *_ in _NUMBERED)]
