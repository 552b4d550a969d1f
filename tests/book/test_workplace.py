"""One build at a time, in a folder of its own, whose programs end when it ends."""

import os
import subprocess
import sys

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from small_book import small_book

from rholaw.book import __main__ as command
from rholaw.book import pages
from rholaw.book.workplace import BuildError, workplace

HOLDS = """
import sys, time
from pathlib import Path
from rholaw.book.workplace import workplace

with workplace(Path(sys.argv[1])) as work:
    print(work.folder, flush=True)
    time.sleep(1e6)
"""


@pytest.fixture
def root(tmp_path):
    return small_book(tmp_path / "a book 量子", index=[new_markdown_cell("# A"), new_code_cell("1")])


@pytest.mark.slow
def test_two_builds_at_once_are_refused_and_a_killed_one_is_cleared_away(root):
    with subprocess.Popen([sys.executable, "-c", HOLDS, root], stdout=subprocess.PIPE, text=True) as other:
        try:
            folder = other.stdout.readline().strip()
            with pytest.raises(BuildError, match="another build of the book in"), workplace(root):
                pass
            assert os.path.isdir(folder)
        finally:
            other.kill()
    with workplace(root) as work:
        assert not os.path.exists(folder)
        assert work.folder.is_dir()
    assert not work.folder.exists()


@pytest.mark.slow
def test_what_a_build_starts_ends_with_it():
    read, write = os.pipe()
    waits = [sys.executable, "-m", "rholaw.book.tied", "jupyter-kernel"]
    with subprocess.Popen(waits, stdin=read, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert "Starting kernel" in child.stderr.readline()
            assert child.poll() is None
            os.close(write)
            assert child.wait(60) == 1
        finally:
            child.kill()
    os.close(read)


def test_a_folder_that_cannot_be_written_is_one_sentence(root, monkeypatch, capsys):
    (root / "_build").write_text("in the way")
    monkeypatch.setattr(command, "ROOT", root)
    monkeypatch.setattr(command, "build", lambda quick: pages.build(root, quick))
    assert command.main(["build"], "book") == 1
    said = capsys.readouterr().err
    assert "nothing can be written: File exists" in said and len(said) < 500


def test_a_build_that_fails_leaves_the_earlier_book_as_it_was(root, monkeypatch):
    page = root / "_build" / "html" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("earlier")

    def fails(work, quick):
        assert page.read_text() == "earlier"  # and readable meanwhile
        raise BuildError("a chapter failed")

    monkeypatch.setattr(pages, "execute", fails)
    with pytest.raises(BuildError, match="a chapter failed"):
        pages.build(root)
    assert page.read_text() == "earlier"
    assert {path.name for path in (root / "_build").iterdir()} == {"html", "lock"}
