"""What changed in the book: the reader of its page of changes (`chapters/changelog.md`), and the same as an Atom feed.

The page has a heading a day, newest first, and an item a change, which links to the pages that it changed:

    ## 2026-11-27

    - [](18_plan): whole replicas for the peak hour.
"""

import datetime
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

PAGE, FEED = "changelog", "feed.xml"
JAPANESE = re.compile("[ぁ-ヿ㐀-鿿]")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+?)(?:\.ipynb|\.md)?(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Change:
    """A change: the day, its Markdown in one line, and the names of the pages below chapters/ that it links to."""

    day: datetime.date
    text: str
    pages: tuple[str, ...]

    @property
    def language(self) -> str:
        """That of its words, links left out: "en" or "ja"."""
        return "ja" if JAPANESE.search(LINK.sub("", self.text)) else "en"


def changes(root: Path) -> list[Change]:
    """All that the page of changes lists, newest first; [] where there is no such page.

    ValueError: a day is none, days are not in order, or an item stands before the first day.
    """
    path = root / "chapters" / f"{PAGE}.md"
    days: list[datetime.date] = []
    listed = []
    for block in re.split(r"\n(?=## |- )", path.read_text(encoding="utf-8") if path.exists() else ""):
        if block.startswith("## "):
            days.append(datetime.date.fromisoformat(block.splitlines()[0].removeprefix("## ").strip()))
            if days != sorted(set(days), reverse=True):
                raise ValueError(f"{path.name}: {days[-1]} is not before {days[-2]}; the newest day comes first")
        elif block.startswith("- "):
            if not days:
                raise ValueError(f"{path.name}: a change stands before the first day, a heading such as ## 2026-11-27")
            text = " ".join(block.removeprefix("- ").split())
            listed.append(Change(days[-1], text, tuple(to for _, to in LINK.findall(text) if ":" not in to)))
    return listed


def feed(listed: list[Change], title: str, author: str, names: dict[str, str]) -> str:
    """The changes as an Atom feed (RFC 4287), an entry a change; names: the title of each page."""
    source = uuid.uuid5(uuid.NAMESPACE_OID, title)  # no address: the book may be published anywhere
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        f"<title>{escape(title)}</title>",
        f"<author><name>{escape(author)}</name></author>",
        f"<id>{source.urn}</id>",
        f"<updated>{listed[0].day}T00:00:00Z</updated>",
        f'<link href="../{PAGE}.html"/>',  # as it goes from the assets
    ]
    for change in listed:
        text = LINK.sub(lambda link: link[1] or names.get(link[2], link[2]), change.text)
        lines += [
            "<entry>",
            f'<title xml:lang="{change.language}">{escape(text)}</title>',
            f"<id>{uuid.uuid5(source, f'{change.day} {change.text}').urn}</id>",
            f"<updated>{change.day}T00:00:00Z</updated>",
            f'<link href="../{(change.pages or (PAGE,))[0]}.html"/>',
            "</entry>",
        ]
    return "\n".join([*lines, "</feed>", ""])
