"""Chapters are executed when something that they depend on has changed, and a failure tells its cell."""

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from small_book import small_book

from rholaw.book import execute
from rholaw.book.workplace import BuildError, workplace


def run(root: Path) -> None:
    with workplace(root) as work:
        execute.execute(work)


def test_a_fingerprint_covers_all_that_a_chapter_depends_on(tmp_path):
    root = small_book(tmp_path / "b", index=[new_code_cell("1")], other=[new_code_cell("2")])
    chapter = root / "chapters" / "index.ipynb"
    seen = {execute.fingerprint(chapter, root)}
    assert execute.fingerprint(chapter, root) in seen
    for changed in (
        "lib/new.py",
        "lib/new.html",
        "lib/words.toml",
        "data/runs/new.csv",
        "constraints.txt",
    ):
        path = root / changed
        path.parent.mkdir(exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + "\n")
        seen.add(execute.fingerprint(chapter, root))
    seen.add(execute.fingerprint(chapter, root, quick=True))
    chapter.write_text(chapter.read_text().replace('"1"', '"3"'))
    seen.add(execute.fingerprint(chapter, root))
    assert len(seen) == 8
    (root / "chapters" / "other.ipynb").write_text("changed")
    assert execute.fingerprint(chapter, root) in seen


@pytest.mark.slow
def test_only_what_changed_is_executed_and_a_failure_lets_the_others_finish(tmp_path, monkeypatch):
    count = new_code_cell("with open('runs.txt', 'a') as log:\n    log.write('x')")
    broken = [new_markdown_cell("# Broken"), new_code_cell("1 / 0")]
    root = small_book(tmp_path / "b", index=[new_markdown_cell("# Fine"), count], broken=broken)
    with pytest.raises(BuildError) as caught:
        run(root)
    message = str(caught.value)
    assert message.startswith("chapters/broken.ipynb: cell In[1] failed")
    assert "1 / 0" in message
    assert "ZeroDivisionError: division by zero" in message

    assert (root / "chapters" / "runs.txt").read_text() == "x"
    assert {path.name for path in (root / "_build" / "executed").iterdir()} == {"index.ipynb"}

    started = []
    monkeypatch.setattr(execute, "_run", lambda work, chapter, *_: started.append(chapter.name))
    run(root)
    assert started == ["broken.ipynb"]


@pytest.mark.slow
def test_a_sentence_changes_without_an_execution(tmp_path, monkeypatch):
    cells = [new_markdown_cell("# Fine"), new_code_cell("quick = 1", metadata={"tags": ["parameters"]})]
    root = small_book(tmp_path / "b", index=[*cells, new_code_cell("quick + 1")])
    with workplace(root) as work:
        execute.execute(work, quick=True)
    chapter, started = root / "chapters" / "index.ipynb", []
    chapter.write_text(chapter.read_text().replace("# Fine", "# Better"))
    monkeypatch.setattr(execute, "_run", lambda work, chapter, *_: started.append(chapter.name))
    with workplace(root) as work:
        execute.execute(work, quick=True)
    title, parameters, given, result = execute.current(chapter, root)["cells"]
    assert started == [] and title["source"] == ["# Better"] and "quick = True" in "".join(given["source"])
    assert parameters["outputs"] == [] and result["outputs"][0]["data"]["text/plain"] == ["2"]


def test_the_toc_must_name_files_that_exist(tmp_path):
    root = small_book(tmp_path / "b", index=[])
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\nparts: [{chapters: [{file: missing}]}]\n")
    with pytest.raises(BuildError, match="names 'missing'"):
        execute.chapters(root)


@pytest.mark.slow
def test_what_was_edited_and_edited_back_meanwhile_is_not_taken_for_up_to_date(tmp_path):
    edits = """from pathlib import Path
path = Path("../data/fact.csv")
before = path.read_text()
path.write_text("wrong")
shown = path.read_text()
path.write_text(before)"""
    root = small_book(tmp_path / "b", index=[new_code_cell(edits), new_code_cell("shown")])
    (root / "data" / "fact.csv").write_text("right")
    with pytest.raises(BuildError, match=r"index.ipynb: data/fact.csv was edited while the book was built"):
        run(root)
    assert not execute.executed(root / "chapters" / "index.ipynb", root).exists()


def test_a_chapter_is_not_begun_on_what_was_edited_since_the_others(tmp_path, monkeypatch):
    root = small_book(tmp_path / "b", index=[new_code_cell("1")])
    with workplace(root) as work:
        chapter = root / "chapters" / "index.ipynb"
        state = execute._state(chapter, root)
        (root / "lib" / "new.py").write_text("")
        monkeypatch.setattr(execute.warm, "papermill", None)
        assert execute._run(work, chapter, "", state, False).startswith("chapters/index.ipynb: lib/new.py was edited")


@pytest.mark.slow
def test_a_cell_without_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "LIMIT", 1)
    root = small_book(tmp_path / "b", index=[new_code_cell("while True:\n    pass")])
    with pytest.raises(
        BuildError, match=r"index.ipynb: A cell timed out while it was being executed, after 1 second"
    ) as e:
        run(root)
    assert "while True:" in str(e.value) and len(str(e.value)) < 500


def test_what_ended_papermill_is_told_without_its_traceback():
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in b\n    c()\n'
    assert execute._last_words(f"{trace}nbclient.exceptions.DeadKernelError: Kernel died\n") == "Kernel died"
    full = "OSError: [Errno 28] No space left on device"
    assert execute._last_words(f"{trace}{full}\n\nDuring handling:\n{trace}{full}") == full.removeprefix("OSError: ")
