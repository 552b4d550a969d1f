"""A published book lists its pages for search engines, and answers where there is no page."""

from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from rholaw.book import published


def finished(folder, base, error=None):
    config = SimpleNamespace(html_baseurl=base, html_title="Law & ledger")
    env = SimpleNamespace(found_docs={"index", "ja/index", "a&b"})
    published.finish(SimpleNamespace(config=config, env=env, outdir=folder), error)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


@pytest.mark.parametrize("base", ["https://example.org/book", "https://example.org/book/"])
def test_its_pages_are_listed_by_whole_addresses(tmp_path, base):
    written = finished(tmp_path, base)
    listed = [each.text for each in ElementTree.fromstring(written[published.LIST]).findall(".//{*}loc")]
    assert listed == [f"https://example.org/book/{name}.html" for name in ("a&b", "index", "ja/index")]
    lost = written[published.LOST]
    assert 'href="https://example.org/book/ja/index.html"' in lost and "<title>Law &amp; ledger</title>" in lost


def test_nothing_is_written_without_an_address_or_after_a_failure(tmp_path):
    assert finished(tmp_path, "") == finished(tmp_path, "https://example.org", ValueError()) == {}
