"""A page in reading order: first what a chapter found, at its end how to run it, with its parameters and its set-up.

A notebook begins with its parameters and its imports, because a kernel reads from above.  A reader wants neither there.
The notebook itself, in its own order, can be taken away from the panel.
"""

import nbformat
from papermill.translators import PythonTranslator

WORDS = {
    "en": ("With your own values", "parameter", "left as it is", "what it is", "Take the notebook away", "nothing"),
    "ja": ("自社の数字で計算し直す", "引数", "既定値", "内容", "ノートブックをダウンロードする", "なし"),
}
NOTEBOOKS = "notebooks"
"""Folder of the assets with the chapters as they are run."""


def arranged(cells: list[dict], name: str) -> list[dict]:
    """The cells of a page; name: of its chapter below chapters/, without suffix, such as "ja/01_summary".

    Code that prints nothing joins the code after it, so that a page has one bar to unfold where a chapter has several;
    what stands before the first result goes to the panel at the end, and the parameters become a table there.
    """
    parameters = [cell for cell in cells if "parameters" in _tags(cell)]
    rest = _joined([cell for cell in cells if cell not in parameters])
    first = next((i for i, cell in enumerate(rest) if _shows(cell)), len(rest))
    setup = [cell for cell in rest[:first] if _folded(cell)]
    rest = [cell for cell in rest if cell not in setup]
    if not parameters:
        return [*rest, *setup]
    language = "ja" if name.startswith("ja/") else "en"
    last = next((i for i, cell in enumerate(rest) if _is_panel(cell, language)), None)
    head = [] if last is None else [rest.pop(last)]
    if not head:
        head = [markdown(f"## {WORDS[language][0]}", "panel")]
    return [*rest, *head, markdown(table(parameters[0], name, language), "parameters"), *setup]


def table(cell: dict, name: str, language: str = "en") -> str:
    """Markdown: a row a parameter, as papermill reads the cell, and the link to the notebook."""
    _, parameter, default, meaning, take, nothing = WORDS[language]
    rows = [f"| {parameter} | {default} | {meaning} |", "|---|---|---|"]
    for item in PythonTranslator.inspect(nbformat.from_dict({**cell, "source": _text(cell)})):
        value = nothing if item.default in ('""', "''") else f"`{item.default}`"
        rows.append(f"| `{item.name}` | {value} | {item.help.replace('|', chr(92) + '|')} |")
    up = "../" * name.count("/")
    link = f'<a href="{up}_static/{NOTEBOOKS}/{name}.ipynb" download>{take}</a>'
    return "\n".join([*rows, "", link])


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


def _is_panel(cell: dict, language: str) -> bool:
    """Whether it is the Markdown that says how to run the chapter."""
    heading = "## With your own" if language == "en" else f"## {WORDS[language][0]}"
    return cell["cell_type"] == "markdown" and _text(cell).startswith(heading)


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
