"""Wall and processor seconds of every chapter in quick mode and of every room's tests, one after the other.

python bench/quick.py                        all of them, on a quiet machine; a chapter starts cold, as by hand
python bench/quick.py 11_train tests/laws    those whose names contain one of these

The first line, a page with hardly a cell, is what a start costs: compare two machines, or two hours, by it.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EMPTY = "formats"
THREADS = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}


def seconds(*command: str) -> tuple[float, float, int]:
    """(wall, processor with all that it started, exit code) of a Python module run in the project's folder."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # compiles anew
    before, start = _processor(), time.perf_counter()
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=kept | THREADS, capture_output=True)
    return time.perf_counter() - start, _processor() - before, done.returncode


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def jobs(folder: str) -> dict[str, list[str]]:
    """{name: the command}: chapters, the emptiest first, then the folders of the tests."""
    chapters = sorted((ROOT / "chapters").rglob("*.ipynb"), key=lambda path: (path.stem != EMPTY, path))
    rooms = sorted(path for path in (ROOT / "tests").iterdir() if any(path.glob("**/test_*.py")))
    options = [f"{folder}/page.ipynb", "-p", "quick", "True", "--kernel", "python3", "--cwd"]
    pages = {
        str(path.relative_to(ROOT / "chapters").with_suffix("")): ["papermill", str(path), *options, str(path.parent)]
        for path in chapters
    }
    return pages | {
        f"tests/{room.name}": ["pytest", "-q", "-n", "auto", "--dist", "worksteal", f"tests/{room.name}"]
        for room in rooms
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, command in jobs(folder).items():
            if len(sys.argv) < 2 or any(part in name for part in sys.argv[1:]):
                wall, processor, code = seconds(*command)
                print(f"{name:<28}{wall:7.1f} s{processor:8.1f} s of CPU{'   FAILED' if code else ''}", flush=True)
