"""A Sphinx extension for what the head of a page says to search engines, to shared links and to readers of feeds."""

import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from ..formats.named import catalogue
from ..planning.names import grid
from .changes import FEED
from .languages import FIRST
from .pages import PICTURE

LENGTH = 300  # characters of a description, of which search engines show about half
SENTENCE = re.compile(r".+?(?:[.?](?= |$)|[。？]|$)")
KEYWORDS = {
    "en": ("large language models", "quantisation", "sparsity", "scaling laws", "compression", "serving costs"),
    "ja": ("大規模言語モデル", "量子化", "スパース化", "スケーリング則", "モデル圧縮", "推論コスト"),
}


def description(doctree: nodes.document | None, otherwise: str) -> str:
    """The question of a page and as many sentences of its answer as go into LENGTH characters; or what else it says."""
    paragraphs = list(doctree.findall(nodes.paragraph)) if doctree else []
    answers = [cell for cell in doctree.findall(nodes.container) if "tag_answer" in cell["classes"]] if doctree else []
    first = [question for paragraph in paragraphs[:1] for question in paragraph.findall(nodes.strong)]
    said = ""
    for node in [*first, *(one for cell in answers for one in cell.findall(nodes.paragraph))] or paragraphs:
        for sentence in SENTENCE.findall(" ".join(node.astext().split())):
            if "\\" not in sentence:  # which would be mathematics, as TeX
                if said and len(said) + len(sentence) >= LENGTH:
                    return said
                said += ("" if not said or said[-1] in "。？" else " ") + sentence.strip()
    return said or otherwise


def keywords(doctree: nodes.document | None, language: str) -> str:
    """Those of the book, the title of the page, and what the formats are called that it names as code."""
    titles = [node.astext() for node in doctree.findall(nodes.title)][:1] if doctree else []
    codes = {node.astext() for node in doctree.findall(nodes.literal)} if doctree else set()
    formats = [grid(code, language).replace(",", "") for code in catalogue() if code in codes]
    return ", ".join(dict.fromkeys([*titles, *KEYWORDS[language], *formats]))


def describe(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Add the lines to the head of the page."""
    language = "ja" if page.startswith("ja/") else "en"
    titles = app.env.titles if language == "ja" else {}
    book = titles[FIRST].astext() if FIRST in titles else app.config.html_title or app.config.project
    said = description(doctree, f"{book}: an executable book on what compressing language models costs and saves.")
    title = next((node.astext() for node in doctree.findall(nodes.title)), book) if doctree else book
    named = {"description": said, "keywords": keywords(doctree, language), "twitter:card": "summary_large_image"}
    shared = {"og:title": title, "og:description": said, "og:type": "article", "og:site_name": book}
    shared["og:locale"] = {"en": "en_GB", "ja": "ja_JP"}[language]
    up = context["content_root"]
    if (Path(app.srcdir) / "assets" / PICTURE).exists():
        shared["og:image"] = f"{app.config.html_baseurl or up}_static/{PICTURE}"
    lines = [f'<meta name="{name}" content="{escape(text)}" />' for name, text in named.items()]
    lines += [f'<meta property="{name}" content="{escape(text)}" />' for name, text in shared.items()]
    if (Path(app.srcdir) / "assets" / FEED).exists():
        where = f'title="{escape(book)}" href="{up}_static/{FEED}"'
        lines.append(f'<link rel="alternate" type="application/atom+xml" {where} />')
    context["metatags"] = "\n".join([context.get("metatags", ""), *lines, ""])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True}
