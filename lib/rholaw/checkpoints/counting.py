"""The Geometry of a checkpoint, held against the tensors that lie there.

A config.json describes a model, and the headers say what there is: where both are, they must agree within TOLERANCE.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..untrusted import refusals
from . import families, layouts, opening, places, roles, ties
from .config import Config
from .opening import Checkpoint
from .parts import Geometry
from .roles import SENSES, role
from .strays import TURNS
from .tensors import PLAIN, Tensor
from .ternary import blank, ternary

TOLERANCE = 0.02
"""Of the parameters: poolers, extra heads and classifiers make up less, a wrong formula more."""
CODES = {name for name, dtype in PLAIN.items() if not (dtype.is_floating_point or dtype.is_complex)}
ELSEWHERE = re.compile(SENSES.pattern + r"|(^|\.)(pooler|talker|code2wav|token2wav)\.")
"""Names of what is no part of the decoder: that, what speaks, poolers."""
AHEAD = re.compile(r"(^|\.)(mtp|eh_proj|nextn)\.")
"""Names of layers for speculation (MTP), where they are not numbered as the others."""
WIDEST = 16
"""Bits that a weight takes at most among codes of a layout that is not known, and 1 at least."""
LAYER = re.compile(r"(?:^|\.)(?:layers|blk|h)\.(\d{1,6})\.(nextn|eh_proj|enorm|hnorm|shared_head|embed_tokens)?")
"""A name of a tensor in a layer: its number, and what only layers for speculation have."""


@refusals()
def geometry(path: str | Path) -> Geometry:
    """The Geometry of the checkpoint at ``path``: all that ``opening.described`` takes.

    Where weights lie there, they say whether the head is a matrix of its own.  Raises ValueError for what the config
    does not say, or says wrongly, and where it counts over 2 % more or fewer parameters than the headers.
    """
    config, weighs = opening.described(path), opening.has_weights(path)
    try:
        model = families.geometry(config, weighs)
        place = opening.located(path)
        folder = place if place.is_dir() else place.parent
        writes = config.writes and not (folder / "modules.json").is_file()  # which sentence-transformers keeps
        model = replace(model, decoder=model.decoder and writes, rounded=config.rounded)
        more, longest = (config.said.get(key) for key in ("num_nextn_predict_layers", "max_position_embeddings"))
        model = replace(model, longest=longest if type(longest) is int else 0)
        said = layouts.read(folder, {"config": opening.beside(folder)}) if place.is_dir() else layouts.Settings()
        model = replace(model, method=said.method)
        if not weighs:
            layers = config.said.get("num_hidden_layers")
            share = more / layers if type(more) is int and type(layers) is int else 0.0
            ahead = max(share, 0.0) * model.non_embedding
            return replace(model, senses=None if config.senses else 0, changes=said.changes, ahead=ahead)
        with opening.open(path) as checkpoint:
            changes = checkpoint.changes or ternary(checkpoint.tensors) or blank(checkpoint.tensors)
            return replace(held(model, config, checkpoint), beside=places.place(place).beside, changes=changes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}: give the geometry by hand") from None


def disagreement(checkpoint: Checkpoint) -> str:
    """What a checkpoint says of a model of a known family, and its tensors say otherwise; "" where they agree."""
    try:
        config = checkpoint.config
        model = families.geometry(config, True)
    except ValueError:  # a survey needs neither
        return ""
    if not {"hidden_size", "n_embd", "d_model"} & config.said.keys():
        return ""
    try:
        held(model, config, checkpoint)
    except ValueError as error:
        return str(error)
    return ""


def held(model: Geometry, config: Config, checkpoint: Checkpoint) -> Geometry:
    """The same, tied as the tensors are; ValueError where they hold another number of parameters."""
    further = _further(checkpoint, config)
    own = [tensor for tensor in checkpoint.tensors if _belongs(tensor.name, further)]
    does = roles.among({tensor.name: tensor.shape for tensor in own})
    heads = [tensor for tensor in own if does[tensor.name] == "head"]
    heads = [tensor for tensor in heads if tensor.dtype in CODES or _is_vocabulary(tensor, model)]
    repeated = ties.among(own)
    tied = all(head.name in repeated for head in heads)
    senses = sum(tensor.count for tensor in checkpoint.tensors if SENSES.search(tensor.name))
    beyond = (tensor for tensor in checkpoint.tensors if _speculates(tensor.name, further))
    ahead = float(sum(tensor.count for tensor in beyond if not _is_vocabulary(tensor, model)))  # which engines share
    model = replace(model, tied=tied, senses=senses, ahead=ahead)
    counted = [tensor for tensor in own if not (tied and tensor in heads)]
    count, stored = sum(tensor.count for tensor in counted), sum(tensor.count * tensor.bits for tensor in counted)
    coded = [tensor for tensor in counted if tensor.dtype in CODES]
    codes = sum(tensor.count * tensor.bits for tensor in coded)
    known = codes <= TOLERANCE * stored  # else nothing says how many weights the codes of an unknown layout are
    known |= all(tensor.bits == 16 for tensor in coded) and abs(count - model.total) <= TOLERANCE * count  # are floats
    plain = sum(tensor.count for tensor in counted if tensor.dtype not in CODES)
    least, most = (count, count) if known else (plain + codes / WIDEST, plain + codes)
    if not least * (1 - TOLERANCE) <= model.total <= most * (1 + TOLERANCE):
        there = f"{count:.4g}" if known else f"{least:.4g} to {most:.4g}, some of them codes"
        raise ValueError(
            f"{config.source} describes {model.total:.4g} parameters ({config.family}), and the tensors beside it are "
            f"{there}: some are missing, or of another model, or a key that changes the count is not modelled"
        )
    _refuse_missing(does, config, bool(heads))
    rounded = sum(tensor.count for tensor in own if tensor.quantised)
    return replace(model, rounded=model.rounded or not known or 2 * rounded > model.linear, counted=known)


def _refuse_missing(names: Iterable[str], config: Config, has_head: bool) -> None:
    """ValueError for layers that the config counts and no tensor is of, and for a head that it says is there.

    names: of the tensors.  has_head: whether one of them is a head for tokens.
    """
    there = {int(match[1]) for name in names if (match := LAYER.search(name))}
    count = config.said.get("num_hidden_layers")
    if there and type(count) is int and (missing := sorted(set(range(count)) - there)):
        raise ValueError(
            f"{config.source} counts {count} layers, and of {len(missing)}, as {missing[0]}, no tensor is there"
        )
    own = config.said.get("tie_word_embeddings") is False and not config.torn  # else the tensors decide
    if config.headed and own and not has_head:
        raise ValueError(f"{config.source} says that the head is a matrix of its own, and no tensor is one")


def _is_vocabulary(tensor: Tensor, model: Geometry) -> bool:
    """Whether it has a row for each token, or a few more or fewer."""
    return tensor.shape[1:] == (model.d_model,) and model.vocabulary / 2 < tensor.shape[0] < 2 * model.vocabulary


def _further(checkpoint: Checkpoint, config: Config) -> set[int]:
    """The layers behind the last that predict further tokens (MTP): the config, or what they hold, says so."""
    first, more = config.said.get("num_hidden_layers"), config.said.get("num_nextn_predict_layers")
    if type(first) is not int:
        return set()
    said = range(first, first + more) if type(more) is int else ()
    layers = [match for tensor in checkpoint.tensors if (match := LAYER.search(tensor.name))]
    return {int(layer[1]) for layer in layers if int(layer[1]) >= first and (layer[2] or int(layer[1]) in said)}


def _belongs(name: str, further: set[int]) -> bool:
    """Whether a tensor is one of the decoder's parameters."""
    elsewhere = _speculates(name, further) or ELSEWHERE.search(name) or TURNS.search(name)
    return not (elsewhere or role(name) == "buffer")


def _speculates(name: str, further: set[int]) -> bool:
    """Whether a tensor is of a layer that predicts further tokens (MTP)."""
    layer = LAYER.search(name)
    return (layer is not None and int(layer[1]) in further) or AHEAD.search(name) is not None
