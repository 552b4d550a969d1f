"""A wheel has all that the library needs, and works far from the repository."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rholaw import tables

ROOT = Path(__file__).resolve().parents[1]
SCENARIO = (
    '{"formats": [{"weights": "fp8_row"}], "model": {"params": 1e9}, "run": {"samples": 100}, '
    '"project": {"kind": "post-training"}}'
)
PROGRAM = f"""
from pathlib import Path
import rholaw as rl
from rholaw import checkpoints, tables
from rholaw.book import explorer
from rholaw.checkpoints import llama

here = Path("PLACE")
assert here in Path(rl.__file__).parents and here in tables.DATA.parents
assert all(len(tables.read(name)) for name in tables.names())
assert len(rl.runs.load("quest2025")) == 104
assert len(rl.fidelity.load()) > 2000 and len(rl.fidelity.sources()) > 10
assert abs(rl.gmse("nvfp4").value - 0.00904803) < 1e-8
assert llama.load(checkpoints.carried()["shakespeare-1m"]).layers == 4
plan = rl.plan({SCENARIO})
assert plan.summary_en and plan.summary_ja
assert "<script" in explorer.explore(plan.scenario, [1e9], [2e10])._repr_html_()
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Runs a command of Python in a folder of its own, with the package from a wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy, for a build leaves files behind
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("lib", "data"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
    subprocess.run([*command, "--wheel-dir", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    (folder / "work").mkdir()

    def run(*arguments):
        environment = os.environ | {"PYTHONPATH": str(folder / "installed")}
        command = [sys.executable, *(one.replace("PLACE", str(folder / "installed")) for one in arguments)]
        return subprocess.run(command, cwd=folder / "work", env=environment, capture_output=True, text=True)

    run.installed = folder / "installed"
    return run


def test_every_file_travels(elsewhere):
    def files(folder):
        paths = [path for path in folder.rglob("[!.]*") if path.is_file() and "__pycache__" not in path.parts]
        return {path.relative_to(folder).as_posix() for path in paths}

    package = ROOT / "lib/rholaw"
    assert files(elsewhere.installed / "rholaw") == files(package) | {f"data/{name}" for name in files(tables.DATA)}


def test_tables_errors_plans_and_the_explorer_work_from_elsewhere(elsewhere):
    done = elsewhere("-c", PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_console_script_is_the_command_line(elsewhere):
    (entry,) = elsewhere.installed.glob("*.dist-info/entry_points.txt")
    assert "rholaw = rholaw.__main__:main" in entry.read_text()


def test_a_command_that_reads_much_works_from_elsewhere(elsewhere):
    done = elsewhere("-m", "rholaw", "predict", "PLACE/rholaw/fidelity/llama-3-8b.log", "--csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("format,")


def test_the_book_says_that_it_needs_its_chapters(elsewhere):
    done = elsewhere("-m", "rholaw", "book", "build")
    assert done.returncode == 2
    assert "rholaw: there are no chapters in" in done.stderr and done.stderr.count("\n") == 1
