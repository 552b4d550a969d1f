"""The command line of the book: ``python -m rholaw.book build``."""

import argparse
import sys

from .execute import BuildError
from .pages import build


def main(arguments: list[str] | None = None) -> int:
    """The command line: `build`, and `build --quick`."""
    parser = argparse.ArgumentParser(prog="python -m rholaw.book", description="The book, built from its chapters.")
    parser.add_argument("command", choices=["build"])
    parser.add_argument("--quick", action="store_true", help="smaller experiments, wider intervals")
    options = parser.parse_args(arguments)
    try:
        print(build(quick=options.quick))
    except BuildError as error:
        print(f"The book was not built.\n\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the chapters that were done are kept.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
