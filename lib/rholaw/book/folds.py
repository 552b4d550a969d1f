"""Parts of a page that a reader opens: a heading and what it is about stay in sight, the rest stands behind a bar.

A Markdown cell tagged ``fold`` stays; what follows it, up to the next heading, is folded.  ``mystnb.code_prompt_show``
of its metadata says on the bar what is there.
"""

import re
from collections.abc import Iterable, Iterator
from html import escape

from .panel import markdown
from .workplace import BuildError

ENDS = re.compile(r"(?m)^#{1,6} |^:{3,}\{dropdown\}")
"""How a cell begins that is no longer part of a fold: with a heading, or the panel at the end of a page."""


def folded(cells: Iterable[dict]) -> Iterator[dict]:
    """The cells of a page, with the HTML that folds between them.

    KeyError: a fold that no bar names; BuildError: a heading within a cell that is folded.
    """
    inside = False
    for number, cell in enumerate(cells):
        prose = "".join(cell["source"]) if cell["cell_type"] == "markdown" else ""
        fold, heading = prose and "fold" in cell["metadata"].get("tags", ()), ENDS.search(prose)
        if inside and (fold or (heading and heading.start() == 0)):
            yield markdown("</details>", f"fold-end-{number}")
            inside = False
        if heading and heading.start() and (inside or fold):
            raise BuildError(f"a heading within a cell that is folded; begin a cell with it: {heading.string[:80]}")
        yield cell
        if fold:
            bar = escape(cell["metadata"]["mystnb"]["code_prompt_show"])
            yield markdown(f'<details class="fold"><summary>{bar}</summary>', f"fold-{number}")
            inside = True
    if inside:
        yield markdown("</details>", "fold-end")
