"""SmolLM2-135M-Instruct before and after further compression of its weights: losses, errors, and what noise costs.

    python bench/post_training.py      # writes post_training, group_errors and sensitivity in data/measured

Its published weights lie on the grid of q4_1, which hides what that cost and biases what is measured near it;
bench/rounded.py has models that no format has touched, and says how large the bias is.

Takes an hour on one core and goes on where it was interrupted.  The text is Shakespeare's, and Python sources for a
second opinion; documents held out are evaluated, the others calibrate.  Embedding, head and norms stay as they are.
"""

import datetime
from dataclasses import replace

import pandas as pd
import torch
from tqdm import tqdm

import rholaw as rl
from rholaw import checkpoints, tables
from rholaw.checkpoints import llama as language
from rholaw.checkpoints import noise, resumable

MODEL = "SmolLM2-135M-Instruct"
FORMATS = ["int8/g64", "int6/g64", "int5/g64", "int4/g64", "int4/g64:mse", "int3/g64", "int2/g64", "int4", "fp8_row"]
FORMATS += ["mxfp4", "nvfp4", "nf4/g64:fp32", "q4_0", "q4_1", "s0.25", "s0.5", "2:4", "2:4+int4/g64", "sint4/g64"]
ROTATION = 64  # the largest power of two that divides the rows of 576 and of 1,536
ALONE = ["int3/g64", "2:4"]  # formats that also compress one group of matrices and nothing else
NOISE = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # relative squared errors of all matrices
GROUP_NOISE, SEEDS = 0.03, 2  # and of one group
LENGTH, BLOCKS = 128, {"shakespeare": 16, "python": 16}


def covariances(model, blocks):
    """{matrix: E[x xᵀ] of its inputs}."""
    sums = {}

    def observe(name, x):
        sums[name] = sums.get(name, 0) + x.T @ x

    model.losses(blocks, observe)
    return {name: total / blocks[:, 1:].numel() for name, total in sums.items()}


class Experiment:
    """The model, its texts, and the rows that are finished."""

    def __init__(self):
        self.model = language.load(checkpoints.installed()[MODEL])
        self.groups = noise.groups(self.model)
        self.blocks = {
            name: language.blocks(self.model, language.text(name), count, LENGTH) for name, count in BLOCKS.items()
        }
        self.before = {name: self.model.losses(blocks) for name, blocks in self.blocks.items()}
        others = language.text("shakespeare", held_out=False)
        self.inputs = covariances(self.model, language.blocks(self.model, others, BLOCKS["shakespeare"], LENGTH))
        out = tables.DATA / "measured" / "post_training.csv"
        self.finished = resumable.Finished(out, [FORMATS, NOISE, GROUP_NOISE, SEEDS, LENGTH, BLOCKS])

    def dense(self, name):
        """The loss as the checkpoint is."""
        size = language.bits_per_byte(self.model, self.before[name], self.blocks[name])
        loss = float(self.before[name].double().mean())
        return [{"text": name, "format": "dense", "rotation": 0, "loss": loss, "bits_per_byte": size}]

    def whole(self, name, format, rotation):
        """The loss with all matrices in a format, then the errors of its groups."""
        stored = self.model.compressed(replace(rl.parse(format), rotation=rotation))
        after = stored.losses(self.blocks[name])
        rise, stderr = language.increase(self.before[name], after)
        row = {"text": name, "format": format, "rotation": rotation, "loss": float(after.double().mean())}
        row["bits_per_byte"] = language.bits_per_byte(self.model, after, self.blocks[name])
        return [row | {"rise": rise, "stderr": stderr}, *self.errors(stored, format, rotation)]

    def errors(self, stored, format, rotation):
        """A row for each group: means over its matrices of three errors; output_error knows how inputs correlate."""
        found = noise.errors(self.model, stored, {name: each.diagonal() for name, each in self.inputs.items()})
        output = {}
        for name in self.model.linear:
            weight, inputs = self.model.weights[name], self.inputs[name]
            lost = stored.weights[name] - weight
            output[name] = float(((lost @ inputs) * lost).sum() / ((weight @ inputs) * weight).sum())
        found["output_error"] = found.name.map(output)
        for group, names in self.groups.items():
            means = found[found.name.isin(names)][["error", "weighted_error", "output_error"]].mean()
            yield {"group": group, "format": format, "rotation": rotation, **means}

    def alone(self, format, group):
        """The loss with one group of matrices in a format."""
        after = self.model.compressed(rl.parse(format), self.groups[group]).losses(self.blocks["shakespeare"])
        rise, stderr = language.increase(self.before["shakespeare"], after)
        return [{"group": group, "format": format, "rotation": 0, "rise_alone": rise, "stderr": stderr}]

    def noise(self, group, error, seeds):
        """α by noise on one group, or on all matrices."""
        names = tuple(self.groups.get(group, self.model.linear))
        blocks, before = self.blocks["shakespeare"], self.before["shakespeare"]
        found = noise.cost(self.model, blocks, before, names, error, seeds)
        return [{"group": group, "error": error, "alpha": found.alpha, "stderr": found.stderr, "seeds": seeds}]

    def run(self):
        """Finish all jobs: {"whole": rows, "alone": …, "noise": …, "dense": …}."""
        jobs = [(self.dense, name) for name in BLOCKS]
        jobs += [(self.whole, "shakespeare", format, turn) for format in FORMATS for turn in (0, ROTATION)]
        jobs += [(self.noise, "all", error, 1) for error in NOISE]
        jobs += [(self.noise, group, GROUP_NOISE, SEEDS) for group in self.groups]
        jobs += [(self.alone, format, group) for format in ALONE for group in self.groups]
        jobs += [(self.whole, "python", format, 0) for format in FORMATS]
        rows = {}
        for method, *given in tqdm(jobs, unit="job"):
            name = f"{method.__name__} {' '.join(map(str, given))}"
            if name not in self.finished.rows:
                self.finished.add(name, list(method(*given)))
            rows.setdefault(method.__name__, []).append(self.finished.rows[name])
        return rows


MANIFEST = """title = "{title}"
class = "measured"
source = "bench/post_training.py of this project: {what}; torch {torch}, float32, CPU"
licence = "MIT, as this project; SmolLM2 is Apache-2.0"
date = "{date}"
columns = {columns}
rows = {rows}
sha256 = "to be filled"
unknown = [
    "the loss before SmolLM2 was stored in Q4_1: all rises are above that, not above its own training's result",
    "what q4_1 and formats near it cost: that grid hides it; measured/rounded_cpu (stored) has the size of the bias",
    {unknown},
]
[units]
{units}
"""


def write(name, rows, title, what, unknown, units):
    """One table and its manifest."""
    frame = pd.DataFrame(rows)
    columns = str(list(frame.columns)).replace("'", '"')
    units = "\n".join(f'{column} = "{unit}"' for column, unit in units.items())
    facts = {"title": title, "what": what, "torch": torch.__version__, "date": datetime.date.today()}
    facts |= {"columns": columns, "rows": len(frame), "unknown": unknown, "units": units}
    frame.to_csv(tables.DATA / "measured" / f"{name}.csv", index=False, lineterminator="\n", float_format="%.6g")
    (tables.DATA / "measured" / f"{name}.toml").write_text(MANIFEST.format(**facts), encoding="utf-8")
    tables.update(f"measured/{name}")


def main():
    experiment = Experiment()
    rows = experiment.run()
    losses = [row for (row,) in rows["dense"]] + [row for row, *_ in rows["whole"]]
    what = f"{BLOCKS['shakespeare']} blocks of {LENGTH} tokens of held-out plays, {BLOCKS['python']} of Python sources"
    write(
        "post_training",
        losses,
        f"Loss of {MODEL} with the matrices of its blocks in {len(FORMATS)} formats",
        what,
        '"the scatter over other texts and other models"',
        {"loss": "nats per token", "bits_per_byte": "bits per UTF-8 byte", "rise": "nats per token above dense"}
        | {"stderr": "of rise, over blocks", "rotation": "size of the Hadamard rotation along the rows, 0 for none"},
    )
    alone = {(row["format"], row["group"]): row for (row,) in rows["alone"]}
    errors = []
    for _, *groups in rows["whole"][: 2 * len(FORMATS)]:
        for row in groups:
            one = alone.get((row["format"], row["group"]), {}) if not row["rotation"] else {}
            errors.append(row | {key: one.get(key) for key in ("rise_alone", "stderr")})
    write(
        "group_errors",
        errors,
        f"Errors of {MODEL}'s matrices by group of ten layers and kind, in {len(FORMATS)} formats",
        what + "; inputs of as many other tokens",
        '"rise_alone of the formats that were not tried on one group alone"',
        {"error": "squared error / squares", "weighted_error": "the same, weighted by the mean squares of the inputs"}
        | {"output_error": "E|(w^ - w) x|^2 / E|w x|^2", "rise_alone": "nats per token with this group alone"}
        | {"stderr": "of rise_alone, over blocks"},
    )
    write(
        "sensitivity",
        [row for (row,) in rows["noise"]],
        f"What Gaussian noise in the matrices of {MODEL} costs, all together and by group",
        what + "; each noise added and subtracted",
        '"alpha of single matrices"',
        {"error": "relative squared error of the noise", "alpha": "rise in nats per token / error"}
        | {"stderr": "of alpha, over blocks, and over seeds where there are two"},
    )
    experiment.finished.remove()


if __name__ == "__main__":
    main()
