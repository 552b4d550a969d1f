"""A Sphinx extension that shows docstrings as they are written: plain text, of which nothing is markup but backticks.

A docstring holds paragraphs, ``code`` in backticks, lines that begin with the name of what they explain, and blocks
that are shown as they stand: what Python can read, and what is indented or aligned.
"""

import ast
import re
import warnings

from sphinx.application import Sphinx

ITEM = re.compile(r"(- |[\w*]+(, [\w*]+)*: )")
CODE = re.compile(r"``(.+?)``|`(.+?)`")


def as_rst(lines: list[str]) -> list[str]:
    """A docstring in reStructuredText that shows it as it is written."""
    rst = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        rows = block.splitlines()
        if sum(bool(ITEM.match(row)) for row in rows) > 1 and ITEM.match(rows[0]):
            items = re.split(rf"\n(?={ITEM.pattern.replace('(', '(?:')})", block)
            rst += [f"- {_escaped(item.removeprefix('- '))}" for item in items]
        elif _stands(block):
            rst += ["::", "", *(f"   {row}" for row in rows)]
        else:
            rst += [_escaped(block)]
        rst += [""]
    return rst


def _stands(block: str) -> bool:
    """Whether a block is shown as it stands: it is indented, aligned, or Python."""
    if re.search(r"^ |\S {3,}\S|^={3,}", block, re.MULTILINE):
        return True
    try:
        return bool(ast.parse(block).body)
    except SyntaxError:
        return False


def _escaped(text: str) -> str:
    """A paragraph in one line, with its code in backticks and nothing else that means something."""
    text = " ".join(text.split())
    parts, at = [], 0
    for code in CODE.finditer(text):
        parts += [re.sub(r"([\\*|_`])", r"\\\1", text[at : code.start()]), rf"\ ``{code[1] or code[2]}``\ "]
        at = code.end()
    plain = "".join([*parts, re.sub(r"([\\*|_`])", r"\\\1", text[at:])])
    return re.sub(r"^(?=[-+#.:>(\[=~^\"'\d])", r"\\", plain)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""

    def read(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
        lines[:] = as_rst(lines)

    # The table of contents looks at every object of the process, among them one that torch has deprecated.
    warnings.filterwarnings("ignore", "`torch.distributed.reduce_op` is deprecated", FutureWarning)
    app.connect("autodoc-process-docstring", read)
    return {"parallel_read_safe": True}
