"""A page in reading order: first what a chapter found, at its end how to run it, with its parameters and its set-up.

A notebook begins with its parameters and its imports, because a kernel reads from above.  A reader wants neither there.
The notebook itself, in its own order, can be taken away from the panel.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

import nbformat
from papermill.translators import PythonTranslator

WORDS = {
    "en": {
        "head": "Run this chapter with your own values",
        "columns": ("parameter", "left as it is", "what it is"),
        "nothing": "nothing",
        "notebook": "Take the notebook away",
        "data": "the data of its figures",
    },
    "ja": {
        "head": "自社の数字で計算し直す",
        "columns": ("引数", "既定値", "内容"),
        "nothing": "なし",
        "notebook": "ノートブックをダウンロードする",
        "data": "図のデータ",
    },
}
HEAD = re.compile(r"## (With your own|自社の数字で計算し直す).*\n")
"""The heading of the Markdown that says how to run a chapter, of which the panel is made."""
NOTEBOOKS = "notebooks"
"""Folder of the assets with the chapters as they are run."""


def arranged(cells: list[dict], name: str, data: Iterable[str] = ()) -> list[dict]:
    """The cells of a page; name: of its chapter below chapters/, without suffix, such as "ja/01_summary".

    data: paths of its figures' data among the assets.  Code that prints nothing joins the code after it, so that a page
    has one bar to unfold where a chapter has several; what stands before the first result goes to the panel at the end,
    and the parameters become a table there.
    """
    parameters = [cell for cell in cells if "parameters" in _tags(cell)]
    rest = _joined([cell for cell in cells if cell not in parameters])
    first = next((i for i, cell in enumerate(rest) if _shows(cell)), len(rest))
    setup = [cell for cell in rest[:first] if _folded(cell)]
    if not parameters:
        return [*(cell for cell in rest if cell not in setup), *setup]
    how = [cell for cell in rest if cell["cell_type"] == "markdown" and HEAD.match(_text(cell))]
    words = WORDS["ja" if name.startswith("ja/") else "en"]
    parts = [HEAD.sub("", _text(cell)).strip() for cell in how]
    parts += [table(parameters[0], words), taken_away(name, data, words)]
    parts += ["~~~python\n" + "\n\n".join(map(_text, setup)) + "\n~~~"] if setup else []
    panel = "\n\n".join([f"::::{{dropdown}} {words['head']}", *parts, "::::"])
    return [*(cell for cell in rest if cell not in setup + how), markdown(panel, "panel")]


def table(cell: dict, words: dict) -> str:
    """Markdown: a row a parameter, as papermill reads the cell."""
    rows = ["| " + " | ".join(words["columns"]) + " |", "|---|---|---|"]
    for item in PythonTranslator.inspect(nbformat.from_dict({**cell, "source": _text(cell)})):
        value = words["nothing"] if item.default in ('""', "''") else f"`{item.default}`"
        rows.append(f"| `{item.name}` | {value} | {item.help.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def taken_away(name: str, data: Iterable[str], words: dict) -> str:
    """Markdown: links to the notebook, and to the data of its figures."""
    place = "../" * name.count("/") + "_static/"
    notebook = f'<a href="{place}{NOTEBOOKS}/{name}.ipynb" download>{words["notebook"]}</a>'
    files = [f'<a href="{place}{path}" download>{PurePosixPath(path).stem.removeprefix("fig-")}</a>' for path in data]
    return " · ".join([notebook, *([f"{words['data']}: " + ", ".join(files)] if files else [])])


def markdown(text: str, identity: str) -> dict:
    """A cell of a notebook."""
    return {"cell_type": "markdown", "id": identity, "metadata": {}, "source": text}


def _joined(cells: list[dict]) -> list[dict]:
    joined = []
    for cell in cells:
        before = joined[-1] if joined else None
        if before is not None and _folded(before) and _folded(cell, results=True):
            source = _text(before).rstrip() + "\n\n" + _text(cell)
            joined[-1] = {**cell, "source": source}
        else:
            joined.append(cell)
    return joined


def _folded(cell: dict, results: bool = False) -> bool:
    """Whether it is code that a page folds and that shows nothing; results: or that shows something."""
    return cell["cell_type"] == "code" and "hide-input" in _tags(cell) and (results or not cell["outputs"])


def _shows(cell: dict) -> bool:
    """Whether it is a result, or code that is part of the lesson; what the first screen shows came before."""
    return cell["cell_type"] == "code" and not _folded(cell) and not {"answer", "first"} & set(_tags(cell))


def _tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def _text(cell: dict) -> str:
    return "".join(cell["source"])
