"""Names that would be markup, script or mathematics, and what a page makes of them: its elements and its text."""

from functools import cache
from html.parser import HTMLParser

import numpy as np
from docutils.core import publish_parts
from markdown_it import MarkdownIt
from myst_parser.parsers.docutils_ import Parser

from rholaw.book import ROOT
from rholaw.checked import readable

RUN = "window.ran=(window.ran||0)+1,alert(1)"
NAMES = [
    f"<img src=x onerror={RUN}>",
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    "<!--<script>",
    f"--><svg/onload={RUN}>",
    f"</title></textarea></style></td></table><img src=x onerror={RUN}>",
    f'" onmouseover="{RUN}" autofocus onfocus="{RUN}" x="',
    f"' style='background:url(https://evil.example/a)' x='{RUN}",
    f"](javascript:{RUN})",
    f"[x](javascript:{RUN}) ![y](https://evil.example/b.png)",
    "[x]: https://evil.example 'title'",
    f"<javascript:{RUN}> <https://evil.example>",
    "https://evil.example/c www.evil.example me@evil.example",
    "{{ 7 * 7 }} {% include 'x' %}",
    "{ref}`index` {raw}`html` {math}`x`",
    "```{raw} html",
    "$\\frac{1}{2}$ $$x$$ \\(y\\) \\[z\\] $\\href{javascript:alert(1)}{w}$",
    "odd $ and \\$ and \\\\$",
    "a | b || c\n| d | e |",
    "\n\n# heading\n\n---\n- item",
    "--- *a* _b_ **c** __d__ ~~e~~ ^f^ ==g==",
    "`code` ``more`` `",
    "1. first",
    "+ item",
    "&lt;b&gt; &amp; &#60; &nbsp",
    "\u202egnp.exe\u2066 \u200b\ufeff\x00\x07\x1b[31m",
    "\ud800 \udfff",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "expr\\u003cscript\\u003e datum['x'] \" + alert(1) + \"",
    "w" * 5000,
    "ordinary.name-0_weight",
    "名前・（テスト）",
]
"""Each has done harm somewhere."""

PIECES = [*"<>&\"'`*_~^$\\|[](){}#+-.!:=@%/ \n\t0aé漢\x00\u202e\u2028\ud800", "\x1b[0m", "- [ ] ", "[^1]"]
PIECES += [
    "script",
    "img",
    "src=x",
    "onerror=",
    "style=",
    "javascript:",
    "<!--",
    "-->",
    "<b>",
    "</td>",
    "](",
    "{{",
    "}}",
]
PIECES += ["```", "{ref}`", ":::", "%%", "$$", "\\(", "\\)", "\\begin{align}", "\\frac", "http", "http://", "www."]
PIECES += ["&lt;", "&#60;"]


def name(rng: np.random.Generator) -> str:
    """A name of the list, pieces of markup, or both."""
    pieces = [PIECES[i] for i in rng.integers(len(PIECES), size=rng.integers(0, 12))]
    known = NAMES[rng.integers(len(NAMES))] if rng.random() < 0.3 else "n"
    return "".join([*pieces[::2], known, *pieces[1::2]])


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements, self.texts, self.scripts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, *sorted(name for name, _ in attrs)))

    def handle_data(self, data):
        (self.scripts if self.cdata_elem in ("script", "style") else self.texts).append(data)


def parsed(html: str) -> tuple[list[tuple], str, list[str]]:
    """(elements: tag and names of attributes; text with plain spaces; contents of scripts and styles) of a page."""
    page = _Page()
    page.feed(html)
    page.close()
    return page.elements, " ".join("".join(page.texts).split()), page.scripts


@cache
def _myst() -> dict:
    import yaml

    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return {"myst_enable_extensions": config["parse"]["myst_enable_extensions"], "report_level": 5}


def myst(markdown: str) -> str:
    """HTML of Markdown as the book's pages have it."""
    return publish_parts(markdown, parser=Parser(), writer_name="html5", settings_overrides=_myst())["html_body"]


def github(markdown: str) -> str:
    """HTML of Markdown as GitHub and JupyterLab have it, where bare addresses are links."""
    return MarkdownIt("gfm-like").render(markdown)


def shown(name: object) -> str:
    """The text that a page shows for a name."""
    return " ".join(readable(str(name)).split())
