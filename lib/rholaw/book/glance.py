"""Choices on a first screen, and what a plan says of them: a bar that stays in sight, and the sentences below it.

Every sentence or number is recorded (``planning.glance``); glance.html looks it up and computes nothing.  A page
remembers what was chosen on another.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..planning import glance, names, words
from ..planning.scenario import Scenario
from .escaped import cell, filled, in_script
from .plain import plain
from .workplace import ROOT

FIRST = {"device": "H100 80GB SXM", "traffic": "fifty"}
"""What is chosen at first: the case of the ledger; else the first of each."""
ASKED = {"plan": [*glance.CHOICES], "speed": ["model", "device", "traffic"], "rise": ["model"]}
"""What a page may tell, and the choices on which that depends."""
PLACE = ["gpus", "device", "batch"]
"""Columns of an option that say where it runs."""


@dataclass(frozen=True)
class Glance:
    """What ``display`` shows as the choices, in "en" or "ja".

    first: values of them that differ from the FIRST.  tells: "plan", its summary; "speed" or "rise", how much faster
    its options write, or what they add to the loss.
    """

    language: str = "en"
    first: tuple[tuple[str, str], ...] = ()
    tells: str = "plan"

    def data(self) -> dict[str, Any]:
        """What the page knows: the choices with their names, what is chosen at first, and {values: [verdict, text]}."""
        texts = words.texts(self.language)
        called = texts["glance"] | {code: words.unit(code, self.language) for code in glance.CURRENCIES}
        first = FIRST | dict(self.first)
        choices = [
            {
                "name": name,
                "label": called[name],
                "first": first.get(name, next(iter(glance.CHOICES[name]))),
                "values": {value: called.get(value, value) for value in glance.CHOICES[name]},
            }
            for name in ASKED[self.tells]
        ]
        return {"choices": choices, "said": self._summaries() if self.tells == "plan" else self._of_options()}

    def _summaries(self) -> dict[str, list[str]]:
        verdicts = words.texts(self.language)["verdicts"]
        return {
            "|".join(row[ASKED["plan"]]): [verdicts[row.verdict], row[self.language]]
            for _, row in glance.recorded().iterrows()
        }

    def _of_options(self) -> dict[str, list[str]]:
        texts, asked = words.texts(self.language)["glance"], ASKED[self.tells]
        told = {}
        for chosen, rows in glance.recorded_options().groupby(asked, sort=False):
            said = texts[self.tells].format(
                options=texts["among"].join(self._parts(rows)), **dict(zip(asked, chosen, strict=True))
            )
            told["|".join(chosen)] = ["", said]
        return told

    def _parts(self, rows: pd.DataFrame) -> list[str]:
        """What options do, in parts of a sentence; what runs on equal devices at an equal batch is one part."""
        if self.tells == "rise":
            return [*dict.fromkeys(map(self._option, rows.itertuples()))]
        texts, known = words.texts(self.language)["glance"], rows.kernel != "unknown"
        told = []
        for place, alike in rows[known].groupby(PLACE, sort=False):
            options = texts["between"].join(map(self._option, alike.itertuples()))
            told.append(texts["speed_at"].format(options=options, **dict(zip(PLACE, place, strict=True))))
        return [*told, *map(self._option, rows[~known].itertuples())]

    def _option(self, row: Any) -> str:
        """What an option does, in a part of a sentence; nothing of a speed is known where no kernel is."""
        texts = words.texts(self.language)["glance"]
        column, show = {"speed": ("speedup_decode", "{:.2f}".format), "rise": ("dloss", plain)}[self.tells]
        low, middle, high = (show(getattr(row, column + part)) for part in glance.SPREAD)
        option = names.option(pd.Series(row._asdict() | {"kv": "dense"}), self.language)
        key = "unknown" if self.tells == "speed" and row.kernel == "unknown" else f"{self.tells}_of"
        return texts[key].format(option=option, low=low, middle=middle, high=high)

    def _repr_html_(self) -> str:
        data, texts = self.data(), words.texts(self.language)["glance"]
        first = [choice["first"] for choice in data["choices"]]
        shown = [choice["values"][choice["first"]] for choice in data["choices"]]
        traffic = Scenario.read(ROOT / "chapters" / "scenarios" / f"{glance.CASE}.toml").traffic
        premise = texts[f"{self.tells}_premise"].format(
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
