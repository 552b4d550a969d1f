"""What the pages tell a reader to type about files of the repository works as it stands there."""

import re
import shlex
from contextlib import chdir

import nbformat
import pytest

from rholaw import __main__ as command
from rholaw.book import ROOT

PAGES = ("how_to_use", "ja/05_start")


def lines():
    """The commands of bash blocks that ask about a model of the repository."""
    for page in PAGES:
        for cell in nbformat.read(ROOT / "chapters" / f"{page}.ipynb", 4).cells:
            for block in re.findall(r"```bash\n(.*?)```", cell.source, re.DOTALL):
                yield from (line for line in block.splitlines() if line.startswith("rholaw") and "data/models" in line)


def test_there_are_commands_to_try():
    assert {shlex.split(line)[1] for line in lines()} == {"survey", "evaluate"}


@pytest.mark.parametrize("line", list(lines()))
def test_a_command_answers(line, capsys):
    with chdir(ROOT):
        code = command.main(shlex.split(line)[1:])
    out, error = capsys.readouterr()
    assert code == 0, error
    assert "nvfp4" in out
