"""A Llama decoder and its tokenizer out of a checkpoint, to measure what compressing its weights costs in loss.

model = language.load(path)
blocks = language.blocks(model, language.text("shakespeare"), count=16)
before, after = model.losses(blocks), model.compressed(rl.parse("nvfp4")).losses(blocks)
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tokenizers
import torch
import torch.nn.functional as F
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tqdm import tqdm

from ..texts import corpora as texts
from ..texts.tokens import held_out_blocks
from . import opening as checkpoints

ROWS = 2048  # tokens that pass through the layers together
# GGUF's names of ways to split words, all as GPT-2 does but for digits → what comes before.
DIGITS = {"gpt-2": [], "smollm": [pre_tokenizers.Digits(individual_digits=True)]}
CONTROL = 3  # the type that GGUF gives tokens which no text contains

# What a Llama consists of, as this module calls it, as GGUF does, and as the Hugging Face hub does.
LINEAR = {
    **{"query": ("attn_q", "self_attn.q_proj"), "key": ("attn_k", "self_attn.k_proj")},
    **{"value": ("attn_v", "self_attn.v_proj"), "out": ("attn_output", "self_attn.o_proj")},
    **{"gate": ("ffn_gate", "mlp.gate_proj"), "up": ("ffn_up", "mlp.up_proj"), "down": ("ffn_down", "mlp.down_proj")},
}
NORMS = {"attention norm": ("attn_norm", "input_layernorm"), "mlp norm": ("ffn_norm", "post_attention_layernorm")}
ONCE = {"embedding": ("token_embd", "model.embed_tokens"), "norm": ("output_norm", "model.norm")}
ONCE |= {"head": ("output", "lm_head")}


@dataclass(frozen=True, eq=False)
class Decoder:
    """A Llama: RMSNorm, rotary positions, grouped-query attention, SwiGLU, no biases.

    weights: {name in the file: float32 tensor}.  names: {(layer, part): name in the file}, layer −1 for what is there
    once.  interleaved: whether neighbouring channels turn together, as in GGUF, or channels half a head apart.
    """

    layers: int
    heads: int
    base: float
    eps: float
    interleaved: bool
    names: dict = field(repr=False)
    weights: dict = field(repr=False)
    tokenizer: tokenizers.Tokenizer = field(repr=False)

    @property
    def linear(self):
        """{name: (layer, part)} of the matrices of the blocks: all weights but embedding, head and norms."""
        return {name: place for place, name in self.names.items() if place[1] in LINEAR}

    def with_weights(self, changed):
        """The same model with other weights: {name: tensor}; it shares the rest."""
        return replace(self, weights=self.weights | changed)

    def compressed(self, format, names=None):
        """The model with the matrices ``names`` (all of ``linear``) as ``format`` stores them.

        Matrices whose rows the format does not divide stay as they are, as in a survey.
        """
        chosen = {name: self.weights[name] for name in names or self.linear}
        divided = {name: weight for name, weight in chosen.items() if weight.shape[1] % format.multiple == 0}
        return self.with_weights({name: format.quantize(weight) for name, weight in divided.items()})

    def losses(self, blocks, observe=None, progress=False):
        """Nats per token, (B, T), of token ids ``blocks`` (B, T + 1).

        observe: called with the name of each matrix and its inputs (tokens, columns) whenever it is used.
        """
        found = []
        parts = blocks.split(max(1, ROWS // blocks.shape[1]))
        for part in tqdm(parts, desc="loss", unit="batch", disable=not progress):
            hidden, targets = self._hidden(part[:, :-1], observe), part[:, 1:]
            for row, target in zip(hidden, targets, strict=True):  # one at a time: logits are wide
                found.append(F.cross_entropy(self._logits(row), target, reduction="none"))
        return torch.stack(found)

    def continued(self, text, count):
        """``text`` and the ``count`` tokens that are likeliest one after another."""
        ids = torch.tensor(self.tokenizer.encode(text).ids)
        for _ in range(count):
            ids = torch.cat([ids, self._logits(self._hidden(ids[None])[0, -1:]).argmax(-1)])
        return self.tokenizer.decode(ids.tolist())

    def _weight(self, part, layer=-1):
        return self.weights[self.names[layer, part]]

    def _logits(self, x):
        return x @ self._weight("head").T

    @torch.no_grad()
    def _hidden(self, ids, observe=None):
        """What the head sees: ids (B, T) → (B, T, width)."""
        rows, length = ids.shape
        x = F.embedding(ids, self._weight("embedding"))
        turn = self._turns(length)

        def linear(y, part, layer):
            if observe:
                observe(self.names[layer, part], y.reshape(-1, y.shape[-1]))
            return F.linear(y, self._weight(part, layer))

        def heads(y):
            return y.view(rows, length, -1, turn.shape[-1] * 2).transpose(1, 2)

        for layer in range(self.layers):
            y = self._norm(x, "attention norm", layer)
            query, key, value = (heads(linear(y, part, layer)) for part in ("query", "key", "value"))
            query, key = self._turned(query, turn), self._turned(key, turn)
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
            x = x + linear(mixed.transpose(1, 2).reshape(rows, length, -1), "out", layer)
            y = self._norm(x, "mlp norm", layer)
            x = x + linear(F.silu(linear(y, "gate", layer)) * linear(y, "up", layer), "down", layer)
        return self._norm(x, "norm")

    def _norm(self, x, part, layer=-1):
        return F.rms_norm(x, x.shape[-1:], self._weight(part, layer), self.eps)

    def _turns(self, length):
        """cos and sin (2, length, half a head) of the rotary positions (Su et al. 2021)."""
        size = self._weight("query", 0).shape[0] // self.heads
        angle = torch.arange(length)[:, None] * self.base ** (-torch.arange(0, size, 2) / size)
        return torch.stack([angle.cos(), angle.sin()])

    def _turned(self, x, turn):
        cos, sin = turn
        a, b = (x[..., 0::2], x[..., 1::2]) if self.interleaved else x.chunk(2, -1)
        pair = a * cos - b * sin, a * sin + b * cos
        return torch.stack(pair, -1).flatten(-2) if self.interleaved else torch.cat(pair, -1)


def load(path):
    """The Decoder in a checkpoint: a GGUF file, or a folder with config.json and tokenizer.json beside the weights.

    Raises ValueError for what ``checkpoints.open`` refuses, for another architecture than Llama's, a tensor too many or
    too few, and for a tokenizer that cannot be built.
    """
    with checkpoints.open(path) as checkpoint:
        try:
            read = _gguf if "general.architecture" in checkpoint.metadata else _hub
            settings, names, tokenizer = read(checkpoint)
        except KeyError as error:
            raise ValueError(f"{path} cannot be run as a Llama: nothing says what its {error} is") from None
        except ValueError as error:
            raise ValueError(f"{path} cannot be run as a Llama: {error}") from None
        there = {tensor.name for tensor in checkpoint.tensors}
        if names[-1, "head"] not in there:
            names[-1, "head"] = names[-1, "embedding"]
        if odd := sorted(there ^ set(names.values())):
            raise ValueError(f"{path} cannot be run as a Llama: it {'has' if odd[0] in there else 'lacks'} {odd[0]!r}")
        weights = {tensor.name: tensor.read().float() for tensor in checkpoint.tensors}
    return Decoder(**settings, names=names, weights=weights, tokenizer=tokenizer)


def text(name, held_out=True):
    """The documents of a corpus that are held out (or all others), one after another; or what a text file holds.

    ValueError for a name that is neither a corpus of ``train.texts`` nor a file, and for a file that is not UTF-8.
    """
    if Path(name).is_file():
        return Path(name).read_text(encoding="utf-8")
    if Path(name).suffix and not name.startswith("file:"):
        raise ValueError(f"there is no file {name}")
    documents, _, _ = texts.read(name)
    return "\n".join(documents[each] for each in texts.split(documents)[held_out])


def blocks(model, text, count, length=256):
    """``count`` blocks spread evenly over ``text``, token ids (count, length + 1); ValueError where it is too short."""
    ids = model.tokenizer.encode(text, add_special_tokens=False).ids
    return held_out_blocks(np.array(ids), length, count)


def increase(before, after):
    """(Δ, standard error): by how much the mean of losses (B, T) rose, in nats per token; blocks are the sample."""
    difference = (after - before).double().mean(dim=1)
    return float(difference.mean()), float(difference.std() / math.sqrt(len(difference)))


def bits_per_byte(model, losses, blocks):
    """The sum of ``losses`` in bits over the UTF-8 bytes of the text that the blocks ask for."""
    size = sum(len(text.encode()) for text in model.tokenizer.decode_batch(blocks[:, 1:].tolist()))
    return float(losses.sum(dtype=torch.float64)) / math.log(2) / size


def _names(layers, scheme, block):
    """{(layer, part): name in the file}."""
    names = {(-1, part): f"{schemes[scheme]}.weight" for part, schemes in ONCE.items()}
    for layer in range(layers):
        names |= {(layer, part): f"{block}.{layer}.{s[scheme]}.weight" for part, s in (LINEAR | NORMS).items()}
    return names


def _gguf(checkpoint):
    """(settings, names, tokenizer) from the metadata of GGUF."""
    about = checkpoint.metadata
    if about["general.architecture"] != "llama":
        raise ValueError(f"its architecture is {about['general.architecture']!r}")
    settings = {
        "layers": about["llama.block_count"],
        "heads": about["llama.attention.head_count"],
        "base": about.get("llama.rope.freq_base", 10_000.0),
        "eps": about["llama.attention.layer_norm_rms_epsilon"],
        "interleaved": True,
    }
    return settings, _names(settings["layers"], 0, "blk"), _gguf_tokenizer(about)


def _gguf_tokenizer(about):
    """Byte-level BPE with the file's own tokens and merges."""
    kind, split = about["tokenizer.ggml.model"], about.get("tokenizer.ggml.pre", "gpt-2")
    if kind != "gpt2" or split not in DIGITS:
        raise ValueError(
            f"its tokenizer is {kind!r} with words split as {split!r}; only 'gpt2' with {', '.join(DIGITS)}"
        )
    tokens, merges = about["tokenizer.ggml.tokens"], about["tokenizer.ggml.merges"]
    places = {token: place for place, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(models.BPE(places, [tuple(merge.split(" ")) for merge in merges]))
    kinds = zip(tokens, about["tokenizer.ggml.token_type"], strict=True)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token, kind in kinds if kind == CONTROL])
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*DIGITS[split], words])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _hub(checkpoint):
    """(settings, names, tokenizer) from config.json and tokenizer.json."""
    about = checkpoint.metadata.get("config", {})
    rotary = about.get("rope_parameters") or about
    scaled = (about.get("rope_scaling") or rotary).get("rope_type", "default")
    if about["model_type"] != "llama" or scaled != "default":
        raise ValueError(f"its model_type is {about['model_type']!r}, its rotary positions {scaled!r}")
    settings = {
        "layers": about["num_hidden_layers"],
        "heads": about["num_attention_heads"],
        "base": rotary.get("rope_theta", 10_000.0),
        "eps": about["rms_norm_eps"],
        "interleaved": False,
    }
    file = checkpoint.files[0].parent / "tokenizer.json"
    if not file.is_file():
        raise ValueError("there is no tokenizer.json beside it")
    return settings, _names(settings["layers"], 1, "model.layers"), tokenizers.Tokenizer.from_file(str(file))
