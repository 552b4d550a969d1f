"""Running a sweep: its runs train in units until each has its record, whatever is killed meanwhile.

Workers share nothing but the store: each goes over all units, claims one that lacks records, and trains it.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ...checked import unknown
from .. import trainer
from ..config import Config
from . import workers as engines
from .file import read
from .store import Store

__all__ = ["Store", "count", "flops", "read", "run", "units", "work"]

MEMBERS = 8  # so many runs of one shape train side by side, at most
Unit = tuple[Config, ...]


def units(configs: Iterable[Config], members: int = MEMBERS) -> list[Unit]:
    """The runs in groups for one batched program each: of one shape, at most `members`, in the order of the runs.

    They depend on what the sweep names and never on what has finished, so that checkpoints are found again.
    """
    shapes: dict[tuple, list[Config]] = {}
    for config in configs:
        shapes.setdefault(config.shape, []).append(config)
    chosen = []
    for group in shapes.values():
        size = math.ceil(len(group) / math.ceil(len(group) / members))
        chosen += [tuple(group[start : start + size]) for start in range(0, len(group), size)]
    return chosen


def flops(config: Config) -> float:
    """What a run computes in training."""
    return config.flops_per_token * config.steps * config.batch_tokens


def count(configs: Iterable[Config], store: Store) -> Counter:
    """How many of the runs are "finished", "diverged", "failed" and "left"."""
    status = {record["id"]: record["status"] for record in store.records()}
    return Counter(status.get(config.id, "left") for config in configs)


def run(
    configs: Iterable[Config],
    folder: str | Path,
    *,
    engine: str = "local",
    workers: int = 1,
    members: int = MEMBERS,
    device: str = "cpu",
    minutes: float = math.inf,
    retry_failed: bool = False,
    train: Callable[..., list[dict]] = trainer.train,
) -> Counter:
    """Train all that has no record yet in the store at `folder`, and count what there is in the end (`count`).

    `engine` is one of `engines.ENGINES`.  A worker starts no unit after its `minutes`; call again to go on.  A run that
    raises an error is recorded as failed, and trained again only if `retry_failed`; an OSError, such as a full disk's,
    ends the sweep and fails no run.  `train` is called as `trainer.train` is; the workers must be able to import it.
    RuntimeError when workers keep dying, or when one says why it cannot work.
    """
    configs, store = list(configs), Store(Path(folder).absolute())  # workers may start elsewhere
    if engine not in engines.ENGINES:
        raise ValueError(unknown(engine, engines.ENGINES, "engine"))
    since = len(store.records()) if retry_failed else 0
    job = partial(work, units(configs, members), store.folder, train, device, minutes, since)
    with closing(_Progress(configs, store)) as progress:
        if not store.settled(since).issuperset(config.id for config in configs):
            engines.start(engine, job, workers, device, store.folder / "logs", progress.show)
            progress.show()
    return count(configs, store)


def work(
    groups: list[Unit], folder: Path, train: Callable, device: str, minutes: float = math.inf, since: int = 0
) -> None:
    """What a worker does: train units that nobody has claimed until none is left, or its `minutes` are over.

    `since`: a run that failed before that record is trained again (`Store.settled`).
    """
    store, trained, until = Store(folder), True, time.monotonic() + 60 * minutes
    while trained:  # a second round finds what a worker that died let go
        trained, settled = False, store.settled(since)
        for unit in groups:
            if time.monotonic() >= until:
                return
            ids = [config.id for config in unit]
            if settled.issuperset(ids):
                store.forget(store.checkpoint(ids))  # of a worker that was killed when the records were on disk
            else:
                trained |= _claimed(store, unit, train, device, since)


def _claimed(store: Store, unit: Unit, train: Callable, device: str, since: int) -> bool:
    """Train what the unit lacks, unless another does; True when there was something to train."""
    with store.claim(config.id for config in unit) as mine:
        settled = store.settled(since)
        todo = tuple(config for config in unit if config.id not in settled)
        if mine and todo:
            _train(store, todo, train, device)
        return bool(mine and todo)


def _train(store: Store, configs: Unit, train: Callable, device: str) -> None:
    """Train runs side by side and append their records; where that raises an error, half of them at a time."""
    checkpoint = store.checkpoint([config.id for config in configs])
    started, begun = datetime.now(UTC), time.perf_counter()
    try:
        records = train(configs, device=device, checkpoint=checkpoint, progress=False)
    except OSError:
        raise  # a full disk, a folder that cannot be read: nothing that the runs did; their checkpoint stays
    except Exception as error:
        store.forget(checkpoint)
        if len(configs) > 1:  # one may spoil it for all, or together they need too much memory
            middle = len(configs) // 2
            _train(store, configs[:middle], train, device)
            _train(store, configs[middle:], train, device)
            return
        about = {"error": f"{type(error).__name__}: {error}", "device": device, "seconds": time.perf_counter() - begun}
        records = [_failed(configs[0], about | {"started": started.isoformat(timespec="seconds")})]
    store.append(*records)
    store.forget(checkpoint)  # only now: the records are on disk


def _failed(config: Config, about: dict) -> dict:
    known = {"id": config.id, "config": asdict(config), "parameters": config.parameters, "n_params": config.n_params}
    return known | {"status": "failed"} | about


class _Progress:
    """A bar over the work of a sweep, with the runs in words."""

    def __init__(self, configs: list[Config], store: Store):
        self.configs, self.store, self.size = configs, store, -1
        form = "{percentage:3.0f}%|{bar:24}| {postfix[0]} [{elapsed}<{remaining}]"
        total = sum(map(flops, configs))
        self.bar = tqdm(total=total, initial=self._done(), bar_format=form, postfix=[""], mininterval=1, miniters=0)
        self.show()

    def show(self) -> None:
        """Bring the bar up to date, if there is something new."""
        size = self.store.file.stat().st_size if self.store.file.is_file() else 0
        if size != self.size:
            self.size = size
            counts = count(self.configs, self.store)
            parts = [f"{counts[name]} {name}" for name in ("finished", "diverged", "failed", "left") if counts[name]]
            self.bar.postfix[0] = f"of {len(self.configs)} runs " + ", ".join(parts)
            self.bar.update(self._done() - self.bar.n)
        self.bar.update(0)  # the clock

    def _done(self) -> float:
        recorded = {record["id"] for record in self.store.records()}
        return sum(flops(config) for config in self.configs if config.id in recorded)

    def close(self) -> None:
        self.bar.close()
