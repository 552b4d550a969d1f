"""The built book as one PDF: its pages in reading order in one document, which headless Chromium prints."""

import posixpath
import re
import shutil
import subprocess
from html import escape
from pathlib import Path

from .. import files
from .colophon import about
from .execute import REFERENCE, contents
from .workplace import ROOT, BuildError, Workplace, workplace

SCREEN_ONLY = {"19_explorer", "changelog"}  # and the reference of the code: nobody reads these on paper
STYLES = ("pygments.css", "styles/pydata-sphinx-theme.css", "styles/sphinx-book-theme.css", "book.css")
WINDOW = "650,980"  # what an A4 sheet has between its margins, in CSS pixels
SHEET = (
    """@page { size: A4; margin: 18mm 19mm 20mm; @bottom-center { content: counter(page); font: 8px sans-serif; } }"""
)
BUDGET = 120_000  # milliseconds, of the page's own clock, for its scripts
FIT = """<script>addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    for (const wide of document.querySelectorAll("table, mjx-container[display=true] > svg")) {
        const room = wide.closest("section").clientWidth;
        const needs = wide.scrollWidth || wide.getBoundingClientRect().width;
        if (needs > room) wide.style.zoom = Math.max(room / needs, 0.4);
    }
});</script>"""
"""Makes narrower what would be cut off, once mathematics stands."""
CHECKS = re.compile(
    r"<section id=\"[^\"]*\">\s*<h2>(?:<span[^>]*>[^<]*</span>)?(?:Checks|自動検証)</h2>.*?</section>", re.DOTALL
)
"""What is nothing on paper without its code."""
ANSWER = re.compile(r'(<div class="cell tag_exercise[^>]*>\s*)<details')
"""The beginning of what answers an exercise."""


def pdf(root: Path = ROOT, evidence: bool = False) -> Path:
    """Print the built book into `_build/book.pdf`, and return that.

    evidence: whether to print folded code too.  BuildError: the book is not built, or there is no Chromium.
    """
    html, target = root / "_build" / "html", root / "_build" / "book.pdf"
    if not (html / "index.html").is_file():
        raise BuildError(f"a PDF is printed from the pages in {html}, which are not built: make book")
    with workplace(root) as work:
        paper(assembled(root, evidence), target, work)
    return target


def paper(document: str, target: Path, work: Workplace) -> None:
    """Print HTML, with links from the folder of ``work``, on A4 sheets. BuildError: no Chromium, or no PDF of it."""
    if (program := browser()) is None:
        raise BuildError("a PDF is printed by Chromium or Chrome, and neither is on this machine's path")
    source, printed = work.folder / "printed.html", work.folder / "printed.pdf"
    source.write_text(f"<!doctype html>{document}<style>{SHEET}</style>{FIT}", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--window-size={WINDOW}"]
    options += ["--generate-pdf-document-outline", f"--virtual-time-budget={BUDGET}", f"--print-to-pdf={printed}"]
    command = [program, *options, f"--user-data-dir={work.folder / 'chromium'}", source.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if not printed.is_file():
        raise BuildError(f"{program} printed nothing.\n{done.stderr.strip()[-1000:]}")
    files.write(target, printed.read_bytes())


def browser() -> str | None:
    """Where Chromium is, or Chrome; None where neither is."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def assembled(root: Path, evidence: bool = False) -> str:
    """The document: a cover with the contents, then each page; BuildError: a page of _toc.yml is not built."""
    import yaml

    html = root / "_build" / "html"
    names = [name for name in contents(root) if name not in SCREEN_ONLY and not name.startswith(REFERENCE)]
    if lacking := [name for name in names if not (html / f"{name}.html").is_file()]:
        raise BuildError(f"{', '.join(lacking)}: not built; make book builds what _toc.yml names")
    pages = {name: (html / f"{name}.html").read_text(encoding="utf-8") for name in names}
    parts = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")).get("parts", ())
    captions = {part["chapters"][0]["file"]: part["caption"] for part in parts}
    listed = []
    for name, page in pages.items():
        listed += [f"<dt>{escape(captions[name])}</dt>"] if name in captions else []
        listed += [f'<dd><a href="#{_place(name)}">{_title(page)}</a></dd>']
    book, author = map(escape, about(root))
    style = "".join(f'<link rel="stylesheet" href="../html/_static/{name}">' for name in STYLES)
    mathjax = re.search(r"<script>window\.MathJax = .*?</script>", "".join(pages.values()))
    script = f'{mathjax[0]}<script src="../html/_static/mathjax/tex-svg-full.js"></script>' if mathjax else ""
    return f"""<html lang="en" data-theme="light"><meta charset="utf-8"><title>{book}</title>{style}
<style>{(root / "assets" / "print.css").read_text(encoding="utf-8")}</style>{script}
<main class="bd-article"><section class="cover"><h1>{book}</h1><p>{author}</p><dl>{"".join(listed)}</dl></section>
{"".join(moved(page, name, names, evidence) for name, page in pages.items())}</main>
<script src="../html/_static/tables.js"></script>"""


def moved(page: str, name: str, names: list[str], evidence: bool = False) -> str:
    """The article of a page as a section of the document, whose places and links are those of the document."""
    article = re.search(r'<article class="bd-article">(.*)</article>', page, re.DOTALL)[1]
    article = re.sub(r'<a class="headerlink".*?</a>|<a [^>]*\bdownload>.*?</a>', "", article)
    article = article.replace('<details class="fold"', '<details open class="fold"')
    if evidence:
        article = article.replace('<details class="admonition hide', '<details open class="admonition hide')
    else:
        article = ANSWER.sub(r"\1<details open", CHECKS.sub("", article))

    def attribute(match: re.Match) -> str:
        """An attribute as it is in the document; "" for a link to what a sheet of paper has not."""
        key, value = match[1], match[2]
        if key == "id":
            return f' id="{_place(name, value)}"'
        if re.match(r"(https?|data|mailto):", value):
            return match[0]
        target, _, place = value.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        if key == "src":
            return f' src="../html/{path}"'
        to = path.removesuffix(".html") if target else name
        return f' href="#{_place(to, place)}"' if to in names else ""

    article = re.sub(r' (id|href|src)="([^"]*)"', attribute, article)
    article = re.sub(r"(?<=#)(T_\d+)", rf"{_place(name)}--\1", article)  # a table's own style
    language = ' lang="ja"' if name.startswith("ja/") else ""
    return f'<section class="page" id="{_place(name)}"{language}>{article}</section>\n'


def _place(name: str, place: str = "") -> str:
    """The id of a page in the document, or of a place on it."""
    return "--".join(filter(None, [name.replace("/", "-"), place]))


def _title(page: str) -> str:
    """The title of a page, with its number."""
    heading = re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)[1]
    return re.sub(r'<a class="headerlink".*?</a>|<[^>]+>', "", heading)
