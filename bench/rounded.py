"""Dense decoders trained here, rounded to formats and disturbed by noise: what theory says of that, and what comes.

    python bench/rounded.py FOLDER      # writes data/measured/rounded_cpu; FOLDER keeps weights and finished rows

Four sizes, three lengths of training, one for the largest, each once at a constant learning rate and once after a
linear decay to zero over the last fifth of its tokens.  Takes an hour on one core and goes on where it was interrupted.
Compressed are the matrices of the blocks; embedding, head and norms stay as they are.
"""

import argparse
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tqdm import tqdm

import rholaw as rl
from rholaw import files, tables
from rholaw.checkpoints.noise import drawn
from rholaw.checkpoints.resumable import Finished
from rholaw.texts import tokens as corpora
from rholaw.train.config import Config
from rholaw.train.trainer import Program, factors

SHORT, MIDDLE, LONG = 500_000, 2_000_000, 8_000_000
TOKENS = dict.fromkeys((16, 32, 64), (SHORT, MIDDLE, LONG)) | {96: (SHORT,)}  # by width
SHARED = {"layers": 3, "context": 128, "vocabulary": 512, "corpus": "shakespeare", "batch_tokens": 2048}
RATE = 0.5  # times 1 / width: the peak learning rate
WARM_UP, DECAY = 50, 0.2  # steps, and a share of all steps
FORMATS = """
int1 int2 int3 int4 int5 int6 int8 sint2 sint3 sint4 sint6 sint8 lm2 lm3 lm4 lm6 nf4 e2m1 e3m0 e2m3 e3m2 e4m3 e5m2
sint4/row sint8/row fp8_row mxfp4 mxfp6_e2m3 mxfp6_e3m2 mxfp8_e4m3 mxint8 nvfp4 nvfp4_46 sint4/g32 sint4/g64 sint8/g32
int4/g32 int4/g32:mse uint4/g32:zero nf4/g64:fp32 q4_0 q4_1 q5_0 q5_1 q8_0 iq4_nl
vq2_16 vq2_64 vq2_256 vq4_256 vq4_4096 e8p s0.25 s0.5 s0.75 2:4 4:8 8:16 2:4+int4 2:4+nvfp4 s0.5+int4
int2+out0.01 int4+out0.01
"""  # of which a model takes those whose blocks divide its rows
AGAIN, OF = "q4_1", ((32, LONG), (64, MIDDLE))  # models that are rounded to it before all else, as some are published
LEVELS, SEEDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3), 2  # relative squared errors of noise
BLOCKS, CHUNK = 64, 32  # held-out blocks of text, and how many at a time
DRAWS = 8  # labels drawn for every token, for Fisher's information
SHARE = 0.25  # of an error, at which a rise is quadratic in it


def config(width: int) -> Config:
    """The longest run of a size."""
    shape = {"heads": width // 16, "width": width, "hidden": 3 * width}
    return Config(**shape, **SHARED, tokens=max(TOKENS[width]), lr=RATE / width)


class Trunk(Program):
    """A run at a constant rate after its warm-up, from which others branch."""

    def rate(self) -> float:
        """The learning rate of the step to come, over its peak."""
        return min(1.0, (self.step + 1) / WARM_UP)

    def advance(self) -> None:
        """One step."""
        _, first_sum, second_sum = factors(self.config, self.step)
        self.learn(self._batch(self.step), self.rate(), first_sum, second_sum)
        self.step += 1


class Branch(Trunk):
    """A run that goes on from a trunk, on the same text, while its rate falls to zero at its last step."""

    def __init__(self, trunk: Trunk, tokens: int):
        super().__init__([replace(trunk.config, tokens=tokens)], corpus=trunk.corpus)
        self.flat.copy_(trunk.flat)
        for own, its in zip(self.moments, trunk.moments, strict=True):
            own.copy_(its)
        self.first = self.step = trunk.step

    def rate(self) -> float:
        """The learning rate of the step to come, over its peak."""
        return (self.config.steps - self.step) / (self.config.steps - self.first)


def train(folder: Path) -> None:
    """Leave in ``folder`` a file of weights for each size, length and schedule."""
    for width, lengths in TOKENS.items():
        trunk = Trunk([config(width)])
        trunk.restore(folder / f"{width}.trunk")
        for tokens in lengths:
            steps = replace(trunk.config, tokens=tokens).steps
            while trunk.step < round((1 - DECAY) * steps):
                trunk.advance()
            if not (weights(folder, width, tokens, "decayed")).exists():
                branch = Branch(trunk, tokens)
                while branch.step < steps:
                    branch.advance()
                keep(branch, weights(folder, width, tokens, "decayed"))
            while trunk.step < steps:
                trunk.advance()
            if not weights(folder, width, tokens, "constant").exists():
                keep(trunk, weights(folder, width, tokens, "constant"))
            trunk.save(folder / f"{width}.trunk")


def weights(folder: Path, width: int, tokens: int, schedule: str) -> Path:
    """Where a model lies."""
    return folder / f"{width}-{tokens}-{schedule}.safetensors"


def keep(program: Program, path: Path) -> None:
    """Write a model, and its configuration at the tokens that it has seen."""
    about = asdict(replace(program.config, tokens=program.step * program.config.batch_tokens))
    model = {name: parameter.detach()[0].clone() for name, parameter in program.model.named_parameters()}
    with files.replacing(path) as draft:
        save_file(model, draft, {"config": json.dumps(about)})


class Model:
    """A kept model, held-out text, and what it says there."""

    def __init__(self, path: Path, stored: str = "dense"):
        with safe_open(path, "pt") as file:
            self.config = Config(**json.loads(file.metadata()["config"]))
        self.schedule = path.stem.rpartition("-")[2]
        program = Program([self.config])
        self.decoder = program.model
        for name, parameter in self.decoder.named_parameters():
            parameter.data.copy_(load_file(path)[name][None])
        self.linears, self.stored = self.decoder.linears, stored
        self.weights = [rl.parse(stored).quantize(linear.weight.detach()[0].clone()) for linear in self.linears]
        for linear, weight in zip(self.linears, self.weights, strict=True):
            linear.weight.data.copy_(weight[None])
        self.blocks = corpora.held_out_blocks(program.corpus.held_out, self.config.context, BLOCKS)
        self.said = self.log_probabilities()
        self.loss = self.losses(self.said)
        self.fisher, self.fisher_stderr = self.information()

    @torch.no_grad()
    def log_probabilities(self) -> torch.Tensor:
        """(BLOCKS, context, vocabulary)."""
        parts = [self.decoder.logits(part[None, :, :-1])[0] for part in self.blocks.split(CHUNK)]
        return torch.cat(parts).log_softmax(-1)

    def losses(self, said: torch.Tensor) -> torch.Tensor:
        """(BLOCKS,): nats per token."""
        return -said.gather(-1, self.blocks[:, 1:, None])[..., 0].double().mean(1)

    def information(self) -> tuple[torch.Tensor, float]:
        """½ tr(F) · mean(w²) of each matrix, nats per token and relative squared error; standard error of their sum.

        F is Fisher's information of a token: the labels are drawn from the model itself, independently, so that the
        squared gradient of the sum over a block is on average the sum of those of its tokens.
        """
        parameters = [linear.weight for linear in self.linears]
        generator, squares = torch.Generator().manual_seed(0), []
        for block, said in zip(self.blocks, self.said, strict=True):
            for _ in range(DRAWS):
                labels = torch.multinomial(said.exp(), 1, generator=generator)[:, 0]
                loss = F.cross_entropy(self.decoder.logits(block[None, None, :-1])[0, 0], labels, reduction="sum")
                parts = torch.autograd.grad(loss, parameters)
                squares.append(torch.stack([part.double().square().sum() for part in parts]) / len(labels))
        means = torch.tensor([weight.double().square().mean() for weight in self.weights])
        kappas = torch.stack(squares) * means / 2
        return kappas.mean(0), float(kappas.sum(1).std() / math.sqrt(len(kappas)))

    @torch.no_grad()
    def disturbed(self, changes: list[torch.Tensor], share: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        """(KL, rise of the loss) by block (BLOCKS,), nats per token, when ``share`` of the changes is added."""
        for linear, weight, change in zip(self.linears, self.weights, changes, strict=True):
            linear.weight.copy_((weight + share * change)[None])
        now = self.log_probabilities()
        # The terms that sum to zero make every summand positive, so that nothing of a small KL is lost.
        lost = (self.said.exp() * (self.said - now) - self.said.exp() + now.exp()).sum(-1)
        return lost.double().mean(1), self.losses(now) - self.loss

    def row(self, kind: str, name: str, changes: list[torch.Tensor]) -> dict:
        """What changes of all matrices do."""
        errors = torch.stack([c.double().square().sum() for c in changes])
        squares = torch.stack([w.double().square().sum() for w in self.weights])
        along = sum(float((w.double() * c.double()).sum()) for w, c in zip(self.weights, changes, strict=True))
        kl, rise = self.disturbed(changes)
        quadratic = self.disturbed(changes, SHARE)[0].mean() / SHARE**2
        row = {"kind": kind, "name": name, "error": float(errors.sum() / squares.sum())}
        row |= {"along": along / float(squares.sum()), "fisher": float((self.fisher * errors / squares).sum())}
        row |= {"quadratic": float(quadratic)}
        for label, values in {"kl": kl, "rise": rise}.items():
            row |= {label: float(values.mean()), f"{label}_stderr": float(values.std() / math.sqrt(BLOCKS))}
        return row

    def rows(self) -> list[dict]:
        """All of this model."""
        about = {"width": self.config.width, "n_params": self.config.n_params, "n_tokens": self.config.tokens}
        about |= {"schedule": self.schedule, "stored": self.stored, "dense_loss": float(self.loss.mean())}
        about |= {"kappa": float(self.fisher.sum()), "kappa_stderr": self.fisher_stderr}
        sizes = (self.config.width, self.config.hidden)
        rows = []
        for name in FORMATS.split():
            format = rl.parse(name)
            if not any(size % format.multiple for size in sizes):
                changes = [format.quantize(weight) - weight for weight in self.weights]
                rows.append(self.row("format", name, changes))
        for seed, error in enumerate(LEVELS * SEEDS):
            generator = torch.Generator().manual_seed(seed)
            noise = [drawn(weight, error, generator) for weight in self.weights]
            rows.append(self.row("noise", f"{error:g}", noise))
            if seed >= len(LEVELS):
                continue
            shrunk = [math.sqrt(1 - error) * n - error * w for n, w in zip(noise, self.weights, strict=True)]
            rows.append(self.row("shrunk", f"{error:g}", shrunk))
        return [about | row for row in rows]


def measure(folder: Path) -> pd.DataFrame:
    """The rows of all models in ``folder``."""
    finished = Finished(folder / "rows.csv", [FORMATS, LEVELS, SEEDS, BLOCKS, DRAWS, SHARE])
    jobs = [(path, "dense") for path in sorted(folder.glob("*.safetensors"))]
    jobs += [(weights(folder, width, tokens, "decayed"), AGAIN) for width, tokens in OF]
    for path, stored in tqdm(jobs, unit="model"):
        name = f"{path.stem} {stored}"
        if name not in finished.rows:
            finished.add(name, Model(path, stored).rows())
    return pd.DataFrame([row for rows in finished.rows.values() for row in rows])


def main() -> None:
    """Train, measure, and write the table; its manifest is completed by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    train(folder)
    frame = measure(folder).sort_values(["n_params", "n_tokens", "schedule"], kind="stable")
    frame.to_csv(tables.DATA / "measured" / "rounded_cpu.csv", index=False, lineterminator="\n", float_format="%.6g")
    tables.update("measured/rounded_cpu")


if __name__ == "__main__":
    main()
