"""Text ↔ Format: the grammar, and the names that the catalogue declares."""

import math
import re
from dataclasses import replace

from ..checked import closest, separated, shown
from . import grids, vectors
from .blocks import Block
from .element import Element
from .format import OUTLIER_TYPES, Format, Outliers
from .rules import ABSMAX, RULES, default_rule
from .scale_types import FP16, TYPES
from .sparsity import NofM, Sparsity, TopK

LONGEST = 200  # characters of a text: ten times what formats need
SHARE = r"[0-9]*\.?[0-9]+(?:e-?[0-9]+)?"
LEAST_SHARE = 1e-9  # less is no weight of any tensor
BETWEEN = f"between 0 and 1, and {LEAST_SHARE:g} away from both"
LONGEST_ROW = 2**20  # weights
NAMED: dict[str, Format] = {}  # in order of declaration; ``named`` fills it
ELEMENTS: dict[str, Element] = {}  # those that no numbered family covers

# Elements that a number or two describe: pattern, smallest and largest numbers, element, what the grammar calls them.
_NUMBERED = [
    (r"int([0-9]+)", (1,), (8,), grids.mid_rise, "int1 … int8"),
    (r"sint([0-9]+)", (2,), (8,), grids.mid_tread, "sint2 … sint8"),
    (r"fint([0-9]+)", (2,), (8,), grids.full_range, "fint2 … fint8"),
    (r"uint([0-9]+)", (1,), (8,), grids.unsigned, "uint1 … uint8"),
    (r"e([0-9]+)m([0-9]+)", (1, 0), (6, 6), grids.float_grid, "e1m0 … e6m6"),
    (r"lm([0-9]+)", (1,), (8,), grids.lloyd_max_grid, "lm1 … lm8"),
    (r"vq([0-9]+)_([0-9]+)", (1, 2), (4, 4096), vectors.vector_codebook, "vqP_K"),
    (r"trellis([0-9]+)", (1,), (4,), vectors.Trellis, "trellis1 … trellis4"),
]


def declare(name: str, format: Format | str, source: str) -> None:
    """Enter ``format`` (a Format, or text of the grammar) in the catalogue, with the source of its definition."""
    NAMED[name] = replace(parse(format), source=source)


def declare_element(element: Element, source: str) -> None:
    """Enter an element that the grammar cannot compute, and the format that it makes alone."""
    ELEMENTS[element.name] = element
    declare(element.name, Format(element), source)


def parse(text: str | Format) -> Format:
    """The Format that ``text`` names. Raises ValueError that names the offending part and what would be right there.

    The grammar: ``[hadamardK +] [sparsity +] element [/ block [: type] [: rule]] [+ outR]``, as in ``int4``, ``2:4``,
    ``s0.5+e2m1``, ``sint4/g128:fp32``, ``hadamard128+int4/g128+out0.01``; or a name of the catalogue in the middle.
    Spaces around parts and capital letters do not matter.  Raises TypeError for what is no text.
    """
    if isinstance(text, Format):
        return text
    if not isinstance(text, str):
        raise TypeError(f"a format is text, as in 'int4' or '2:4+sint4/g128', not {shown(text)}")
    plain = text.strip().lower()
    if plain in NAMED:
        return NAMED[plain]
    try:
        if len(plain) > LONGEST:
            raise ValueError(f"{len(plain)} characters are too many; right would be {LONGEST} at most, as in 'int4'")
        return _parse_parts([word.strip() for word in plain.split("+")])
    except ValueError as error:
        raise ValueError(f"format {shown(text)}: {error}") from None


def _parse_parts(words: list[str]) -> Format:
    rotation = _parse_rotation(words.pop(0)) if words[0].startswith("hadamard") else 0
    outliers = _parse_outliers(words.pop()) if words and words[-1].startswith("out") else None
    starts_sparse = len(words) > 1 or (words and re.match(r"s[0-9.]|[0-9]|[^/]*:", words[0]))
    sparsity = _parse_sparsity(words.pop(0)) if starts_sparse else None
    if len(words) > 1:
        raise ValueError(
            f"{shown(words[1])} is one part too many; right would be [rotation +] [sparsity +] element [+ outliers]"
        )
    format = _parse_core(words[0]) if words else Format()
    for name, value in (("rotation", rotation), ("sparsity", sparsity), ("outliers", outliers)):
        if value:
            if getattr(format, name):
                raise ValueError(f"{words[0]!r} has {'an' if name == 'outliers' else 'a'} {name} already")
            format = replace(format, **{name: value}, source="")
    _refuse_contradictions(format)
    return format


def parse_list(text: str) -> list[Format]:
    """The Formats that commas separate in ``text``, each once. Raises ValueError as ``parse`` does, and for none."""
    if not isinstance(text, str):
        raise TypeError(f"formats are text, as in 'int4, e2m1', not {shown(text)}")
    return list(dict.fromkeys(map(parse, separated(text, "int4, e2m1"))))


def _parse_rotation(word: str) -> int:
    size = word.removeprefix("hadamard")
    if not re.fullmatch("[0-9]{1,5}", size) or int(size) < 2 or int(size) & (int(size) - 1) or int(size) > 2**16:
        raise ValueError(f"{shown(word)} needs a power of two from 2 to 65536, as in hadamard128")
    return int(size)


def _parse_outliers(word: str) -> Outliers:
    match = re.fullmatch(rf"out({SHARE})(?::(\w+))?", word)
    if match is None or not _is_share(match[1]) or (match[2] or "fp16") not in OUTLIER_TYPES:
        raise ValueError(f"{shown(word)} must be a share {BETWEEN} in fp16 or bf16, as in out0.01 or out0.01:bf16")
    return Outliers(float(match[1]), match[2] or "fp16")


def _is_share(number: str) -> bool:
    return LEAST_SHARE <= float(number) <= 1 - LEAST_SHARE


def _parse_sparsity(word: str) -> Sparsity:
    if match := re.fullmatch(r"([0-9]+):([0-9]+)", word):
        n, m = int(match[1]), int(match[2])
        if not 0 < n < m <= 64:
            raise ValueError(f"{shown(word)} must keep N of every M with 0 < N < M ≤ 64, as in 2:4")
        return NofM(n, m)
    if match := re.fullmatch(f"s({SHARE})", word):
        if not _is_share(match[1]):
            raise ValueError(f"{shown(word)} must prune a share {BETWEEN}, as in s0.5")
        return TopK(float(match[1]))
    raise ValueError(f"{shown(word)} is no sparsity; right would be N:M, as in 2:4, or sS, as in s0.5")


def _parse_core(word: str) -> Format:
    name, slash, block = word.partition("/")
    if name in NAMED and name not in ELEMENTS:
        if slash and NAMED[name].block:
            raise ValueError(f"{name!r} has a block already, {NAMED[name].block}; leave out {shown('/' + block)}")
        format = NAMED[name]
    else:
        format = Format(_parse_element(name))
    if not slash:
        return format
    if format.element is None:
        raise ValueError(f"{name!r} stores 16 bits and has no scale: leave out {shown('/' + block)}")
    if format.element.own_scales:
        raise ValueError(f"{name!r} brings its own blocks of {format.element.dim}: leave out {shown('/' + block)}")
    return replace(format, block=_parse_block(block, format.element), source="")


def _parse_element(word: str) -> Element:
    if word in ELEMENTS:
        return ELEMENTS[word]
    for pattern, low, high, make, _ in _NUMBERED:
        if match := re.fullmatch(pattern, word):
            numbers = [int(number) for number in match.groups()]
            if all(a <= number <= b for a, number, b in zip(low, numbers, high, strict=True)):
                element = make(*numbers)
                return ELEMENTS.get(element.name, element)  # e05m2 is e5m2, which the OCP defines
            ranges = " and ".join(f"{a} to {b}" for a, b in zip(low, high, strict=True))
            raise ValueError(f"{shown(word)} is out of range; its number goes from {ranges}")
    families = ", ".join(family for *_, family in _NUMBERED)
    meant = closest(word, [*NAMED, *ELEMENTS])
    hint = f" Did you mean {meant!r}?" if meant else ""
    raise ValueError(
        f"{shown(word)} is no element.{hint} There are {families}, and names such as nf4, mxfp4 and q4_k, "
        "which rl.catalogue() lists"
    )


def _parse_block(text: str, element: Element) -> Block:
    size, *settings = text.split(":")
    if match := re.fullmatch(r"g([0-9]+)|([0-9]+)x([0-9]+)", size):
        numbers = [int(number) for number in match.groups() if number]
        size = "x".join(map(str, numbers)) if len(numbers) == 2 else numbers[0]
    usable = match and min(numbers) >= len(numbers) and math.prod(numbers) <= LONGEST_ROW
    if size not in ("row", "tensor") and not usable:
        raise ValueError(
            f"{shown('/' + text)}: a block is gK, K weights of a row, as in g128; or RxC, a tile of R > 1 rows by C "
            f"columns, as in 16x16, up to {LONGEST_ROW} weights; or row, or tensor"
        )
    type, rule = FP16, default_rule(element)
    for setting in settings:
        if setting in TYPES:
            type = TYPES[setting]
        elif setting in RULES:
            rule = RULES[setting]
        else:
            known = f"a type ({', '.join(TYPES)}) or a rule ({', '.join(RULES)})"
            raise ValueError(f"{shown(setting)} is neither {known}")
    return Block(size, type, rule)


def _refuse_contradictions(format: Format) -> None:
    """ValueError for parts that do not go together."""
    element, block = format.element, format.block
    if format.outliers and (format.density - format.outlier_share) * LONGEST_ROW < 1:
        leaves = f"{format.sparsity} leaves" if format.sparsity else "there is"
        raise ValueError(
            f"+{format.outliers} keeps all that {leaves}: nothing is left to round; take fewer outliers, as in +out0.01"
        )
    if format.multiple > LONGEST_ROW:
        raise ValueError(f"rows of a multiple of {format.multiple} weights are longer than any; take smaller groups")
    if element is None:
        return
    if not element.signed and not (block and block.rule.affine):
        raise ValueError(
            f"{element.name!r} has no sign: it needs a block with the rule minmax or zero, as in uint4/g32"
        )
    if block is None:
        return
    size, type, rule = block.size, block.type, block.rule
    if not rule.fits(element, type):
        raise ValueError(f"the rule {rule.name!r} does not go with {element.name}/{block}")
    if block.spans_rows and rule != ABSMAX:
        raise ValueError(f"tiles such as {size} go with the rule absmax, not with {rule}")
    if type.needs == "everything" and (rule != ABSMAX or not isinstance(size, int)):
        raise ValueError(f"scales in {type} go with blocks gK and the rule absmax, not with {block}")
    if not (rule.any_type or type.any_scale):
        able = [name for name, known in TYPES.items() if known.any_scale]
        raise ValueError(f"the rule {rule.name!r} needs scales in {', '.join(able[:-1])} or {able[-1]}, not {type}")
    if element.dim > 1 and (rule != default_rule(element) or (isinstance(size, int) and size % element.dim)):
        raise ValueError(
            f"{element.name!r} codes {element.dim} weights together: its block takes the rule rms and a multiple"
        )
