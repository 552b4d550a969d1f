"""A book of one or two chapters, to build in a folder of a test."""

import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_notebook

ROOT = Path(__file__).resolve().parents[1]


def small_book(root: Path, **chapters: list) -> Path:
    """A book whose chapters hold the given cells, always the same bytes; the first is its root."""
    (root / "chapters").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "data").mkdir()
    shutil.copytree(ROOT / "assets", root / "assets")
    for name in ("constraints.txt", "references.bib", "_config.yml"):
        shutil.copy(ROOT / name, root)
    for name, cells in chapters.items():
        for number, cell in enumerate(cells):
            cell["id"] = str(number)
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=cells, metadata=kernel), root / "chapters" / f"{name}.ipynb")
    first, *others = chapters
    parts = "".join(f"\n      - file: {name}" for name in others)
    toc = f"format: jb-book\nroot: {first}\n" + (f"parts:\n  - caption: All\n    chapters:{parts}\n" if parts else "")
    (root / "_toc.yml").write_text(toc)
    return root
