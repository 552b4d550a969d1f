"""What pages explain where the pointer or the keyboard rests: symbols, and formats by the names that people use."""

import json
import tomllib
from pathlib import Path

from ..formats.grammar import parse
from ..planning import names
from .escaped import in_script

WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
SCRIPT = "terms.js"
"""Name of the asset, in which a page finds ``TERMS``."""
PLACE = "/* TERMS */"
"""Where they stand in it."""


def terms(language: str) -> dict[str, tuple[str, str]]:
    """{term: (what it means, the page that says more)}; a name that formats share as weights is explained once."""
    words = WORDS[language]
    told = {symbol: (meaning, "notation") for symbol, meaning in words["symbols"].items()}
    for code, name in names.table(language)["formats"].items():
        if code != "dense":
            meaning = f"{words['code']} {code}; {parse(code).bits:.4g} {words['bits']}"
            told.setdefault(name, (meaning, "formats"))
    return told


def script(asset: str) -> str:
    """The asset with the terms of both languages."""
    return asset.replace(PLACE, in_script(json.dumps({one: terms(one) for one in WORDS}, ensure_ascii=False)))
