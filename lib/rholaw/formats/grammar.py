"""A Format says how a tensor is stored: what survives, to which grid it is rounded, at which scale. Text ↔ Format."""

import math
import re
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import torch

from ..checked import closest
from ..threads import alone
from . import blocks as scales
from . import grids, vectors
from .blocks import Block
from .sparsity import NofM, Sparsity, TopK

DENSE_BITS = 16
OUTLIER_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Outliers:
    """``outR``: the share R of a tensor's weights with the largest magnitudes is kept in 16 bits, beside its places."""

    share: float
    type: str = "fp16"

    @property
    def bits(self):
        """Per weight of the tensor: the values, and the entropy of their places."""
        return self.share * 16 + TopK(self.share).mask_bits

    def mask(self, x):
        """True where a weight is an outlier."""
        return TopK(1 - self.share).mask(x)

    def stored(self, x):
        """The values as 16 bits hold them, saturated."""
        dtype = OUTLIER_TYPES[self.type]
        limit = torch.finfo(dtype).max
        return x.clamp(-limit, limit).to(dtype).to(x.dtype)

    def __str__(self):
        return f"out{self.share:.15g}" + (f":{self.type}" if self.type != "fp16" else "")


@dataclass(frozen=True)
class Format:
    """A representation of a tensor: rotation, sparsity, then outliers kept apart and the rest rounded to a grid.

    ``element`` None keeps the survivors in 16 bits; ``block`` None means one MSE-optimal Gaussian scale a tensor;
    ``rotation`` is the size of a Hadamard transform along the rows, undone on the way back, or 0.  ``source`` says
    where the format is defined; it takes no part in equality.
    """

    element: object = None
    sparsity: Sparsity | None = None
    block: Block | None = None
    outliers: Outliers | None = None
    rotation: int = 0
    source: str = field(default="", compare=False)

    @property
    def bits(self):
        """Stored bits per weight: survivors × their code, the scales, the mask at its entropy, outliers, their places.

        A scale for a whole tensor vanishes over its weights.
        """
        code = DENSE_BITS if self.element is None else self.element.bits
        scale = self.block.bits(self.element) if self.block else 0.0
        mask = self.sparsity.mask_bits if self.sparsity else 0.0
        return code * self.density + scale + mask + (self.outliers.bits if self.outliers else 0.0)

    @property
    def density(self):
        """The share of the weights that survive."""
        return self.sparsity.density if self.sparsity else 1.0

    @property
    def multiple(self):
        """Rows must have a multiple of so many weights: groups, blocks, codes and rotation all divide it."""
        block = self.block.size if self.block and isinstance(self.block.size, int) else 1
        group = self.sparsity.m if isinstance(self.sparsity, NofM) else 1
        own = getattr(self.element, "block", getattr(self.element, "dim", 1))
        return math.lcm(self.rotation or 1, group, block, own)

    @property
    def family(self):
        """Which capacity curve it belongs to: "dense", "quantised", "sparse" or "sparse-quantised"."""
        words = ["sparse"] * (self.sparsity is not None) + ["quantised"] * (self.element is not None)
        return "-".join(words) or "dense"

    @property
    def parts(self):
        """The formats it composes: its sparsity alone and the rest alone, without those that it lacks."""
        sparse = (Format(sparsity=self.sparsity),) if self.sparsity is not None else ()
        return sparse + ((replace(self, sparsity=None, source=""),) if self.element is not None else ())

    @torch.no_grad()
    def quantize(self, x):
        """The values that come back when ``x`` is stored in this format.

        x: a floating-point tensor of any shape, type and device; it is not changed.  Half precision is computed in
        float32.  Raises TypeError for other types, and ValueError that names the first NaN or infinity, or a block,
        group or rotation that does not divide the rows.
        """
        if not torch.is_tensor(x) or not x.is_floating_point():
            raise TypeError(f"{self}: needs a floating-point tensor, got {getattr(x, 'dtype', type(x).__name__)}")
        if x.numel() == 0:
            return x.clone()
        with alone() if x.device.type == "cpu" else nullcontext():
            return self._quantized(x)

    def _quantized(self, x):
        low, high = scales.extremes(x)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{self}: the tensor has {_first_non_finite(x)}; only finite values can be stored")
        if low == high == 0 or not self.parts:
            return x.clone()
        y = x if x.dtype in (torch.float32, torch.float64) else x.float()
        try:
            return self._stored(y, max(-low, high)).to(x.dtype)
        except ValueError as error:
            raise ValueError(f"{self}, tensor of shape {tuple(x.shape)}: {error}") from None

    def _stored(self, y, largest):
        # Squares and scales of huge and tiny values would leave the range of the type; a power of two loses nothing.
        # Not so with a block: the limits of its stored scales are a property of the format.
        unit = 1.0 if self.block or 2.0**-40 < largest < 2.0**40 else 2.0 ** math.floor(math.log2(largest))
        y = y / unit if unit != 1.0 else y
        y = vectors.hadamard(y, self.rotation) if self.rotation else y
        kept = self.sparsity.mask(y) if self.sparsity else None
        outliers = self.outliers.mask(y) if self.outliers else None
        rounded = kept if outliers is None else ~outliers if kept is None else kept & ~outliers
        body = y if rounded is None else scales.masked(y, rounded)  # from here on a tensor of our own
        if self.element is not None:
            body = self.rounded(body, rounded)
            body = body if rounded is None else scales.masked(body, rounded, out=body)
        if outliers is not None:
            body.masked_scatter_(outliers, self.outliers.stored(y[outliers]))
        body = vectors.hadamard(body, self.rotation) if self.rotation else body
        return body * unit if unit != 1.0 else body

    def rounded(self, y, mask=None):
        """The element and its scales alone: ``y`` rounded, where what ``mask`` leaves out is zero already."""
        if hasattr(self.element, "code"):  # it brings its own scales
            return self.element.code(_rows(y, self.element.block).float()).to(y.dtype).reshape(y.shape)
        out = None if mask is None else y
        if self.block:
            length = self.block.length(y.shape)
            blocks, mask, out = (None if t is None else t.reshape(-1, length) for t in (y, mask, out))
            return scales.apply(blocks, self.element, self.block, mask, out).reshape(y.shape)
        rms = scales.rms(y, y.numel() if mask is None else int(mask.count_nonzero()))
        scale = scales.gaussian_scale(self.element, self.sparsity, self.outliers.share if self.outliers else 0.0) * rms
        if not scale > 0:
            return torch.zeros_like(y)
        row, out = (t if t is None or self.element.dim > 1 else t.reshape(1, -1) for t in (y, out))
        return scales.rounded(row, self.element, y.new_full((1, 1), scale), out).reshape(y.shape)

    def __str__(self):
        words = [f"hadamard{self.rotation}"] if self.rotation else []
        words += [str(self.sparsity)] if self.sparsity else []
        if self.element is not None:
            block = f"/{scales.block_text(self.block, default_rule(self.element))}" if self.block else ""
            words.append(self.element.name + block)
        words += [str(self.outliers)] if self.outliers else []
        return "+".join(words) or "dense"


def default_rule(element):
    """The rule of a block where the text names none."""
    return "rms" if element.dim > 1 else "minmax" if element.name.startswith("uint") else "absmax"


def _rows(y, block):
    if not y.ndim or y.shape[-1] % block:
        raise ValueError(f"rows of {y.shape[-1] if y.ndim else 1} weights are no multiple of {block}")
    return y.reshape(-1, block)


def _first_non_finite(x):
    position = tuple((~x.isfinite()).nonzero()[0].tolist())
    return f"{'a NaN' if x[position].isnan() else 'an infinity'} at index {position}"


NAMED = {}  # name → Format, in order of declaration; named_formats fills it
ELEMENTS = {}  # name → element that no numbered family covers

# Elements that a number or two describe: pattern, smallest and largest numbers, element, what the grammar calls them.
_NUMBERED = [
    (r"int(\d+)", (1,), (8,), grids.mid_rise, "int1 … int8"),
    (r"sint(\d+)", (2,), (8,), grids.mid_tread, "sint2 … sint8"),
    (r"fint(\d+)", (2,), (8,), grids.full_range, "fint2 … fint8"),
    (r"uint(\d+)", (1,), (8,), grids.unsigned, "uint1 … uint8"),
    (r"e(\d+)m(\d+)", (1, 0), (6, 6), grids.float_grid, "e1m0 … e6m6"),
    (r"lm(\d+)", (1,), (8,), grids.lloyd_max_grid, "lm1 … lm8"),
    (r"vq(\d+)_(\d+)", (1, 2), (4, 4096), vectors.vector_codebook, "vqP_K"),
    (r"trellis(\d+)", (1,), (4,), vectors.Trellis, "trellis1 … trellis4"),
]


def declare(name, format, source):
    """Enter ``format`` (a Format, or text of the grammar) in the catalogue, with the source of its definition."""
    NAMED[name] = replace(parse(format), source=source)


def declare_element(element, source):
    """Enter an element that the grammar cannot compute, and the format that it makes alone."""
    ELEMENTS[element.name] = element
    declare(element.name, Format(element), source)


def parse(text):
    """The Format that ``text`` names. Raises ValueError that names the offending part and what would be right there.

    The grammar: ``[hadamardK +] [sparsity +] element [/ block [: type] [: rule]] [+ outR]``, as in ``int4``, ``2:4``,
    ``s0.5+e2m1``, ``sint4/g128:fp32``, ``hadamard128+int4/g128+out0.01``; or a name of the catalogue in the middle.
    """
    if isinstance(text, Format):
        return text
    if str(text).strip().lower() in NAMED:
        return NAMED[str(text).strip().lower()]
    words = [word.strip() for word in str(text).strip().lower().split("+")]
    try:
        rotation = _parse_rotation(words.pop(0)) if words[0].startswith("hadamard") else 0
        outliers = _parse_outliers(words.pop()) if words and words[-1].startswith("out") else None
        starts_sparse = len(words) > 1 or (words and re.match(r"s[\d.]|\d|[^/]*:", words[0]))
        sparsity = _parse_sparsity(words.pop(0)) if starts_sparse else None
        if len(words) > 1:
            raise ValueError(
                f"{words[1]!r} is one part too many; right would be [rotation +] [sparsity +] element [+ outliers]"
            )
        format = _parse_core(words[0]) if words else Format()
        for name, value in (("rotation", rotation), ("sparsity", sparsity), ("outliers", outliers)):
            if value:
                if getattr(format, name):
                    raise ValueError(f"{words[0]!r} has {'an' if name == 'outliers' else 'a'} {name} already")
                format = replace(format, **{name: value}, source="")
        _refuse_contradictions(format)
    except ValueError as error:
        raise ValueError(f"format {str(text)!r}: {error}") from None
    return format


def parse_list(text):
    """The Formats that ``text`` names, separated by commas. Raises ValueError as ``parse`` does, and for none."""
    words = [word for word in str(text).split(",") if word.strip()]
    if not words:
        raise ValueError("name at least one format, for instance 'int4, e2m1'")
    return [parse(word) for word in words]


def _parse_rotation(word):
    size = word.removeprefix("hadamard")
    if not size.isdecimal() or int(size) < 2 or int(size) & (int(size) - 1) or int(size) > 2**16:
        raise ValueError(f"{word!r} needs a power of two from 2 to 65536, as in hadamard128")
    return int(size)


def _parse_outliers(word):
    match = re.fullmatch(r"out(\d*\.?\d+)(?::(\w+))?", word)
    if match is None or not 0 < float(match[1]) < 1 or (match[2] or "fp16") not in OUTLIER_TYPES:
        raise ValueError(f"{word!r} must be a share between 0 and 1 in fp16 or bf16, as in out0.01 or out0.01:bf16")
    return Outliers(float(match[1]), match[2] or "fp16")


def _parse_sparsity(word):
    if match := re.fullmatch(r"(\d+):(\d+)", word):
        n, m = int(match[1]), int(match[2])
        if not 0 < n < m <= 64:
            raise ValueError(f"{word!r} must keep N of every M with 0 < N < M ≤ 64, as in 2:4")
        return NofM(n, m)
    if match := re.fullmatch(r"s(\d*\.?\d+)", word):
        if not 0 < float(match[1]) < 1:
            raise ValueError(f"{word!r} must prune a share between 0 and 1, as in s0.5")
        return TopK(float(match[1]))
    raise ValueError(f"{word!r} is no sparsity; right would be N:M, as in 2:4, or sS, as in s0.5")


def _parse_core(word):
    name, slash, block = word.partition("/")
    if name in NAMED and name not in ELEMENTS:
        if slash and NAMED[name].block:
            raise ValueError(f"{name!r} has a block already, {NAMED[name].block}; leave out /{block}")
        format = NAMED[name]
    else:
        format = Format(_parse_element(name))
    if not slash:
        return format
    if hasattr(format.element, "code"):
        raise ValueError(f"{name!r} brings its own blocks of {format.element.block}: leave out /{block}")
    if format.element is None:
        raise ValueError(f"{name!r} stores 16 bits and has no scale: leave out /{block}")
    return replace(format, block=_parse_block(block, format.element), source="")


def _parse_element(word):
    if word in ELEMENTS:
        return ELEMENTS[word]
    for pattern, low, high, make, _ in _NUMBERED:
        if match := re.fullmatch(pattern, word):
            numbers = [int(number) for number in match.groups()]
            if all(a <= number <= b for a, number, b in zip(low, numbers, high, strict=True)):
                return make(*numbers)
            ranges = " and ".join(f"{a} to {b}" for a, b in zip(low, high, strict=True))
            raise ValueError(f"{word!r} is out of range; its number goes from {ranges}")
    families = ", ".join(family for *_, family in _NUMBERED)
    meant = closest(word, [*NAMED, *ELEMENTS])
    hint = f" Did you mean {meant!r}?" if meant else ""
    raise ValueError(f"{word!r} is no element.{hint} There are {families}, and {', '.join(_others())}")


def _others():
    """Names that no numbered family covers, and that are no composition."""
    return [
        name for name in NAMED if re.fullmatch(r"\w+", name) and not any(re.fullmatch(p, name) for p, *_ in _NUMBERED)
    ]


def _parse_block(text, element):
    size, *settings = text.split(":")
    if not (size in ("row", "tensor") or (re.fullmatch(r"g\d+", size) and 0 < int(size[1:]) <= 2**20)):
        raise ValueError(f"'/{text}': a block is gK, K weights of a row, as in g128; or row, or tensor")
    type, rule = "fp16", default_rule(element)
    for setting in settings:
        if setting in scales.TYPES:
            type = setting
        elif setting in scales.RULES:
            rule = setting
        else:
            known = f"a type ({', '.join(scales.TYPES)}) or a rule ({', '.join(scales.RULES)})"
            raise ValueError(f"'/{text}': {setting!r} is neither {known}")
    return Block(size if size in ("row", "tensor") else int(size[1:]), type, rule)


def _refuse_contradictions(format):
    """ValueError for parts that do not go together."""
    element, block = format.element, format.block
    if element is None:
        return
    unsigned = element.name.startswith("uint")
    if unsigned and (block is None or block.rule not in ("minmax", "zero")):
        raise ValueError(
            f"{element.name!r} has no sign: it needs a block with the rule minmax or zero, as in uint4/g32"
        )
    if block is None:
        return
    wrong = {
        "minmax": not unsigned,
        "zero": not unsigned,
        "signmax": not element.name.startswith("fint"),
        "four-six": element.name != "e2m1" or block.type != "e4m3",
    }.get(block.rule, False)
    if wrong:
        raise ValueError(f"the rule {block.rule!r} does not go with {element.name}/{block}")
    if block.type == "dq8" and (block.rule != "absmax" or not isinstance(block.size, int)):
        raise ValueError(f"scales in dq8 go with blocks gK and the rule absmax, not with {block}")
    if block.rule not in ("absmax", "mse", "four-six") and block.type not in scales.TYPE_LIMITS:
        raise ValueError(f"the rule {block.rule!r} needs scales in fp32, fp16 or bf16, not {block.type}")
    if element.dim > 1 and (block.rule != "rms" or (isinstance(block.size, int) and block.size % element.dim)):
        raise ValueError(
            f"{element.name!r} codes {element.dim} weights together: its block takes the rule rms and a multiple"
        )
