"""Tensors of a file that are one matrix: codes, and the companions that say what the codes mean.

up_proj.qweight, up_proj.scales, up_proj.qzeros, up_proj.g_idx   → a Group of the stem "up_proj"

Names decide, and only names: what lies in the module of codes belongs to them, but for its bias.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock

import torch

from ...checked import shown
from ..roles import UNTOLD, is_bias, role
from ..tensors import PLAIN, Tensor, unreadable

STEM = re.compile(
    r"(.+?)([./]weight|[._]blocks|[._]_?weight[._:](packed|_?qdata|_data(\._data)?|int_data|float8_data)|"
    r"\.(qweight|q_weight|W_q|B(_24)?|CB|Qidxs|Qidxs_0|codes|indices|trellis|dense_weights)|(\.weight)?\.compressed)"
)
"""A name that ends as weights do: (stem, ending); all endings but "weight" are those of codes, in whatever layout."""
VIEWED = re.compile(r"\.W_q|\.indices|(\.weight)?\.compressed|[._]_?weight[._:](packed|_?qdata|int_data)")
"""Endings of codes even where their bytes are kept as floats, as by HQQ and VPTQ, or of floats without their zeros."""
COMPANION = re.compile(
    r"(.+?)[./_](weights?[._:])?(_?scales?(_inv|_2)?|scale_weight|scaling_factor(_2)?|global_scale|q?zeros|zero_point|"
    r"shape|g_idx|bitmask|SCB|format|(nested_)?(absmax|quant_map)|quant_state\..+|(input|output)(_global)?_(scale|zero_point))"
)
"""A name that ends as those of companions do: (stem, …)."""
WORDS = re.compile(r"scal|zero|shape|g_idx|bitmask|SCB|format|absmax|quant_")  # one of which is in each
ENDING = 100  # characters at the end of a name that say what it is, at most
ACTIVATIONS = re.compile(
    r"(input|output|activation)(_\w+)?_(scale(_ub)?|zero_point|factor)|scale_input|pre_?quant_scal\w*|([qkv]|kv)_scale|"
    r"(input|output)_quantizer\..+"
)
"""Companions that say how inputs are rounded: no weight depends on them."""
SAME = {"scale_inv": "scale", "scale_weight": "scale", "scaling_factor": "scale", "scaling_factor_2": "scale_2"}
WITHIN = re.compile(r"(.+?)\.((?:(?:weight_\w+|\w*(?:quantizer|observer|post_process))\.)?[^.]+)")
"""A name in a module: (module, the rest)."""
SMALL = 1 / 8  # of a weight's numbers, which what says something of it has at most
CUTS = 8  # points and dashes in the name of a companion, at most
REAL = ("F64", "F32", "F16", "BF16")
INTEGERS = {name for name, dtype in PLAIN.items() if not (dtype.is_floating_point or dtype.is_complex)} - {"BOOL"}


class Latest:
    """What one matrix needs as a whole, such as codes that lie by columns: kept until another one asks."""

    def __init__(self) -> None:
        self._lock, self._owner, self._value = Lock(), None, None

    def of(self, owner: object, make: Callable[[], tuple]) -> tuple:
        """``make()``, or what it gave when the same ``owner`` asked before; from any thread."""
        with self._lock:
            if self._owner is not owner:
                self._owner = self._value = None  # before the next takes its place
                self._value = make()
                self._owner = owner
            return self._value


@dataclass(frozen=True, eq=False)
class Group:
    """The ``codes`` of a matrix and their companions: ``parts``, {what the name says, as "scale": Tensor}.

    stem: the module or parameter; name: of the matrix.  latest: that of the checkpoint.
    """

    stem: str
    name: str
    codes: Tensor
    parts: dict[str, Tensor]
    latest: Latest = field(repr=False)

    @property
    def certain(self) -> bool:
        """Whether only codes are called as they are."""
        return _certain(self.codes, self.stem)

    @property
    def coded(self) -> bool:
        """Whether they may be codes: they are called so, or are a matrix of integers or of floats of at most 8 bits."""
        return _coded(self.codes, self.stem)

    @property
    def beside(self) -> dict[str, Tensor]:
        """The companions that say how inputs are rounded."""
        return {part: tensor for part, tensor in self.parts.items() if ACTIVATIONS.fullmatch(part)}

    def tensor(self, shape: tuple[int, ...], dtype: str, rows: Callable[[int, int], torch.Tensor]) -> Tensor:
        """The matrix, with all the bits that it takes in the file; ``rows``: (first, last) → these rows, float32."""
        width = max(shape[-1], 1)

        def load(start: int, stop: int) -> torch.Tensor:
            if start == stop:
                return torch.empty(0)
            first = start // width
            return rows(first, -(-stop // width)).reshape(-1)[start - first * width : stop - first * width]

        return self.flat(shape, dtype, load)

    def flat(self, shape: tuple[int, ...], dtype: str, load: Callable[[int, int], torch.Tensor]) -> Tensor:
        """The matrix with a ``load`` of its own."""
        stored = sum(tensor.count * tensor.bits for tensor in (self.codes, *self.parts.values()))
        count = math.prod(shape)
        bits = stored / count if count else 0.0
        return Tensor(self.name, shape, dtype, bits, True, load, self.codes.tied, beside=self.beside)

    def unread(self, reason: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """The matrix where its values cannot be had; its ``shape``, where that is known, else that of the codes."""
        reason = f"codes, not measured: {reason}"
        return self.flat(self.codes.shape if shape is None else shape, self.codes.dtype, unreadable(reason))

    def only(self, *names: str, maybe: Iterable[str] = ()) -> None:
        """ValueError for a companion besides ``names`` and ``maybe``, and for one of the former that is not there."""
        for part, tensor in self.parts.items():
            if part not in (*names, *maybe) and not ACTIVATIONS.fullmatch(part):
                raise ValueError(f"the companion {shown(part)} beside them is unknown")
            if tensor.dtype in ("C64", "BOOL"):
                raise ValueError(f"the companion {shown(part)} beside them is of {tensor.dtype}")
        if absent := [name for name in names if name not in self.parts]:
            raise ValueError(f"no {absent[0]} lies beside them")


def grouped(tensors: Iterable[Tensor], latest: Latest) -> list[Tensor | Group]:
    """The tensors in their order, those that are one matrix as one Group in the place of its codes.

    So is a matrix of floats with what else lies in its module, is small, and is called neither a bias nor a buffer.
    """
    tensors = list(tensors)
    companions = {tensor.name: said for tensor in tensors if (said := _companion(tensor.name))}
    plainly = {stem for stem, vague in companions.values() if not vague}
    scaled = {stem for stem, _ in companions.values()}
    groups, coded = {}, {}  # by stem
    for tensor in tensors:
        if tensor.name in companions:
            continue
        match = STEM.fullmatch(tensor.name, _tail(tensor.name))
        stem = tensor.name[: match.end(1)] if match else tensor.name
        certain, codes = _certain(tensor, stem), _coded(tensor, stem)
        has_scale = stem in plainly or (tensor.quantised and stem in scaled)
        if (codes or has_scale) and (certain or stem not in groups):
            groups[stem] = Group(stem, _name(stem, tensor.name), tensor, {}, latest)
            coded |= {stem: groups[stem]} if codes else {}
    # Of whole numbers, or floats of 8 bits, by names of their own in the module of codes: what is said of the codes.
    loose = [stem for stem, group in coded.items() if stem == group.codes.name and not group.certain]
    for stem in [stem for stem in loose if _owner(stem, None, groups, coded)]:
        del groups[stem], coded[stem]
    wide = {tensor.name.removesuffix(".weight"): tensor for tensor in tensors if _is_plain(tensor)}
    altered = {tensor.name: stem for tensor in tensors if (stem := _altered(tensor, wide))}
    for stem in set(altered.values()) - groups.keys():
        groups[stem] = Group(stem, wide[stem].name, wide[stem], {}, latest)
    hosts, rest = {group.codes.name: group for group in groups.values()}, []
    for tensor in tensors:
        owner = None if tensor.name in hosts else _owner(tensor.name, companions.get(tensor.name), groups, coded)
        owner = owner or groups.get(altered.get(tensor.name, ""))
        if owner is None:
            rest.append(hosts.get(tensor.name, tensor))
        else:
            said = tensor.name[len(owner.stem) + 1 :]
            part = re.sub(r"^_?weights?[._:]_?", "", said)
            part = SAME.get(part, part)
            owner.parts[said if part in owner.parts else part] = tensor
    return rest


def orphan(tensor: Tensor) -> bool:
    """Whether a tensor that belongs to no codes is called as only companions are, and might pass for a matrix."""
    said = _companion(tensor.name) if len(tensor.shape) > 1 else None
    return said is not None and not said[1]


def _is_plain(tensor: Tensor) -> bool:
    """Whether it is a matrix of floats."""
    return sum(size > 1 for size in tensor.shape) > 1 and tensor.dtype in REAL and not tensor.quantised


def _altered(tensor: Tensor, wide: dict[str, Tensor]) -> str:
    """The module of a weight among ``wide``, or the parameter, that a small tensor changes as it runs, or "".

    wide: {module or parameter: Tensor}.  What changes a parameter, as one of all experts, is called after it.
    """
    match, said = WITHIN.fullmatch(tensor.name), _companion(tensor.name)
    stem = match[1] if match and match[2] != "weight" and _is_module(wide, match[1]) else ""
    stem = stem or (said[0] if said and said[0] in wide and wide[said[0]].name == said[0] else "")
    if not stem or is_bias(tensor.name) or role(tensor.name) == "buffer" or role(wide[stem].name) not in UNTOLD:
        return ""  # routers, heads and tables of tokens have others, and stay as they are
    is_list = tensor.count == max(tensor.shape, default=1)
    return stem if is_list or tensor.count <= SMALL * wide[stem].count else ""


def _is_module(wide: dict[str, Tensor], stem: str) -> bool:
    """Whether one of ``wide`` is the weight of a module of this name."""
    return stem in wide and wide[stem].name != stem


def _companion(name: str) -> tuple[str, bool] | None:
    """(the stem, whether it may be no companion in a module without codes) of a name of a companion, else None."""
    match = COMPANION.fullmatch(name, _tail(name)) if WORDS.search(name, _tail(name)) else None
    vague = match and match[2] is None and match[3] in ("scale", "scales", "shape", "format", "zeros")
    return match and (name[: match.end(1)], bool(vague))


def _tail(name: str) -> int:
    """Where the part of a name begins that says what it is."""
    return max(0, len(name) - ENDING)


def _certain(codes: Tensor, stem: str) -> bool:
    """Whether only codes are called as they are."""
    ending = codes.name[len(stem) :]
    return ending[1:] not in ("", "weight") and (codes.dtype not in REAL or VIEWED.fullmatch(ending) is not None)


def _coded(codes: Tensor, stem: str) -> bool:
    """Whether they may be codes: they are called so, or are a matrix of integers or of floats of at most 8 bits."""
    is_matrix, kind = len(codes.shape) > 1, codes.dtype
    return (is_matrix and (kind in INTEGERS or kind[:2] in ("F4", "F6", "F8"))) or _certain(codes, stem)


def _name(stem: str, codes: str) -> str:
    """What the matrix would be called without codes."""
    ending = codes[len(stem) :]
    return stem if not ending or ending[0] == "_" or ending == ".blocks" else f"{stem}{ending[0]}weight"


def _owner(name: str, said: tuple[str, bool] | None, groups: dict[str, Group], coded: dict[str, Group]) -> Group | None:
    """The Group of the codes that a tensor stands beside; said: what its name says, if it is a companion's."""
    group = groups.get(said[0]) if said else None
    if group and (said[0] in coded or group.codes.quantised or not said[1]):
        return group
    end = len(name)
    for _ in range(CUTS if coded and not name.endswith("bias") else 0):
        end = max(name.rfind(mark, _tail(name), end) for mark in "._/")
        group, rest = coded.get(name[: max(end, 0)]), name[end + 1 :]
        if group:
            is_module = group.codes.name.startswith((f"{group.stem}.", f"{group.stem}/"))
            inside = "." not in rest or re.match(r"(weight|\w*quantizer|\w*centroids)\.", rest)
            inside = inside and (group.codes.name != group.stem or WORDS.search(rest))  # a parameter's are called so
            return group if inside and (name[end] != "_" or not is_module) else None
        if end < 0:
            break
    return None
