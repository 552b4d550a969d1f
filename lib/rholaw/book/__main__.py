"""The command line of the book: ``python -m rholaw.book build``."""

import sys

from ..command_line import Parser, guarded
from .pages import build
from .workplace import ROOT, BuildError


def main(arguments: list[str], prog: str = "rholaw book") -> int:
    """The command line: `build`, and `build --quick`. The exit code: 1 when the book cannot be built."""
    parser = Parser(prog, "The book, built from its chapters.", f"  {prog} build --quick")
    parser.add_argument("command", choices=["build"])
    parser.add_argument("--quick", action="store_true", help="smaller experiments, wider intervals")
    options = parser.parse_args(arguments)
    if not (ROOT / "_toc.yml").is_file():
        raise ValueError(f"there are no chapters in {ROOT}: the book is built in a checkout of the repository")
    try:
        print(build(quick=options.quick))
    except BuildError as error:
        print(f"The book was not built; an earlier one stands as it was.\n\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the chapters that were done are kept.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:], "python -m rholaw.book")))
