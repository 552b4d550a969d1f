"""A page in reading order: results first, the parameters and the set-up at its end."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from rholaw.book import panel

PARAMETERS = 'level: float = 0.8  # of the intervals, 0.5 to 0.95\nlog: str = ""  # a file | or two'


def code(source: str, *tags: str, result: bool = False) -> dict:
    outputs = [new_output("display_data", {"text/plain": "1"})] if result else []
    return new_code_cell(source, metadata={"tags": list(tags) or ["hide-input"]}, outputs=outputs)


def text(source: str) -> dict:
    return new_markdown_cell(source)


def sources(cells: list[dict]) -> list[str]:
    return ["".join(cell["source"]) for cell in cells]


def test_the_first_screen_has_no_code():
    cells = [
        text("# Title"),
        code("'42'", "answer", "remove-input", result=True),
        {**code("", "parameters"), "source": PARAMETERS.splitlines(keepends=True)},
        code("import numpy"),
        code("x = 1"),
        text("Why."),
        code("x", result=True),
        text("## With your own values\n\npapermill"),
    ]
    title, answer, why, shown, own = sources(panel.arranged(cells, "01_numbers", ["figures/fig-a.csv"]))
    assert (title, answer, why, shown) == ("# Title", "'42'", "Why.", "x")
    assert own.startswith("::::{dropdown} Run this chapter with your own values\n\npapermill\n\n|")
    assert own.endswith("~~~python\nimport numpy\n\nx = 1\n~~~\n\n::::") and "## With" not in own
    assert "| `level` | `0.8` | of the intervals, 0.5 to 0.95 |" in own
    assert "| `log` | nothing | a file \\| or two |" in own
    assert 'href="_static/notebooks/01_numbers.ipynb"' in own
    assert 'the data of its figures: <a href="_static/figures/fig-a.csv" download>a</a>' in own


def test_code_that_prints_nothing_joins_what_follows_it():
    cells = [text("# T"), code("a", result=True), code("b"), code("c", result=True), code("d", "show"), code("e")]
    assert sources(panel.arranged(cells, "x")) == ["# T", "a", "b\n\nc", "d", "e"]
    assert panel.arranged(cells, "x")[2]["outputs"] == cells[3]["outputs"]


def test_a_result_does_not_join_what_follows_it():
    assert len(panel.arranged([code("a", result=True), code("b", result=True)], "x")) == 2


def test_a_page_without_words_of_its_own_has_a_panel_in_its_language():
    cells = [text("# 表題"), code("x: int = 1  # 数", "parameters"), code("y", result=True)]
    (japanese,) = sources(panel.arranged(cells, "ja/01_summary", ["figures/fig-a.csv"]))[2:]
    assert japanese.startswith("::::{dropdown} 自社の数字で計算し直す") and "| `x` | `1` | 数 |" in japanese
    assert all(
        f'href="../_static/{path}"' in japanese for path in ("notebooks/ja/01_summary.ipynb", "figures/fig-a.csv")
    )
    assert "Run this chapter" in sources(panel.arranged(cells, "forecasts"))[-1]
