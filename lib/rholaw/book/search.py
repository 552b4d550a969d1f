"""A Sphinx extension for a book in English with pages in Japanese, those in ja/: search finds both.

Japanese has no spaces, so that an index of words would hold whole clauses.  Here each pair of neighbouring characters
is a word, of the index and of the question alike: three characters are looked for as two pairs.  The rest is as it was.
"""

import re
from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.search.en import SearchEnglish

CHARACTERS = "々〆ぁ-ヿ㐀-鿿"
RUNS = re.compile(f"[{CHARACTERS}]+|[^{CHARACTERS}]+")
SPLITTER = r"""
var splitQuery = (query) => query
    .split(/[^\p{Letter}\p{Number}_\p{Emoji_Presentation}]+/gu)
    .flatMap(word => word.match(/[CHARACTERS]+|[^CHARACTERS]+/gu) ?? [])
    .flatMap(run => run.length > 2 && /^[CHARACTERS]/u.test(run)
        ? [...run].slice(1).map((_, i) => run.slice(i, i + 2)) : [run]);
""".replace("CHARACTERS", CHARACTERS)


def pairs(run: str) -> list[str]:
    """The pairs of neighbours in a run of Japanese characters; any other run, or a single character, is one word."""
    return [run[i : i + 2] for i in range(len(run) - 1)] if len(run) > 2 and re.match(f"[{CHARACTERS}]", run) else [run]


class Search(SearchEnglish):
    """English search, and Japanese by pairs of characters."""

    js_splitter_code = SPLITTER

    def split(self, input: str) -> list[str]:
        """The words of a text."""
        return [pair for word in super().split(input) for run in RUNS.findall(word) for pair in pairs(run)]

    def word_filter(self, word: str) -> bool:
        """Whether to index it: English drops its stop words, and would drop pairs that begin with a hiragana."""
        return word not in self.stopwords


def bring_font(app: Sphinx, config: Config) -> None:
    """Put a Japanese font and its licence beside the pages, for a system without one; book.css names it."""
    config.html_static_path.append(str(Path(find_spec("matplotlib_fontja").origin).parent / "fonts"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_search_language(Search)
    app.connect("config-inited", bring_font)
    return {"parallel_read_safe": True}
