"""The lines of the ledger that chapters show."""

import math
import re

import nbformat
import pandas as pd
import pytest

import rholaw as rl
from rholaw.book import ROOT, ledger
from rholaw.planning import ledger as planned

CHAPTERS = {path.stem: nbformat.read(path, 4) for path in sorted((ROOT / "chapters").glob("*.ipynb"))}
JAPANESE = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "chapters" / "ja").glob("*.ipynb"))}
CALL = re.compile(r'ledger\.upto\("([\w]+)"\)')
BESIDE = re.compile(r"ledger\.(?:beside|narrowed)\(")


def lines(chapter):
    return ledger.upto(chapter).data.splitlines()[4:]


def test_each_chapter_with_a_line_shows_the_ledger_up_to_it():
    shown = {name: CALL.findall("\n".join(cell.source for cell in book.cells)) for name, book in CHAPTERS.items()}
    calls = {name: said for name, said in shown.items() if said}
    assert calls == {name: [name] for name in ["index", *ledger.LINES] if name in CHAPTERS}


def test_the_other_chapters_stand_beside_the_ledger():
    calls = {name: any(BESIDE.search(cell.source) for cell in book.cells) for name, book in CHAPTERS.items()}
    numbered = {name for name in CHAPTERS if name[:2].isdigit()}
    alone = {"10_theory", "19_explorer"}  # of toy problems; of any model
    assert {name for name, there in calls.items() if there} == numbered - set(ledger.LINES) - alone


def test_beside_the_ledger_stands_what_the_plan_behind_it_would_say():
    recorded = planned.recorded().set_index("weights")
    text = ledger.beside("q4_k", "nvfp4 x nvfp4", "s0.75").data
    bits, error, capacity, rise = [row.split(" | ")[1:] for row in text.splitlines()[4:]]
    assert (bits[0], rise[0]) == ("4.125", "0.12 [0.053 to 0.28]")
    assert capacity[1] == lines("14_law_after_training")[2].split(" | ")[4].rstrip(" |")
    assert abs(float(rise[1].split()[0]) / recorded.dloss["q4_k"] - 1) < 0.1
    assert rise[2:] == ["–", "above 1.5 [1.1 to above 1.5] |"] and error[3] == "0.28 |"


def test_what_is_measured_of_a_model_like_it_narrows_what_the_ledger_says():
    measured = pd.DataFrame({"format": ["q4_k", "q3_k"], "rise": [0.04, 0.18]})
    told = ledger.narrowed(rl.fit_sensitivity(measured))
    assert told.startswith("INT4, which [the ledger](index) follows, should cost it 0.1 nats [0.08")
    assert " 0.12 [0.053, 0.28] for Llama-3.1-8B" in told


def test_an_option_beside_the_ledger_that_is_none():
    with pytest.raises(ValueError, match="fp9"):
        ledger.beside("fp9")


def test_a_chapter_adds_one_line():
    counts = [len(lines(name)) for name in ledger.LINES if name in CHAPTERS]
    assert counts == [1, 2, 3, 4, 5, 7] and len(lines("index")) == 7  # the plan adds the verdict too


def test_own_line_is_bold_and_the_others_lead_to_their_chapters():
    *before, own = lines("06_capacity")
    assert own.startswith("| **capacity") and own.count("**") == 2 * 5
    assert [re.findall(r"\]\((\w+)\)", line) for line in before] == [["01_numbers"], ["02_blocks"]]


def test_a_chapter_without_a_line():
    with pytest.raises(ValueError, match="not in list"):
        ledger.upto("03_sparsity")


def test_what_stands_against_an_option_comes_first():
    verdict = lines("index")[-1]
    assert (
        "measure its loss first" in verdict and "no, it loses too much" in verdict and "compress; the chance" in verdict
    )


def test_what_would_not_pay_is_not_to_be_measured():
    likely = {"against": "loss_unsettled", "pays": 0.9, "verdict": "measure this"}
    told = ledger.Telling("en", 1.0)
    assert told.verdict(pd.Series(likely)) == "measure its loss first; the chance that it pays is 90%"
    assert told.verdict(pd.Series(likely | {"pays": 0.2})) == "do not compress; the chance that it pays is 20%"


def test_nothing_is_saved_without_a_sign():
    row = {"saving_month_p10": -0.2, "saving_month": -0.0, "saving_month_p90": 0.4}
    said = ledger.LINES["18_plan"]
    assert said(row, ledger.Telling("en", 1.0)) == "0 [0 to 0]"
    assert said(row | {"saving_month_p90": 146.0}, ledger.Telling("ja", 100.0)).endswith("0～1.46万）")


def test_what_cannot_be_priced_is_no_number_of_the_ledger():
    row = dict.fromkeys(("saving_month_p10", "saving_month", "saving_month_p90"), math.nan)
    assert ledger.LINES["18_plan"](row, ledger.Telling("en", 1.0)) == "– [– to –]"


def test_the_japanese_ledger_has_the_numbers_of_the_english_one():
    japanese = ledger.upto("14_law_after_training", "ja").data.splitlines()[4:]
    cells = [[line.split(" | ")[1:] for line in rows] for rows in (lines("14_law_after_training"), japanese)]
    numbers = [[re.findall(r"[\d.]+", " ".join(row)) for row in rows] for rows in cells]
    assert numbers[0] == numbers[1] and len(numbers[0]) == 4
    assert not re.search(r"[A-Za-z]{4,}(?![^(]*\))", "".join(japanese).replace("GMSE", "").replace("nats", ""))


def test_a_line_of_the_japanese_ledger_leads_to_the_japanese_page_where_there_is_one():
    places = re.findall(r"\]\(([\w/.]+)\)", ledger.upto("index", "ja").data)
    assert places == ["../01_numbers", "../02_blocks", "../06_capacity", "04_law", "../17_hardware", "01_summary"]
    assert sorted(name for name, text in JAPANESE.items() if "ledger.upto(" in text) == [
        "02_rollout",
        "04_law",
        "index",
    ]
