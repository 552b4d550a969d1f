"""A tiny Llama with random weights, as the trainer has it, and written as a folder of the hub or a GGUF file."""

import json

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

from rholaw.checkpoints import llama_tensors
from rholaw.texts import tokens as corpus
from rholaw.train.config import Config, llama
from rholaw.train.model import Decoder

TEXT = "the law of capacity holds for every format whose error is small, in 2024 as in 1948\n" * 20
TOKENIZER = corpus.learn([TEXT], 280)
SHAPE = {"width": 32, "layers": 2, "heads": 4}
TINY = Config(
    **llama(**SHAPE), context=16, vocabulary=280, corpus="shakespeare", tokens=64, batch_tokens=16, lr=0.01, seed=3
)
CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4, "rms_norm_eps": 1e-6}
METADATA = {"block_count": 2, "attention.head_count": 4, "attention.layer_norm_rms_epsilon": 1e-6}


def trained():
    """(a decoder of the trainer, with norms that do something, and its weights by (layer, part))."""
    model = Decoder([TINY])
    generator = torch.Generator().manual_seed(0)
    found = {(-1, "embedding"): model.embedding, (-1, "norm"): model.norm, (-1, "head"): model.head}
    for layer, block in enumerate(model.blocks):
        found |= {(layer, part): getattr(block, part).weight for part in llama_tensors.LINEAR}
        found |= {(layer, "attention norm"): block.attention_norm, (layer, "mlp norm"): block.mlp_norm}
    for place, weight in found.items():
        if "norm" in place[1]:
            weight.data = 1 + 0.3 * torch.randn(weight.shape, generator=generator)
    return model, {place: weight.detach().squeeze(0).squeeze(0).contiguous() for place, weight in found.items()}


def hub(folder, weights, config=CONFIG, tokenizer=TOKENIZER, **more):
    """A folder as the Hugging Face hub lays it out."""
    folder.mkdir(exist_ok=True)
    names = llama_tensors.all_names(2, 1, "model.layers")
    save_file({names[place]: weight for place, weight in weights.items()} | more, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    if tokenizer:
        tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def neighbours(weight):
    """Rows of queries or keys as GGUF orders them: what the hub keeps half a head apart lies side by side."""
    return weight.view(SHAPE["heads"], 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def gguf_file(path, weights, architecture="llama", pre="gpt-2", more=None, types=None, about=None, **changes):
    """The same as a GGUF file, with ``more`` tensors by name, other types of tokens, other keys.

    pre: how words are split, None where nothing is said; about: keys as they stand there.
    """
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in ({f"llama.{key}": value for key, value in (METADATA | changes).items()} | (about or {})).items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string, bool: writer.add_bool}
        add[type(value)](key, value)
    described = json.loads(TOKENIZER.to_str())["model"]
    tokens = sorted(described["vocab"], key=described["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([(types or {0: 3}).get(token, 1) for token in range(len(tokens))])
    writer.add_token_merges([" ".join(merge) for merge in described["merges"]])
    for place, name in llama_tensors.all_names(2, 0, "blk").items():
        if place in weights:
            turned = neighbours(weights[place]) if place[1] in ("query", "key") else weights[place]
            writer.add_tensor(name, turned.numpy().astype(np.float32))
    for name, tensor in (more or {}).items():
        writer.add_tensor(name, tensor.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
