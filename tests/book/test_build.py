"""rholaw.book: the parameters of a chapter, and the steps of a build, on small books of one or two chapters."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from rholaw.book import build as book

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = 'source: str = "normal"\nbits: int = 4\nD: float = 2e9\nquick: bool = False'


def namespace(injected: str = "") -> dict:
    """What a kernel holds when the set-up cell runs."""
    history = ["", PARAMETERS, *(["# Parameters\n" + injected] if injected else [])]
    names = {"In": history, "__annotations__": {}}
    for cell in history:
        exec(cell, names)
    return names


@pytest.mark.parametrize(
    ("injected", "expected"),
    [
        ("", {"source": "normal", "bits": 4, "D": 2e9, "quick": False}),
        ('source = "laplace"', {"source": "laplace"}),
        ("D = 3", {"D": 3.0}),
        ('D = "2e9"', {"D": 2e9}),
        ('bits = "3"', {"bits": 3}),
        ("bits = 3.0", {"bits": 3}),
        ("quick = True", {"quick": True}),
    ],
)
def test_values_arrive_with_their_declared_types(injected, expected):
    names = namespace(injected)
    book.parameters(names, source=("normal", "laplace"), bits=range(1, 9))
    assert {name: names[name] for name in expected} == expected
    assert [type(names[name]) for name in ("source", "bits", "D", "quick")] == [str, int, float, bool]


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        ('soucre = "laplace"', "this chapter has no parameter 'soucre'; did you mean 'source'?"),
        ("zzz = 1", "this chapter has no parameter 'zzz'."),
        ("bits = True", "bits should be a whole number (int), not True (bool)"),
        ("bits = 2.5", "bits should be a whole number (int), not 2.5 (float)"),
        ('bits = "many"', "bits should be a whole number (int), not 'many' (str)"),
        ("bits = [4]", "bits should be a whole number (int), not [4] (list)"),
        ("bits = 9", "bits = 9 is not one of: 1, 2, 3, 4, 5, 6, 7, 8"),
        ('D = "nan"', "D should be a finite number (float), not 'nan' (str)"),
        ('D = ""', "D should be a finite number (float), not '' (str)"),
        ("D = None", "D should be a finite number (float), not None (NoneType)"),
        ("quick = 1", "quick should be True or False (bool), not 1 (int)"),
        ('quick = "yes"', "quick should be True or False (bool), not 'yes' (str)"),
        ("source = 0.5", "source should be text (str), not 0.5 (float)"),
        ('source = "cauchy"', "source = 'cauchy' is not one of: 'normal', 'laplace'"),
    ],
)
def test_a_wrong_parameter_is_refused(injected, message):
    with pytest.raises(book.ParameterError) as caught:
        book.parameters(namespace(injected), source=("normal", "laplace"), bits=range(1, 9))
    assert str(caught.value).startswith(message)


def test_an_unknown_parameter_is_answered_with_those_that_exist():
    with pytest.raises(book.ParameterError) as caught:
        book.parameters(namespace("bitz = 3"))
    for line in ("source: str = 'normal'", "bits: int = 4", "D: float = 2000000000.0", "quick: bool = False"):
        assert line in str(caught.value)


def test_a_rule_may_be_a_function():
    def even(bits):
        if bits % 2:
            raise ValueError("an even number, please")

    book.parameters(namespace(), bits=even)
    with pytest.raises(book.ParameterError, match="bits = 3: an even number, please"):
        book.parameters(namespace("bits = 3"), bits=even)


def test_a_rule_for_a_parameter_that_does_not_exist_is_refused():
    with pytest.raises(book.ParameterError, match="no parameter 'series'"):
        book.parameters(namespace(), series=("quest2025",))


def test_running_the_cell_again_after_other_cells_changes_nothing():
    names = namespace('D = "2e9"')
    book.parameters(names)
    names["In"] += ["%matplotlib inline", "# Parameters\nx: int = 3\n%time x", "loss: dict = {}"]
    names["__annotations__"]["loss"] = dict
    book.parameters(names)
    assert names["D"] == 2e9


def small_book(root: Path, **chapters: list) -> Path:
    """A book whose chapters hold the given cells; the first is its root."""
    (root / "chapters").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "data").mkdir()
    shutil.copytree(ROOT / "assets", root / "assets")
    for name in ("constraints.txt", "references.bib"):
        shutil.copy(ROOT / name, root)
    for name, cells in chapters.items():
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=cells, metadata=kernel), root / "chapters" / f"{name}.ipynb")
    first, *others = chapters
    parts = "".join(f"\n      - file: {name}" for name in others)
    toc = f"format: jb-book\nroot: {first}\n" + (f"parts:\n  - caption: All\n    chapters:{parts}\n" if parts else "")
    (root / "_toc.yml").write_text(toc)
    return root


def checked_chapter() -> list:
    return [
        new_markdown_cell("# Title\n\nThe question?"),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        new_code_cell("from rholaw import book\n\nbook.parameters(globals())"),
        new_code_cell("D / 2"),
    ]


def papermill(source: Path, target: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "papermill", str(source), str(target), "--no-progress-bar", *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_papermill_with_an_unknown_parameter_fails_before_any_work(tmp_path):
    source = small_book(tmp_path / "b", index=checked_chapter()) / "chapters" / "index.ipynb"
    done = papermill(source, tmp_path / "out.ipynb", "-p", "d", "3")
    assert done.returncode != 0
    assert done.stderr.rstrip().splitlines()[-1].strip() == "quick: bool = False"
    assert "ParameterError: this chapter has no parameter 'd'" in done.stderr
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].execution_count is None


def test_papermill_passes_text_from_yaml_as_a_number(tmp_path):
    source = small_book(tmp_path / "b", index=checked_chapter()) / "chapters" / "index.ipynb"
    done = papermill(source, tmp_path / "out.ipynb", "-y", "D: 4e9")
    assert done.returncode == 0, done.stderr
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].outputs[0].data["text/plain"] == "2000000000.0"


def test_a_fingerprint_covers_all_that_a_chapter_depends_on(tmp_path):
    root = small_book(tmp_path / "b", index=[new_code_cell("1")], other=[new_code_cell("2")])
    chapter = root / "chapters" / "index.ipynb"
    seen = {book.fingerprint(chapter, root)}
    assert book.fingerprint(chapter, root) in seen
    for changed in ("lib/new.py", "lib/new.html", "data/runs/new.csv", "constraints.txt", "chapters/index.ipynb"):
        path = root / changed
        path.parent.mkdir(exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + "\n")
        seen.add(book.fingerprint(chapter, root))
    seen.add(book.fingerprint(chapter, root, quick=True))
    assert len(seen) == 7
    (root / "chapters" / "other.ipynb").write_text("changed")
    assert book.fingerprint(chapter, root) in seen


def test_only_what_changed_is_executed_and_a_failure_lets_the_others_finish(tmp_path):
    count = new_code_cell("with open('runs.txt', 'a') as log:\n    log.write('x')")
    broken = [new_markdown_cell("# Broken"), new_code_cell("1 / 0")]
    root = small_book(tmp_path / "b", index=[new_markdown_cell("# Fine"), count], broken=broken)
    with pytest.raises(book.BuildError) as caught:
        book.execute(root)
    message = str(caught.value)
    assert message.startswith("chapters/broken.ipynb: cell In[1] failed")
    assert "1 / 0" in message
    assert "ZeroDivisionError: division by zero" in message

    nbformat.write(new_notebook(cells=[new_markdown_cell("# Mended")]), root / "chapters" / "broken.ipynb")
    book.execute(root)
    book.execute(root)
    assert (root / "chapters" / "runs.txt").read_text() == "x"
    assert {path.name for path in (root / "_build" / "executed").iterdir()} == {"broken.ipynb", "index.ipynb"}


def test_the_toc_must_name_files_that_exist(tmp_path):
    root = small_book(tmp_path / "b", index=[])
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\nparts: [{chapters: [{file: missing}]}]\n")
    with pytest.raises(book.BuildError, match="names 'missing'"):
        book.pages(root)


def test_vega_is_staged_once_and_only_where_a_page_asks_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "vega", lambda: "vega")
    page = new_code_cell(
        "1", outputs=[new_output("display_data", {"text/html": f'<script src="_static/{book.VEGA}">'})]
    )
    for cells, expected in (([], []), ([page], ["vega"])):
        root = small_book(tmp_path / str(len(cells)), index=[new_markdown_cell("# A"), *cells])
        shutil.copytree(root / "chapters", root / "_build" / "executed")
        book.stage(root)
        found = (root / "_build" / "stage").rglob(book.VEGA)
        assert [path.read_text() for path in found] == expected


def test_vega_keeps_to_a_scope_of_its_own():
    script = book.vega()
    assert script.startswith("(() => {") and script.endswith("})();\n")
    assert script.count("window.vegaEmbed=") == 1 and "</script" not in script


def picture(**mystnb) -> dict:
    output = new_output("display_data", data={"image/svg+xml": "<svg/>", "text/plain": "Figure"})
    return new_code_cell("draw()", metadata={"mystnb": mystnb} if mystnb else {}, outputs=[output])


def test_a_page_has_its_answer_first_and_no_clocks(tmp_path):
    answer = new_code_cell("Markdown('42')", metadata={"tags": ["answer"], "papermill": {"start_time": "now"}})
    title, last = new_markdown_cell("# Title"), new_markdown_cell("The end.", metadata={"execution": {"t": "now"}})
    notebook = new_notebook(cells=[title, new_code_cell("x = 1"), last, answer], metadata={"papermill": {"d": 1}})
    page = book.as_page(json.loads(nbformat.writes(notebook)))
    assert ["".join(cell["source"]) for cell in page["cells"]] == ["# Title", "Markdown('42')", "x = 1", "The end."]
    assert page["cells"][1]["metadata"] == {"tags": ["answer", "remove-input"]}
    assert "papermill" not in json.dumps(page)
    assert "now" not in json.dumps(page)


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
    found = book.output_problems({"cells": [cell]})
    assert bool(found) == bool(problem)
    assert not problem or problem in found[0]


def test_a_chapter_taken_from_the_toc_leaves_the_stage(tmp_path):
    root = small_book(tmp_path / "b", index=[new_markdown_cell("# A")], other=[new_markdown_cell("# B")])
    executed = root / "_build" / "executed"
    shutil.copytree(root / "chapters", executed)
    (root / "chapters" / "note.md").write_text("# Note")
    book.stage(root)
    stage = root / "_build" / "stage"
    staged = {path.name for path in stage.iterdir()}
    assert staged == {"index.ipynb", "other.ipynb", "note.md", "references.bib", "assets"}
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    book.stage(root)
    assert not (stage / "other.ipynb").exists()
    assert (stage / "assets" / "mathjax" / "tex-svg-full.js").stat().st_size > 1e6
