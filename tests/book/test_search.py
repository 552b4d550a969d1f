"""Japanese is searched by pairs of characters, on the page as in the index, and English as before."""

from itertools import pairwise

from rholaw.book import search


def test_japanese_is_searched_by_pairs_and_english_as_before():
    both = search.Search({})
    assert both.split("量子化とKVキャッシュ") == ["量子", "子化", "化と", "KV", "キャ", "ャッ", "ッシ", "シュ"]
    assert both.split("推論、式") == ["推論", "式"]
    english = "Quantised models keep ρ = 0.92 of N·ρ, in fp8_row"
    assert both.split(english) == super(search.Search, both).split(english)
    assert both.word_filter("です") and not both.word_filter("the")


def test_the_page_splits_a_question_as_the_index_splits_the_text(context):
    page = context.new_page()
    for text in ("量子化", "投資対効果 ROI", "KVキャッシュ", "割り引く", "人々の、式", "fp8_row quantised ρ", "𠮷野家"):
        words = page.evaluate(f"text => {{ {search.SPLITTER} return splitQuery(text); }}", text)
        assert words == search.Search({}).split(text)
    page.close()


def test_a_clause_has_every_pair_of_each_word_within():
    clause, word = "本書は量子化の効果を測りません", "量子化"
    assert {a + b for a, b in pairwise(word)} <= set(search.pairs(clause))
