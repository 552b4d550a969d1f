/* Explains symbols and formats at their first mention in a section: a dotted line, and what it means where the pointer or
   the keyboard rests on it; the link leads to more.  Escape shuts it.  Headings, code, tables and links stay as they are. */
(() => {
  const terms = (/* TERMS */)[document.documentElement.lang] ?? {};
  const TEXTS = ".bd-article :is(p, li, figcaption)";
  const LEAVE = "a, code, pre, table, summary, button, form, svg, script, .math, .explorer, .live-block, .admonition-title, .languages, dl.py";
  const up = document.documentElement.dataset.content_root ?? "";
  const escaped = Object.keys(terms).sort((a, b) => b.length - a.length).map(term => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const mention = new RegExp(`(?<![\\p{Script=Latin}\\p{Script=Greek}\\d_+/-])(${escaped.join("|")})(?![\\p{Script=Latin}\\p{Script=Greek}\\d_(:]|[-./+]\\w)`, "u");

  const tip = document.createElement("div");
  tip.className = "term-tip";
  tip.id = "term-tip";
  tip.role = "tooltip";
  tip.hidden = true;
  const shut = () => { tip.hidden = true; };
  function open(link) {
    tip.textContent = link.dataset.meaning;
    tip.hidden = false;
    const at = link.getBoundingClientRect(), room = document.documentElement.clientWidth;
    tip.style.left = `${Math.max(8, Math.min(at.left, room - tip.offsetWidth - 8))}px`;
    tip.style.top = `${at.top > tip.offsetHeight + 8 ? at.top - tip.offsetHeight : at.bottom}px`;
  }

  function explained(term) {
    const [meaning, page] = terms[term], link = document.createElement("a");
    link.className = "term";
    link.href = `${up}${page}.html`;
    link.textContent = term;
    link.dataset.meaning = meaning;
    link.setAttribute("aria-description", meaning);
    link.addEventListener("mouseenter", () => open(link));
    link.addEventListener("focus", () => open(link));
    link.addEventListener("mouseleave", event => { if (event.relatedTarget !== tip) shut(); });
    link.addEventListener("blur", shut);
    return link;
  }

  function mark(text, known) {
    const match = text.data.match(mention);
    if (!match) return;
    const rest = text.splitText(match.index + match[0].length);
    if (!known.has(match[0])) {
      known.add(match[0]);
      text.splitText(match.index).replaceWith(explained(match[0]));
    }
    mark(rest, known);
  }

  const sections = new Map(); // the terms that a section has explained
  document.querySelectorAll(TEXTS).forEach(place => {
    const section = place.closest("section");
    if (!sections.has(section)) sections.set(section, new Set());
    const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT), texts = [];
    while (walker.nextNode()) if (!walker.currentNode.parentElement.closest(LEAVE)) texts.push(walker.currentNode);
    texts.forEach(text => mark(text, sections.get(section)));
  });
  tip.addEventListener("mouseleave", shut);
  addEventListener("keydown", event => { if (event.key === "Escape") shut(); });
  addEventListener("scroll", shut, { passive: true });
  document.body.append(tip);
})();
