"""Whatever law, method or set of runs a page names, it cites where it first does, and no two references look alike."""

import re
from pathlib import Path

import nbformat
import pytest

from rholaw.laws.registry import LAWS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in (ROOT / "chapters").glob("*.ipynb"))
BIBLIOGRAPHY = (ROOT / "references.bib").read_text(encoding="utf-8")
ENTRIES = {
    key: dict(re.findall(r"(?m)^\s+(\w+)\s*= \{(.*)\},$", body))
    for key, body in re.findall(r"(?ms)^@\w+\{([\w-]+),\n(.*?)^\}", BIBLIOGRAPHY)
}
OF_LAW = {
    "chinchilla": "hoffmann2022",
    "unified": "panferov2025",
    "decoupled": "frantar2025",
    "kumar": "kumar2024",
    "frantar": "frantar2023",
    "chen": "chen2025",
    "sun": "sun2025",
    "quartet": "castro2025",
}  # the first part of a law's name; "additive" is of this project
NAMED = {
    r"QuEST": "quest2025",
    r"[Tt]he paper\b(?! of)": "panferov2025",
    r"Hoffmann|Chinchilla": "hoffmann2022",
    r"Kumar": "kumar2024",
    r"Chen": "chen2025",
    r"Sun": "sun2025",
    r"Gadre": "gadre2024",
    r"Ouyang": "ouyang2024",
    r"Quartet": "castro2025",
    r"RigL": "evci2020",
    r"\bgmp\b|Zhu and Gupta": "zhu2017",
    r"LSQ": "esser2019",
    r"HIGGS": "malinovskii2024",
    r"QTIP": "tseng2024qtip",
    r"QuIP#|E8P": "tseng2024quip",
    r"(?<!G)GPTQ": "frantar2022",
    r"AWQ": "lin2023",
    r"OmniQuant": "shao2023",
    r"AutoRound": "cheng2023",
    r"QLoRA": "dettmers2023",
    r"BitNet": "ma2024",
}


def words(page: Path) -> str:
    """The Markdown of a page, without its headings, code and addresses."""
    cells = nbformat.read(page, 4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.sub(r"(?ms)^```.*?^```|^#+ [^\n]*|https?://\S+", "", text)


def uncited(text: str) -> list[str]:
    """The names in a page's Markdown that it does not cite in the paragraph of their first naming, or before."""
    missing = []
    for name, key in NAMED.items():
        if first := re.search(name, text):
            before = text[: first.end()] + text[first.end() :].split("\n\n")[0]
            if key not in re.findall(r"[\w-]+", " ".join(re.findall(r"\{cite\}`(.*?)`", before))):
                missing.append(f"{first[0]}: cite {key}")
    return missing


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_what_a_page_names_it_cites(page):
    assert uncited(words(page)) == []


def test_a_name_without_its_citation_is_found():
    assert uncited("RigL {cite}`evci2020` grows.\n\nAs GPTQ does.\n\nIt is {cite}`frantar2022`.") == [
        "GPTQ: cite frantar2022"
    ]
    assert uncited("GPTQ and AWQ {cite}`frantar2022,lin2023`") == []


def test_every_law_has_its_reference_and_pages_that_name_it_cite_it():
    own = {name for name in LAWS if name.startswith("additive")}
    for law in set(LAWS) - own:
        key = OF_LAW[law.split("-")[0]]
        assert key in ENTRIES, law
        for page in PAGES:
            text = words(page)
            if re.search(rf"\*{law}\*|`{law}`", text):
                assert f"{{cite}}`{key}`" in text, f"{page.stem} names {law} and does not cite {key}"


def test_every_name_has_a_reference_and_no_two_look_alike():
    assert set(NAMED.values()) | set(OF_LAW.values()) <= set(ENTRIES)
    labels = [(entry["author"].split(" and ")[0], entry.get("year")) for entry in ENTRIES.values()]
    assert len(set(labels)) == len(labels)
