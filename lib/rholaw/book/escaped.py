"""Names from files and from people, as pages show them: whatever one holds, it can be read and is nothing else.

text(name)       in Markdown: **{text(device)}**        code(name)        in Markdown, set as code; listed(names)
cell(name)       in HTML, a cell of a table say         in_figure(name)   in a figure
in_script(text)  JSON inside a script element           styler(frame)     a table: ``frame.style``, in chapters
filled(page, …)  a page of this folder with what is escaped in its places
"""

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ..checked import readable, shortened

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

LONG, LONG_CELL, LONG_LABEL = 160, 1000, 60
"""Characters; of a longer name both ends are shown, and the whole where the pointer rests on it."""
MEANS = re.compile(
    r"[!#$&*+<=>?@\[\\\]^`{|}~]|(?<![^\W_])[-:_]|[-:_](?![^\W_])"  # inside a word as in fp8_row, these are harmless
    r"|^%|(?<=\d)[.)](?!\d)|(?<=www)\.",
    re.IGNORECASE,
)
"""What may mean something in Markdown: of CommonMark, of MyST, of GitHub."""
ALONE = "$\\@"
"""Signs that MathJax and GitHub look for in the finished text too, unless each stands in an element of its own."""
PLAIN = re.compile(r"[\w./:+,=()-]+( [\w./:+,=()-]+)*")
"""Names that backticks hold in every Markdown, in tables too."""


def text(words: object) -> str:
    """Words or a name, in Markdown that shows them as they are."""
    short = re.sub(rf"[!-~]{{{LONG + 1},}}", lambda word: shortened(word[0], LONG), readable(str(words)).strip())
    return MEANS.sub(_entity, short)


def _entity(sign: re.Match) -> str:
    entity = f"&#{ord(sign[0])};"
    return f"<span>{entity}</span>" if sign[0] in ALONE else entity


def code(name: object) -> str:
    """A name, in Markdown that shows it as it is and sets it as code; a dash for none."""
    whole = readable(str(name)).strip() or "–"
    if len(whole) <= LONG and PLAIN.fullmatch(whole):
        return f"`{whole}`"
    return f"<code{_title(whole, LONG)}>{text(shortened(whole, LONG))}</code>"


def listed(names: Iterable[object]) -> str:
    """Names in a sentence, set as code: "`int4`, `2:4`", or "none"."""
    return ", ".join(map(code, names)) or "none"


def cell(value: object) -> object:
    """A text, as HTML that shows it as it is; any other value stays."""
    if not isinstance(value, str):
        return value
    whole = readable(value)
    shown, title = html.escape(shortened(whole, LONG_CELL)), _title(whole, LONG_CELL)
    return f"<span{title}>{shown}</span>" if title else shown


def styler(frame: pd.DataFrame) -> "Styler":
    """A Styler of the frame with each text as ``cell`` has it."""
    from pandas.io.formats.style import Styler

    safe = frame.map(cell).rename(index=cell, columns=cell)
    for axis in (safe.index, safe.columns):
        axis.names = [cell(name) for name in axis.names]
    return Styler(safe)


def in_figure(name: object) -> str:
    """A name in a figure: no dollar in it begins mathematics."""
    return shortened(readable(str(name)), LONG_LABEL).replace("$", r"\$")


def in_script(json: str) -> str:
    """JSON that cannot end the script element that holds it."""
    return json.replace("<", r"\u003c")


def filled(page: Path, parts: Mapping[str, object]) -> str:
    """The HTML of the file ``page``, with ``parts`` in place of its ``{{name}}``; KeyError where it lacks one."""
    return re.sub(r"{{(\w+)}}", lambda match: str(parts[match[1]]), page.read_text(encoding="utf-8"))


def _title(name: str, most: int) -> str:
    """The attribute with a name that is longer, in HTML and in HTML inside Markdown."""
    signs = re.sub(r"[^\w ]", lambda sign: f"&#{ord(sign[0])};", shortened(name, 2 * LONG_CELL))
    return f' title="{signs}"' if len(name) > most else ""
