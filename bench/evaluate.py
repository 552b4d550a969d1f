"""Seconds and peak memory of an evaluation layer by layer, beside one of whole models, each in a process of its own.

    python bench/evaluate.py [--layers 16] [--width 2048] [--count 4] [--length 64] [--folder FOLDER] [--record]

The model is synthetic: a Llama of the shape of Llama 3.2 1B, its weights N(0, 0.02²) in bf16, written for the time of
the run (2.5 GB).  Whole: ``llama.load``, then the losses of it and of a compressed copy a format.  With transformers
installed, its path on the same folder too.  ``--record`` writes data/measured/evaluation.csv, for which then `python -m
rholaw data update measured/evaluation`.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw import files, tables
from rholaw.checkpoints import evaluating, llama, llama_tensors
from rholaw.texts import tokens

TABLE = "measured/evaluation"
FORMATS = ["fp8_row", "int4/g64", "nvfp4"]
VOCABULARY, HEADS, KEYS = 128_256, 32, 8


def write(folder, layers, width):
    """The folder of a random Llama, which shares its embedding with its head, and a text that its tokenizer knows."""
    size, wide = width // HEADS, 4 * width
    config = {"model_type": "llama", "num_hidden_layers": layers, "hidden_size": width, "intermediate_size": wide}
    config |= {"num_attention_heads": HEADS, "num_key_value_heads": KEYS, "head_dim": size, "vocab_size": VOCABULARY}
    config |= {"rms_norm_eps": 1e-5, "rope_theta": 500_000.0, "tie_word_embeddings": True, "hidden_act": "silu"}
    text = llama.text("shakespeare")[:200_000]
    tokens.learn([text], 512).save(str(folder / "tokenizer.json"))
    (folder / "text").write_text(text)
    (folder / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(0)
    shapes = {"embed_tokens": (VOCABULARY, width), "norm": (width,)}
    for layer in range(layers):
        for part, name in (llama_tensors.LINEAR | llama_tensors.NORMS).items():
            rows = {"key": KEYS * size, "value": KEYS * size, "gate": wide, "up": wide}.get(part, width)
            shape = (width,) if "norm" in part else (rows, wide if part == "down" else width)
            shapes[f"layers.{layer}.{name[1]}"] = shape
    index = {}
    for number, (name, shape) in enumerate(shapes.items()):  # a file a tensor, so that writing takes little memory
        weight = torch.ones(shape) if len(shape) == 1 else torch.randn(shape, generator=generator).mul_(0.02)
        index[f"model.{name}.weight"] = f"part-{number}.safetensors"
        save_file({f"model.{name}.weight": weight.bfloat16()}, folder / index[f"model.{name}.weight"])
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def memory(line):
    """Megabytes of this process, by a line of /proc/self/status."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{line}:")[2].split()[0]) * 1024 / 1e6


def whole(folder, formats, count, length):
    """{format: rise} by whole models in memory."""
    model = llama.load(folder)
    blocks = llama.blocks(model, (folder / "text").read_text(), count, length)
    before = model.losses(blocks)
    rounded = {name: model.compressed(rl.parse(name)).losses(blocks) for name in formats}
    return {name: llama.increase(before, losses)[0] for name, losses in rounded.items()}


def layered(folder, formats, count, length):
    """{format: rise} layer by layer."""
    table = rl.evaluate(folder, formats, str(folder / "text"), count=count, length=length)
    return dict(zip(table.format, table.rise, strict=True))


def with_transformers(folder, formats, count, length):
    """{format: rise} layer by layer, by transformers."""
    from rholaw.checkpoints.transformed import Transformed

    evaluating.described = lambda checkpoint, device, _: Transformed(checkpoint, device)
    return layered(folder, formats, count, length)


WAYS = {"whole": whole, "layer by layer": layered, "by transformers": with_transformers}


def run(way, folder, formats, count, length):
    """Prints the row of a way, as JSON; in a process of its own."""
    rl.gmse("int4")  # what is loaded once
    if way == "by transformers":
        importlib.import_module("transformers.models.llama.modeling_llama")
    before, start = memory("VmRSS"), time.perf_counter()
    rises = WAYS[way](folder, formats, count, length)
    row = {"way": way, "seconds": time.perf_counter() - start, "peak_mb": memory("VmHWM"), "start_mb": before}
    print(json.dumps(row | {"rises": rises}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", default=FORMATS)
    for name, value in {"layers": 16, "width": 2048, "count": 4, "length": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--folder", type=Path, help="where the model is written for the time of the run")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--record", action="store_true")
    chosen = parser.parse_args()
    if chosen.way:
        return run(chosen.way, chosen.folder, chosen.formats, chosen.count, chosen.length)
    rows = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        write(Path(folder), chosen.layers, chosen.width)
        asked = [*chosen.formats, "--count", str(chosen.count), "--length", str(chosen.length), "--folder", folder]
        for way in WAYS:
            done = subprocess.run([sys.executable, __file__, *asked, "--way", way], stdout=subprocess.PIPE, text=True)
            if done.returncode == 0:
                rows.append(json.loads(done.stdout.splitlines()[-1]))
    layer = 4 * chosen.width**2 * (2 + 2 * KEYS / HEADS + 12) / 1e6
    states = 4 * (1 + len(chosen.formats)) * chosen.count * chosen.length * chosen.width / 1e6
    facts = {"layers": chosen.layers, "width": chosen.width, "tokens": chosen.count * chosen.length}
    facts |= {"formats": len(chosen.formats), "layer_mb": layer, "states_mb": states}
    rises = [row.pop("rises") for row in rows]
    for row, own in zip(rows, rises, strict=True):
        row |= facts | {"apart": max(abs(own[name] - rises[0][name]) for name in own)}
    table = pd.DataFrame(rows).round(6)
    print(table.to_string(index=False))
    if chosen.record:
        files.write(tables.DATA / f"{TABLE}.csv", table.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    main()
