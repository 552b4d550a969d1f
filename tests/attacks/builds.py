"""A small book is built, and again while something happens: kill -9, a second build, an edit and back, a full disk."""

import hashlib
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from nbformat.v4 import new_code_cell, new_markdown_cell
from small_book import small_book

PROMISE = "the earlier book stands whole; the next build gives, to the byte, what an undisturbed one gave"
SECONDS = 60
MEGABYTES = 500
SLICE = 0.05  # many builds, minutes beside other tests

PROGRAM = """
import sys
from pathlib import Path
from rholaw.book import __main__ as book, pages
from rholaw.command_line import guarded

book.ROOT = Path(sys.argv[1])
book.build = lambda quick: pages.build(book.ROOT, quick)
sys.exit(guarded(lambda: book.main(["build"], "book")))
"""
TABLE = """import pandas as pd
pd.read_csv("../data/fact.csv").style.format("{:.3f}")"""


def begin(root: Path, bytes_a_file: int = resource.RLIM_INFINITY) -> subprocess.Popen:
    """A build in a process of its own, which can write so much to a file."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, resource.RLIM_INFINITY))

    command = [sys.executable, "-c", PROGRAM, root]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit)


def end(build: subprocess.Popen) -> tuple[int, str]:
    """The exit code of a build and what it said; a traceback of the builder's own is a finding."""
    said = "".join(build.communicate())
    assert 'File "' not in said or "was not built" in said, said
    return build.returncode, said


def pages(root: Path) -> dict[str, str]:
    """The sum of every file of the book, or of what stood in its place when it was killed while it changed places."""
    html = root / "_build" / "html"
    html = html if html.exists() else html.with_name("html.old")
    files = [path for path in html.rglob("*") if path.is_file()]
    return {path.relative_to(html).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def attempt(rng: np.random.Generator, folder: Path) -> str:
    """A book of two chapters, built, disturbed again and again while it is built, and built once more."""
    cells = [new_markdown_cell("# Facts"), new_code_cell(TABLE), new_code_cell("x = object()\nx")]
    root = small_book(folder / "a book 量子", index=cells, other=[new_markdown_cell("# Other"), new_code_cell(TABLE)])
    (root / "data" / "fact.csv").write_text("fact\n1\n")
    start = time.monotonic()
    code, said = end(begin(root))
    assert code == 0, said
    expected, seconds = pages(root), time.monotonic() - start

    kind, killed = str(rng.choice(["killed", "killed", "killed", "twice", "edited", "full"])), 0
    for _ in range(rng.integers(8, 17) if kind == "killed" else 2):
        if rng.random() < 0.7:
            shutil.rmtree(root / "_build" / "executed", ignore_errors=True)
        killed += disturbed(root, kind, rng, rng.uniform(0, seconds)) == -signal.SIGKILL
        assert pages(root) == expected, f"{kind}: the earlier book is not what it was"

    code, said = end(begin(root))
    assert code == 0, f"{kind}: {said}"
    assert pages(root) == expected, f"{kind}: the book differs from that of an undisturbed build"
    assert {path.name for path in (root / "_build").iterdir()} == {"executed", "html", "lock", "stage"}
    return f"killed, {killed} kills" if killed else kind


def disturbed(root: Path, kind: str, rng: np.random.Generator, moment: float) -> int:
    """The exit code of a build to which something happens after so many seconds; it may fail, with the right words."""
    build = begin(root, int(10 ** rng.uniform(2, 6)) if kind == "full" else resource.RLIM_INFINITY)
    if kind != "full":
        time.sleep(moment)
    if kind == "killed":
        build.kill()
    if kind == "twice":
        code, said = end(begin(root))
        assert code == 0 or (code == 1 and "another build of the book" in said and len(said) < 500), said
    if kind == "edited":
        fact = root / "data" / "fact.csv"
        fact.write_text("fact\n2\n")
        time.sleep(rng.uniform(0, 1.5))
        fact.write_text("fact\n1\n")
    code, said = end(build)
    assert code in {"killed": {0, -9}, "twice": {0, 1}, "edited": {0, 1}, "full": {0, 1, 2}}[kind], said
    assert kind != "edited" or code == 0 or "was edited while the book was built" in said, said
    return code
