"""Chapters whose cells are executed in the process of the test: a kernel takes seconds to start."""

from pathlib import Path

import pytest

CHAPTERS = Path(__file__).resolve().parents[2] / "chapters"


@pytest.fixture
def executed(monkeypatch, capsys):
    """A function of a chapter, its parameters and a folder: (tags, result) of each code cell, in quick mode."""
    import matplotlib.pyplot as plt
    import nbformat
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("MPLBACKEND", "agg")
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False

    def cells(chapter, parameters, folder=CHAPTERS):
        monkeypatch.chdir(folder)
        given = "".join(f"\n{name} = {value!r}" for name, value in {**parameters, "quick": True}.items())
        for cell in nbformat.read(CHAPTERS / f"{chapter}.ipynb", 4).cells:
            if cell.cell_type == "code":
                tags = cell.metadata.get("tags", ())
                result = shell.run_cell(cell.source + given * ("parameters" in tags), store_history=False)
                result.raise_error()
                yield tags, result.result

    yield cells
    plt.close("all")
    InteractiveShell.clear_instance()
