/* Every table of a page fits its column: what has no room opens below its row, and a row may become a card.  A long table
   is filtered, sorted and turned page by page; what a cell of code shows can be taken as CSV.
   Nothing asks for it: it is done to all tables there are.  Without scripts they scroll in their own boxes.
   Code that stands open wraps to fit, between the options of a command and not behind their hyphens. */
(() => {
  const COLUMNS = 5, ROWS = 12, BRIEF = 10, LONG = 80; // columns shown beside the names of the rows; rows of a page; letters of a date, and of a sentence
  const WORDS = {
    en: { filter: "Filter", of: "of", back: "previous rows", on: "next rows", more: "the rest of this row" },
    ja: { filter: "絞り込み", of: "／", back: "前の行", on: "次の行", more: "この行の続き" },
  };
  const words = WORDS[document.documentElement.lang] ?? WORDS.en;
  const EMPTY = /^[\s–-]*$/;
  const NUMBER = /^[~<>≤≥±$¥€×÷]*\s*([+−▲-]?(?:inf|[\d,]*\.?\d+(?:e[+-]?\d+)?))\s*(%[超未満]*|×|\p{L}{1,3})?(?:\s*\[.*\])?$/iu;
  const LARGE = { 万: 1e4, 億: 1e8, 兆: 1e12 }, WORDED = { never: "inf", 回収不能: "inf", 即時: "0" };

  const said = cell => cell?.textContent.replace(/\s+/g, " ").trim() ?? "";
  const empty = cell => EMPTY.test(said(cell));
  const number = cell => {
    const text = cell.dataset.key ?? WORDED[said(cell)] ?? said(cell), [, digits, unit = ""] = text.match(NUMBER) ?? [, "none"];
    return Number(digits.replaceAll(",", "").replace(/[−▲]/, "-").replace("inf", "Infinity")) * (LARGE[unit[0]] ?? 1);
  };
  const copied = cell => cell.cloneNode(true).childNodes;

  function made(name, attributes, ...inside) {
    const element = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    element.append(...inside);
    return element;
  }
  const button = (label, sign, act) => {
    const element = made("button", { type: "button", title: label, "aria-label": label }, sign);
    element.addEventListener("click", act);
    return element;
  };

  /* The cells of rows, [[cell, …], …]: one that spans several stands in each. */
  function grid(rows) {
    const cells = rows.map(() => []);
    rows.forEach((row, y) => [...row.cells].forEach(cell => {
      const x = [...cells[y], undefined].findIndex(taken => !taken);
      for (let dy = 0; dy < cell.rowSpan && y + dy < rows.length; dy++)
        for (let dx = 0; dx < cell.colSpan; dx++) cells[y + dy][x + dx] = dx || dy ? cell.cloneNode(true) : cell;
    }));
    cells.flat().forEach(cell => ["rowspan", "colspan", "id"].forEach(name => cell.removeAttribute(name)));
    return cells;
  }

  /* One row of headings: pandas writes groups of columns above, and the names of an index below. */
  function headings(table) {
    const levels = grid([...table.tHead.rows]);
    const heads = levels.at(-1).map((lowest, x) => {
      const parts = levels.map(level => level[x]).filter(said), last = parts.pop() ?? lowest;
      if (last.classList.contains("index_name")) parts.length = 0; // above it pandas names the columns
      const groups = [...new Set(parts.map(said))].filter(group => group !== said(last)).join(" · ");
      const group = groups ? [made("small", {}, groups + " ")] : [];
      return made("th", { scope: "col", title: last.title }, ...group, ...last.childNodes);
    });
    table.tHead.replaceChildren(made("tr", {}, ...heads));
    return heads;
  }

  /* Shows as many columns as there is room for; returns what does so, and what shuts an opened row. */
  function folding(table, box, heads, rows, names, matrix) {
    let columns = heads.length;
    const openers = new Map(rows.map(row => [row, button(words.more, "", () => toggle(row))]));
    openers.forEach((opener, row) => { opener.className = "opener"; row.cells[0].prepend(opener); });

    function shut(row) {
      if (row.nextElementSibling?.className === "more") row.nextElementSibling.remove();
      openers.get(row).setAttribute("aria-expanded", "false");
    }
    function toggle(row) {
      if (openers.get(row).getAttribute("aria-expanded") === "true") return shut(row);
      const rest = heads.map((head, x) => [head, row.cells[x]]).slice(columns).filter(([, cell]) => !empty(cell));
      const list = rest.flatMap(([head, cell]) => [made("dt", {}, ...copied(head)), made("dd", {}, ...copied(cell))]);
      list.forEach(part => part.querySelector(":scope > button")?.replaceWith(...part.querySelector("button").childNodes));
      row.after(made("tr", { class: "more" }, made("td", { colspan: columns }, made("dl", {}, ...list))));
      openers.get(row).setAttribute("aria-expanded", "true");
    }
    function show(count, cards) {
      columns = count;
      table.dataset.columns = count;
      table.classList.toggle("cards", cards);
      table.classList.toggle("folded", count < heads.length);
      return table.getBoundingClientRect().width <= box.clientWidth + 1;
    }
    function fit() {
      if (!box.clientWidth) return; // in a fold that is shut
      rows.forEach(shut);
      if (show(heads.length, false) && (matrix || heads.length <= names + COLUMNS)) return;
      const most = Math.min(heads.length, names + COLUMNS);
      for (let count = most; count > Math.min(2, most - 1); count--) if (show(count, false)) return;
      show(most, true);
    }
    let width = 0;
    new ResizeObserver(() => { if (box.clientWidth !== width) { width = box.clientWidth; fit(); } }).observe(box);
    return { fit, shut };
  }

  /* Filter, sort and pages; returns what goes above the table. */
  function turning(table, heads, rows, numeric, { fit, shut }) {
    const count = made("output", {}), filter = made("input", { type: "search" });
    const back = button(words.back, "‹", () => turn(first - ROWS)), on = button(words.on, "›", () => turn(first + ROWS));
    let shown = rows, first = 0;

    function turn(to) {
      first = to;
      const page = shown.slice(first, first + ROWS);
      rows.forEach(row => { shut(row); row.hidden = !page.includes(row); });
      count.textContent = `${page.length && first + 1}–${first + page.length} ${words.of} ${shown.length}`;
      [back.disabled, on.disabled] = [first === 0, first + ROWS >= shown.length];
      fit();
    }
    function refilter() {
      const wanted = filter.value.toLowerCase().split(/\s+/);
      shown = rows.filter(row => wanted.every(word => row.textContent.toLowerCase().includes(word)));
      turn(0);
    }
    function sort(x) {
      const down = heads[x].getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
      heads.forEach(head => head.removeAttribute("aria-sort"));
      heads[x].setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = (a, b) => numeric[x] ? number(a) - number(b) : said(a).localeCompare(said(b));
      rows.sort(({ cells: a }, { cells: b }) => empty(a[x]) - empty(b[x]) || sign * order(a[x], b[x]));
      rows.forEach(row => { shut(row); table.tBodies[0].append(row); });
      refilter();
    }
    filter.addEventListener("input", refilter);
    heads.forEach((head, x) => {
      const sorter = made("button", { type: "button" }, ...head.childNodes);
      sorter.addEventListener("click", () => sort(x));
      head.append(sorter);
    });
    turn(0);
    return [made("label", {}, words.filter + " ", filter), back, count, on];
  }

  function csv(heads, rows, name) {
    const quoted = text => /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    const plain = cell => cell.dataset.key ?? said(cell).replace(/−(?=\.?\d)/g, "-"); // a minus that programs read
    const lines = [heads, ...rows.map(row => [...row.cells])].map(cells => cells.map(cell => quoted(plain(cell))));
    const text = "\ufeff" + lines.map(line => line.join(",") + "\n").join(""); // the mark by which Excel knows UTF-8
    return made("a", { download: name, href: "data:text/csv;charset=utf-8," + encodeURIComponent(text) }, "CSV");
  }

  function fitted(table, place) {
    const heads = headings(table), rows = [...table.tBodies[0].rows];
    grid(rows).forEach((cells, y) => rows[y].replaceChildren(...cells));
    const columns = heads.map((_, x) => rows.map(row => row.cells[x]).filter(Boolean));
    const numeric = columns.map(cells => cells.every(cell => empty(cell) || !isNaN(number(cell))));
    columns.forEach((cells, x) => {
      [heads[x], ...cells].forEach(cell => cell.classList.add(numeric[x] ? "number" : "words"));
      const lengths = cells.map(cell => said(cell).length), brief = Math.max(...lengths) <= BRIEF;
      cells.forEach((cell, y) => cell.classList.add(...(brief ? ["brief"] : lengths[y] > LONG ? ["long"] : [])));
      cells.forEach(cell => cell.setAttribute("data-label", said(heads[x])));
    });
    const names = Math.max(1, [...rows[0].cells].findIndex(cell => cell.tagName === "TD"));
    const page = location.pathname.replace(/.*\//, "").replace(/\.html$/, "");
    const link = table.closest(".cell_output") ? [csv(heads, rows, `${page}-${place}.csv`)] : [];
    const box = made("div", { class: "fitted" }), bar = made("div", { class: "table-bar" });
    table.replaceWith(box);
    box.append(table);
    const folded = folding(table, box, heads, rows, names, numeric.slice(names).every(Boolean));
    const long = rows.length > ROWS;
    if (long) bar.append(...turning(table, heads, rows, numeric, folded));
    bar.append(...link);
    if (bar.childNodes.length) box[long ? "prepend" : "append"](bar);
  }

  [...document.querySelectorAll(".bd-article table, .tables table")]
    .filter(table => table.tHead?.rows.length && table.tBodies[0]?.rows.length && !table.closest(".explorer"))
    .forEach((table, place) => fitted(table, place + 1));

  const OPTION = /((?<!\S)--?\w[\w-]*)/;
  document.querySelectorAll(".bd-article pre").forEach(pre => {
    const walker = document.createTreeWalker(pre, NodeFilter.SHOW_TEXT), texts = [];
    while (walker.nextNode()) if (OPTION.test(walker.currentNode.data)) texts.push(walker.currentNode);
    texts.forEach(text => text.replaceWith(...text.data.split(OPTION).map((part, i) => i % 2 ? made("span", { class: "option" }, part) : part)));
  });
})();
