"""What of an earlier build may stay: Sphinx reads and writes again only pages whose text is newer than what it has.

That is right as long as nothing has changed that pages share: the library, the configuration, the order of pages,
styles and scripts, and whatever one page shows of another, such as its title or the number of a figure.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from filecmp import cmp
from pathlib import Path

SHOWN = re.compile(r"(?m)^#+ .+$|^\([\w-]+\)=$|\{cite[^`]*`[^`]*`")
"""What a page has that others may show: headings, places with a name, and what the bibliography lists."""


def keep_times(new: Path, old: Path) -> None:
    """Give each file of the folder ``new`` that is as in ``old`` the time it had there."""
    for path in new.rglob("*"):
        before = old / path.relative_to(new)
        if path.is_file() and before.is_file() and cmp(path, before, shallow=False):
            os.utime(path, ns=(before.stat().st_atime_ns, before.stat().st_mtime_ns))


def shared(root: Path) -> str:
    """A digest of all that more than one page of the staged book depends on."""
    stage, library = root / "_build" / "stage", root / "lib"
    files = [root / name for name in ("_config.yml", "_toc.yml", "references.bib", "constraints.txt")]
    files += [path for path in library.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files += [path for path in stage.rglob("*") if path.suffix in (".css", ".js")]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    for page in sorted([*stage.rglob("*.ipynb"), *stage.rglob("*.md")]):
        if "assets" not in page.relative_to(stage).parts:
            digest.update("\n".join([str(page.relative_to(stage)), *_shown(page)]).encode())
    return digest.hexdigest()


def _shown(page: Path) -> Iterator[str]:
    """What others may show of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        yield from SHOWN.findall(text)
        return
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "markdown":
            yield from SHOWN.findall("".join(cell["source"]))
        yield cell["metadata"].get("mystnb", {}).get("figure", {}).get("name", "")
        for output in cell.get("outputs", ()):
            yield from SHOWN.findall("".join(output.get("data", {}).get("text/markdown", "")))
