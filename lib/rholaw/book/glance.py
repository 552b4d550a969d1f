"""Four choices on a first page, and what a plan says of them: a bar that stays in sight, and the sentences below it.

Every sentence is recorded (``planning.glance``); glance.html looks it up and computes nothing.  A page remembers what
was chosen on another.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..planning import glance, words
from ..planning.scenario import Scenario
from .escaped import cell, filled, in_script
from .workplace import ROOT

FIRST = {"device": "H100 80GB SXM", "traffic": "fifty"}
"""What is chosen at first: the case of the ledger; else the first of each."""


@dataclass(frozen=True)
class Glance:
    """What ``display`` shows as the choices, in "en" or "ja"; first: values of them that differ from the FIRST."""

    language: str = "en"
    first: tuple[tuple[str, str], ...] = ()

    def data(self) -> dict[str, Any]:
        """What the page knows: the choices with their names, what is chosen at first, and {values: [verdict, text]}."""
        texts = words.texts(self.language)
        names = texts["glance"] | {code: words.unit(code, self.language) for code in glance.CURRENCIES}
        table, first = glance.recorded(), FIRST | dict(self.first)
        said = {
            "|".join(row[list(glance.CHOICES)]): [texts["verdicts"][row.verdict], row[self.language]]
            for _, row in table.iterrows()
        }
        choices = [
            {
                "name": name,
                "label": names[name],
                "first": first.get(name, next(iter(values))),
                "values": {value: names.get(value, value) for value in values},
            }
            for name, values in glance.CHOICES.items()
        ]
        return {"choices": choices, "said": said}

    def _repr_html_(self) -> str:
        data, texts = self.data(), words.texts(self.language)["glance"]
        first = [choice["first"] for choice in data["choices"]]
        shown = [choice["values"][choice["first"]] for choice in data["choices"]]
        traffic = Scenario.read(ROOT / "chapters" / "scenarios" / f"{glance.CASE}.toml").traffic
        premise = texts["premise"].format(
            tokens_in=f"{traffic.tokens_in:g}",
            tokens_out=f"{traffic.tokens_out:g}",
            latency=f"{traffic.latency_ms:g}",
            rate=glance.CURRENCIES["JPY"],
        )
        parts = {
            "label": cell(texts["said"]),
            "without": cell(texts["without"].format(choice=texts["between"].join(shown))),
            "said": cell(data["said"]["|".join(first)][1]),
            "premise": cell(premise),
            "data": in_script(json.dumps(data, ensure_ascii=False, separators=(",", ":"))),
        }
        return filled(Path(__file__).with_suffix(".html"), parts)

    def __repr__(self) -> str:
        data = self.data()
        return data["said"]["|".join(choice["first"] for choice in data["choices"])][1]
