"""The Geometry of a checkpoint, held against the tensors that lie there.

A config.json describes a model, and the headers say what there is: where both are, they must agree within TOLERANCE.
"""

import math
import re
from dataclasses import replace
from pathlib import Path

from ..untrusted import refusals
from . import families, opening
from .config import Config
from .parts import Geometry
from .roles import role

TOLERANCE = 0.02
"""Of the parameters: poolers, extra heads and classifiers make up less, a wrong formula more."""
ELSEWHERE = re.compile(
    r"(^|\.)(vision\w*|visual|image_newline|multi_modal_projector|mm_projector|mlp1|aligner|audio\w*|embed_(vision|audio)|"
    r"patch_merger|mtp|eh_proj|talker|code2wav|token2wav|speech\w*|nextn|(text_)?classifier|pooler|v|mm)\."
)
"""Names of what is no part of the decoder: other modalities, layers for speculation (MTP), heads of other tasks."""
HEAD = re.compile(r"(^|\.)(lm_head|embed_out|predictions\.decoder)\.weight$|^output\.weight$")


@refusals()
def geometry(path: str | Path) -> Geometry:
    """The Geometry of the checkpoint at ``path``: all that ``opening.described`` takes.

    Where weights lie there, the headers say whether the head is a matrix of its own.  Raises ValueError for what the
    config does not say, or says wrongly, and where it counts over 2 % more or fewer parameters than the headers.
    """
    config = opening.described(path)
    try:
        model = families.geometry(config)
        return _held_against_tensors(path, model, config) if opening.has_weights(path) else model
    except ValueError as error:
        raise ValueError(f"{path}: {error}: give the geometry by hand") from None


def _held_against_tensors(path: str | Path, model: Geometry, config: Config) -> Geometry:
    """The same, tied as the tensors are; ValueError where they hold another number of parameters."""
    with opening.open(path) as checkpoint:
        own = [tensor for tensor in checkpoint.tensors if _belongs(tensor.name, config)]
    heads = [tensor for tensor in own if HEAD.search(tensor.name) and tensor.shape[:1] == (model.vocabulary,)]
    said = config.said.get("tie_word_embeddings")
    model = replace(model, tied=not heads or said is True or (said is None and all(head.tied for head in heads)))
    tensors = [tensor for tensor in own if not (model.tied and tensor in heads)]
    count = sum(tensor.count for tensor in tensors)
    coded = any(tensor.dtype in ("I32", "U8", "I8", "U32") for tensor in tensors)
    if not coded and abs(count / model.total - 1) > TOLERANCE:
        raise ValueError(
            f"{config.source} describes {model.total:.4g} parameters ({config.family}), and the tensors beside it hold "
            f"{count:.4g}: a key that changes the count is not modelled, or they are not of this model"
        )
    return model


def _belongs(name: str, config: Config) -> bool:
    """Whether a tensor is one of the decoder's parameters."""
    layer = re.search(r"(^|\.)(layers|blk|h)\.(\d+)\.", name)
    speculates = layer is not None and config.said.get("num_hidden_layers", math.inf) <= int(layer[3])
    return not speculates and not ELSEWHERE.search(name) and role(name) != "buffer"
