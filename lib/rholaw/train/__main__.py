"""The command line of training: plan a sweep, run it, and export what it recorded."""

import argparse
import sys
from functools import partial

from . import corpus, engines, sweep, trainer


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 when all is done, 1 when something is refused or has failed, 3 when runs are left."""
    parser = argparse.ArgumentParser(prog="python -m rholaw.train", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("sweep", help="train what a sweep file names and the store lacks; kill and repeat")
    running.add_argument("file")
    running.add_argument("--store", required=True, help="a folder for records and checkpoints")
    running.add_argument("--engine", choices=engines.ENGINES, default="local")
    running.add_argument("--workers", type=int, default=1)
    running.add_argument("--members", type=int, default=sweep.MEMBERS, help="runs that train side by side, at most")
    running.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    running.add_argument("--minutes", type=float, default=float("inf"), help="start no unit after so long")
    running.add_argument("--compile", action="store_true", help="by torch.compile: pays on a GPU")
    running.add_argument("--retry-failed", action="store_true")
    chosen = vars(parser.parse_args(arguments))
    try:
        return {"sweep": _sweep}[chosen.pop("command")](**chosen)
    except (ValueError, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _sweep(file: str, store: str, compile: bool, **options) -> int:
    configs = sweep.read(file)
    for name, vocabulary in sorted({(config.corpus, config.vocabulary) for config in configs}):
        corpus.load(name, vocabulary)  # before the first step: it may be missing, and takes minutes to build
    counts = sweep.run(configs, store, train=partial(trainer.train, compile=compile), **options)
    print(", ".join(f"{number} {status}" for status, number in counts.items()))
    return 3 if counts["left"] else 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
