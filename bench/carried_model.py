"""The small decoder that the project carries, data/models/shakespeare-1m: trains it, and writes it as the hub would.

    python bench/carried_model.py build/carried.state   # half an hour on a core; the same command goes on after a kill

Its weights are in bfloat16, and no format has touched them: what rounding costs it is not hidden by a grid, as it is in
a published GGUF file.  The learning rate follows the schedule of SCHEDULE tokens up to step LEFT, and from there that
of TOKENS: a cool-down.
"""

import argparse
import datetime
import json
import math
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from rholaw import checkpoints
from rholaw.checkpoints import llama, llama_tensors
from rholaw.texts import tokens
from rholaw.train.config import Config
from rholaw.train.model import ROPE_BASE
from rholaw.train.trainer import HELD_OUT_TOKENS, Program

SCHEDULE, LEFT, TOKENS = 8_000_000, 603, 840 * 4096
CONFIG = Config(
    **{"layers": 4, "heads": 4, "width": 128, "hidden": 384, "context": 128, "vocabulary": 1024},
    **{"corpus": "shakespeare", "tokens": SCHEDULE, "batch_tokens": 4096, "lr": 0.005, "seed": 0},
)
CARD = """---
license: mit
language: en
library_name: transformers
---
# shakespeare-1m

A Llama of {n_params:,} parameters, and {rest:,} more in embedding and head, in bfloat16. It is an example to
measure on: no format has touched its weights. It knows Shakespeare's plays and nothing else.

- Made by `python bench/carried_model.py`, seed {seed}, on {device}; {date}.
- Text: {source}; clean text sha256 {sha256}.
- Trained on {n_tokens:,} tokens, {epochs:.1f} passes over the text, in steps of {batch_tokens:,} and contexts of
  {context}: the schedule of {schedule:,} tokens with a peak rate of {lr:g}, left at step {left} for this one.
- Held out: {loss:.4f} ± {stderr:.4f} nats per token, {bits:.3f} bits per byte, on {held_out:,} tokens of other plays.
- Unknown: how it does on any other text, and beyond {context} tokens.
"""


def main():
    """Train, write, and measure what was written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("state", type=Path, help="a file that keeps the training after a kill")
    state = parser.parse_args().state
    program = trained(state)
    folder = checkpoints.carried()["shakespeare-1m"]
    folder.mkdir(parents=True, exist_ok=True)
    write(program, folder)
    model = llama.load(folder)
    blocks = tokens.held_out_blocks(program.corpus.held_out, CONFIG.context, HELD_OUT_TOKENS // CONFIG.context)
    losses = model.losses(blocks).double().mean(dim=1)
    loss, stderr = float(losses.mean()), float(losses.std() / math.sqrt(len(losses)))
    record = program.records()[0]
    about = {name: record[name] for name in ("n_params", "device")}
    about |= {name: getattr(CONFIG, name) for name in ("seed", "lr", "batch_tokens", "context")}
    about |= {"source": program.corpus.source, "sha256": program.corpus.sha256, "schedule": SCHEDULE, "left": LEFT}
    about |= {"rest": 2 * CONFIG.vocabulary * CONFIG.width, "n_tokens": TOKENS, "held_out": blocks[:, 1:].numel()}
    about |= {"epochs": TOKENS / len(program.corpus.train), "date": datetime.date.today().isoformat()}
    about |= {"loss": loss, "stderr": stderr, "bits": loss / math.log(2) / program.corpus.bytes_per_token}
    (folder / "README.md").write_text(CARD.format(**about), encoding="utf-8")
    print((folder / "README.md").read_text(encoding="utf-8"))


def trained(state: Path) -> Program:
    """The Program at its last step."""
    program = Program([CONFIG])
    program.restore(state)
    while program.step < LEFT:
        program.advance()
        if program.step % 20 == 0:
            print(f"step {program.step} of {TOKENS // CONFIG.batch_tokens}", flush=True)
            program.save(state)
    program.config = replace(CONFIG, tokens=TOKENS)
    program.run(state)
    return program


def write(program: Program, folder: Path) -> None:
    """The weights, config.json and tokenizer.json as the Hugging Face hub has them."""
    model, names = program.model, llama_tensors.all_names(CONFIG.layers, 1, "model.layers")
    weights = {(-1, part): getattr(model, part) for part in ("embedding", "norm", "head")}
    for layer, block in enumerate(model.blocks):
        weights |= {(layer, part): getattr(block, part).weight for part in llama_tensors.LINEAR}
        weights |= {(layer, "attention norm"): block.attention_norm, (layer, "mlp norm"): block.mlp_norm}
    plain = {names[place]: one.detach()[0].squeeze(0).to(torch.bfloat16).contiguous() for place, one in weights.items()}
    save_file(plain, folder / "model.safetensors", {"format": "pt"})
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "dtype": "bfloat16"}
    config |= {"num_hidden_layers": CONFIG.layers, "hidden_size": CONFIG.width, "intermediate_size": CONFIG.hidden}
    config |= {"num_attention_heads": CONFIG.heads, "vocab_size": CONFIG.vocabulary, "rms_norm_eps": 1e-6}
    config |= {"max_position_embeddings": CONFIG.context, "rope_theta": ROPE_BASE, "tie_word_embeddings": False}
    config |= {"bos_token_id": None, "eos_token_id": 0}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (folder / "tokenizer.json").write_text(program.corpus.tokenizer, encoding="utf-8")


if __name__ == "__main__":
    main()
