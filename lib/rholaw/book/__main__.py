"""The command line of the book: ``python -m rholaw.book build``."""

import sys

from ..command_line import Parser, guarded
from ..planning.decide import plan
from .desk import desk
from .japanese import scenario
from .pages import build
from .printed import pdf
from .workplace import ROOT, BuildError


def main(arguments: list[str], prog: str = "rholaw book") -> int:
    """The command line: `build`, `pdf`, `desk`. The exit code: 1 when the book cannot be built or printed."""
    parser = Parser(prog, "The book, built from its chapters, and printed.", f"  {prog} build --quick")
    parser.add_argument("command", choices=["build", "pdf", "desk"])
    parser.add_argument("scenario", nargs="?", default="cloud", help="a file or a worked case, for desk")
    parser.add_argument("--quick", action="store_true", help="smaller experiments, wider intervals")
    parser.add_argument("--evidence", action="store_true", help="print folded code too")
    options = parser.parse_args(arguments)
    if not (ROOT / "_toc.yml").is_file():
        raise ValueError(f"there are no chapters in {ROOT}: the book is built in a checkout of the repository")
    try:
        if options.command == "build":
            print(build(quick=options.quick))
        elif options.command == "pdf":
            print(pdf(evidence=options.evidence))
        else:
            print(desk(plan(scenario(options.scenario, quick=options.quick))))
    except BuildError as error:
        done = "built" if options.command == "build" else "printed"
        print(f"The book was not {done}; an earlier one stands as it was.\n\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the chapters that were done are kept.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:], "python -m rholaw.book")))
