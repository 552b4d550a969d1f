"""The head of a page: its question and answer, its words, and a picture, for those who see no more of it."""

from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document

from rholaw.book import head


class Metas(HTMLParser):
    def __init__(self, html: str):
        super().__init__()
        self.said, self.links = {}, []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag == "meta":
            self.said[named.get("name") or named["property"]] = named["content"]
        else:
            self.links.append(named["href"])


def chapter(answer: str = "") -> nodes.document:
    document = new_document("page")
    question = nodes.paragraph("", "", nodes.strong("", "What does it cost?"), nodes.Text(" A format costs capacity."))
    code = nodes.paragraph("", "", nodes.literal("", "nvfp4"), nodes.Text(" and "), nodes.literal("", "int5"))
    document += nodes.section("", nodes.title("", "Plan & cost"), question, code)
    if answer:
        document[0] += nodes.container("", nodes.paragraph("", answer), classes=["cell", "tag_answer"])
    return document


def test_a_page_is_described_by_its_question_and_its_answer():
    assert head.description(chapter("It pays. \\(x\\) falls. At 4.5 bits it saves."), "the book") == (
        "What does it cost? It pays. At 4.5 bits it saves."
    )
    assert head.description(chapter(), "the book") == "What does it cost?"
    assert head.description(new_document("empty"), "the book") == head.description(None, "the book") == "the book"
    plain = new_document("plain")
    plain += nodes.paragraph("", "Symbols of the book. Here they are.")
    assert head.description(plain, "the book") == "Symbols of the book. Here they are."


@pytest.mark.parametrize("sentence", ["It saves a tenth of the money. ", "費用は一割ほど下がる見込みです。"])
def test_a_description_ends_with_a_sentence(sentence):
    said = head.description(chapter(sentence * 40), "the book")
    assert head.LENGTH - len(sentence) - 2 < len(said) < head.LENGTH and said.endswith(sentence.strip())


def test_keywords_are_those_of_the_book_and_of_the_page():
    words = head.keywords(chapter(), "en").split(", ")
    assert words[0] == "Plan & cost" and words[-2:] == ["5-bit integers", "NVFP4"]
    assert set(head.KEYWORDS["en"]) < set(words)
    assert "量子化" in head.keywords(None, "ja") and head.keywords(chapter(), "ja").endswith("5ビット整数, NVFP4")
    several = chapter()
    several[0] += nodes.paragraph("", "", nodes.literal("", "int4/g128"), nodes.literal("", "nvfp4"))
    assert "4-bit integers blocks of 128" in head.keywords(several, "en").split(", ")


def described(tmp_path, page, doctree, baseurl=""):
    config = SimpleNamespace(html_title="Law & ledger", project="p", html_baseurl=baseurl)
    context = {"content_root": "../" * page.count("/") or "./"}
    app = SimpleNamespace(config=config, srcdir=tmp_path)
    app.env = SimpleNamespace(titles={"ja/index": nodes.title("", "法則と収支")})
    head.describe(app, page, "page.html", context, doctree)
    return Metas(context["metatags"])


def test_the_head_of_a_page_can_be_read_back(tmp_path):
    bare = described(tmp_path, "search", None)
    assert bare.said["og:title"] == "Law & ledger" and bare.said["description"] and bare.said["keywords"]
    assert "og:image" not in bare.said and bare.links == []
    (tmp_path / "assets").mkdir()
    for name in (head.PICTURE, head.FEED):
        (tmp_path / "assets" / name).touch()
    page = described(tmp_path, "ja/01_summary", chapter("It pays."))
    assert page.said["og:title"] == "Plan & cost" and page.said["og:locale"] == "ja_JP"
    assert page.said["og:site_name"] == "法則と収支" and bare.said["og:site_name"] == "Law & ledger"
    assert page.said["description"] == page.said["og:description"] == "What does it cost? It pays."
    assert page.said["og:image"] == "../_static/social.png" and page.links == ["../_static/feed.xml"]
    published = described(tmp_path, "ja/01_summary", chapter(), "https://example.org/book/")
    assert published.said["og:image"] == "https://example.org/book/_static/social.png"
