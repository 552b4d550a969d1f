"""The packages that the book is built with, at which versions and under which licences, for the page on sources."""

import re
from importlib.metadata import PackageMetadata, distributions, requires

import pandas as pd

ITSELF = "rholaw"


def dependencies() -> pd.DataFrame:
    """A row for each installed package: name, version, licence, and which parts of this one ask for it by name.

    Parts are the extras of pyproject.toml, and "library"; a package without any is one that others need.
    """
    asked = {}
    for line in requires(ITSELF):
        part = re.search(r"extra == ['\"](\w+)", line)
        asked.setdefault(_plain(re.match(r"[\w.-]+", line)[0]), []).append(part[1] if part else "library")
    rows = {}
    for one in distributions():
        name = _plain(one.metadata["Name"])
        parts = ", ".join(asked.get(name, ()))
        rows[name] = {"package": name, "version": one.version, "licence": licence(one.metadata), "for": parts}
    return pd.DataFrame([rows[name] for name in sorted(rows) if name != ITSELF])


def licence(about: PackageMetadata) -> str:
    """The licence as a package states it: an SPDX expression, or a line of text, or classifiers, or only a file."""
    classes = [text.split(" :: ")[-1] for text in about.get_all("Classifier", ()) if text.startswith("License :: ")]
    text = about.get("License", "").strip()
    short = text if text != "UNKNOWN" and len(text) <= 60 and "\n" not in text else ""
    return about.get("License-Expression") or short or " or ".join(classes) or "in its licence file"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
