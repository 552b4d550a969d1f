"""A table for a page: it sorts by a click on a column and filters as you type, without a library or a network."""

import itertools

import pandas as pd

from .escaped import cell

_numbers = itertools.count(1)

_SCRIPT = """
(() => {
  const box = document.getElementById("ID"), body = box.querySelector("tbody"), rows = [...body.rows];
  const said = box.querySelector("output"), key = cell => cell.dataset.key ?? cell.textContent;
  box.querySelector("input").addEventListener("input", event => {
    const words = event.target.value.toLowerCase().split(/\\s+/);
    rows.forEach(row => row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word)));
    said.textContent = rows.filter(row => !row.hidden).length + " of " + rows.length;
  });
  box.querySelectorAll("th button").forEach((button, column) => button.addEventListener("click", () => {
    const head = button.parentNode, down = head.getAttribute("aria-sort") === "ascending";
    box.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = (a, b) => {
      const x = key(a.cells[column]), y = key(b.cells[column]), by = x - y;
      return (isNaN(by) ? x.localeCompare(y) : by) * (down ? -1 : 1);
    };
    rows.sort(compare).forEach(row => body.append(row));
  }));
})();
"""


class WebTable:
    """What ``display`` shows as the table: a DataFrame, its index as the first column.

    formats: {column: format string} for numbers; a missing number shows as a dash and sorts last.
    """

    def __init__(self, frame: pd.DataFrame, formats: dict[str, str]) -> None:
        self.frame, self.formats = frame.reset_index(), formats

    def _cell(self, column: str, value: object) -> str:
        if isinstance(value, float) and value != value:
            return '<td data-key="1e99">–</td>'
        if column in self.formats:
            return f'<td data-key="{cell(repr(value))}">{cell(self.formats[column].format(value))}</td>'
        return f"<td>{cell(str(value))}</td>"

    def _repr_html_(self) -> str:
        name = f"webtable-{next(_numbers)}"
        heads = "".join(f'<th scope="col"><button type="button">{cell(str(c))}</button></th>' for c in self.frame)
        rows = (
            "<tr>" + "".join(self._cell(c, v) for c, v in zip(self.frame, row, strict=True)) + "</tr>"
            for row in self.frame.astype(object).itertuples(index=False)
        )
        count = f"{len(self.frame)} of {len(self.frame)}"
        return (
            f'<div id="{name}" class="webtable tex2jax_ignore mathjax_ignore">'
            f'<label>Filter <input type="search"></label> <output>{count}</output>'
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
            f"<script>{_SCRIPT.replace('ID', name)}</script></div>"
        )

    def __repr__(self) -> str:
        return repr(self.frame)
