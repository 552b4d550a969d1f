"""Hypothesis without deadlines (machines are shared) and with few enough examples for a quick suite; one browser."""

import pytest
from hypothesis import settings

settings.register_profile("rholaw", deadline=None, max_examples=12, derandomize=True)
settings.load_profile("rholaw")


@pytest.fixture(scope="session")
def context():
    """Headless Chromium, for all who open pages."""
    from playwright.sync_api import sync_playwright
    from test_book import BROWSER, missing

    if BROWSER is None:
        missing("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER)
        yield browser.new_context()
        browser.close()
