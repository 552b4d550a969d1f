"""A chapter run by a forked papermill in a forked kernel is a chapter run in a fresh one, and ends with its build."""

import ast
import json
import os
import subprocess
import sys
import time

import pytest
from nbformat.v4 import new_code_cell
from small_book import small_book

from rholaw.book import warm

pytestmark = pytest.mark.slow  # each starts a process

BUILD = """
import os, sys
from pathlib import Path
from rholaw.book import warm

if __name__ == "__main__":
    warm.IMPORTED = ("ipykernel.kernelapp",)
    warm.papermill(sys.argv[1:], dict(os.environ), Path("said.txt"))
"""


def run(source, folder):
    """(the exit status, what papermill said, the texts that the cells showed) of a chapter run in ``folder``."""
    out, said = folder / "out.ipynb", folder / "said.txt"
    arguments = [str(source), str(out), "--cwd", str(folder), "--no-progress-bar"]
    status = warm.papermill(arguments, {**os.environ, "WORD": "given"}, said)
    outputs = [output for cell in json.loads(out.read_text())["cells"] for output in cell.get("outputs", ())]
    return status, said.read_text(), ["".join(output["data"]["text/plain"]) for output in outputs if "data" in output]


def test_a_kernel_is_fresh_but_for_what_is_imported(tmp_path):
    looks = "import builtins, os, sys\nfresh, builtins.mark = not hasattr(builtins, 'mark'), True\n"
    looks += "fresh, 'wave' in sys.modules, os.environ['WORD'], os.getcwd(), __name__"
    draws = "import matplotlib.pyplot as plt\nplt.plot([1]);"
    source = small_book(tmp_path / "b", index=[new_code_cell(looks), new_code_cell(draws)]) / "chapters" / "index.ipynb"
    before = dict(os.environ)
    for _ in range(2):
        status, said, (shown, figure) = run(source, tmp_path)
        assert status == 0, said
        assert ast.literal_eval(shown) == (True, True, "given", str(tmp_path), "__main__")
        assert figure.startswith("<Figure")
    assert dict(os.environ) == before


def test_what_failed_is_told(tmp_path):
    source = small_book(tmp_path / "b", index=[new_code_cell("1 / 0")]) / "chapters" / "index.ipynb"
    status, said, _ = run(source, tmp_path)
    assert status == 1 and "ZeroDivisionError: division by zero" in said


def test_a_kernel_ends_with_the_build_that_is_killed(tmp_path):
    waits = "import os, time\nopen('pid', 'w').write(f'{os.getpid()}\\n')\ntime.sleep(1e6)"
    source = small_book(tmp_path / "b", index=[new_code_cell(waits)]) / "chapters" / "index.ipynb"
    (tmp_path / "build.py").write_text(BUILD)
    written = tmp_path / "pid"
    command = [sys.executable, "build.py", str(source), "out.ipynb", "--no-progress-bar", "--cwd", str(tmp_path)]
    with subprocess.Popen(command, cwd=tmp_path) as build:
        try:
            within(120, lambda: written.exists() and written.read_text().endswith("\n"))
        finally:
            build.kill()
    within(60, lambda: not os.path.exists(f"/proc/{written.read_text().strip()}"))


def within(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
