"""What calibrated rounding saves: llm-compressor's GPTQ, AWQ and AutoRound beside rounding to nearest.

    python bench/methods.py FOLDER   # minutes on one core; then `python -m rholaw data update measured/methods`

Each method makes checkpoints of data/models/shakespeare-1m in FOLDER, calibrated on blocks of the plays that the model
was trained on.  They are read as any others are, and compared with the model itself on held-out blocks.  Install
llmcompressor beside this project; it takes torch as it is.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.autoround import AutoRoundModifier
from llmcompressor.modifiers.gptq import GPTQModifier
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.modifiers.transform.awq import AWQModifier
from llmcompressor.pipelines.cache import IntermediatesCache
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import rholaw as rl
from rholaw import checkpoints, tables
from rholaw.checkpoints import llama
from rholaw.texts import tokens

MODEL = checkpoints.carried()["shakespeare-1m"]
LENGTH, BLOCKS = 128, 256  # of the held-out text
FORMATS = [(4, 128), (3, 128), (4, 32)]  # bits, weights that share a scale
SAMPLES, DRAWS = 128, {"gptq": 3, "awq": 3, "autoround": 1}  # blocks of calibration, and how often they are drawn
FEWER = 16  # blocks, in the first of the formats
if not torch.accelerator.is_available():  # its AWQ pins memory, which torch refuses where there is nothing to copy to
    IntermediatesCache.pin_memory = lambda *_: None


def recipe(method: str, bits: int, size: int) -> list:
    """Modifiers of llm-compressor that round all matrices of the blocks, symmetrically, with a scale a group."""
    weights = {"num_bits": bits, "type": "int", "symmetric": True, "strategy": "group", "group_size": size}
    about = {"config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}, "ignore": ["lm_head"]}
    if method == "autoround":
        return [AutoRoundModifier(**about, enable_torch_compile=False)]
    last = GPTQModifier(**about) if method == "gptq" else QuantizationModifier(**about)
    return [AWQModifier(), last] if method == "awq" else [last]


def calibration(ids: np.ndarray, samples: int, seed: int) -> Dataset:
    """Blocks of the text of training, drawn by the seed."""
    blocks = tokens.batches(ids, LENGTH, samples, seed, 0)[:, :-1]
    return Dataset.from_dict({"input_ids": blocks.tolist(), "attention_mask": torch.ones_like(blocks).tolist()})


def write(folder: Path, recipe: list, data: Dataset | None) -> None:
    """The checkpoint that llm-compressor makes.  Its AutoRound takes calibration a block at a time only."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(MODEL / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    together = 1 if isinstance(recipe[0], AutoRoundModifier) else 16
    count = {"num_calibration_samples": len(data), "batch_size": together} if data else {}
    oneshot(model=model, tokenizer=tokenizer, dataset=data, recipe=recipe, max_seq_length=LENGTH, **count)
    model.save_pretrained(folder, save_compressed=True)
    (folder / "tokenizer.json").write_bytes((MODEL / "tokenizer.json").read_bytes())


@torch.no_grad()
def log_probabilities(model: llama.Decoder, blocks: torch.Tensor) -> torch.Tensor:
    """(blocks, tokens, vocabulary)."""
    parts = []
    for part in blocks.split(16):
        x = model.embedded(part[:, :-1])
        for layer in range(model.layers):
            x = model.after(x, layer)
        parts.append(model.logits(x).log_softmax(-1))
    return torch.cat(parts)


class Measured:
    """The model itself, and rows of what others do in its place."""

    def __init__(self):
        self.model = llama.load(MODEL)
        self.blocks = llama.blocks(self.model, llama.text("shakespeare"), BLOCKS, LENGTH)
        self.said = log_probabilities(self.model, self.blocks)

    def row(self, other: llama.Decoder) -> dict:
        """KL(model ‖ other), the rise of the loss, and the error of the weights (none of AWQ: it moves scales)."""
        now, kl, rise = log_probabilities(other, self.blocks), [], []
        for block, before, after in zip(self.blocks, self.said, now, strict=True):
            kl.append((before.double().exp() * (before.double() - after.double())).sum(-1).mean())
            rise.append((before - after).gather(-1, block[1:, None]).double().mean())
        pairs = [(self.model.weights[name].double(), other.weights[name].double()) for name in self.model.linear]
        error = sum((b - a).square().sum() for a, b in pairs) / sum(a.square().sum() for a, _ in pairs)
        row = {"error": float(error)}
        for name, values in {"kl": torch.stack(kl), "rise": torch.stack(rise)}.items():
            row |= {name: float(values.mean()), f"{name}_stderr": float(values.std() / len(values) ** 0.5)}
        return row


def main() -> None:
    """Write the checkpoints, measure them, and write the table; its manifest is completed by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    measured = Measured()
    ids = np.array(measured.model.tokenizer.encode(llama.text("shakespeare", held_out=False)).ids)
    jobs = [("rtn", bits, size, 0, 0) for bits, size in FORMATS]
    for method, draws in DRAWS.items():
        jobs += [(method, bits, size, SAMPLES, seed) for bits, size in FORMATS for seed in range(draws)]
    jobs += [(method, *FORMATS[0], FEWER, seed) for method in ("gptq", "awq") for seed in range(3)]
    rows = []
    for method, bits, size, samples, seed in jobs:
        format = rl.parse(f"fint{bits}/g{size}:bf16")
        about = {"format": str(format), "gmse": float(rl.gmse(format)), "samples": samples, "seed": seed}
        path = folder / f"{method}-{bits}-{size}-{samples}-{seed}"
        if not path.exists():
            write(path, recipe(method, bits, size), calibration(ids, samples, seed) if samples else None)
        other = llama.load(path)
        rows.append({"method": method} | about | measured.row(other))
        if method == "awq":
            rows[-1]["error"] = None
        if method == "rtn":
            own = measured.model.compressed(format)
            rows.append({"method": "rtn here"} | about | measured.row(own))
            pairs = [(own.weights[name], other.weights[name]) for name in own.linear]
            differing = sum(int((a != b).sum()) for a, b in pairs) / sum(a.numel() for a, _ in pairs)
            print(f"{format}: {differing:.2%} of the weights are others than by llm-compressor")
        print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    frame.to_csv(tables.DATA / "measured" / "methods.csv", index=False, lineterminator="\n", float_format="%.6g")


if __name__ == "__main__":
    main()
