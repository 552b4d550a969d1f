"""What tests of pages share: headless Chromium, where the built book lies, and a check that finds what is wrong."""

import os
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from rholaw.book.printed import browser

BOOK = Path(__file__).resolve().parents[1] / "_build" / "html"
PAGES = sorted(path for path in BOOK.rglob("*.html") if "_static" not in path.parts)
BROWSER = browser()
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
PAGE = """<!doctype html><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<title>t</title><article>%s</article>"""
"""A page as small as can be, with room for its content."""

MATHEMATICS = """async () => {
    if (window.MathJax) await MathJax.startup.promise;
    const raw = [...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container'));
    const wrong = [...document.querySelectorAll('mjx-merror, [data-mjx-error]')];
    return [...raw.map(e => 'not rendered: ' + e.textContent), ...wrong.map(e => 'wrong: ' + e.textContent)];
}"""
# TeX in the prose that no one renders, in a link's text or in a table say.
STRAY_TEX = r"""() => {
    const walker = document.createTreeWalker(document.querySelector('article') ?? document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const inside = walker.currentNode.parentElement;
        const text = walker.currentNode.data.trim();
        if (!inside.closest('pre, code, script, style, .math, mjx-container') && /\\[a-zA-Z]{2,}/.test(text))
            found.push('TeX in the text: ' + text);
    }
    return found;
}"""
IMAGES = """() => [...document.querySelectorAll('article img')].flatMap(e => [
    ...(e.complete && e.naturalWidth > 0 ? [] : ['image not loaded: ' + e.getAttribute('src')]),
    ...(e.alt ? [] : ['image without a description: ' + e.getAttribute('src')])])"""
LINKS = "() => [...document.querySelectorAll('a[href]')].map(e => e.href.split(/[#?]/)[0])"
HEADINGS = "() => [...document.querySelectorAll('h1')].filter(e => e.checkVisibility()).length"
OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.querySelectorAll('article *')].find(e => e.getBoundingClientRect().right > width);
    return ['wider than the screen: ' + (wide ? wide.outerHTML.slice(0, 120) : 'the page')];
}"""

# Tables that are seen, and code that stands open: what is folded may scroll.
CUT_OFF = """async () => {
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));  // tables fit themselves
    const wide = e => {
        const box = e.tagName === 'PRE' ? e : e.parentElement;
        return box.scrollWidth > box.clientWidth + 1 || e.getBoundingClientRect().right > column + 1;
    };
    const article = document.querySelector('article') ?? document.body;
    const column = article.getBoundingClientRect().right - parseFloat(getComputedStyle(article).paddingRight);
    const open = [...article.querySelectorAll('table, pre')].filter(e => e.checkVisibility() && !e.closest('details'));
    return open.filter(wide).map(e => 'wider than its column: ' + e.innerText.replace(/\\s+/g, ' ').slice(0, 80));
}"""


def missing(reason: str) -> None:
    """Skip; where the book and the browser are known to be there, fail."""
    (pytest.fail if os.environ.get("REQUIRE_BOOK") else pytest.skip)(reason)


def problems(context, path: Path) -> list[str]:
    """Everything wrong with a page; an empty list when it is well."""
    wrong = []

    def guard(route):
        if route.request.url.startswith(("file:", "data:", "blob:")):
            return route.continue_()
        wrong.append(f"asks for {route.request.url}")
        return route.abort()

    page = context.new_page()
    try:
        page.route("**/*", guard)
        page.on("console", lambda m: wrong.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
        page.set_viewport_size(DESK)
        page.goto(path.as_uri())
        for script in (MATHEMATICS, STRAY_TEX, IMAGES, OVERFLOW, CUT_OFF):
            wrong += page.evaluate(script)
        local = {unquote(urlparse(link).path) for link in page.evaluate(LINKS) if link.startswith("file:")}
        wrong += [f"links to {name}, which does not exist" for name in sorted(local) if not Path(name).is_file()]
        headings = page.evaluate(HEADINGS)
        wrong += [] if headings == 1 else [f"{headings} titles (h1)"]
        page.set_viewport_size(PHONE)
        narrow = [*page.evaluate(OVERFLOW), *page.evaluate(CUT_OFF)]
        wrong += [f"{problem} (at {PHONE['width']} px)" for problem in narrow]
    finally:
        page.close()
    return wrong
