"""What compressing its weights costs a language model: ``evaluate``, layer by layer, all formats in one pass."""

import hashlib
import importlib.util
import json
import math
import sys
import warnings
from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from ..error.measure import gmse
from ..formats.format import DENSE_BITS, Format
from ..formats.grammar import parse
from ..threads import alone
from ..untrusted import refusals
from . import layered, llama, llama_keys, opening, resumable
from .estimating import estimate
from .layered import Layered, Step
from .opening import Checkpoint
from .roundings import Rounding, matrices, otherwise
from .static import STATIC, Scales
from .surveying import named_formats, usable_device

DENSE = ""  # the name of the model's own activations, beside those of formats
LEAST = 0.95  # of the weights in matrices that a format must round
SLICE = 8192  # rows of the head that are used at once
TOKENS = 2048  # that pass through a layer together
CHANCE = 0.99  # of the loss of a guess among all tokens, within which some random models come
UNTRAINED = "it is untrained, damaged, or not run as it was made, and what formats cost it says nothing"
SMALL = 2**28  # multiplications of a matrix: with fewer, threads wait for one another longer than they work


def evaluate(
    path: str | Path,
    formats: str | Iterable[str | Format],
    text: str = "shakespeare",
    *,
    count: int = 16,
    length: int = 256,
    activations: str | Format | None = None,
    cache: str | Format | None = None,
    device: str = "cpu",
    out: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """A DataFrame with a row for each of ``formats``: what the language model at ``path`` loses by it.

    The matrices of its layers are rounded as a format stores them; embedding, head, norms, routers and biases stay as
    they are.  formats: text such as "nvfp4, int4/g32", or a list of texts and Formats.  text: a corpus of
    ``texts.corpora`` (its held-out part) or a file, of which ``count`` blocks of ``length`` tokens are taken.
    activations: a Format in which the inputs of all rounded matrices are stored too, as engines do while they run:
    "sint8/row" and "fp8_row" scale each token, "nvfp4" and "mxfp4" blocks of its channels; a factor for a whole tensor
    is one for a block of the text.  Or "static": inputs of matrices that lie in FP8, NVFP4 or INT8 are rounded with the
    scale that the file has for each, those of queries, keys and values with one scale, and of gate and up with another,
    as vLLM does, which rounds weights in FP8 once more where those have different scales: so here.  cache: a
    Format of keys, once turned by their positions, and values, which is what attention reads: "fp8_row" and "sint8/row"
    scale each token of each head, "q8_0" 32 channels of it, as llama.cpp's cache of that name.  Or "static", vLLM's fp8
    cache: the scales that the file has for the keys and the values of each layer or head, and 1 where it has none.
    Queries stay as they are, which some engines round too where attention computes in FP8.  A
    checkpoint whose config says that it is quantised in a way that may round inputs, or that has static scales of them,
    needs ``activations``: "dense" where they stay.  device: "cpu" or "cuda".  out: a .parquet or .csv to write; beside
    it OUT.partial keeps what the layers made, so that an interrupted evaluation of the same files, formats and text
    goes on behind its last layer.  progress: shows a bar, and before it, where the work is long, about how long it
    takes.

    ==================  ===============================================================================================
    format              as it was asked for
    activations, cache  the format of the inputs and of keys and values, or "static", or ""
    kl, kl_stderr       KL(model ‖ rounded model), nats per token, and its standard error over blocks
    rise, stderr        by how much the loss on the text rose, nats per token, and its standard error over blocks
    loss                of the model itself, nats per token
    gmse                ``rl.gmse`` of the format
    bits                stored per weight of the matrices, where those that the format cannot hold stay in 16 bits
    coverage            the share of their weights that are rounded
    quantised           the model's own matrices were rounded to 8 bits or fewer before: kl and rise are against that
                        rounded model, and misleadingly small for formats on its own grid
    ==================  ===============================================================================================

    ``rl.fit_sensitivity`` takes this table as it is.  The model is a plain Llama, in a folder or a GGUF file; with
    ``rholaw[transformers]`` any causal language model in a folder that transformers runs, if its layers follow one
    another and look at no later token, which is checked first.  Memory: two or three layers in float32, a slice of the
    head, on a GPU the embedding, and for each format and the model itself what a layer makes of the text (count ·
    length · width float32).  Raises ValueError before any work for a wrong path, format, device, text or ``out``, for a
    model that cannot be run, and for a format that rounds less than 95 % of the weights; during it for weights that are
    not finite.  A UserWarning of what engines do otherwise: where the file has scales of inputs or cache and others are
    used, by token or block, where static scales of the cache are 1, and of queries beside a cache in FP8; and where the
    model itself does no better than chance, which the table's attrs have as "doubt".
    """
    place, out, asked = usable_device(device), resumable.destination(out), named_formats(formats)
    running = _running(activations, "activations"), _running(cache, "keys and values")
    with opening.open(path) as checkpoint, refusals(f"{path} cannot be evaluated"):
        model = described(checkpoint, place, activations is not None)
        inner, stored = (checkpoint.scales if format == STATIC else format for format in running)
        _refuse_without_scales(inner, model)
        named = {name: Rounding(format, inner, stored) for name, format in asked.items()}
        blocks = llama.token_blocks(model.tokenizer, model.vocabulary, llama.text(text), count, length)
        shares = {name: _share(rounding, model) for name, rounding in named.items()}
        _refuse_partial(shares, named, model)
        stage = resumable.Stage(out, _key(checkpoint, named, blocks, place))
        work, ids = model.layers * (1 + len(named)), blocks[:, :-1]
        small = min(ids.numel(), TOKENS) * max(tensor.count for tensor in matrices(model)) < SMALL
        with alone() if small and place.type == "cpu" else nullcontext():
            with tqdm(total=work, desc="evaluate", unit="layer", disable=not progress, smoothing=0) as bar:
                states = _through(model, {DENSE: Rounding(None)} | named, ids, stage, place, bar)
            measured = _compared(model, states, blocks[:, 1:].to(place))
        told = otherwise(checkpoint.scales, inner, stored, model.layers)
    table = pd.DataFrame([_row(name, rounding, shares[name], measured) for name, rounding in named.items()])
    table["quantised"] = any(tensor.quantised for tensor in matrices(model))
    if out:
        resumable.write(table, out)
        stage.remove()
    if told:
        warnings.warn(f"{path}: {'; '.join(told)}", stacklevel=2)
    if (loss := table.loss[0]) > CHANCE * math.log(model.vocabulary):
        chance = f"no better than chance among its {model.vocabulary:,} tokens"
        table.attrs["doubt"] = f"Its own loss of {loss:.3g} nats a token is {chance}: {UNTRAINED}"
        warnings.warn(f"{path}: {table.attrs['doubt']}", stacklevel=2)
    return table


def coverage(path: str | Path, formats: str | Iterable[str | Format]) -> dict[str, float]:
    """{format: the share of the weights in the layers' matrices that it rounds}; ``evaluate`` needs LEAST.

    Reads headers only. Raises ValueError for what ``evaluate`` refuses of paths, formats and models.
    """
    with opening.open(path) as checkpoint, refusals(f"{path} cannot be evaluated"):
        model = described(checkpoint, torch.device("cpu"), told=True)
        named = named_formats(formats)
        return {name: _share(Rounding(format), model) for name, format in named.items()}


def described(checkpoint: Checkpoint, device: torch.device, told: bool = False) -> Layered:
    """The decoder in an open checkpoint: a plain Llama, else whatever transformers runs, where it is installed.

    told: what rounds its inputs is known; else a checkpoint that may say so is refused.  Raises ValueError where
    neither can run it.
    """
    llama_keys.refuse_changes(checkpoint)
    if not told:
        llama_keys.refuse_rounded_inputs(checkpoint)
    try:
        return layered.Llama(checkpoint, llama.described(checkpoint), device)
    except ValueError as error:
        if "general.architecture" in checkpoint.metadata:
            raise ValueError(f"{error}; of GGUF files only plain Llamas can be run") from None
        if importlib.util.find_spec("transformers") is None:
            raise ValueError(
                f"{error}; other models need transformers: pip install '.[transformers]' in this project's folder"
            ) from None
    from .transformed import Transformed  # which takes seconds to import

    return Transformed(checkpoint, device)


@torch.no_grad()
def _through(
    model: Layered,
    roundings: dict[str, Rounding],
    ids: torch.Tensor,
    stage: resumable.Stage,
    device: torch.device,
    bar: tqdm,
) -> dict[str, torch.Tensor]:
    """{name: what the last layer makes of ids (B, T), rounded so}, each (B, T, width)."""
    begun, states = model.embedded(ids), {name: state.to(device) for name, state in stage.state.items()}
    if not states:
        model.check(ids, list(roundings.values())[-1].kept)
        states = dict.fromkeys(roundings, begun)
    bar.update(stage.done * len(roundings))
    if not bar.disable and (line := estimate(model, list(roundings.values()), model.layers - stage.done, begun)):
        bar.write(line, file=sys.stderr)
    rows = max(1, TOKENS // ids.shape[1])
    for index in range(stage.done, model.layers):
        for name, rounding in roundings.items():
            parts = states[name].split(rows)
            states[name] = _each(
                model.layer(index, partial(rounding.read, device), rounding.inputs, rounding.kept(index)), parts
            )
            bar.update()
        stage.keep(index + 1, states)
    return states


def _each(step: Step, parts: Iterable[torch.Tensor]) -> torch.Tensor:
    """What a layer makes of all parts; in a function of its own, so that one layer's weights go before others come."""
    return torch.cat([step(part) for part in parts])


@torch.no_grad()
def _compared(
    model: Layered, states: dict[str, torch.Tensor], targets: torch.Tensor
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """{name: (KL from the model itself, loss)}, nats of each token, (B, T), by what the last layer made.

    Of each slice of the head: the logarithm of its sum of exponentials, the mean by which its logits differ from the
    model's own, weighted by the model's probabilities, and the target's logit.  KL and loss follow from these of all.
    """
    seen = {name: [] for name in states}
    for start in range(0, model.vocabulary, SLICE):
        stop = min(start + SLICE, model.vocabulary)
        head, inside = model.head(start, stop), (targets >= start) & (targets < stop)
        for block, place in enumerate(torch.where(inside, targets - start, 0)):
            own = head(states[DENSE][block])
            chances = own.softmax(-1)
            for name, state in states.items():
                logits = own if name == DENSE else head(state[block])
                hit = logits.gather(-1, place[:, None])[:, 0].where(inside[block], 0.0)
                gap = torch.linalg.vecdot(chances, own - logits)
                seen[name].append(torch.stack([_log_sum(logits), gap.double(), hit.double()]))
    parts = {name: torch.stack(rows).unflatten(0, (-1, len(targets))).unbind(2) for name, rows in seen.items()}
    own, outcome = parts[DENSE][0], {}
    for name, (sums, gaps, hits) in parts.items():
        total = sums.logsumexp(0)
        divergence = (own.softmax(0) * gaps).sum(0) + total - own.logsumexp(0)
        outcome[name] = divergence.cpu(), (total - hits.sum(0)).cpu()
    return outcome


def _log_sum(logits: torch.Tensor) -> torch.Tensor:
    """log Σ exp of each row, in float64: the sum is of float32, and its logarithm keeps those digits."""
    top = logits.amax(-1, keepdim=True)
    return top[:, 0].double() + (logits - top).exp_().sum(-1).double().log()


def _running(asked: str | Format | None, what: str) -> Format | str | None:
    """The Format of ``what`` passes by, STATIC, None for dense; ValueError for one that scales a whole tensor alone."""
    if asked == STATIC:
        return asked
    if asked is None or not (format := parse(asked) if isinstance(asked, str) else asked).parts:
        return None
    if format.element is None or not (format.block or format.element.own_scales):
        raise ValueError(
            f"{what} in {asked} have one scale for all tokens, which is not known while an engine runs; "
            "right would be a scale for each token, as in sint8/row or fp8_row, or for blocks, as in nvfp4"
        )
    return format


def _share(rounding: Rounding, model: Layered) -> float:
    """The share of the weights in the matrices of all layers that a format rounds."""
    rounded = sum(tensor.count for tensor in matrices(model) if rounding.rounds(tensor))
    return rounded / sum(tensor.count for tensor in matrices(model))


def _refuse_partial(shares: dict[str, float], named: dict[str, Rounding], model: Layered) -> None:
    """ValueError where a format rounds too little to speak of the model."""
    if partial := [name for name, share in shares.items() if share < LEAST]:
        left = [tensor for tensor in matrices(model) if not named[partial[0]].rounds(tensor)]
        first, name = max(left, key=lambda tensor: tensor.count), partial[0]
        raise ValueError(
            f"{name} would round {shares[name]:.0%} of the weights in its layers, at least {LEAST:.0%} are needed: "
            f"{first.name} has rows of {first.matrix[1]}, a multiple of {named[name].multiple} is needed"
        )


def _refuse_without_scales(inner: Format | Scales | None, model: Layered) -> None:
    """ValueError where static scales are asked for and the matrices have none that can be used."""
    if isinstance(inner, Scales) and not [tensor for tensor in matrices(model) if inner.step(tensor)]:
        raise ValueError("none of its matrices has a static scale of its inputs")


def _row(name: str, rounding: Rounding, share: float, measured: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> dict:
    (divergence, loss), (_, before) = measured[name], measured[DENSE]
    kl, kl_stderr = llama.over_blocks(divergence)
    rise, stderr = llama.over_blocks(loss - before)
    format, inner = rounding.format, rounding.activations
    row = {
        "format": name,
        "activations": str(inner) if inner else "",
        "cache": str(rounding.cache) if rounding.cache else "",
        "kl": kl,
        "kl_stderr": kl_stderr,
        "rise": rise,
        "stderr": stderr,
    }
    row |= {"loss": float(before.mean()), "gmse": gmse(format).value}
    return row | {"bits": share * format.bits + (1 - share) * DENSE_BITS, "coverage": share}


def _key(checkpoint: Checkpoint, named: dict[str, Rounding], blocks: torch.Tensor, device: torch.device) -> dict:
    """What must be the same for the layers of an interrupted evaluation to be of use."""
    texts = {
        name: [str(rounding.format), str(rounding.activations), str(rounding.cache)] for name, rounding in named.items()
    }
    tokens = hashlib.sha256(blocks.numpy()).hexdigest()
    config = json.dumps(checkpoint.metadata.get("config"), sort_keys=True, default=str)
    return {
        "files": resumable.stamps(checkpoint.files),
        "config": config,
        "formats": texts,
        "tokens": tokens,
        "device": device.type,
    }
