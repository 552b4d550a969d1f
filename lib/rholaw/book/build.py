"""The parameters of a chapter, checked before any work; and the book, built from its chapters.

book.parameters(globals(), source=("normal", "laplace"))     in a chapter, right after its parameters cell
python -m rholaw.book build                                  what `make book` calls

A build executes each chapter whose fingerprint has changed (`_build/executed`), stages the results as pages
(`_build/stage`) and lets Jupyter Book write them (`_build/html`). Chapters run in their own folder.
"""

import argparse
import ast
import contextlib
import difflib
import hashlib
import importlib.metadata
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from .. import files

ROOT = Path(__file__).resolve().parents[3]
OPEN = {"parameters", "show", "lesson", "remove-input", "remove-cell", "answer"}  # code that a page does not fold
VEGA = "vega.js"  # among the assets, which the pages find in _static/
KINDS = {bool: "True or False", int: "a whole number", float: "a finite number", str: "text"}


class ParameterError(ValueError):
    """A chapter was given a parameter it does not have, or a value it cannot use."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this in place of a stack that says nothing more
        return [f"ParameterError: {self}"]


class BuildError(RuntimeError):
    """The book cannot be built; the message says which chapter and why."""


# --- parameters ---------------------------------------------------------------------------------------------------


def parameters(namespace: dict, **allowed: Collection | Callable[[object], object]) -> None:
    """Check a chapter's parameters before any work, and convert text that reads as a number, in place.

    Declared are the annotated assignments of the cell tagged `parameters`. `allowed` maps a name to its possible
    values, or to a function that raises ValueError for a value it refuses.
    """
    declared = {name: kind for name, kind in namespace.get("__annotations__", {}).items() if kind in KINDS}
    for name in [*_injected(namespace.get("In", ())), *allowed]:
        if name not in declared:
            raise ParameterError(_unknown(name, declared, namespace))
    for name, kind in declared.items():
        namespace[name] = _converted(name, kind, namespace[name])
    for name, rule in allowed.items():
        _check(name, namespace[name], rule)


def _injected(history: Collection[str]) -> Iterator[str]:
    """Names that papermill assigned: it puts a cell of plain assignments, headed so, after the parameters cell."""
    for cell in history:
        if cell.startswith("# Parameters\n"):
            with contextlib.suppress(SyntaxError):  # a reader's own cell, with a magic in it
                for node in ast.parse(cell).body:
                    if isinstance(node, ast.Assign):
                        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _unknown(name: str, declared: dict[str, type], namespace: dict) -> str:
    close = difflib.get_close_matches(name, declared, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    lines = [f"    {known}: {kind.__name__} = {namespace.get(known)!r}" for known, kind in declared.items()]
    return "\n".join([f"this chapter has no parameter {name!r}{hint}", "It has:", *lines])


def _converted(name: str, kind: type, value: object) -> object:
    """The value as its declared type; papermill passes 2e9 as a float and, from YAML, as text."""
    wanted = f"{name} should be {KINDS[kind]} ({kind.__name__})"
    refused = ParameterError(f"{wanted}, not {value!r} ({type(value).__name__})")
    if isinstance(value, bool) or kind is bool:
        if kind is bool and isinstance(value, bool):
            return value
        raise refused
    if kind is str:
        if isinstance(value, (str, int)):  # `-p bits 4` reaches a text parameter as a number
            return str(value)
        raise refused
    try:
        number = value if isinstance(value, int) else float(value)
    except (TypeError, ValueError):
        raise refused from None
    if not math.isfinite(number) or (kind is int and number != int(number)):
        raise refused
    return kind(number)


def _check(name: str, value: object, rule: Collection | Callable[[object], object]) -> None:
    if callable(rule):
        try:
            rule(value)
        except ValueError as error:
            raise ParameterError(f"{name} = {value!r}: {error}") from None
    elif value not in rule:
        choices = ", ".join(map(repr, rule)) if len(rule) <= 20 else str(rule)
        raise ParameterError(f"{name} = {value!r} is not one of: {choices}")


# --- executing ----------------------------------------------------------------------------------------------------


def pages(root: Path) -> list[Path]:
    """The files of the book in reading order: what _toc.yml names, found in chapters/."""
    import yaml

    found = []
    for name in _files(yaml.safe_load((root / "_toc.yml").read_text())):
        candidates = [root / "chapters" / f"{name}{suffix}" for suffix in (".ipynb", ".md")]
        existing = [path for path in candidates if path.exists()]
        if len(existing) != 1:
            raise BuildError(f"_toc.yml names {name!r}; chapters/ should hold either {name}.ipynb or {name}.md")
        found += existing
    return found


def _files(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (node[key] for key in ("root", "file") if key in node)
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _files(child)


def fingerprint(chapter: Path, root: Path, quick: bool = False) -> str:
    """A digest of everything that an executed chapter depends on."""
    inputs = [path for path in sorted((root / "lib").rglob("*")) if path.suffix in (".py", ".html")]
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
    """Execute every chapter whose fingerprint has changed, on all cores; a failure lets the others finish first."""
    pending = {}
    for chapter in pages(root):
        if chapter.suffix == ".ipynb":
            mark = fingerprint(chapter, root, quick)
            if _read(_executed(chapter, root)).get("metadata", {}).get("fingerprint") != mark:
                pending[chapter] = mark
    if not pending:
        return

    import matplotlib.font_manager  # noqa: F401  builds the font cache once, here, instead of in every kernel

    environment = _environment(root)
    failures = []
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(pending), desc="chapters", unit="chapter", leave=False) as progress,
    ):
        jobs = [pool.submit(_run, *item, root, quick, environment) for item in pending.items()]
        try:
            for job in as_completed(jobs):
                failures += [job.result()] if job.result() else []
                progress.update()
        except BaseException:  # Ctrl-C: do not start what waits; the running ones hear it too
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise BuildError("\n\n".join(sorted(failures)))


def _executed(chapter: Path, root: Path) -> Path:
    return root / "_build" / "executed" / chapter.relative_to(root / "chapters")


def _environment(root: Path) -> dict[str, str]:
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


def _run(chapter: Path, mark: str, root: Path, quick: bool, environment: dict[str, str]) -> str:
    """Execute one chapter; the result is "" or what went wrong."""
    target = _executed(chapter, root)
    partial = target.with_suffix(".partial.ipynb")
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    command = [sys.executable, "-m", "papermill", str(chapter), str(partial), "--cwd", str(chapter.parent)]
    command += ["--no-progress-bar", "--kernel", "python3", *(["-p", "quick", "True"] if quick else [])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    notebook = _read(partial)
    if done.returncode != 0:
        partial.unlink(missing_ok=True)
        return f"{chapter.relative_to(root)}: {_failure(notebook) or done.stderr.strip()}"
    notebook["metadata"]["fingerprint"] = mark
    files.write(target, json.dumps(notebook, ensure_ascii=False))
    partial.unlink()
    return ""


def _failure(notebook: dict) -> str:
    for cell in notebook.get("cells", ()):
        for output in cell.get("outputs", ()):
            if output["output_type"] == "error" and "papermill-error-cell-tag" not in cell["metadata"].get("tags", ()):
                source = "".join("    " + line for line in "".join(cell["source"]).splitlines(keepends=True))
                trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))
                return f"cell In[{cell['execution_count']}] failed\n\n{source}\n\n{trace}"
    return ""


def _read(path: Path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {}


# --- staging and building -----------------------------------------------------------------------------------------


def stage(root: Path) -> None:
    """Write `_build/stage` anew: the executed chapters as pages, and all else that the pages need."""
    target = root / "_build" / "stage"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root / "chapters", target, ignore=shutil.ignore_patterns("*.ipynb", ".*"))
    problems = []
    for chapter in pages(root):
        if chapter.suffix == ".ipynb":
            notebook = as_page(_read(_executed(chapter, root)))
            problems += [f"{chapter.relative_to(root)}: {problem}" for problem in output_problems(notebook)]
            page = target / chapter.relative_to(root / "chapters")
            page.write_text(json.dumps(notebook, ensure_ascii=False, indent=1))
    if problems:
        raise BuildError("\n".join(problems))
    shutil.copy(root / "references.bib", target)
    mathjax = Path(importlib.util.find_spec("mathjax").origin).parent / "static" / "mathjax" / "es5"
    (target / "assets" / "mathjax").mkdir(parents=True)
    shutil.copy(mathjax / "tex-svg-full.js", target / "assets" / "mathjax")
    shutil.copy(root / "assets" / "book.css", target / "assets")
    if any(f"_static/{VEGA}" in page.read_text() for page in target.rglob("*.ipynb")):
        (target / "assets" / VEGA).write_text(vega())


def vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, in a scope of its own: all it declares is `vegaEmbed`."""
    from vl_convert import javascript_bundle

    return "(() => {\n" + javascript_bundle("window.vegaEmbed = vegaEmbed;") + "\n})();\n"


def as_page(notebook: dict) -> dict:
    """The notebook without papermill's clocks and marks, code folded, the answer moved up to follow the question."""
    cells = notebook["cells"]
    for cell in cells:
        cell["metadata"] = {key: cell["metadata"][key] for key in ("tags", "mystnb") if key in cell["metadata"]}
        if cell["cell_type"] == "code" and not OPEN & set(tags := cell["metadata"].setdefault("tags", [])):
            tags.append("hide-input")
    answers = [cell for cell in cells if "answer" in cell["metadata"].get("tags", ())]
    rest = [cell for cell in cells if cell not in answers]
    for cell in answers:
        cell["metadata"]["tags"].append("remove-input")
    first = next((i for i, cell in enumerate(rest) if cell["cell_type"] == "markdown"), -1) + 1
    kept = {key: notebook["metadata"][key] for key in ("kernelspec", "language_info") if key in notebook["metadata"]}
    return {**notebook, "metadata": kept, "cells": [*rest[:first], *answers, *rest[first:]]}


def output_problems(notebook: dict) -> list[str]:
    """Warnings, and figures that lack a caption, a name or a text for those who cannot see them."""
    problems = []
    for cell in notebook["cells"]:
        outputs = cell.get("outputs", ())
        images = [out for out in outputs if any(mime.startswith("image/") for mime in out.get("data", ()))]
        mystnb = cell["metadata"].get("mystnb", {})
        figure, alt = mystnb.get("figure", {}), mystnb.get("image", {}).get("alt")
        where = f"cell In[{cell.get('execution_count')}]"
        for out in outputs:
            if out.get("name") == "stderr":
                problems.append(f"{where} writes to standard error: {''.join(out['text']).strip()}")
        if len(images) > 1:
            problems.append(f"{where} draws {len(images)} figures: one a cell")
        if images and not (figure.get("caption") and figure.get("name") and alt):
            problems.append(
                f"{where} draws a figure: its metadata needs mystnb.figure.caption, .name, mystnb.image.alt"
            )
    return problems


def build(root: Path = ROOT, quick: bool = False) -> Path:
    """Build the book and return its first page; what an earlier build left is removed first, so no page is stale."""
    output = root / "_build"
    shutil.rmtree(output / "html", ignore_errors=True)
    execute(root, quick)
    stage(root)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(output / "stage")]
    command += ["--path-output", str(root), "--config", str(root / "_config.yml"), "--toc", str(root / "_toc.yml")]
    command += ["--all", "-W", "-n", "--keep-going", "--quiet"]
    done = subprocess.run(command, env=_environment(root), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        shutil.rmtree(output / "html", ignore_errors=True)
        raise BuildError(f"Jupyter Book refuses a page; see above.\n{done.stdout.strip()[-2000:]}")
    return output / "html" / "index.html"


def main(arguments: list[str] | None = None) -> int:
    """The command line: `build`, and `build --quick`."""
    parser = argparse.ArgumentParser(prog="python -m rholaw.book", description=__doc__.splitlines()[0])
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
