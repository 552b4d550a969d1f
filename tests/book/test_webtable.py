"""Tables of pages: plain HTML that a browser filters and sorts."""

import pandas as pd
from browser import PAGE

from rholaw.book.webtable import WebTable


def test_a_web_table_filters_and_sorts(context, tmp_path):
    frame = pd.DataFrame(
        {"GMSE": [0.3, 2e-5, float("nan")], "what": ["one <bit>", "eight", "none"]}, index=["a", "b", "c"]
    )
    html = WebTable(frame.rename_axis("name"), {"GMSE": "{:.2g}"})._repr_html_()
    (tmp_path / "page.html").write_text(PAGE % (html + html.replace("webtable-", "other-")))
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    names = "document.querySelector('div.webtable').querySelectorAll('tbody tr:not([hidden]) td:first-child')"

    def shown():
        return page.evaluate(f"() => [...{names}].map(e => e.textContent)")

    assert shown() == ["a", "b", "c"]
    first = page.locator("div.webtable").first
    first.get_by_role("button", name="GMSE").press("Enter")  # by keyboard
    assert shown() == ["b", "a", "c"]
    first.get_by_role("button", name="GMSE").click()
    assert shown() == ["c", "a", "b"]
    first.get_by_role("searchbox").fill("<BIT> 0.3")
    assert shown() == ["a"]
    assert first.locator("output").text_content() == "1 of 3"
    page.close()


def test_web_table_escapes_and_marks_missing_numbers():
    html = WebTable(
        pd.DataFrame({"x": [1.5, float("nan")]}, index=["<a>", "b"]).rename_axis("name"), {"x": "{:.1f}"}
    )._repr_html_()
    assert "&lt;a&gt;" in html and "<a>" not in html
    assert ">1.5<" in html and ">–<" in html
