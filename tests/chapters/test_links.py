"""Every link of the built book leads somewhere: to a page or a file, and to the place there that the link names."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import BOOK, PAGES, missing


class Page(HTMLParser):
    """The places that a page has and the links that it makes."""

    def __init__(self, html: str):
        super().__init__()
        self.places, self.links = {"", "top"}, []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        named = {key: value for key, value in attributes if value}
        self.places |= {named[key] for key in ("id", "name") if key in named}
        self.links += [named[key] for key in ("href", "src") if key in named]


def broken(book: Path) -> list[str]:
    """Links of the pages of a book that lead nowhere; those to other sites are not followed."""
    book = book.resolve()
    paths = [path for path in book.rglob("*.html") if "_static" not in path.parts]
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(paths)}
    wrong = []
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            target = urlsplit(link)
            if target.scheme in ("http", "https", "mailto", "data"):
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            problem = (
                "is an address of this machine"
                if target.scheme or target.path.startswith("/")
                else "leads out of the book"
                if not file.is_relative_to(book)
                else "is no file"
                if not file.is_file()
                else "is a page without that place"
                if file in pages and unquote(target.fragment) not in pages[file].places
                else ""
            )
            wrong += [f"{path.relative_to(book)}: {link} {problem}"] if problem else []
    return wrong


def test_every_link_of_the_book_leads_somewhere():
    if not PAGES:
        missing("the book is not built: make book")
    assert broken(BOOK) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("b.html", None),
        ("b.html#here", None),
        ("b.html#d%C3%A9j%C3%A0", None),
        ("#own", None),
        ("#", None),
        ("search.html?q=rho#", "is no file"),
        ("files/a.csv", None),
        ("https://example.org/none", None),
        ("none.html", "is no file"),
        ("files", "is no file"),
        ("b.html#there", "is a page without that place"),
        ("#there", "is a page without that place"),
        ("../outside.html", "leads out of the book"),
        ("/b.html", "is an address of this machine"),
        ("file:///b.html", "is an address of this machine"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(link, problem, tmp_path):
    book = tmp_path / "book"
    (book / "files").mkdir(parents=True)
    (book / "files" / "a.csv").write_text("a")
    (tmp_path / "outside.html").write_text("")
    (book / "a.html").write_text(f'<h1 id="own">A</h1><a href="{link}">there</a>')
    (book / "b.html").write_text('<h1 id="here">B</h1><a name="déjà"></a>')
    assert broken(book) == ([f"a.html: {link} {problem}"] if problem else [])
