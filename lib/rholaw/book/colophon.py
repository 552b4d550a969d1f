"""The last lines of a page: what changed in it, and how to cite it."""

import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

from .changes import LINK, PAGE, Change, changes

WORDS = {
    "en": ("What changed in this page", "Cite this page", "All changes"),
    "ja": ("このページの変更点", "このページを引用する", "すべての変更"),
}
HEAD = re.compile(r"(?:\[[^\]]*\]\([^)]*\)(?:, | and |・)?)+[:：] ?")  # the pages that a change begins with


@cache
def about(root: Path) -> tuple[str, str]:
    """Title and author of the book, of _config.yml."""
    import yaml

    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return config["title"], config["author"]


def title(text: str) -> str:
    """The title of a page: the first heading of its Markdown. ValueError: it has none."""
    if heading := re.search(r"^# (.+)$", text, re.MULTILINE):
        return heading[1].strip()
    raise ValueError("a page begins with its title, a line such as # Plan and cost")


def colophon(title: str, name: str, root: Path) -> str:
    """Markdown that ends a page, folded; name: of its chapter below chapters/, without suffix."""
    since, cite, everything = WORDS["ja" if name.startswith("ja/") else "en"]
    listed = changes(root)
    boxes = [_folded(cite, ["```bibtex", bibtex(title, name, root, listed), "```"])]
    if own := [change for change in listed if name in change.pages]:
        items = [f"- {change.day}: {_from(name, change.text)}" for change in own]
        boxes.insert(0, _folded(since, [*items, "", f"[{everything}]({'../' * name.count('/')}{PAGE})"]))
    return "\n\n".join(boxes)


def bibtex(title: str, name: str, root: Path, listed: list[Change]) -> str:
    """An entry for a bibliography, without an address, for the book may be published anywhere."""
    book, author = about(root)
    fields = {"title": title, "author": f"{{{author}}}", "booktitle": book}
    fields["edition"] = f"Version {version('rholaw')}"
    if listed:
        fields |= {"year": str(listed[0].day.year), "note": f"As of {listed[0].day}"}
    key = "rholaw-" + re.sub(r"\W+", "-", name)
    return "\n".join([f"@incollection{{{key},", *(f"  {field} = {{{text}}}," for field, text in fields.items()), "}"])


def _folded(head: str, lines: list[str]) -> str:
    return "\n".join([f":::{{dropdown}} {head}", *lines, ":::"])


def _from(name: str, text: str) -> str:
    """A change as it is told on a page: without what it begins with, where that names the page; links go from there."""
    head = HEAD.match(text)
    told = text[head.end() :] if head and name in {link[2] for link in LINK.finditer(head[0])} else text
    return re.sub(r"\]\((?!https?:)", f"]({'../' * name.count('/')}", told)
