"""Signs as pages print them: what is a number's own sign, and what stays as it is."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from rholaw.book import pages
from rholaw.book.signs import typeset

SET = {
    "it is -0.30 [-0.5, 0.2]": "it is −0.30 [−0.5, 0.2]",
    "USD -1,320 (-2) | -3 | ±-1": "USD −1,320 (−2) | −3 | ±−1",
    "P10 to P90&#58; USD &#45;28,100, sint4&#45;g128, &#45;0.0": "P10 to P90&#58; USD −28,100, sint4&#45;g128, 0.0",
    "-0.00 [-0.00, -0.05] and -0": "0.00 [0.00, −0.05] and 0",
    "95 % of them, 80 %.": "95% of them, 80%.",
    "2026-11-27, 4-bit, e-05, a-1, N^-1": "2026-11-27, 4-bit, e-05, a-1, N^-1",
    "`a -1 5 %` and $x^{-1} -1$": "`a -1 5 %` and $x^{-1} -1$",
    "```bash\npapermill -p E -1\n```\n-1": "```bash\npapermill -p E -1\n```\n−1",
    "[5 %](page -1) [text](a,-1)": "[5%](page −1) [text](a,-1)",
    '<td data-key="-1.5">-1.50</td>': '<td data-key="-1.5">−1.50</td>',
    "<style>p {top: -1px}</style><script>5 % -1</script>": "<style>p {top: -1px}</style><script>5 % -1</script>",
    "| a |\n|---|\n| -1 |": "| a |\n|---|\n| −1 |",
}


@pytest.mark.parametrize("text", SET)
def test_signs_are_those_of_print(text):
    assert typeset(text, "en") == SET[text]
    assert typeset(SET[text], "en") == SET[text]


def test_japanese_keeps_its_per_cent_signs():
    assert typeset("-1 の 5 %", "ja") == "−1 の 5 %"


def test_a_page_has_them_in_prose_results_and_captions():
    html = new_output("execute_result", {"text/html": "<table><tr><td>-1</td></tr></table>", "text/plain": "-1"})
    markdown = new_output("execute_result", {"text/markdown": "5 % of -1"})
    figure = {"mystnb": {"figure": {"caption": "95 % of -1", "name": "fig-a"}}}
    code = new_code_cell("x = 5 % -1", metadata=figure, outputs=[html, markdown])
    notebook = json.loads(json.dumps(new_notebook(cells=[new_markdown_cell("# Title\n\n5 %"), code])))
    page = {cell["cell_type"]: cell for cell in reversed(pages.as_page(notebook, "index")["cells"])}
    assert page["markdown"]["source"].startswith("# Title\n\n5%")
    assert "".join(page["code"]["source"]) == "x = 5 % -1"
    table, sentence = (output["data"] for output in page["code"]["outputs"])
    assert table == {"text/html": "<table><tr><td>−1</td></tr></table>", "text/plain": "-1"}
    assert sentence["text/markdown"] == "5% of −1"
    assert page["code"]["metadata"]["mystnb"]["figure"]["caption"] == "95% of −1"
