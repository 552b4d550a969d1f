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
# TeX or Markdown in the prose that no one renders, in a link's text or between letters of Japanese say.
STRAY = r"""() => {
    const walker = document.createTreeWalker(document.querySelector('article') ?? document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const inside = walker.currentNode.parentElement;
        const text = walker.currentNode.data.trim();
        if (inside.closest('pre, code, script, style, .sig, .math, mjx-container')) continue;
        if (/\\[a-zA-Z]{2,}/.test(text)) found.push('TeX in the text: ' + text);
        if (text.includes('**')) found.push('Markdown in the text: ' + text);
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

SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Waits until tables have fitted themselves to their room: they do so in the frame after a page has loaded."""

# Tables and equations that are seen, and code that stands open: what is folded may scroll.
CUT_OFF = """async () => {
    await (SETTLED)();
    const wide = e => {
        const box = e.tagName === 'PRE' ? e : e.parentElement;
        return box.scrollWidth > box.clientWidth + 1 || e.getBoundingClientRect().right > column + 1;
    };
    const article = document.querySelector('article') ?? document.body;
    const column = article.getBoundingClientRect().right - parseFloat(getComputedStyle(article).paddingRight);
    const open = [...article.querySelectorAll('table, pre')].filter(e => e.checkVisibility() && !e.closest('details'));
    const equations = [...article.querySelectorAll('div.math mjx-container > svg')].filter(e => e.checkVisibility());
    const long = equations.filter(e => e.getBoundingClientRect().right > column + 1).map(e => e.closest('.math'));
    const cut = [...open.filter(wide), ...long];
    return cut.map(e => 'wider than its column: ' + e.innerText.replace(/\\s+/g, ' ').slice(0, 80));
}""".replace("SETTLED", SETTLED)

FIRST_SCREEN = """() => [...document.querySelectorAll('article :is(.cell_input, details.hide)')]
    .filter(e => e.checkVisibility() && !e.closest('.tag_show, .tag_lesson'))
    .filter(e => e.getBoundingClientRect().top < innerHeight)
    .map(e => 'code on the first screen: ' + e.innerText.slice(0, 80))"""

# WCAG's AA: text against the ground on which it stands, 4.5 to 1, large text 3 to 1; what is folded is opened first.
CONTRAST = r"""theme => {
    document.documentElement.dataset.theme = theme;
    document.querySelectorAll('details').forEach(fold => { fold.open = true; });
    const still = document.head.appendChild(document.createElement('style'));
    still.textContent = '* { transition: none !important; animation: none !important; }';
    const parts = text => (text.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    const colour = text => {
        const [r, g, b, a = 1] = parts(text);
        return text.startsWith('color(') ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
    };
    const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
    const light = rgb => rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const grounds = new Map([[null, [255, 255, 255]]]);
    const ground = e => {
        if (!grounds.has(e)) grounds.set(e, over(colour(getComputedStyle(e).backgroundColor), ground(e.parentElement)));
        return grounds.get(e);
    };
    const opacity = e => e ? getComputedStyle(e).opacity * opacity(e.parentElement) : 1;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), weak = new Map();
    while (walker.nextNode()) {
        const e = walker.currentNode.parentElement, said = walker.currentNode.data.trim();
        if (!said || e.closest('svg, script, style, noscript, select, :disabled')) continue;
        if (!e.checkVisibility({visibilityProperty: true})) continue;
        const style = getComputedStyle(e), size = parseFloat(style.fontSize), [r, g, b, a] = colour(style.color);
        const below = ground(e), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        const [x, y] = [light(over([r, g, b, a * opacity(e)], below)), light(below)].sort();
        const ratio = (y + 0.05) / (x + 0.05);
        if (ratio < (large ? 3 : 4.5))
            weak.set(`${style.color} on ${below.map(Math.round)}`, `${ratio.toFixed(1)}, ${said.slice(0, 40)}`);
    }
    still.remove();
    return [...weak].map(([colours, what]) => `too little contrast: ${colours}, ${what}`);
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
        for script in (MATHEMATICS, STRAY, IMAGES, OVERFLOW, CUT_OFF, FIRST_SCREEN):
            wrong += page.evaluate(script)
        local = {unquote(urlparse(link).path) for link in page.evaluate(LINKS) if link.startswith("file:")}
        wrong += [f"links to {name}, which does not exist" for name in sorted(local) if not Path(name).is_file()]
        headings = page.evaluate(HEADINGS)
        wrong += [] if headings == 1 else [f"{headings} titles (h1)"]
        page.set_viewport_size(PHONE)
        narrow = [problem for script in (OVERFLOW, CUT_OFF, FIRST_SCREEN) for problem in page.evaluate(script)]
        wrong += [f"{problem} (at {PHONE['width']} px)" for problem in narrow]
        wrong += [f"{problem} ({theme})" for theme in ("light", "dark") for problem in page.evaluate(CONTRAST, theme)]
    finally:
        page.close()
    return wrong
