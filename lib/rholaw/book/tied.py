"""A console script that ends when whoever started it ends: ``python -m rholaw.book.tied papermill …``.

Its standard input is a pipe to which nobody writes.  It closes when the one who holds its other end closes it or dies,
by kill -9 too, and nothing else tells a child of that.  A kernel that papermill started ends with papermill by itself.
"""

import os
import sys
import threading
from importlib.metadata import entry_points


def _end_with(pipe: int) -> None:
    os.read(pipe, 1)
    os._exit(1)


def main() -> None:
    """Run the console script that the arguments name, with the arguments that follow."""
    pipe = os.dup(0)  # which no child inherits
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()
    del sys.argv[0]
    (script,) = entry_points(group="console_scripts", name=sys.argv[0])
    sys.exit(script.load()())


if __name__ == "__main__":
    main()
