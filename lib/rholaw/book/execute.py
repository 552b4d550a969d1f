"""The chapters, executed into `_build/executed`: each whose fingerprint has changed, in its own folder."""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from .. import files

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = "api/"  # pages in _toc.yml that are written from the code


class BuildError(RuntimeError):
    """The book cannot be built; the message says which chapter and why."""


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
    """A digest of all that an executed chapter depends on: library, data, pins, Python and the chapter itself."""
    inputs = [path for path in sorted((root / "lib").rglob("*")) if path.suffix in (".py", ".html", ".toml", ".log")]
    inputs += sorted((root / "data").rglob("*"))
    inputs += [root / "constraints.txt", root / "assets" / "ipython_kernel_config.py", chapter]
    versions = (sys.version, importlib.metadata.version("torch"), quick)
    digest = hashlib.sha256(repr(versions).encode())
    for path in inputs:
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def execute(root: Path, quick: bool = False) -> None:
    """Execute every chapter whose fingerprint has changed, on all cores; a failure lets the others finish first.

    BuildError: a chapter failed; the message holds the cell and its traceback.
    """
    pending = {}
    for chapter in chapters(root):
        if chapter.suffix == ".ipynb":
            mark = fingerprint(chapter, root, quick)
            if read(executed(chapter, root)).get("metadata", {}).get("fingerprint") != mark:
                pending[chapter] = mark
    if not pending:
        return

    import matplotlib.font_manager  # noqa: F401  builds the font cache once, here, instead of in every kernel

    variables = environment(root)
    failures = []
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(pending), desc="chapters", unit="chapter", leave=False) as progress,
    ):
        jobs = [pool.submit(_run, *item, root, quick, variables) for item in pending.items()]
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


def environment(root: Path) -> dict[str, str]:
    """What kernels and Jupyter Book run with: the project's profile, one thread, the last commit's time."""
    profile = root / "_build" / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    shutil.copy(root / "assets" / "ipython_kernel_config.py", profile)
    commit = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=root, capture_output=True, text=True)
    return {
        **os.environ,
        "IPYTHONDIR": str(profile.parent),
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, whatever the user has installed
        "OMP_NUM_THREADS": "1",  # one chapter a core
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONHASHSEED": "0",
        "TQDM_DISABLE": "1",  # a page is no place for progress lines
        **({"SOURCE_DATE_EPOCH": commit.stdout.strip()} if commit.stdout.strip() else {}),
    }


def _run(chapter: Path, mark: str, root: Path, quick: bool, variables: dict[str, str]) -> str:
    """Execute one chapter; the result is "" or what went wrong."""
    target = executed(chapter, root)
    partial = target.with_suffix(".partial.ipynb")
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    command = [sys.executable, "-m", "papermill", str(chapter), str(partial), "--cwd", str(chapter.parent)]
    command += ["--no-progress-bar", "--kernel", "python3", *(["-p", "quick", "True"] if quick else [])]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    notebook = read(partial)
    if done.returncode != 0:
        partial.unlink(missing_ok=True)
        return f"{chapter.relative_to(root)}: {_failure(notebook) or done.stderr.strip()}"
    notebook["metadata"]["fingerprint"] = mark
    files.write(target, json.dumps(notebook, ensure_ascii=False))
    partial.unlink()
    return ""


def _failure(notebook: dict) -> str:
    """The cell that failed and its traceback, as text; "" where none did."""
    for cell in notebook.get("cells", ()):
        for output in cell.get("outputs", ()):
            if output["output_type"] == "error" and "papermill-error-cell-tag" not in cell["metadata"].get("tags", ()):
                source = "".join("    " + line for line in "".join(cell["source"]).splitlines(keepends=True))
                trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))
                return f"cell In[{cell['execution_count']}] failed\n\n{source}\n\n{trace}"
    return ""


def read(path: Path) -> dict:
    """A notebook as its JSON; {} where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
