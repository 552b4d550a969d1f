"""The dense runs of cpu2026 at two sizes, trained again and rounded to the formats that others were trained in there.

    python bench/rounded_pairs.py    # writes data/measured/cpu2026_rounded.csv; eight minutes on a core

It stops where a dense loss is not that on record, to what a sum in another order makes of it.  Layers are rounded;
embedding and head stay as they are.
"""

import math
from pathlib import Path

import pandas as pd
import torch

import rholaw as rl
from rholaw import files
from rholaw.threads import alone
from rholaw.train.sweeps.file import read
from rholaw.train.trainer import Program

TABLE = Path(__file__).parents[1] / "data/measured/cpu2026_rounded.csv"
SIZES = (6736, 26784)
SAME = 0.03  # nats: 14 runs were trained side by side, here four are, and the last digits grow


def main() -> None:
    """Write the table."""
    recorded = rl.runs.load("cpu2026").set_index("id")
    weights_only = recorded[recorded.activations.eq("dense") & recorded.weights.ne("dense")]
    rows = []
    for size in SIZES:
        formats = sorted(weights_only[weights_only.n_params == size].weights.unique())
        configs = [config for config in read("sweeps/cpu_evening.toml") if config.id in recorded.index]
        configs = [one for one in configs if one.n_params == size and one.weights == one.activations == "dense"]
        program = Program(configs)
        with alone():
            program.run()
            rows += rounded(program, formats, recorded)
    with files.replacing(TABLE) as draft:
        pd.DataFrame(rows).to_csv(draft, index=False, float_format="%.6g")


@torch.no_grad()
def rounded(program: Program, formats: list[str], recorded: pd.DataFrame) -> list[dict]:
    """A row for each member of a program and each format; its layers come back as they were."""
    dense, rows = program.held_out(), []
    for config, losses in zip(program.configs, dense, strict=True):
        if abs(float(losses.mean()) - recorded.loss[config.id]) > SAME:
            raise SystemExit(
                f"{config.id}: trained again the loss is {losses.mean():.5f}, on record {recorded.loss[config.id]:.5f}"
            )
    for name in formats:
        kept, format = program.flat.clone(), rl.parse(name)
        error, square = (torch.zeros(len(program.configs), dtype=torch.float64) for _ in range(2))
        for linear in program.model.linears:
            for member, weight in enumerate(linear.weight.clone()):
                linear.weight[member] = format.quantize(weight)
                error[member] += (linear.weight[member] - weight).double().square().sum()
                square[member] += weight.double().square().sum()
        losses = program.held_out()
        program.flat.copy_(kept)
        rises = losses - dense
        for member, config in enumerate(program.configs):
            row = {"id": config.id, "n_params": config.n_params, "n_tokens": config.steps * config.batch_tokens}
            row |= {"seed": config.seed, "format": name, "dense_loss": float(dense[member].mean())}
            row |= {"loss": float(losses[member].mean()), "rise": float(rises[member].mean())}
            row |= {"rise_stderr": float(rises[member].std() / math.sqrt(rises.shape[1]))}
            rows.append(row | {"relative_error": float(error[member] / square[member])})
    return rows


if __name__ == "__main__":
    main()
