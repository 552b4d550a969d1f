"""A table of numbers whose page sorts it by their values, whatever digits it shows, and what pages call any columns.

What a page does to all tables, so that none is cut off, stands in assets/tables.js.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .escaped import cell
from .plain import plain

HEADINGS = tomllib.loads((Path(__file__).parent / "headings.toml").read_text(encoding="utf-8"))
"""{name of a column as programs have it: in words}."""


@dataclass(frozen=True)
class Named:
    """A text in a table by the name that people use; its code name shows where the pointer rests on it."""

    shown: str
    code: str

    def __str__(self) -> str:
        return self.shown

    def _repr_html_(self) -> str:
        title = f' title="{cell(self.code)}"' if self.code != self.shown else ""
        return f"<span{title}>{cell(self.shown)}</span>"


class WebTable:
    """What ``display`` shows as the table: a DataFrame, its index as the first column.

    formats: {column: format string, or what writes it} for numbers; a missing number shows as a dash.
    """

    def __init__(self, frame: pd.DataFrame, formats: Mapping[str, str | Callable[[float], str]]) -> None:
        self.frame, self.formats = frame.reset_index(), formats

    def _cell(self, column: str, value: object) -> str:
        if isinstance(value, float) and value != value:
            return "<td>–</td>"
        if column in self.formats:
            write = self.formats[column]
            text = write(value) if callable(write) else write.format(value)
            key = repr(value.item() if isinstance(value, np.generic) else value)
            return f'<td data-key="{cell(key)}">{cell(text)}</td>'
        return f"<td>{_inside(value)}</td>"

    def _repr_html_(self) -> str:
        heads = "".join(f'<th scope="col">{_inside(column)}</th>' for column in self.frame)
        rows = (
            "<tr>" + "".join(self._cell(c, v) for c, v in zip(self.frame, row, strict=True)) + "</tr>"
            for row in self.frame.astype(object).itertuples(index=False)
        )
        return (
            '<table class="tex2jax_ignore mathjax_ignore">'
            f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        )

    def __repr__(self) -> str:
        return repr(self.frame)


def digits(count: int) -> Callable[[float], str]:
    """What writes a number as ``plain`` does, to so many significant digits."""
    return lambda value: plain(value, count)


def _inside(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value._repr_html_() if isinstance(value, Named) else str(cell(str(value)))


def headed(html: str) -> str:
    """The HTML of tables, columns called by HEADINGS."""

    def words(heading: re.Match) -> str:
        name = heading[1].strip()
        return f">{Named(HEADINGS[name], name)._repr_html_()}</th>" if name in HEADINGS else heading[0]

    return re.sub(r"<thead>.*?</thead>", lambda head: re.sub(r">([^<>]+)</th>", words, head[0]), html, flags=re.DOTALL)
