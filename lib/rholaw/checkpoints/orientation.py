"""Which dimensions of a tensor are a layer's outputs and which its inputs: engines round along the inputs.

torch's nn.Linear keeps out × in, and so does GGUF; some code keeps in × out, and no shape shows it. These say it:

1. the bias, which has a value for each output;
2. the token embedding, whose width is what the first matrices of an MLP take and the last ones give;
3. the other tensors of the kind in the checkpoint, where the first two say it of some;
4. the family in config.json;
5. for GPT-2's layers their names, which a note says; experts in one tensor are refused then.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock

import torch

from .roles import is_matrix, role
from .tensors import PLAIN, Tensor, unreadable

STRIP = 2**24  # values that are turned at once, and kept until others are asked for
READ = 2**20  # values that are read at once, to be turned


@dataclass(frozen=True)
class Kind:
    """Layers that ``families`` keep as in × out: ``names`` fits theirs, ``last`` those that give what others take."""

    names: str
    dimensions: int
    last: str
    families: frozenset[str]


# Conv1D in transformers 5.24 (pytorch_utils.py: "weight: (nx, nf)"), and in the copies of GPT-2's code that are jais
# and btlm. GPT-BigCode (StarCoder), GPT-Neo, Qwen and nanoGPT have nn.Linear by the same names.
CONV1D = Kind(
    r"(^|\.)(c_attn|q_attn|c_fc|c_proj)\.weight$",
    2,
    r"c_proj",
    frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp", "clvp_decoder", "jais", "btlm"}),
)
# Experts in one tensor are [experts, out, in] in transformers 5.24 (integrations/moe.py: is_transposed=False) and in
# Qwen3.5-MoE's files.  They are [experts, in, out] where it says is_transposed=True, in Llama-4, and in the files of
# Qwen3-VL-MoE, which it turns when it loads them (conversion_mapping.py).
EXPERTS = Kind(
    r"(^|[._])(?<!shared_)(experts?|moe)\.[a-z]\w*(\.weight)?$",
    3,
    r"down|w2|fc2|output",
    frozenset({"gpt_oss", "openai_privacy_filter", "aria", "aria_text", "llama4", "llama4_text"})
    | {"qwen3_vl_moe", "qwen3_vl_moe_text"},
)
# What code always multiplies by from the right: XLNet's ("ibh,hnd->ibnd"), DBRX's w2 of all experts, OpenAI's CLIP.
IN_BY_OUT = r"rel_attn\.[qkvr]$|experts\.mlp\.w2$|(^|\.)visual\.proj$|^text_projection$"
KERNEL = r"[./]kernel(:0)?$"  # of Keras and Flax: places × in × out
Strips = Callable[[Tensor, tuple[int, int, int], int], torch.Tensor]

GPT2 = r"(^|\.)h\.\d+\.\w+\.c_\w+\.weight$"  # the names of its layers
WIDTH = r"(^|[._])(embed_tokens|wte|tok_embeddings|word_embeddings|embed_in)(\.weight)?$"
EINSUM = r"_einsum(?=[./]|$)"  # Flax's of Gemma: heads × in × out, heads × out × in, and others by its equation
BY_EINSUM = rf"{EINSUM}|(^|[./])linear([./]w)?$"
CONVOLUTION = r"conv|downsample|upsample|rel_attn\.o$"  # and XLNet's "ibnd,hnd->ibh"

ASSUMED = "taken as in × out, as GPT-2's layers of this name: there is no config.json that says it"
UNKNOWN = (
    "its inputs are the second dimension in some families, the third in others, and no config.json, bias or embedding "
    "tells which: put the config.json beside it"
)

BY_EQUATION = (
    "the equation of its einsum, which no checkpoint holds, says which dimension its inputs are: convert the model to "
    "transformers' layout"
)


@dataclass(frozen=True)
class Beside:
    """What tells how a tensor lies: ``shapes`` of all, ``widths`` of token embeddings, ``families`` of the config.

    einsum: whether layers are named after Flax's Einsum.
    """

    shapes: dict[str, tuple[int, ...]]
    widths: set[int]
    families: set[str]
    einsum: bool


def oriented(tensors: list[Tensor], config: dict) -> list[Tensor]:
    """These, each out × in by ``shape``, ``load`` and ``rows``, whose rows run along the inputs.

    config: the object of the config.json, {} without one.  A convolution's rows are all that makes an output. What
    cannot be known is unreadable, and says why. Memory: STRIP values at a time of what lies in × out.
    """
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    widths = {shape[1] for name, shape in shapes.items() if len(shape) == 2 and re.search(WIDTH, name)}
    einsum = any(re.search(EINSUM, name) for name in shapes)
    beside = Beside(shapes, widths, set(_families(config)), einsum)
    said = {kind: {_told(name, kind, beside) for name in shapes} - {None} for kind in (CONV1D, EXPERTS)}
    strips = _strips()
    return [_oriented(tensor, beside, said, strips) for tensor in tensors]


def _oriented(tensor: Tensor, beside: Beside, said: dict[Kind, set[bool]], strips: Strips) -> Tensor:
    """One tensor out × in; said: what 1. and 2. say of its kind."""
    name, shape = tensor.name, tensor.shape
    if not tensor.count or not is_matrix(name, shape) or role(name) == "buffer":
        return tensor
    if beside.einsum and re.search(BY_EINSUM, name):
        return replace(tensor, load=unreadable(BY_EQUATION))
    always = re.search(IN_BY_OUT, name), re.search(KERNEL, name)
    if any(always):
        inputs = shape[0] if always[0] else math.prod(shape[:-1])
        outputs = tensor.count // inputs
        return _turned(tensor, (inputs, outputs, 1), (outputs, inputs), strips)
    kind = next((kind for kind in said if _is(kind, name, shape)), None)
    if kind is None:
        return _by_bias(tensor, beside, strips)
    told = _told(name, kind, beside)
    if told is None and len(said[kind]) == 1:
        told = next(iter(said[kind]))
    values = tensor.dtype.split("/")[0] in PLAIN  # and not codes, of which whoever reads them knows how they lie
    if told is None and (beside.families or not values):
        told = values and bool(beside.families & kind.families)
    if told is None and kind is EXPERTS:
        return replace(tensor, load=unreadable(UNKNOWN))
    if told is None and re.search(GPT2, name):
        told, tensor = True, replace(tensor, note=ASSUMED)
    inputs, outputs = shape[-2:]
    return _turned(tensor, (inputs, outputs, 1), (*shape[:-2], outputs, inputs), strips) if told else tensor


def _by_bias(tensor: Tensor, beside: Beside, strips: Strips) -> Tensor:
    """A tensor of no Kind: a matrix, a stack of them, or a convolution, which may be from in to out channels."""
    shape, outputs = tensor.shape, beside.shapes.get(_bias(tensor.name), ())
    convolves = len(shape) > 3 or (len(shape) == 3 and (outputs in ((shape[0],), (shape[1],))))
    convolves |= len(shape) == 3 and re.search(CONVOLUTION, tensor.name) is not None
    if outputs == (shape[1],) != (shape[0],):
        rest = math.prod(shape[2:])
        tensor = _turned(tensor, (shape[0], shape[1], rest), (shape[1], shape[0], *shape[2:]), strips)
    return replace(tensor, spans=len(shape) - 1) if convolves else tensor


def turned_back(values: torch.Tensor, tensor: Tensor, config: dict) -> torch.Tensor:
    """The ``values`` of a tensor as code that runs the family takes them: as the file has them where it is no codes.

    config: as for ``oriented``.
    """
    if tensor.turned:
        inputs, outputs, rest = tensor.turned
        blocks, shape = values.reshape(-1, outputs, inputs, rest).transpose(1, 2), values.shape
        apart = shape[:2] != (outputs, inputs)  # experts
        return blocks.reshape((*shape[:-2], inputs, outputs) if apart else (inputs, outputs, *shape[2:]))
    codes = tensor.dtype not in PLAIN and _is(EXPERTS, tensor.name, tensor.shape)
    return values.mT if codes and EXPERTS.families & set(_families(config)) else values


def _families(config: dict) -> Iterator[str]:
    """The model_type of a config and of its parts, such as text_config."""
    parts = [config]
    for part in parts:
        parts += [value for value in part.values() if isinstance(value, dict)]
        if isinstance(family := part.get("model_type"), str):
            yield family


def _is(kind: Kind, name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == kind.dimensions and re.search(kind.names, name) is not None


def _bias(name: str) -> str:
    """The name that its bias has."""
    stem = re.sub(r"([./])(parametrizations\.)?weight(_v|\.original1)?$", r"\1", name)
    return f"{stem}bias" if stem != name else f"{name}_bias"


def _told(name: str, kind: Kind, beside: Beside) -> bool | None:
    """Whether a tensor of a Kind is in × out, as its bias or the embedding says; None where they do not."""
    shape = beside.shapes[name]
    if not _is(kind, name, shape) or shape[-1] == shape[-2]:
        return None
    outputs = beside.shapes.get(_bias(name), ())[-1:]
    if outputs and outputs[0] in shape[-2:]:
        return shape[-1] == outputs[0]
    if len(beside.widths & set(shape[-2:])) != 1:
        return None
    last_is_wide, gives = shape[-1] in beside.widths, re.search(kind.last, name) is not None
    return last_is_wide == gives


def _turned(tensor: Tensor, sizes: tuple[int, int, int], shape: tuple[int, ...], strips: Strips) -> Tensor:
    """The tensor, of blocks of ``sizes`` (in, out, rest), as (out, in, rest) and of this shape."""
    block, span = math.prod(sizes), _columns(sizes) * sizes[0] * sizes[2]

    def load(start: int, stop: int) -> torch.Tensor:
        parts = [tensor.load(0, 0)]
        while start < stop:
            begin = start // block * block + start % block // span * span
            parts.append(strips(tensor, sizes, begin)[start - begin : stop - begin])
            start += len(parts[-1])
        return torch.cat(parts)

    return replace(tensor, shape=shape, load=load, turned=sizes)


def _columns(sizes: tuple[int, int, int]) -> int:
    """How many outputs are turned at once."""
    return min(sizes[1], max(1, STRIP // (sizes[0] * sizes[2])))


def _strips() -> Strips:
    """``_strip``, whose last two results are kept: the threads of a survey ask for rows of the same again and again."""
    lock, kept = Lock(), lru_cache(2)(_strip)

    def strips(tensor: Tensor, sizes: tuple[int, int, int], begin: int) -> torch.Tensor:
        with lock:
            return kept(tensor, sizes, begin)

    return strips


def _strip(tensor: Tensor, sizes: tuple[int, int, int], begin: int) -> torch.Tensor:
    """The values of some outputs, one output after another; begin: the place of the first of them, once turned."""
    (inputs, outputs, rest), columns = sizes, _columns(sizes)
    block, within = divmod(begin, math.prod(sizes))
    first = within // (inputs * rest)
    parts, step = [], max(1, READ // (outputs * rest))
    for row in range(0, inputs, step):
        start, stop = (
            (block * inputs + row) * outputs * rest,
            (block * inputs + min(row + step, inputs)) * outputs * rest,
        )
        parts.append(tensor.load(start, stop).view(-1, outputs, rest)[:, first : first + columns].clone())
    whole = torch.cat(parts)
    return (
        (whole if rest > 1 else whole[:, :, 0]).transpose(0, 1).reshape(-1)
    )  # torch turns matrices four times as fast
