"""The command line: ``rholaw COMMAND …``, the same as ``python -m rholaw COMMAND …``."""

import importlib
import sys

from .command_line import Parser, guarded

COMMANDS = {  # name → (what it does, module, function of the arguments and the program's name)
    "formats": ("list the formats that have a name", "commands.formats", "list_formats"),
    "gmse": ("the error of formats on Gaussian or other data", "commands.formats", "gmse"),
    "survey": ("what formats would do to a checkpoint", "commands.checkpoints", "survey"),
    "evaluate": ("what formats would cost a language model, on a text", "commands.checkpoints", "evaluate"),
    "fit": ("fit a scaling law to training runs", "commands.laws", "fit"),
    "predict": ("what formats would cost a finished model, from a log", "commands.fidelity", "predict"),
    "plan": ("which compression pays, for a scenario of yours", "commands.planning", "plan"),
    "speeds": ("what files of benchmarks measured, as a plan reads them", "commands.planning", "speeds"),
    "allocate": ("which tensor gets which type within a budget of bytes", "commands.fidelity", "allocate"),
    "train": ("train runs of a sweep file, here or on a cluster", "train.__main__", "main"),
    "data": ("check the tables, add to them, hold your runs against frozen laws", "commands.data", "data"),
    "book": ("build the book from its chapters", "book.__main__", "main"),
}
SHORT = {"check": "data", "update": "data"}  # python -m rholaw check, as it was before there was more


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and gives the exit code (`command_line`)."""
    return guarded(lambda: _run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int | None:
    if arguments and arguments[0] in SHORT:
        arguments = [SHORT[arguments[0]], *arguments]
    description = "Compressed models: which representation to train or serve, and what it saves."
    parser = Parser("rholaw", description, _examples())
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND …", help="a command, then its own arguments")
    name = parser.parse_args(arguments[:1]).command
    _, module, function = COMMANDS[name]
    return getattr(importlib.import_module(f"rholaw.{module}"), function)(arguments[1:], f"rholaw {name}")


def _examples() -> str:
    lines = [f"  {name:<8} {what}" for name, (what, *_) in COMMANDS.items()]
    return "\n".join(['  rholaw gmse nvfp4 "2:4+int4/g128"', "  rholaw plan --help", "", "commands:", *lines])


if __name__ == "__main__":
    sys.exit(main())
