"""A Sphinx extension for a book that is published: what lists its pages, and what answers where there is no page.

Both name whole addresses: html.baseurl in _config.yml says where the book is; where it is empty, neither is written.
"""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LIST, LOST = "sitemap.xml", "404.html"
ANSWER = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="{base}_static/book.css"></head>
<body style="max-width: 40rem; margin: 4rem auto; padding: 0 1rem; font-family: sans-serif"><h1>{title}</h1>
<p>There is no such page. <a href="{base}index.html">The first page</a> and <a href="{base}search.html">search</a>.</p>
<p lang="ja">お探しのページはありません。<a href="{base}ja/index.html">最初のページ</a>からお進みください。</p>
</body></html>
"""


def addresses(base: str, pages: list[str]) -> str:
    """The pages as a sitemap (sitemaps.org), one address a page."""
    urls = "".join(f"<url><loc>{escape(f'{base}{page}.html')}</loc></url>\n" for page in sorted(pages))
    head = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return f"{head}{urls}</urlset>\n"


def finish(app: "Sphinx", error: Exception | None) -> None:
    """Write both beside the pages."""
    base = app.config.html_baseurl
    if error or not base:
        return
    title, base = escape(app.config.html_title), f"{base.rstrip('/')}/"
    Path(app.outdir, LIST).write_text(addresses(base, [*app.env.found_docs]), encoding="utf-8")
    Path(app.outdir, LOST).write_text(ANSWER.format(title=title, base=escape(base)), encoding="utf-8")


def setup(app: "Sphinx") -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True}
