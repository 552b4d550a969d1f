"""Short by default, exhaustive with ``--full``; Hypothesis without deadlines (machines are shared); one browser."""

import os
import shutil
import sys
from pathlib import Path

import pytest

# Set before any test module is imported, here and in the processes of pytest-xdist.
if "--full" in sys.argv:
    os.environ["RHOLAW_FULL"] = "1"

import offline
from sampling import FULL, SEED

os.environ["RHOLAW_SEED"] = str(SEED)  # one sample for all processes, also at midnight


TESTS = Path(__file__).parent
SLOW = {"context", "vega", "executed", "pages", "plans"}  # fixtures that open a browser, or execute chapters


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="everything: exhaustive products, long and wild tests")


def pytest_configure(config):
    config.addinivalue_line("markers", "full: too long for every day; runs with --full")
    config.addinivalue_line(
        "markers", "slow: half a second or more; left out where a room is named, as in tests/formats"
    )


def pytest_sessionstart(session):
    """Hypothesis takes a second to import: not where pytest-xdist only hands out the tests."""
    if session.config.getoption("dist", "no") == "no":
        from hypothesis import settings

        settings.register_profile("short", deadline=None, max_examples=12, derandomize=True)
        settings.register_profile("full", deadline=None, max_examples=300, print_blob=True)
        settings.load_profile("full" if FULL else "short")


def pytest_report_header():
    return (
        "all of every product" if FULL else f"samples of seed {SEED}: RHOLAW_SEED={SEED} repeats them, --full runs all"
    )


def pytest_collection_modifyitems(config, items):
    places = [Path(config.invocation_params.dir, name).resolve() for name in config.args]
    a_room = not FULL and all(place.is_dir() and place.parent == TESTS for place in places)
    for item in items:
        slow = item.get_closest_marker("slow") or not SLOW.isdisjoint(item.fixturenames)
        if not FULL and item.get_closest_marker("full"):
            item.add_marker(pytest.mark.skip(reason="runs with --full"))
        elif a_room and slow:
            item.add_marker(pytest.mark.skip(reason="slow: runs with the whole suite, or where its file is named"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and not FULL:
        report.sections.append(("sample", f"seed {SEED}: RHOLAW_SEED={SEED} repeats it"))


@pytest.fixture(autouse=True)
def nothing_asks_the_network():
    """What was refused and caught fails the test all the same."""
    yield
    asked, offline.asked[:] = list(offline.asked), []
    assert asked == []


@pytest.fixture(scope="session")
def context():
    """Headless Chromium, for all who open pages."""
    from browser import BROWSER, missing
    from playwright.sync_api import sync_playwright

    if BROWSER is None:
        missing("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER)
        pages = browser.new_context()
        pages.new_page().goto(Path(__file__).as_uri())  # pages of files share its process, which takes long to start
        yield pages
        browser.close()


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A copy of data/ that a test may spoil."""
    from rholaw import tables

    copy = tmp_path / "data"
    shutil.copytree(tables.DATA, copy)
    monkeypatch.setattr(tables, "DATA", copy)
    return copy


@pytest.fixture
def two_threads():
    """So that work is shared among threads, on a machine of one core too."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
