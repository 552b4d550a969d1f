"""Chapters are executed when something that they depend on has changed, and a failure tells its cell."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from small_book import small_book

from rholaw.book import execute


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
        "chapters/index.ipynb",
    ):
        path = root / changed
        path.parent.mkdir(exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + "\n")
        seen.add(execute.fingerprint(chapter, root))
    seen.add(execute.fingerprint(chapter, root, quick=True))
    assert len(seen) == 8
    (root / "chapters" / "other.ipynb").write_text("changed")
    assert execute.fingerprint(chapter, root) in seen


def test_only_what_changed_is_executed_and_a_failure_lets_the_others_finish(tmp_path, monkeypatch):
    count = new_code_cell("with open('runs.txt', 'a') as log:\n    log.write('x')")
    broken = [new_markdown_cell("# Broken"), new_code_cell("1 / 0")]
    root = small_book(tmp_path / "b", index=[new_markdown_cell("# Fine"), count], broken=broken)
    with pytest.raises(execute.BuildError) as caught:
        execute.execute(root)
    message = str(caught.value)
    assert message.startswith("chapters/broken.ipynb: cell In[1] failed")
    assert "1 / 0" in message
    assert "ZeroDivisionError: division by zero" in message

    assert (root / "chapters" / "runs.txt").read_text() == "x"
    assert {path.name for path in (root / "_build" / "executed").iterdir()} == {"index.ipynb"}

    started = []
    monkeypatch.setattr(execute, "_run", lambda chapter, *_: started.append(chapter.name))
    execute.execute(root)
    assert started == ["broken.ipynb"]


def test_the_toc_must_name_files_that_exist(tmp_path):
    root = small_book(tmp_path / "b", index=[])
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\nparts: [{chapters: [{file: missing}]}]\n")
    with pytest.raises(execute.BuildError, match="names 'missing'"):
        execute.chapters(root)
