"""A Sphinx extension for two languages: Japanese pages have Japanese navigation, and a switch leads to and fro."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .changes import JAPANESE as LETTER

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ENGLISH = {
    "ja/index": "index",
    "ja/01_summary": "18_plan",
    "ja/02_rollout": "18_plan",
    "ja/03_dialogue": "index",
    "ja/04_law": "14_law_after_training",
    "ja/05_start": "how_to_use",
    "ja/06_glossary": "notation",
}
"""{page in Japanese: the page in English that answers the same question}."""
JAPANESE = dict(map(reversed, reversed(ENGLISH.items())))
"""{page in English: where its readers go on in Japanese}."""
FIRST = "ja/index"
"""The page that the name of the book, which is its title, leads to in Japanese."""
NAMES = {"en": "English", "ja": "日本語"}
PART = '<p aria-level="2" class="caption"'
"""How a part of the book begins in the navigation of a page."""
THEMES = (("sphinx", "locale", "sphinx"), ("pydata_sphinx_theme", "locale", "sphinx"))
BOOK_THEME = ("sphinx_book_theme", "theme/sphinx_book_theme/static/locales", "booktheme")


ATTRIBUTES = {
    "Search this book": "本書を検索",
    "Link to this heading": "この見出しへのリンク",
    "Link to this image": "この図へのリンク",
    "Toggle primary sidebar": "本書の目次を開閉",
    "Toggle secondary sidebar": "このページの目次を開閉",
    "Toggle hidden content": "開閉",
    "Color mode": "画面の明暗",
    "System Settings": "端末の設定に合わせる",
    "Main": "本書の目次",
    "Page": "このページの目次",
}
"""What themes leave in English: texts that show where the pointer rests, or are read aloud."""
MESSAGES = "const messages = {"
"""How the words of the buttons begin that copy code, in sphinx-copybutton's script, which knows no Japanese."""
COPYING = """
  'ja': {
    'copy': 'コピー',
    'copy_to_clipboard': 'クリップボードにコピー',
    'copy_success': 'コピーしました',
    'copy_failure': 'コピーできませんでした',
  },"""


@cache
def words(*sources: tuple[str, str, str]) -> Callable[[str], str]:
    """What turns English words of themes into Japanese; a source is a package, its folder of words and their kind."""
    from sphinx import locale

    for package, folder, kind in sources:
        place = Path(find_spec(package).origin).parent / folder
        translator, _ = locale.init([str(place)], "ja", kind, "rholaw.book")
    return translator.gettext


def switch(page: str, address: Callable[[str], str]) -> str:
    """HTML: the link to the same in the other language; "" where there is none."""
    other, language = (ENGLISH.get(page), "en") if page.startswith("ja/") else (JAPANESE.get(page), "ja")
    if other is None:
        return ""
    link = f'<a href="{escape(address(other))}" lang="{language}" hreflang="{language}" rel="alternate">'
    return f'<p class="languages">{link}{NAMES[language]}</a></p>\n'


def alternate(page: str, address: Callable[[str], str]) -> str:
    """HTML for search engines: the page in the other language, where each of the two leads to the other."""
    other = ENGLISH.get(page) or JAPANESE.get(page, "")
    if page not in (ENGLISH.get(other), JAPANESE.get(other)):
        return ""
    language = "en" if page in ENGLISH else "ja"
    return f'<link rel="alternate" hreflang="{language}" href="{escape(address(other))}" />\n'


def own_part_first(navigation: str) -> str:
    """The navigation, its last part, which is in Japanese, before the others."""
    rest, part, own = str(navigation).rpartition(PART)
    before, first, others = rest.partition(PART)
    return before + part + own + first + others


def strays(page: str, neighbours: Sequence[str | None]) -> list[str]:
    """Which of the links to the page before and the page after would lead out of the edition of a page."""
    sides = zip(("prev", "next"), neighbours, strict=True)
    return [side for side, other in sides if other and other.startswith("ja/") != page.startswith("ja/")]


def speak(app: "Sphinx", page: str, template: str, context: dict, doctree: object) -> None:
    """Say in which language the page is, in its html element, its navigation and the words around it."""
    if "body" in context:
        context["body"] = switch(page, context["pathto"]) + context["body"]
    context["metatags"] = context.get("metatags", "") + alternate(page, context["pathto"])
    context |= dict.fromkeys(strays(page, app.builder.relations.get(page, (None,) * 3)[1:]))
    if page.startswith("ja/"):
        navigation = context["generate_toctree_html"]
        context |= {"language": "ja", "gettext": words(*THEMES), "translate": words(BOOK_THEME)}
        context["generate_toctree_html"] = lambda **options: own_part_first(navigation(**options))
        context |= {"docstitle": app.env.titles[FIRST].astext(), "theme_logo_link": context["pathto"](FIRST)}


def attributes(html: str) -> str:
    """A page whose attributes that people see or hear are in Japanese."""
    told = re.compile(r'\b(title|aria-label|placeholder)="([^"]*)"')
    return told.sub(lambda said: f'{said[1]}="{ATTRIBUTES.get(said[2], said[2])}"', html)


def links(html: str, language: str) -> str:
    """A page, in "en" or "ja", whose links to pages in the other language say in which their words are."""
    other, place = {"en": ("ja", r"(?:\.\./)?ja/"), "ja": ("en", r"\.\./(?!ja/|search|genindex)")}[language]
    return re.sub(rf'<a (class="[^"]*" href="{place}[^"]*\.html)', rf'<a lang="{other}" \1', html)


def paragraphs(html: str, language: str) -> str:
    """A page, in "en" or "ja", whose paragraphs in the other language say so, whatever their links and code are in."""

    other = "ja" if language == "en" else "en"

    def told(paragraph: re.Match) -> str:
        words = re.sub(r"(?s)<(a|code)\b.*?</\1>|<[^>]*>", "", paragraph[2])
        spoken = "ja" if LETTER.search(words) else "en" if re.search("[a-z]{3}", words) else language
        return f'<p lang="{other}"{paragraph[0].removeprefix("<p")}' if spoken == other else paragraph[0]

    return re.sub(r"(?s)<p(?=[ >])((?:(?! lang=)[^>])*)>(.*?)</p>", told, html)


def finish(app: "Sphinx", error: Exception | None) -> None:
    """Put Japanese for what themes wrote in English into the pages that are in Japanese, and languages into links."""
    for page in Path(app.outdir).rglob("*.html"):
        language = "ja" if page.parent.name == "ja" else "en"
        text = paragraphs(links(page.read_text(encoding="utf-8"), language), language)
        page.write_text(attributes(text) if language == "ja" else text, encoding="utf-8")
    buttons = Path(app.outdir, "_static", "copybutton.js")
    if buttons.exists() and COPYING not in (script := buttons.read_text(encoding="utf-8")):
        buttons.write_text(script.replace(MESSAGES, MESSAGES + COPYING, 1), encoding="utf-8")


def setup(app: "Sphinx") -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", speak, priority=900)  # after the themes
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True}
