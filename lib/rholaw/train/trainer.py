"""Runs of one shape, trained side by side in one batched program: AdamW, warm-up and cosine, clipping, records."""

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import distributed
from tqdm import tqdm

from ..checkpoints.surveying import usable_device
from ..error.measure import gmse
from ..formats.grammar import parse
from ..texts import tokens as corpora
from ..threads import alone
from . import saved
from .config import Config
from .flat import flatten, views
from .model import Decoder, sort_key
from .provenance import device_name, environment, matmul_rate, revision
from .unchanged import unchanged

BETAS, EPSILON, LAST_RATE = (0.9, 0.95), 1e-8, 0.1
CURVE_POINTS, ERROR_POINTS, HELD_OUT_TOKENS, CHECKPOINT_SECONDS = 48, 6, 65_536, 60.0
PLAIN = ("step", "seconds", "curve", "errors", "started")  # of a program's state: no tensors
SMALL_STEP = 5e8  # FLOPs of a step on a CPU: below, a second thread gains a third at most, and loses all beside others
Factor = float | torch.Tensor  # a number, or a tensor of one on the device


def train(
    configs: Sequence[Config],
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    compile: bool = False,
    progress: bool = True,
    corpus: corpora.Corpus | None = None,
) -> list[dict]:
    """One record (`Program.records`) for each of ``configs``, which share `Config.shape` and train together.

    device: "cpu" or "cuda"; checkpoint: a file that is written every minute and from which the same call goes on;
    corpus: a Corpus to train on (default: the one that the configs name).  compile: by torch.compile, all but the
    rounding: on a core a fifth less time for dense runs, little for compressed ones; on a GPU not measured.  A run
    whose loss leaves the numbers is recorded as diverged and does not disturb its neighbours.  ValueError for configs
    of several shapes, and for a device that is not here or, as Apple's, has no float64.
    """
    order = sorted(range(len(configs)), key=lambda i: sort_key(configs[i]))
    program = Program([configs[i] for i in order], device, compile, corpus)
    if checkpoint is not None:
        program.restore(Path(checkpoint))
    with alone() if program.small else nullcontext():
        program.run(checkpoint and Path(checkpoint), progress)
        records = dict(zip(order, program.records(), strict=True))
    return [records[i] for i in range(len(configs))]


class Program:
    """The state of a batched program: all parameters of a member are one row of a matrix, and so are its moments."""

    def __init__(
        self,
        configs: Sequence[Config],
        device: str = "cpu",
        compile: bool = False,
        corpus: corpora.Corpus | None = None,
    ):
        self.configs, self.device = configs, usable_device(device)
        self.config = config = configs[0]
        self.corpus = corpus or corpora.load(config.corpus, config.vocabulary)
        self.model = Decoder(configs).to(self.device)
        self.flat, self.gradient, self.decay = flatten(self.model)
        self.moments = [torch.zeros_like(self.flat) for _ in range(2)]
        self.parameters = list(self.model.parameters())
        self.views = [views(matrix, self.model) for matrix in (self.flat, self.gradient, *self.moments)]
        self.lr, self.clip, self.weight_decay = (
            torch.tensor([getattr(one, name) for one in configs], device=self.device)[:, None]
            for name in ("lr", "clip", "weight_decay")
        )
        self.step, self.seconds, self.curve, self.errors = 0, 0.0, [], []
        self.sum_of_losses = torch.zeros(len(configs), device=self.device)
        self.skipped = torch.zeros(len(configs), dtype=torch.int64, device=self.device)
        self.curve_steps = set(np.geomspace(1, config.steps, CURVE_POINTS).round().astype(int).tolist())
        self.error_steps = set(np.linspace(1, config.steps, ERROR_POINTS).round().astype(int).tolist())
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        if compile:
            for linear in self.model.linears:
                linear.uncompiled()
        self.forward = torch.compile(self.model) if compile else self.model

    @property
    def small(self) -> bool:
        """Whether its operations are too small for several threads."""
        flops = self.config.flops_per_token * self.config.batch_tokens * len(self.configs)
        return self.device.type == "cpu" and flops < SMALL_STEP

    def run(self, checkpoint: Path | None = None, progress: bool = True) -> None:
        """Train to the last step."""
        begun, kept = time.perf_counter() - self.seconds, time.perf_counter()
        label = f"{len(self.configs)} × {self.config.n_params:,}"
        with tqdm(total=self.config.steps, initial=self.step, desc=label, unit="step", disable=not progress) as bar:
            while self.step < self.config.steps:
                self.advance()
                bar.update()
                self.seconds = time.perf_counter() - begun
                if checkpoint and time.perf_counter() - kept > CHECKPOINT_SECONDS:
                    self.save(checkpoint)
                    kept = time.perf_counter()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - begun
        if checkpoint:
            self.save(checkpoint)

    def advance(self) -> None:
        """One step for every member."""
        self.model.set_moment(self.step, self.config.steps)
        _seed_noise(self.step)
        self.learn(self._batch(self.step), *factors(self.config, self.step))
        self.step += 1
        self.note()

    def learn(self, tokens: torch.Tensor, rate: Factor, first_sum: Factor, second_sum: Factor) -> None:
        """Gradient and update for a batch (M, B, T + 1): work of the device alone, which waits for no word of the host.

        rate, first_sum, second_sum: the `factors` of the step, numbers or tensors of one.
        """
        with self._precision():
            losses = self.forward(tokens).mean((1, 2))
        parts = torch.autograd.grad(losses.sum(), self.parameters)
        torch.cat([part.reshape(len(part), -1) for part in parts], 1, out=self.gradient)
        _average(self.gradient)
        for linear in self.model.linears:
            linear.pruning.move(*(views[linear.weight] for views in self.views))
        self._update(rate, first_sum, second_sum)
        self.sum_of_losses += losses.detach()

    def note(self) -> None:
        """Read what the record keeps of the step just done, if it keeps anything."""
        if self.step in self.curve_steps:
            self._note_loss()
        if self.step in self.error_steps:
            self.errors.append([self.step * self.config.batch_tokens, *self.model.relative_errors().tolist()])

    def _note_loss(self):
        since = self.step - (self.curve[-1][0] // self.config.batch_tokens if self.curve else 0)
        _average(self.sum_of_losses)
        self.curve.append([self.step * self.config.batch_tokens, *(self.sum_of_losses / since).tolist()])
        self.sum_of_losses.zero_()

    @torch.no_grad()
    def _update(self, rate, first_sum, second_sum):
        """AdamW (Loshchilov and Hutter 2019) with a rate, a clip and a decay of its own for every member."""
        norm = self.gradient.norm(dim=1, keepdim=True)
        finite = norm.isfinite()
        self.skipped += ~finite[:, 0]  # nothing is learned from such a step, and nothing spoiled
        gradient = torch.where(finite, self.gradient * (self.clip / norm).clamp(max=1.0), 0.0)
        first, second = self.moments
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        change = second.div(second_sum).sqrt_().add_(EPSILON).reciprocal_().mul_(first)
        lr = self.lr * rate
        self.flat.mul_(1 - lr * self.weight_decay * self.decay).sub_(change.mul_(lr / first_sum))

    def _batch(self, step):
        """(M, B, T + 1): runs of one seed see the same data in the same order."""
        rows, seeds = self.config.rows, [one.seed for one in self.configs]
        drawn = {s: corpora.batches(self.corpus.train, self.config.context, rows, s, step) for s in set(seeds)}
        tokens = torch.stack([drawn[seed] for seed in seeds])
        if distributed.is_initialized():
            tokens = tokens[:, distributed.get_rank() :: distributed.get_world_size()]
        return tokens.to(self.device, non_blocking=True)

    def _precision(self):
        half = self.config.dtype == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16) if half else nullcontext()

    @torch.no_grad()
    def held_out(self) -> torch.Tensor:
        """(M, blocks): the mean loss of each held-out block."""
        context, text = self.config.context, self.corpus.held_out
        blocks = corpora.held_out_blocks(text, context, min(HELD_OUT_TOKENS, len(text) - 1) // context)
        self.model.set_moment(self.config.steps, self.config.steps)
        _seed_noise(self.config.steps)
        parts = []
        with self._precision(), unchanged(self.model.linears):
            for part in blocks.split(self.config.rows):
                tokens = part.to(self.device).expand(len(self.configs), *part.shape)
                parts.append(self.model(tokens).mean(2))
        return torch.cat(parts, 1).double().cpu()

    def records(self) -> list[dict]:
        """A record for every member, in the program's order: what `sweeps.store` keeps as a line of JSON.

        ===================================  =======================================================================
        id, config, status                   `Config.id`, all its fields, "finished" or "diverged"
        loss, loss_stderr                    nats per held-out token, with the standard error over blocks, or None
        bits_per_byte                        the same for another vocabulary to compare with
        skipped_steps                        those whose gradient was not finite, of which nothing was learned
        curve                                [[tokens, mean training loss since the point before], …]
        gmse, realised                       of the weights' format; [[tokens, error² / weights²], …] as trained
        parameters, n_params, n_tokens       counts by group; the law's N and D
        corpus_sha256, tokenizer_sha256      of the clean text and of its tokenizer
        revision, environment, device        the commit, versions, what computed
        members, seconds, started            how many trained side by side, for how long together, since when (UTC)
        tokens_per_s, flops, mfu             of all members; mfu: share of the device's `matmul_rate`
        processes                            under torchrun only (`torchrun`)
        ===================================  =======================================================================
        """
        losses = self.held_out()
        shared = {
            "parameters": self.config.parameters,
            "n_params": self.config.n_params,
            "n_tokens": self.config.steps * self.config.batch_tokens,
            "corpus_sha256": self.corpus.sha256,
            "tokenizer_sha256": self.corpus.tokenizer_sha256,
            "revision": revision(),
            "environment": environment(),
            "device": device_name(self.device),
            "members": len(self.configs),
            "seconds": round(self.seconds, 3),
            "started": self.started,
        }
        tokens = shared["n_tokens"] * len(self.configs)
        flops = self.config.flops_per_token * tokens
        speed = {"tokens_per_s": round(tokens / self.seconds, 1), "flops": flops}
        speed["mfu"] = round(flops / self.seconds / matmul_rate(self.device, self.config.dtype), 4)
        return [{**self._record(i, one, losses[i]), **shared, **speed} for i, one in enumerate(self.configs)]

    def _record(self, i, config, losses):
        loss, stderr = float(losses.mean()), float(losses.std() / math.sqrt(len(losses)))
        diverged = not math.isfinite(loss) or int(self.skipped[i]) > 0
        return {
            "id": config.id,
            "config": asdict(config),
            "status": "diverged" if diverged else "finished",
            "loss": loss if math.isfinite(loss) else None,
            "loss_stderr": stderr if math.isfinite(loss) else None,
            "bits_per_byte": loss / math.log(2) / self.corpus.bytes_per_token if math.isfinite(loss) else None,
            "skipped_steps": int(self.skipped[i]),
            "curve": [[point[0], round(point[1 + i], 5)] for point in self.curve],
            "gmse": gmse(parse(config.weights)).value,
            "realised": [[point[0], float(f"{point[1 + i]:.5g}")] for point in self.errors],
        }

    @property
    def _identity(self) -> list[str]:
        """These runs on this text: only their own state is gone on from."""
        return [*(one.id for one in self.configs), self.corpus.sha256, self.corpus.tokenizer_sha256]

    @property
    def _tensors(self) -> list[torch.Tensor]:
        """All that changes with a step, but for the masks."""
        return [self.flat, *self.moments, self.sum_of_losses, self.skipped]

    def save(self, path: Path) -> None:
        """Write all that `restore` needs, at once, or warn that it was not; of several processes the first writes."""
        if distributed.is_initialized() and distributed.get_rank():
            return
        masks = [linear.pruning.masks for linear in self.model.linears]
        state = {"identity": self._identity, "tensors": self._tensors, "masks": masks}
        saved.save(path, state | {name: getattr(self, name) for name in PLAIN})

    def restore(self, path: Path) -> None:
        """Go on from ``path`` if it holds the state of these runs, as it was saved; else it is passed over."""
        if (state := saved.restored(path, self.device)) is None or state["identity"] != self._identity:
            return
        for linear, kept in zip(self.model.linears, state["masks"], strict=True):
            linear.pruning.masks = kept
        for tensor, value in zip(self._tensors, state["tensors"], strict=True):
            tensor.copy_(value)
        for name in PLAIN:
            setattr(self, name, state[name])


def factors(config: Config, step: int) -> tuple[float, float, float]:
    """(rate, first sum, second sum): the learning rate over its peak, and the sums of the weights of Adam's averages.

    The rate warms up linearly, then follows a cosine to LAST_RATE.
    """
    share, one_step, warmup = step / config.steps, 1 / config.steps, config.warmup
    if share < warmup:
        rate = (share + one_step) / (warmup + one_step)
    else:
        rate = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))
    return rate, 1 - BETAS[0] ** (step + 1), 1 - BETAS[1] ** (step + 1)


def _average(tensor):
    """Average in place over the processes that share this run (`parallel`), if there are several."""
    if distributed.is_initialized():
        distributed.all_reduce(tensor)
        tensor.div_(distributed.get_world_size())


def _seed_noise(step):
    torch.manual_seed(step)  # what "noise" and "channel" draw depends on the step alone, so that a run can resume
