"""The command line of training: plan a sweep, run it, train one run on several processes, export what was recorded."""

import math
import sys
from functools import partial

from ..command_line import Parser, at_least_one, guarded
from ..texts import tokens as corpus
from . import torchrun as parallel
from . import trainer
from .sweeps import forecast as plan
from .sweeps import run as sweep
from .sweeps import store as records
from .sweeps import workers as engines

EXAMPLES = """\
  {prog} plan sweeps/cpu_evening.toml --measure
  {prog} sweep sweeps/cpu_evening.toml --store runs --workers 2
  {prog} export runs data/runs/mine.csv"""


def main(arguments: list[str], prog: str = "rholaw train") -> int:
    """The exit code: 0 when all is done, 1 when a run has failed, 3 when runs are left; errors are raised."""
    parser = Parser(prog, __doc__.splitlines()[0], EXAMPLES.format(prog=prog))
    commands = parser.add_subparsers(dest="command", required=True)
    planning = commands.add_parser("plan", help="what a sweep file would do")
    running = commands.add_parser("sweep", help="train what a sweep file names and the store lacks; kill and repeat")
    single = commands.add_parser("run", help="train the one run of a file; on several processes under torchrun")
    exporting = commands.add_parser("export", help="write a store as a table for data/runs")
    for command in (planning, running, single):
        command.add_argument("file", help="as sweeps/template.toml explains")
        command.add_argument("--store", required=command is not planning, help="a folder for records and checkpoints")
        command.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
        command.add_argument("--compile", action="store_true", help="all but the rounding by torch.compile")
    for command in (planning, running):
        command.add_argument("--members", type=at_least_one, default=sweep.MEMBERS, help="runs side by side, at most")
    planning.add_argument("--measure", action="store_true", help="train some seconds, to say how long all would take")
    running.add_argument("--engine", choices=engines.ENGINES, default="local")
    running.add_argument("--workers", type=at_least_one, default=1)
    running.add_argument("--minutes", type=float, default=math.inf, help="start no unit after so long")
    running.add_argument("--retry-failed", action="store_true")
    exporting.add_argument("store")
    exporting.add_argument("file", help="data/runs/NAME.csv")
    exporting.add_argument("--title", default="Training runs of this project")
    chosen = vars(parser.parse_args(arguments))
    command = {"plan": _plan, "sweep": _sweep, "run": _run, "export": _export}[chosen.pop("command")]
    try:
        return command(**chosen)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _read(file: str) -> list[sweep.Config]:
    """The runs, with their texts at hand before the first step: one may be missing, or take minutes to build."""
    configs = sweep.read(file)
    for name, vocabulary in sorted({(config.corpus, config.vocabulary) for config in configs}):
        corpus.load(name, vocabulary)
    return configs


def _plan(file: str, store: str | None, device: str, compile: bool, members: int, measure: bool) -> int:
    groups = sweep.units(sweep.read(file), members)
    seconds = None
    if measure:
        _read(file)
        seconds = plan.measured(groups, device, partial(trainer.train, compile=compile))
    print(plan.report(groups, records.Store(store) if store else None, seconds))
    return 0


def _sweep(file: str, store: str, compile: bool, **options) -> int:
    counts = sweep.run(_read(file), store, train=partial(trainer.train, compile=compile), **options)
    print(", ".join(f"{number} {status}" for status, number in counts.items()))
    if counts["failed"]:
        errors = [record["error"] for record in records.Store(store).records() if record["status"] == "failed"]
        print(f"the last to fail: {errors[-1]}; --retry-failed tries again", file=sys.stderr)
    return 3 if counts["left"] else 1 if counts["failed"] else 0


def _run(file: str, store: str, device: str, compile: bool) -> int:
    configs = _read(file)
    if len(configs) != 1:
        raise ValueError(f"{file} names {len(configs)} runs: run trains a single one, sweep many")
    if record := parallel.run(configs[0], store, device, compile):
        print(f"{record['id']} {record['status']}: loss {record['loss']}, {record['tokens_per_s']:,} tokens/s")
    return 0


def _export(store: str, file: str, title: str) -> int:
    path = records.export(records.Store(store), file, title)
    print(f"{path} is written; complete {path.with_suffix('.toml')}, then: python -m rholaw update runs/{path.stem}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:], "python -m rholaw.train")))
