"""What all command lines share: errors in a sentence, exit codes, tables to read or to read in, and help with examples.

Exit codes: 0 all is well, 1 something that was asked about is not, 2 the request cannot be met, 130 interrupted.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from .checked import readable, shortened, unknown

if TYPE_CHECKING:
    import pandas as pd  # `rholaw --help` does without

LONGEST = 500  # characters of a line of an error


class Parser(argparse.ArgumentParser):
    """A parser whose help keeps its lines and whose errors are a sentence: ValueError, for `guarded` to print."""

    def __init__(self, prog: str, description: str = "", examples: str = "", **more: object):
        epilog = f"examples:\n{examples.rstrip()}" if examples else None
        kind = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=prog, description=description, epilog=epilog, formatter_class=kind, **more)

    def error(self, message: str) -> NoReturn:
        """ValueError with the message and where to find help."""
        raise ValueError(f"{shortened(message, 300)}; {self.prog} --help explains")

    def _check_value(self, action: argparse.Action, value: str) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, unknown(value, list(action.choices), action.dest))


def guarded(run: Callable[[], int | None]) -> int:
    """The exit code of ``run``; an error becomes a line on stderr, a closed pipe and Ctrl-C become nothing more.

    Letters that the terminal's encoding lacks are escaped, as Python does on stderr.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = run() or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # as in `| head`; or Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        tell("rholaw:", error)
        return 2


def tell(begins: str, error: Exception) -> None:
    """Print on stderr what an error says, a line for each of its own; long names of files lose their middle."""
    of_file = isinstance(error, OSError) and error.filename is not None and error.strerror
    text = f"{error.filename}: {error.strerror}" if of_file else str(error)
    print(begins, "\n".join(shortened(readable(line), LONGEST) for line in text.splitlines()), file=sys.stderr)


def at_least_one(text: str) -> int:
    """The whole number from 1 that an argument gives."""
    if not (number := int(text)) >= 1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1")
    return number


def add_output(parser: argparse.ArgumentParser, json: str = "every column as JSON, a list of rows") -> None:
    """The arguments that `show` reads. json: what that prints."""
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--csv", action="store_true", help="every column as CSV")
    kinds.add_argument("--json", action="store_true", help=json)


def show(table: "pd.DataFrame", chosen: argparse.Namespace, columns: Sequence[str] | None = None) -> None:
    """Print a table as asked for: CSV and JSON in full, text with these columns (default: all) and six digits."""
    if chosen.csv:
        table.to_csv(sys.stdout, index=False, lineterminator="\n")
    elif chosen.json:
        print(as_json(table))
    else:
        print(as_text(table if columns is None else table[list(columns)]))


def as_json(table: "pd.DataFrame") -> str:
    """The rows of a table as a JSON list; missing values are null, numbers have 15 digits."""
    return table.to_json(orient="records", force_ascii=False, indent=1, double_precision=15)


def as_text(table: "pd.DataFrame") -> str:
    """The table for a terminal: text to the left, numbers to the right, nothing where a value is missing."""
    cells = [[name, *map(_cell, table[name])] for name in table]
    widths = [max(map(len, column)) for column in cells]
    right = [table[name].dtype.kind in "iuf" for name in table]
    lines = []
    for row in zip(*cells, strict=True):
        padded = [text.rjust(w) if r else text.ljust(w) for text, w, r in zip(row, widths, right, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None or str(value) == "<NA>" or value != value:  # missing, as tables of pandas write it
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    return readable(str(value))
