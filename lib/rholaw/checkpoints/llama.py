"""A Llama decoder and its tokenizer out of a checkpoint, to measure what compressing its weights costs in loss.

model = llama.load(path)
blocks = llama.blocks(model, llama.text("shakespeare"), count=16)
before, after = model.losses(blocks), model.compressed(rl.parse("nvfp4")).losses(blocks)
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tokenizers
import torch
import torch.nn.functional as F
from tqdm import tqdm

from ..checked import shown
from ..formats.format import Format
from ..texts import corpora
from ..texts.tokens import held_out_blocks
from ..untrusted import refusals
from . import llama_keys, llama_tensors, opening, streaming, tokenizing
from .llama_tensors import LINEAR, Place
from .opening import Checkpoint
from .tensors import Tensor

ROWS = 2048  # tokens that pass through the layers together

FACTORS = "rope_freqs.weight"  # of GGUF: what divides the frequencies of the rotary positions
BUFFERS = (".inv_freq", ".cos_cached", ".sin_cached")  # what older files keep, and every reader computes anew
Observer = Callable[[str, torch.Tensor], None] | None
Given = Callable[[str, torch.Tensor], torch.Tensor] | None
Kept = tuple[Callable[[torch.Tensor], torch.Tensor], ...] | None


@dataclass(frozen=True, eq=False)
class Decoder:
    """A Llama: RMSNorm, rotary positions, grouped-query attention, a gated MLP.

    frequencies: of the rotary positions (half a head,), radians from token to token.  activation: of the gate, a name
    in ``llama_keys.ACTIVATIONS``.  interleaved: whether neighbouring channels turn together, as in GGUF, or channels
    half a head apart.  names: {(layer, part): name in the file}, layer −1 for what is there once; "query bias" is the
    part of a bias, where there is one.  weights: {name in the file: float32 tensor}.
    """

    layers: int
    heads: int
    frequencies: torch.Tensor
    activation: str
    eps: float
    interleaved: bool
    names: dict[Place, str] = field(repr=False)
    weights: dict[str, torch.Tensor] = field(repr=False)
    tokenizer: tokenizers.Tokenizer = field(repr=False)

    @property
    def linear(self) -> dict[str, Place]:
        """{name: (layer, part)} of the matrices of the blocks: all weights but embedding, head and norms."""
        return {name: place for place, name in self.names.items() if place[1] in LINEAR}

    def with_weights(self, changed: dict[str, torch.Tensor]) -> "Decoder":
        """The same model with other weights: {name: tensor}; it shares the rest."""
        return replace(self, weights=self.weights | changed)

    def compressed(self, format: Format, names: Iterable[str] | None = None) -> "Decoder":
        """The model with the matrices ``names`` (all of ``linear``) as ``format`` stores them.

        Matrices whose rows the format does not divide stay as they are, as in a survey.
        """
        chosen = {name: self.weights[name] for name in names or self.linear}
        divided = {name: weight for name, weight in chosen.items() if weight.shape[1] % format.multiple == 0}
        return self.with_weights({name: format.quantize(weight) for name, weight in divided.items()})

    def losses(self, blocks: torch.Tensor, observe: Observer = None, progress: bool = False) -> torch.Tensor:
        """Nats per token, (B, T), of token ids ``blocks`` (B, T + 1).

        observe: called with the name of each matrix and its inputs (tokens, columns) whenever it is used.
        """
        losses = []
        parts = blocks.split(max(1, ROWS // blocks.shape[1]))
        for part in tqdm(parts, desc="loss", unit="batch", disable=not progress):
            hidden, targets = self._hidden(part[:, :-1], observe), part[:, 1:]
            for row, target in zip(hidden, targets, strict=True):  # one at a time: logits are wide
                losses.append(F.cross_entropy(self.logits(row), target, reduction="none"))
        return torch.stack(losses)

    def continued(self, text: str, count: int) -> str:
        """``text`` and the ``count`` tokens that are likeliest one after another."""
        ids = torch.tensor(self.tokenizer.encode(text).ids)
        for _ in range(count):
            ids = torch.cat([ids, self.logits(self._hidden(ids[None])[0, -1:]).argmax(-1)])
        return self.tokenizer.decode(ids.tolist())

    def _weight(self, part: str, layer: int = -1) -> torch.Tensor:
        return self.weights[self.names[layer, part]]

    @torch.no_grad()
    def _hidden(self, ids: torch.Tensor, observe: Observer = None) -> torch.Tensor:
        """What the last layer makes of ids (B, T): (B, T, width)."""
        x = self.embedded(ids)
        for layer in range(self.layers):
            x = self.after(x, layer, observe)
        return x

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """What the first layer sees: ids (B, T) → (B, T, width)."""
        return F.embedding(ids, self._weight("embedding"))

    @torch.no_grad()
    def after(
        self, x: torch.Tensor, layer: int, observe: Observer = None, given: Given = None, kept: Kept = None
    ) -> torch.Tensor:
        """What a layer makes of ``x`` (B, T, width); of the weights it needs its own alone.

        given: called with the name of each matrix and its inputs (B, T, columns), for what it is given instead.
        kept: what its keys, once turned, and its values (B, heads, T, channels) are kept as, two functions.
        """
        rows, length = x.shape[:2]
        angle, activated = torch.arange(length)[:, None] * self.frequencies, llama_keys.ACTIVATIONS[self.activation]
        turn = torch.stack([angle.cos(), angle.sin()]).to(x.device)  # (2, length, half a head): Su et al. 2021

        def linear(y: torch.Tensor, part: str) -> torch.Tensor:
            if observe:
                observe(self.names[layer, part], y.reshape(-1, y.shape[-1]))
            y = given(self.names[layer, part], y) if given else y
            return F.linear(y, self._weight(part, layer), self.weights.get(self.names.get((layer, f"{part} bias"))))

        def heads(y: torch.Tensor) -> torch.Tensor:
            return y.view(rows, length, -1, turn.shape[-1] * 2).transpose(1, 2)

        y = self._norm(x, "attention norm", layer)
        query, key, value = (heads(linear(y, part)) for part in ("query", "key", "value"))
        query, key = self._turned(query, turn), self._turned(key, turn)
        key, value = (kept[0](key), kept[1](value)) if kept else (key, value)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        x = x + linear(mixed.transpose(1, 2).reshape(rows, length, -1), "out")
        y = self._norm(x, "mlp norm", layer)
        return x + linear(activated(linear(y, "gate")) * linear(y, "up"), "down")

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """What the head says of ``x`` (…, width), which the last layer made: (…, rows of the head)."""
        return self._norm(x, "norm") @ self._weight("head").T

    def _norm(self, x: torch.Tensor, part: str, layer: int = -1) -> torch.Tensor:
        return F.rms_norm(x, x.shape[-1:], self._weight(part, layer), self.eps)

    def _turned(self, x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        cos, sin = turn
        a, b = (x[..., 0::2], x[..., 1::2]) if self.interleaved else x.chunk(2, -1)
        pair = a * cos - b * sin, a * sin + b * cos
        return torch.stack(pair, -1).flatten(-2) if self.interleaved else torch.cat(pair, -1)


def load(path: str | Path) -> Decoder:
    """The Decoder in a checkpoint: a GGUF file, or a folder with config.json and tokenizer.json beside the weights.

    Raises ValueError for what ``opening.open`` and ``described`` refuse, where engines may round inputs too, and for a
    weight that is no finite number.
    """
    with opening.open(path) as checkpoint, refusals(f"{path} cannot be run as a Llama"):
        llama_keys.refuse_changes(checkpoint)
        llama_keys.refuse_rounded_inputs(checkpoint)
        model = described(checkpoint)
        tensors = {tensor.name: tensor for tensor in checkpoint.tensors}
        return model.with_weights({name: values(tensors[name]) for name in dict.fromkeys(model.names.values())})


def described(checkpoint: Checkpoint) -> Decoder:
    """The Decoder in an open checkpoint, without its weights.

    Raises ValueError for another architecture than Llama's and for a key that is not known to be computed
    (``llama_keys``), for a tensor too many, too few or of another shape, and for a tokenizer that cannot be built or
    has a token without a row in the embedding.
    """
    config, is_gguf = checkpoint.config, "general.architecture" in checkpoint.metadata
    config.require("family")
    if config.family != "llama":
        raise ValueError(f"its {config.keys['family']} is {config.family!r}")
    config.require("layers", "heads", "eps")
    said = None if is_gguf else checkpoint.metadata["config"]
    function = llama_keys.of_gguf(checkpoint.metadata, config.source) if is_gguf else llama_keys.of_json(said)
    tensors = {tensor.name: tensor for tensor in checkpoint.tensors if not tensor.name.endswith(BUFFERS)}
    factors = values(tensors.pop(FACTORS)) if is_gguf and FACTORS in tensors else None
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    names = llama_tensors.names(shapes, config.layers, said)
    frequencies = function.frequencies(llama_tensors.head_size(config, names, shapes), factors)
    head, embedding = (tensors[names[-1, part]] for part in ("head", "embedding"))
    doubtful = said and said.get("tie_word_embeddings") and head is not embedding
    if doubtful and not torch.equal(values(head), values(embedding)):
        raise ValueError(f"config.json: tie_word_embeddings is true, and {head.name} is not the embedding")
    tokenizer = tokenizing.built(checkpoint, embedding.shape[0])
    layers, heads, activation = config.layers, config.heads, function.activation
    return Decoder(layers, heads, frequencies, activation, config.eps, is_gguf, names, {}, tokenizer)


def text(name: str, held_out: bool = True) -> str:
    """The documents of a corpus that are held out (or all others), one after another; or what a text file holds.

    ValueError for a name that is neither a corpus of ``texts.corpora`` nor a file, and for a file that is not UTF-8.
    """
    try:
        is_file = Path(name).is_file()
    except (OSError, ValueError):  # far too long for a name, or a zero byte
        raise ValueError(
            f"{shown(name)} is the name of no corpus or file; write a text of your own to a file"
        ) from None
    if is_file:
        return Path(name).read_text(encoding="utf-8")
    if Path(name).suffix and not name.startswith("file:"):
        raise ValueError(f"there is no file {name}")
    documents, _, _ = corpora.read(name)
    return "\n".join(documents[name] for name in corpora.split(documents)[held_out])


def blocks(model: Decoder, text: str, count: int, length: int = 256) -> torch.Tensor:
    """``count`` blocks spread evenly over ``text``, token ids (count, length + 1). ValueError as ``token_blocks``."""
    return token_blocks(model.tokenizer, len(model._weight("embedding")), text, count, length)


def token_blocks(tokenizer: tokenizers.Tokenizer, rows: int, text: str, count: int, length: int = 256) -> torch.Tensor:
    """The same of a tokenizer for a model whose embedding has so many ``rows``.

    Where the tokenizer puts a token before every text, each block begins with that: some models need it.
    ValueError where the text is too short, or its tokens are none of the model's.
    """
    [whole] = tokenizer.encode_batch_fast([text], add_special_tokens=False)  # without places in the text: half the time
    ids = np.array(whole.ids)
    if len(ids) and ids.max() >= rows:
        raise ValueError(f"its tokenizer gives token {ids.max()}, and the embedding has {rows} rows")
    tokenizing.refuse_unknown(tokenizer, text, ids)
    chosen, first = held_out_blocks(ids, length, count), tokenizer.encode("a").ids
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    if plain and first[1 : 1 + len(plain)] == plain:  # whatever it puts behind
        chosen[:, 0] = first[0]
    return chosen


def increase(before: torch.Tensor, after: torch.Tensor) -> tuple[float, float]:
    """(Δ, standard error): by how much the mean of losses (B, T) rose, in nats per token; blocks are the sample."""
    return over_blocks(after - before)


def over_blocks(values: torch.Tensor) -> tuple[float, float]:
    """(mean, its standard error) of values (B, T) whose blocks are the sample; nan for one block."""
    blocks = values.double().mean(dim=1)
    return float(blocks.mean()), float(blocks.std() / math.sqrt(len(blocks))) if len(blocks) > 1 else math.nan


def bits_per_byte(model: Decoder, losses: torch.Tensor, blocks: torch.Tensor) -> float:
    """The sum of ``losses`` in bits over the UTF-8 bytes of the text that the blocks ask for."""
    size = sum(len(text.encode()) for text in model.tokenizer.decode_batch(blocks[:, 1:].tolist()))
    return float(losses.sum(dtype=torch.float64)) / math.log(2) / size


def values(tensor: Tensor) -> torch.Tensor:
    """All of a Tensor in float32. Raises ValueError as ``finite``."""
    return finite(tensor.read(), tensor)


def finite(values: torch.Tensor, tensor: Tensor) -> torch.Tensor:
    """Some values of a Tensor in float32; ValueError, with its name and the place, where one is no finite number."""
    if not values.is_floating_point():
        raise ValueError(f"{tensor.name} holds {tensor.dtype}, which are no weights")
    if not (values := values.float()).isfinite().all():
        raise ValueError(f"{tensor.name} has {streaming.non_finite(tensor)}")
    return values
