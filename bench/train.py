"""Speed of training: each gradient against dense, ensembles against one by one, and a plain loop of transformers.

    python bench/train.py [--device cuda] [--compile] [--record]

Everything is timed in turns in one process, so that a busy machine slows all alike; figures are medians over rounds of
ratios within a round.  On a CPU the time is that of one core's work, which waiting for a busy core does not lengthen.
``--record`` writes data/measured/train_speed.csv (then python -m rholaw update).
"""

import argparse
import csv
import statistics
import time
from pathlib import Path

import torch

from rholaw.train.config import Config, llama
from rholaw.train.provenance import matmul_rate
from rholaw.train.trainer import Program

METHODS = [
    ("dense", {}),
    ("int4, plain straight-through", {"weights": "int4", "method": "ste"}),
    ("int4, clipping", {"weights": "int4", "method": "clip"}),
    ("int4, trust", {"weights": "int4"}),
    ("int4, trust, Hadamard", {"weights": "hadamard16+int4"}),
    ("int4, learned step", {"weights": "int4", "method": "lsq"}),
    ("int4, noise", {"weights": "int4", "method": "noise"}),
    ("int4 weights and activations", {"weights": "int4", "activations": "int4/row:fp32:rms"}),
    ("nvfp4, trust", {"weights": "nvfp4"}),
    ("mxfp4, trust", {"weights": "mxfp4"}),
    ("vq2_16, sphere", {"weights": "vq2_16"}),
    ("s0.5, fw", {"weights": "s0.5"}),
    ("s0.5, area-banded-rms", {"weights": "s0.5", "backward": "area-banded-rms:0.5"}),
    ("s0.5, RigL 100", {"weights": "s0.5", "schedule": "rigl:100"}),
    ("2:4, fw", {"weights": "2:4"}),
    ("2:4+int4", {"weights": "2:4+int4"}),
]
SIZES = {"cpu": [(16, 2, 2), (32, 2, 2), (64, 3, 4), (128, 4, 4)], "cuda": [(64, 3, 4), (256, 4, 4), (640, 6, 5)]}


def config(size, batch_tokens, **fields):
    """A run of the decoder of this (width, layers, heads)."""
    tokens = 1_000_000_000
    base = {"context": 64, "vocabulary": 512, "corpus": "shakespeare", "lr": 1e-3}
    return Config(**llama(*size), **base, tokens=tokens, batch_tokens=batch_tokens, **fields)


def step_of(configs, device, compile):
    """A function that trains one step of a program, ready to be timed."""
    program = Program(configs, device, compile)
    program.curve_steps, program.error_steps = set(), set()
    return program.advance


def plain_step(size, batch_tokens, device):
    """One step of LlamaForCausalLM with torch's fused AdamW: the well-known loop of the same decoder."""
    from transformers import LlamaConfig, LlamaForCausalLM

    width, layers, heads = size
    shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "vocab_size": 512}
    hidden = llama(*size)["hidden"]
    model = LlamaForCausalLM(LlamaConfig(intermediate_size=hidden, tie_word_embeddings=False, **shape)).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    tokens = torch.randint(512, (batch_tokens // 64, 64), device=device)

    def step():
        optimiser.zero_grad(set_to_none=True)
        model(input_ids=tokens, labels=tokens).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step


def seconds(step, device, least):
    """Per step, over as many steps as fill ``least`` seconds."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    begun, steps = clock(), 0
    while clock() - begun < least:
        step()
        steps += 1
        if device == "cuda":
            torch.cuda.synchronize()
    return (clock() - begun) / steps


def side_by_side(steps, device, rounds=7, least=0.4):
    """{name: (median seconds, median ratio to the first, lowest and highest ratio)}."""
    for step in steps.values():
        for _ in range(3):
            step()
    times = [{name: seconds(step, device, least) for name, step in steps.items()} for _ in range(rounds)]
    first = next(iter(steps))
    found = {}
    for name in steps:
        ratios = sorted(one[name] / one[first] for one in times)
        found[name] = (statistics.median(one[name] for one in times), statistics.median(ratios), ratios[0], ratios[-1])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(1)
    rows, sizes = [], SIZES[options.device]

    def note(what, size, members, batch_tokens, timing):
        median, ratio, low, high = timing
        one = config(size, batch_tokens)
        rate = members * batch_tokens / median
        mfu = rate * one.flops_per_token / matmul_rate(torch.device(options.device), "float32")
        device = f"{options.device}{', compiled' if options.compile else ''}"
        row = [what, device, one.n_params, members, batch_tokens, round(median * 1e3, 3), round(rate)]
        rows.append([*row, *(round(x, 3) for x in (mfu, ratio, low, high))])
        print(*rows[-1], sep="\t", flush=True)

    for size in sizes[:3]:
        batch = 2048 if options.device == "cpu" else 65_536
        fitting = [(name, kind) for name, kind in METHODS if name != "mxfp4, trust" or llama(*size)["hidden"] % 32 == 0]
        fitting = [(name, kind) for name, kind in fitting if name != "nvfp4, trust" or llama(*size)["hidden"] % 16 == 0]
        fitting = [(name, kind) for name, kind in fitting if "Hadamard" not in name or llama(*size)["hidden"] % 16 == 0]
        steps = {}
        for name, kind in fitting:
            steps[name] = step_of([config(size, batch, **kind)], options.device, options.compile)
        try:
            steps["transformers, dense"] = plain_step(size, batch, options.device)
        except ImportError:
            print("transformers is not installed: no plain loop")
        for name, timing in side_by_side(steps, options.device).items():
            note(name, size, 1, batch, timing)
    for size in sizes:
        for batch in (256, 2048):
            steps = {"one by one": step_of([config(size, batch)], options.device, options.compile)}
            for members in (4, 16):
                together = [config(size, batch, seed=seed) for seed in range(members)]
                steps[f"{members} together"] = step_of(together, options.device, options.compile)
            for (name, timing), members in zip(side_by_side(steps, options.device).items(), (1, 4, 16), strict=True):
                note(name, size, members, batch, timing)
    if options.record:
        file = Path(__file__).parents[1] / "data" / "measured" / "train_speed.csv"
        header = "what,device,n_params,members,batch_tokens,ms_per_step,tokens_per_s,mfu,ratio,ratio_low,ratio_high"
        with file.open("w", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows([header.split(","), *rows])


if __name__ == "__main__":
    main()
