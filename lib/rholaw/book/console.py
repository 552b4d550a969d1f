"""What a command of the book prints, for a page that shows the command."""

import io
import shlex
from contextlib import chdir, redirect_stderr, redirect_stdout
from importlib import import_module

from IPython.display import Markdown

from .workplace import ROOT


def printed(command: str, lines: int | None = None) -> Markdown:
    """A command line that begins with ``rholaw``, as a block with what it prints, or its first lines.

    It is run in the folder of the book, where a reader who has just installed it stands.
    What it says on standard error is shown where it refuses, and left out otherwise: a bar of progress.  ValueError
    for the command of another program.
    """
    program, *arguments = shlex.split(command)
    if program != "rholaw":
        raise ValueError(f"{program}: only rholaw is run here")
    output, errors = io.StringIO(), io.StringIO()
    with chdir(ROOT), redirect_stdout(output), redirect_stderr(errors):
        refused = import_module(f"{program}.__main__").main(arguments)
    shown = (errors if refused else output).getvalue().strip().splitlines()
    cut = ["…"] if lines is not None and len(shown) > lines else []
    return Markdown("\n".join(["```console", f"$ {command}", *shown[:lines], *cut, "```"]))
