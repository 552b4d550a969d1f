"""The executed chapters, staged as pages (`_build/stage`) that Jupyter Book writes (`_build/html`)."""

import importlib.util
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from .. import files
from . import figure_data, folds, panel, rebuilding, reference, terms, webtable
from .changes import FEED, changes, feed
from .colophon import about, colophon, title
from .execute import REFERENCE, chapters, contents, current, execute
from .signs import typeset
from .workplace import ROOT, BuildError, workplace

VEGA, PICTURE = "vega.js", "social.png"  # among the assets, which the pages find in _static/
OPEN = {"parameters", "show", "lesson", "remove-input", "remove-cell"}  # code that a page does not fold
FIRST = ("answer", "first")  # results that come after the question, in this order
BARS = {  # what a reader opens, by the tag of the cell; "" for any other code
    "en": {"exercise": "Answer", "evidence": "Evidence", "": "Code"},
    "ja": {"exercise": "答えを見る", "evidence": "根拠を見る", "": "コード"},
}


def stage(root: Path) -> None:
    """Write `_build/stage` anew: the executed chapters as pages, and all else that the pages need.

    BuildError: a chapter wrote to standard error, or a figure lacks its text.
    """
    target, before = root / "_build" / "stage", root / "_build" / "staged-before"
    shutil.rmtree(before, ignore_errors=True)
    if target.exists():
        target.rename(before)
    shutil.copytree(root / "chapters", target, ignore=shutil.ignore_patterns("*.ipynb", ".*"))
    problems, titles, data = [], {}, {}
    for chapter in chapters(root):
        page = target / chapter.relative_to(root / "chapters")
        name = chapter.relative_to(root / "chapters").with_suffix("").as_posix()
        if chapter.suffix == ".md":
            text = typeset(page.read_text(encoding="utf-8"), _language(name))
            titles[name] = title(text)
            page.write_text(f"{text}\n\n{colophon(titles[name], name, root)}\n", encoding="utf-8")
            continue
        notebook = current(chapter, root)
        data |= (its := figure_data.taken(notebook, name))
        notebook = as_page(notebook, name, its)
        problems += [f"{chapter.relative_to(root)}: {problem}" for problem in output_problems(notebook)]
        titles[name] = title("".join(notebook["cells"][0]["source"]))
        notebook["cells"].append(panel.markdown(colophon(titles[name], name, root), "colophon"))
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
    for name in ("book.css", "tables.js", "favicon.svg"):
        shutil.copy(root / "assets" / name, target / "assets")
    asset = (root / "assets" / terms.SCRIPT).read_text(encoding="utf-8")
    (target / "assets" / terms.SCRIPT).write_text(terms.script(asset), encoding="utf-8")
    if listed := changes(root):
        (target / "assets" / FEED).write_text(feed(listed, *about(root), titles), encoding="utf-8")
    if figure := next(_figures(current(chapters(root)[0], root)), None):
        (target / "assets" / PICTURE).write_bytes(social_picture(figure))
    (target / "assets" / figure_data.FOLDER).mkdir()
    for path, text in data.items():
        (target / "assets" / path).write_text(text, encoding="utf-8")
    ignored = shutil.ignore_patterns("*.md", "*.toml", ".*", "scenarios")
    shutil.copytree(root / "chapters", target / "assets" / panel.NOTEBOOKS, ignore=ignored)
    if any(f"_static/{VEGA}" in page.read_text() for page in target.rglob("*.ipynb")):
        (target / "assets" / VEGA).write_text(vega())
    rebuilding.keep_times(target, before)


def vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, in a scope of its own: all it declares is `vegaEmbed`."""
    from vl_convert import javascript_bundle

    return "(() => {\n" + javascript_bundle("window.vegaEmbed = vegaEmbed;") + "\n})();\n"


def social_picture(figure: str) -> bytes:
    """A figure, given as SVG, in the middle of a white PNG of the shape that is shown beside a shared link."""
    from vl_convert import svg_to_png

    place = r'<svg\1 x="60" y="30" width="1080" height="570"'
    inner = re.sub(r'<svg([^>]*?) width="[^"]*" height="[^"]*"', place, figure[figure.index("<svg") :], count=1)
    size = 'width="1200" height="630"'
    return svg_to_png(f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} fill="white"/>{inner}</svg>')


def _figures(notebook: dict) -> Iterator[str]:
    """The figures of an executed chapter, as SVG."""
    for cell in notebook.get("cells", ()):
        for output in cell.get("outputs", ()):
            if "image/svg+xml" in output.get("data", {}):
                yield "".join(output["data"]["image/svg+xml"])


def as_page(notebook: dict, name: str, data: Iterable[str] = ()) -> dict:
    """The notebook as it is read: no clocks, marks and chance, code folded, the first screen after the question.

    name: of its chapter below chapters/, without suffix; data: paths of its figures' data among the assets; see
    ``panel`` for what is at its end, ``folds`` for parts that a reader opens.
    """
    cells, tables = notebook["cells"], itertools.count(1)
    language = _language(name)
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # papermill draws that of a cell which it adds
        for output in cell.get("outputs", ()):
            _settle(output.get("data", {}), tables, language)
        cell["metadata"] = {key: cell["metadata"][key] for key in ("tags", "mystnb") if key in cell["metadata"]}
        if cell["cell_type"] == "code":
            _fold(cell["metadata"], BARS[language])
        else:
            cell["source"] = typeset("".join(cell["source"]), language)
        if figure := cell["metadata"].get("mystnb", {}).get("figure"):
            figure["caption"] = typeset(figure.get("caption", ""), language)
    screen = [cell for tag in FIRST for cell in cells if tag in cell["metadata"].get("tags", ())]
    rest = [cell for cell in cells if cell not in screen]
    title = next((i for i, cell in enumerate(rest) if cell["cell_type"] == "markdown"), -1) + 1
    kept = {key: notebook["metadata"][key] for key in ("kernelspec", "language_info") if key in notebook["metadata"]}
    cells = list(folds.folded(panel.arranged([*rest[:title], *screen, *rest[title:]], name, data)))
    return {**notebook, "metadata": kept, "cells": cells}


def _language(name: str) -> str:
    return "ja" if name.startswith("ja/") else "en"


def _fold(metadata: dict, bars: dict[str, str]) -> None:
    """Fold the code of a cell, with its result where it is an exercise's or evidence; the first screen has no code."""
    tags = metadata.setdefault("tags", [])
    folded = next((tag for tag in bars if tag in tags), "")
    if set(FIRST) & set(tags):
        tags.append("remove-input")
    elif folded or not OPEN & set(tags):
        tags.append("hide-cell" if folded else "hide-input")
        given = metadata.get("mystnb", {})
        bar = given.get("code_prompt_show", bars[folded])
        metadata["mystnb"] = {**given, "code_prompt_show": bar, "code_prompt_hide": bar}


def _settle(shown: dict, tables: Iterator[int], language: str) -> None:
    """Put numbers for the names that a pandas Styler draws, words for headings, and signs as print has them."""
    html, plain = ("".join(shown.get(kind, ())) for kind in ("text/html", "text/plain"))
    for name in re.findall(r'<table id="(T_[0-9a-f]{5})"', html):
        html = html.replace(name, f"T_{next(tables)}")
    shown |= {"text/html": typeset(webtable.headed(html), language)} if html else {}
    shown |= {"text/markdown": typeset("".join(shown["text/markdown"]), language)} if "text/markdown" in shown else {}
    shown |= {"text/plain": re.sub(r" at 0x[0-9a-f]+", "", plain)} if plain else {}


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
    """Build the book and return its first page.

    It is built aside and then takes the place of an earlier one, which can be read until then and stays if something
    fails; what is built aside is kept for the next time, unless something failed or pages share what has changed.
    BuildError: a chapter failed, a figure lacks its text, Jupyter Book warned, or another build runs.
    """
    html, aside = root / "_build" / "html", root / "_build" / "aside"
    mark = aside / "mark"
    with workplace(root) as work:
        files.restore_folder(html)
        execute(work, quick)
        stage(root)
        shared = rebuilding.shared(root)
        if not mark.is_file() or mark.read_text() != shared:
            shutil.rmtree(aside, ignore_errors=True)
        mark.unlink(missing_ok=True)
        command = ["jupyter-book", "build", html.with_name("stage"), "--path-output", aside]
        command += ["--config", root / "_config.yml", "--toc", root / "_toc.yml"]
        done = work.run(*command, "-W", "-n", "--keep-going", "--quiet", stdout=subprocess.PIPE)
        if done.returncode != 0:
            raise BuildError(f"Jupyter Book refuses a page; see above.\n{done.stdout.strip()[-2000:]}")
        files.write(mark, shared)
        files.replace_folder(html, shutil.copytree(aside / "_build" / "html", work.folder / "html"))
    return html / "index.html"
