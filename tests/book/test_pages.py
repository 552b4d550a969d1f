"""Executed chapters become pages: the answer first, no clocks, figures described, scripts only where they are used."""

import json
import shutil

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from small_book import small_book

from rholaw.book import pages


def test_vega_is_staged_once_and_only_where_a_page_asks_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "vega", lambda: "vega")
    page = new_code_cell(
        "1", outputs=[new_output("display_data", {"text/html": f'<script src="_static/{pages.VEGA}">'})]
    )
    for cells, expected in (([], []), ([page], ["vega"])):
        root = small_book(tmp_path / str(len(cells)), index=[new_markdown_cell("# A"), *cells])
        shutil.copytree(root / "chapters", root / "_build" / "executed")
        pages.stage(root)
        found = (root / "_build" / "stage").rglob(pages.VEGA)
        assert [path.read_text() for path in found] == expected


def test_vega_keeps_to_a_scope_of_its_own(vega):
    assert vega.startswith("(() => {") and vega.endswith("})();\n")
    assert vega.count("window.vegaEmbed=") == 1 and "</script" not in vega


def picture(**mystnb) -> dict:
    output = new_output("display_data", data={"image/svg+xml": "<svg/>", "text/plain": "Figure"})
    return new_code_cell("draw()", metadata={"mystnb": mystnb} if mystnb else {}, outputs=[output])


def test_a_page_has_its_answer_first_and_no_clocks(tmp_path):
    answer = new_code_cell("Markdown('42')", metadata={"tags": ["answer"], "papermill": {"start_time": "now"}})
    title, last = new_markdown_cell("# Title"), new_markdown_cell("The end.", metadata={"execution": {"t": "now"}})
    notebook = new_notebook(cells=[title, new_code_cell("x = 1"), last, answer], metadata={"papermill": {"d": 1}})
    page = pages.as_page(json.loads(nbformat.writes(notebook)), "01_numbers")
    assert ["".join(cell["source"]) for cell in page["cells"]] == ["# Title", "Markdown('42')", "The end.", "x = 1"]
    assert page["cells"][1]["metadata"] == {"tags": ["answer", "remove-input"]}
    assert "papermill" not in json.dumps(page)
    assert "now" not in json.dumps(page)


def test_the_first_screen_is_the_answer_a_picture_and_a_line_without_code():
    tags = {"plot()": ["first"], "ledger()": ["first"], "Markdown('42')": ["answer"], "table": []}
    cells = [new_code_cell(source, metadata={"tags": tag}) for source, tag in tags.items()]
    page = pages.as_page(new_notebook(cells=[new_markdown_cell("# Title"), *cells]), "index")["cells"]
    assert [cell["source"] for cell in page] == ["# Title", "Markdown('42')", "plot()", "ledger()", "table"]
    assert ["remove-input" in cell["metadata"]["tags"] for cell in page[1:]] == [True, True, True, False]


@pytest.mark.parametrize(
    ("tag", "name", "folded", "bar"),
    [
        ("exercise", "01_numbers", "hide-cell", "Answer"),
        ("exercise", "ja/01_summary", "hide-cell", "答えを見る"),
        ("evidence", "01_numbers", "hide-cell", "Evidence"),
        (None, "01_numbers", "hide-input", "Code"),
        (None, "ja/01_summary", "hide-input", "コード"),
    ],
)
def test_what_is_folded_says_what_it_is(tag, name, folded, bar):
    said = {}
    for words in ({}, {"code_prompt_show": "All rows"}):
        cell = new_code_cell("x", metadata={"tags": [tag] * bool(tag), "mystnb": words})
        (cell,) = pages.as_page(new_notebook(cells=[cell]), name)["cells"]
        assert folded in cell["metadata"]["tags"]
        said[len(words)] = {cell["metadata"]["mystnb"][f"code_prompt_{state}"] for state in ("show", "hide")}
    assert said == {0: {bar}, 1: {"All rows"}}


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (picture(figure={"caption": "Loss.", "name": "fig-a"}, image={"alt": "a line"}), None),
        (picture(figure={"caption": "Loss.", "name": "fig-a"}), "its metadata needs"),
        (picture(figure={"caption": "Loss."}, image={"alt": "a line"}), "its metadata needs"),
        (picture(), "its metadata needs"),
        ({**picture(), "outputs": picture()["outputs"] * 2}, "draws 2 figures"),
        (new_code_cell("1", outputs=[new_output("stream", name="stderr", text="Warning: old")]), "Warning: old"),
        (new_code_cell("1", outputs=[new_output("stream", name="stdout", text="fine")]), None),
        (new_markdown_cell("text"), None),
    ],
)
def test_a_figure_needs_a_caption_a_name_and_a_description_and_a_warning_is_refused(cell, problem):
    found = pages.output_problems({"cells": [cell]})
    assert bool(found) == bool(problem)
    assert not problem or problem in found[0]


def test_a_page_has_nothing_of_chance():
    def page() -> str:
        tables = [pd.DataFrame({"a": [1.0]}).style.set_properties(color="red") for _ in range(2)]
        outputs = [new_output("display_data", {"text/html": one.to_html(), "text/plain": repr(one)}) for one in tables]
        return json.dumps(pages.as_page(new_notebook(cells=[new_code_cell("1", outputs=outputs)]), "index"))

    assert page() == page()
    assert all(f"#T_{number}_row0" in page() and f'id=\\"T_{number}\\"' in page() for number in (1, 2))


def test_a_chapter_taken_from_the_toc_leaves_the_stage(tmp_path):
    root = small_book(tmp_path / "b", index=[new_markdown_cell("# A")], other=[new_markdown_cell("# B")])
    executed = root / "_build" / "executed"
    shutil.copytree(root / "chapters", executed)
    (root / "chapters" / "note.md").write_text("# Note")
    pages.stage(root)
    stage = root / "_build" / "stage"
    staged = {path.name for path in stage.iterdir()}
    assert staged == {"index.ipynb", "other.ipynb", "note.md", "references.bib", "assets"}
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    pages.stage(root)
    assert not (stage / "other.ipynb").exists()
    assert (stage / "assets" / "mathjax" / "tex-svg-full.js").stat().st_size > 1e6
