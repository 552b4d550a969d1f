"""The executed chapters, staged as pages (`_build/stage`) that Jupyter Book writes (`_build/html`)."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

from . import reference
from .execute import REFERENCE, ROOT, BuildError, chapters, contents, environment, execute, executed, read

VEGA = "vega.js"  # among the assets, which the pages find in _static/
OPEN = {"parameters", "show", "lesson", "remove-input", "remove-cell", "answer"}  # code that a page does not fold


def stage(root: Path) -> None:
    """Write `_build/stage` anew: the executed chapters as pages, and all else that the pages need.

    BuildError: a chapter wrote to standard error, or a figure lacks its text.
    """
    target = root / "_build" / "stage"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root / "chapters", target, ignore=shutil.ignore_patterns("*.ipynb", ".*"))
    problems = []
    for chapter in chapters(root):
        if chapter.suffix == ".ipynb":
            notebook = as_page(read(executed(chapter, root)))
            problems += [f"{chapter.relative_to(root)}: {problem}" for problem in output_problems(notebook)]
            page = target / chapter.relative_to(root / "chapters")
            page.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), encoding="utf-8")
    if problems:
        raise BuildError("\n".join(problems))
    for name in contents(root):
        if name.startswith(REFERENCE):
            page = target / f"{name}.md"
            page.parent.mkdir(exist_ok=True)
            page.write_text(reference.page(name.removeprefix(REFERENCE)), encoding="utf-8")
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
    """Build the book and return its first page; what an earlier build left is removed first, so no page is stale.

    BuildError: a chapter failed, a figure lacks its text, or Jupyter Book warned of something.
    """
    output = root / "_build"
    shutil.rmtree(output / "html", ignore_errors=True)
    execute(root, quick)
    stage(root)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(output / "stage")]
    command += ["--path-output", str(root), "--config", str(root / "_config.yml"), "--toc", str(root / "_toc.yml")]
    command += ["--all", "-W", "-n", "--keep-going", "--quiet"]
    done = subprocess.run(command, env=environment(root), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        shutil.rmtree(output / "html", ignore_errors=True)
        raise BuildError(f"Jupyter Book refuses a page; see above.\n{done.stdout.strip()[-2000:]}")
    return output / "html" / "index.html"
