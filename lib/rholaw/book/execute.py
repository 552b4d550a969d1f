"""The chapters, executed into `_build/executed`: each whose fingerprint has changed, in its own folder."""

import hashlib
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from .. import files
from . import warm
from .workplace import BuildError, Workplace

REFERENCE = "api/"  # pages in _toc.yml that are written from the code
LIMIT = 1800  # seconds for a cell, 30 times what a whole chapter may take on a quiet machine of two cores
START = 300  # seconds until a kernel answers


def contents(root: Path) -> list[str]:
    """The names in _toc.yml, in reading order."""
    import yaml

    return list(_named(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))))


def chapters(root: Path) -> list[Path]:
    """The files of the book in reading order: what _toc.yml names, found in chapters/; the API reference is made anew.

    BuildError: a file is missing, or is there both as a notebook and as Markdown.
    """
    paths = []
    for name in contents(root):
        if name.startswith(REFERENCE):
            continue
        candidates = [root / "chapters" / f"{name}{suffix}" for suffix in (".ipynb", ".md")]
        existing = [path for path in candidates if path.exists()]
        if len(existing) != 1:
            raise BuildError(f"_toc.yml names {name!r}; chapters/ should hold either {name}.ipynb or {name}.md")
        paths += existing
    return paths


def _named(node: object) -> Iterator[str]:
    """Every file that a part of the table of contents names."""
    if isinstance(node, dict):
        yield from (node[key] for key in ("root", "file") if key in node)
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _named(child)


def fingerprint(chapter: Path, root: Path, quick: bool = False) -> str:
    """A digest of all that an executed chapter depends on: library, data, pins, Python and the chapter's own code."""
    versions = (sys.version, importlib.metadata.version("torch"), quick)
    digest = hashlib.sha256(repr(versions).encode())
    for path in _inputs(chapter, root):
        if path.is_file():
            content = _code(path) if path == chapter else path.read_bytes()
            digest.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _code(chapter: Path) -> bytes:
    """What of a chapter a kernel is given: a sentence or a caption is free to change."""
    cells = [cell for cell in read(chapter)["cells"] if cell["cell_type"] == "code"]
    asked = [(cell["id"], "".join(cell["source"]), cell["metadata"].get("tags", [])) for cell in cells]
    return json.dumps(asked).encode()


def _inputs(chapter: Path, root: Path) -> list[Path]:
    library = [path for path in (root / "lib").rglob("*") if path.suffix in (".py", ".html", ".toml", ".log")]
    others = [root / "constraints.txt", root / "content.txt", root / "assets" / "ipython_kernel_config.py", chapter]
    return sorted(library) + sorted((root / "data").rglob("*")) + others


def _state(chapter: Path, root: Path) -> dict[Path, tuple[int, ...]]:
    """What changes when a file that a chapter depends on is written, even with what it held before."""
    state = {}
    for path in _inputs(chapter, root):
        if path.exists():
            about = path.stat()
            state[path] = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    return state


def execute(work: Workplace, quick: bool = False) -> None:
    """Execute every chapter whose fingerprint has changed, on all cores; a failure lets the others finish first.

    BuildError: a chapter failed, and the message holds the cell and its traceback; or a cell took longer than
    LIMIT; or what it depends on was edited meanwhile, so that nobody knows what it shows.
    """
    pending = {}
    for chapter in chapters(work.root):
        if chapter.suffix == ".ipynb":
            state = _state(chapter, work.root)
            mark = fingerprint(chapter, work.root, quick)
            if read(executed(chapter, work.root)).get("metadata", {}).get("fingerprint") != mark:
                pending[chapter] = mark, state
    if not pending:
        return

    import matplotlib.font_manager  # noqa: F401  builds the font cache once, here, instead of in every kernel

    failures = []
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(pending), desc="chapters", unit="chapter", leave=False) as progress,
    ):
        jobs = [pool.submit(_run, work, chapter, *known, quick) for chapter, known in pending.items()]
        try:
            for job in as_completed(jobs):
                failures += [job.result()] if job.result() else []
                progress.update()
        except BaseException:  # Ctrl-C: do not start what waits; the running ones hear it too
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise BuildError("\n\n".join(sorted(failures)))


def executed(chapter: Path, root: Path) -> Path:
    """Where the executed chapter lies."""
    return root / "_build" / "executed" / chapter.relative_to(root / "chapters")


def current(chapter: Path, root: Path) -> dict:
    """The chapter as it is now, with the results of its code when that was executed; {} where it never was."""
    done, notebook = read(executed(chapter, root)), read(chapter)
    if not done:
        return {}
    results = {cell["id"]: cell for cell in done["cells"]}
    given = [cell for cell in done["cells"] if "injected-parameters" in cell["metadata"].get("tags", ())]
    cells = []
    for cell in notebook["cells"]:
        kept = ("outputs", "execution_count") if cell["cell_type"] == "code" else ()
        cells.append({**cell, **{key: results[cell["id"]][key] for key in kept}})
        cells += given if "parameters" in cell["metadata"].get("tags", ()) else []
    return {**notebook, "cells": cells}


def _run(work: Workplace, chapter: Path, mark: str, state: dict, quick: bool) -> str:
    """Execute one chapter; the result is "" or what went wrong."""
    name = chapter.relative_to(work.root)
    if problem := _edited(chapter, state, work.root):
        return f"{name}: {problem}"
    target, partial = executed(chapter, work.root), work.folder / name
    for path in (target, partial):
        path.parent.mkdir(parents=True, exist_ok=True)
    options = ["--cwd", chapter.parent, "--no-progress-bar", "--kernel", "python3", "--start-timeout", START]
    options += ["--execution-timeout", LIMIT, "--no-request-save-on-cell-execute"]  # else it writes all twice a cell
    options += ["-p", "quick", "True"] if quick else []
    errors = partial.with_suffix(".log")
    if warm.papermill([*map(str, (chapter, partial, *options))], work.variables(), errors) != 0:
        said = errors.read_text(encoding="utf-8")
        return f"{name}: {_failure(read(partial)) if 'PapermillExecutionError' in said else _last_words(said)}"
    if problem := _edited(chapter, state, work.root):
        return f"{name}: {problem}"
    notebook = read(partial)
    notebook["metadata"]["fingerprint"] = mark
    files.write(target, json.dumps(notebook, ensure_ascii=False))
    return ""


def _edited(chapter: Path, before: dict, root: Path) -> str:
    """Which file a chapter depends on was edited since; "" where none was."""
    now = _state(chapter, root)
    changed = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    return f"{changed[0].relative_to(root)} was edited while the book was built; build it again" if changed else ""


def _failure(notebook: dict) -> str:
    """The cell that failed and its traceback, as text."""
    for cell in notebook.get("cells", ()):
        for output in cell.get("outputs", ()):
            if output["output_type"] == "error" and "papermill-error-cell-tag" not in cell["metadata"].get("tags", ()):
                source = "".join("    " + line for line in "".join(cell["source"]).splitlines(keepends=True))
                trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))
                return f"cell In[{cell['execution_count']}] failed\n\n{source}\n\n{trace}"
    return ""


def _last_words(trace: str) -> str:
    """What ended papermill, though no cell failed: a cell without end, a kernel that died, a full disk."""
    return re.split(r"^[\w.]+Error: ", trace.strip(), flags=re.MULTILINE)[-1][:1000]


def read(path: Path) -> dict:
    """A notebook as its JSON; {} where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
