"""Names from files and from people on pages: Chromium shows them as they are, and nothing of them runs or loads."""

import json
import os
import subprocess
import sys

import pytest
import torch
from browser import DESK, OVERFLOW, PAGE, PHONE, problems
from hostile import NAMES, myst, parsed, shown
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell
from safetensors.torch import save_file
from sampling import some
from small_book import small_book

import rholaw as rl
from rholaw import book
from rholaw.book import ROOT, checkpoint_card, escaped, explorer, pages, plan_figures
from rholaw.book.webtable import WebTable

WRITABLE = [name for name in NAMES if name.encode(errors="replace").decode() == name]
LINES = [name for name in WRITABLE if escaped.readable(name) == name]
CSS = f"<style>{(ROOT / 'assets' / 'book.css').read_text(encoding='utf-8')}</style>"
COUNT = """() => ({ran: window.ran ?? 0, more: [...document.querySelectorAll(
    'article :is(img, iframe, object, textarea, a[href], [onerror], [onload], [onfocus], [onmouseover])')]
    .map(e => e.outerHTML.slice(0, 200))})"""


def page_of(html):
    """A page of the book with this as the output of a cell."""
    return PAGE.replace("<article>", "<article class=bd-article>") % f"{CSS}<div class=cell_output>{html}</div>"


def opened(context, path):
    """What a page does of itself: scripts that ran, elements that may act, dialogs, requests, errors; and its text."""
    said, page = [], context.new_page()
    page.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_timeout(100)
    counted, words = page.evaluate(COUNT), page.evaluate("() => document.body.innerText")
    for size in (DESK, PHONE):
        page.set_viewport_size(size)
        said += page.evaluate(OVERFLOW)
    page.close()
    return said + counted["more"] + ["a script ran"] * counted["ran"], " ".join(words.split())


def checkpoint(folder, names):
    """A checkpoint whose matrices have these names."""
    generator = torch.Generator().manual_seed(0)
    save_file({name: torch.randn(16, 64, generator=generator) ** 5 for name in names}, folder / "model.safetensors")
    return folder / "model.safetensors"


def test_names_in_markdown_and_in_tables_do_nothing_in_a_browser(context, tmp_path):
    frame = rl.tables.pd.DataFrame({"name": WRITABLE}, index=WRITABLE).rename_axis(WRITABLE[0])
    markdown = "\n".join(f"- {book.text(name)} **{book.text(name)}**, {book.code(name)}.\n" for name in NAMES)
    markdown += "\n\n".join(f"{book.text(name)}\n\n## {book.text(name)}" for name in NAMES)
    markdown += "\n\n| a | b |\n|---|---|\n" + "\n".join(f"| {book.text(n)} | {book.code(n)} |" for n in NAMES)
    tables = [frame.style.format(precision=3).to_html(), frame._repr_html_(), WebTable(frame, {})._repr_html_()]
    (tmp_path / "page.html").write_text(page_of("\n".join([myst(markdown), *tables])), encoding="utf-8")
    said, words = opened(context, tmp_path / "page.html")
    assert said == []
    for name in NAMES:
        assert len(name) > 160 or shown(name) in words


def test_a_checkpoint_of_such_names_has_a_card_like_any_other(context, tmp_path):
    names, cards = some(WRITABLE, 6), []
    path = checkpoint(tmp_path, names)
    survey = rl.survey(path, "int4/g32", progress=False).assign(role="mlp")
    fit = checkpoint_card.sensitivity(survey)
    choices = checkpoint_card.choices(survey, 10**6, 0.1, fit)
    for name in names:
        one = survey[survey.name == name].assign(note=name)
        cards.append(checkpoint_card.card(name, one, choices, 10**6, 0.1, fit, f"{name[:20]}.svg"))
        cards.append(checkpoint_card.told(one, choices))
        tags = [tag for tag, *_ in parsed(myst(cards[-2]))[0]]
        assert tags.count("table") == tags.count("img") == 1 and tags.count("tr") == 2
    worst = checkpoint_card.resisting(survey, 100).style.hide(axis="index").to_html()
    body = myst("\n\n".join(cards)).replace("<img", "<span").replace("src=", "data-src=") + worst  # its own picture
    (tmp_path / "page.html").write_text(page_of(body), encoding="utf-8")
    said, words = opened(context, tmp_path / "page.html")
    assert said == [] and all(shown(name) in words for name in names if len(name) < 1000)


@pytest.fixture(scope="module")
def made(fit):
    parts = {"model": {"params": 1e9}, "formats": [{"weights": "fp8_row"}], "run": {"samples": 100}}
    parts |= {"project": {"kind": "qat"}}
    return explorer.explore(rl.Scenario.of(parts), [1e9], [1e10], fit)


def test_the_explorer_shows_names_of_devices_and_engines(context, made, vega, tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / pages.VEGA).write_text(vega)
    names = NAMES[0], NAMES[3]
    html = [explorer.Explorer(made.data | {"devices": [name], "engine": name})._repr_html_() for name in names]
    (tmp_path / "page.html").write_text(page_of("\n".join(html)), encoding="utf-8")
    said, words = opened(context, tmp_path / "page.html")
    assert said == []
    for name in names:
        assert f"Price of {shown(name)}" in words and f"in {shown(name)}. ρ" in words


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_figure_shows_a_name_without_taking_it_for_mathematics(name):
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    words = plan_figures.named("en", name)
    text = axes.set_xlabel(words["npv"])
    assert text._preprocess_math(text.get_text())[1] is False  # or an odd formula would stop the drawing
    assert len(name) > 60 or name not in ("$", r"\$") or name in text._preprocess_math(text.get_text())[0]


def test_what_cannot_be_read_is_refused_in_scenarios_and_shown_in_names():
    assert escaped.readable("a\u202eb\n\x1b\ud800　名") == r"a\u202eb\n\x1b\ud800　名"
    for key in ("engine", "devices"):
        with pytest.raises(rl.ScenarioError, match=r"hardware\.\w+: must be one line .*\\u202e"):
            rl.Scenario.of({"model": {"params": 1e9}, "formats": [{"weights": "int4"}], "hardware": {key: "\u202e"}})


# --- with --full: whole chapters, and a page as it is built --------------------------------------------------------


SCENARIO = """[model]
params = 1e9
[[formats]]
weights = "fp8_row"
activations = "fp8_row"
[[formats]]
weights = "sint4/g128"
speedup_decode = 2.0
measured_on = {name}
[hardware]
devices = [{name}, "H100 80GB SXM"]
engine = {name}
batches = [1, 64]
overrides = "own.csv"
[prices]
currency = {name}
rate = 2.0
[project]
kind = {kind}
tolerance = 0.02
"""


def executed(chapter, folder, **parameters):
    """What a chapter displays, as one page, and what it wrote to standard error."""
    out = folder / "out.ipynb"
    given = [word for name, value in {"quick": True, **parameters}.items() for word in ("-p", name, str(value))]
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(ROOT / "chapters" / f"{chapter}.ipynb"),
        str(out),
        "-k",
        "python3",
    ]
    paths = os.pathsep.join([str(ROOT / "lib"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [*command, "-k", "python3", "--no-progress-bar", *given], cwd=folder, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    html, errors = [], []
    for cell in json.loads(out.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            html.append("".join(data.get("text/html", "")) or myst("".join(data.get("text/markdown", ""))))
            errors += [output["text"]] if output.get("name") == "stderr" else []
    (folder / "page.html").write_text(page_of("\n".join(html)), encoding="utf-8")
    return folder / "page.html", errors


@pytest.mark.full
@pytest.mark.parametrize("kind", ["train", "post-training"])
@pytest.mark.parametrize("chapter", ["18_plan", "ja/01_summary", "ja/02_rollout"])
@pytest.mark.parametrize(
    "name", [LINES[0], LINES[3], "[x](javascript:alert(1)) **b** `c` | $\\frac$ {ref}`d` $"], ids="abc"
)
def test_a_chapter_on_a_scenario_of_such_names(context, tmp_path, chapter, kind, name):
    facts = {"memory": 80, "bandwidth": 3000, "bf16": 900, "fp8": 1800, "price_low": 1, "price_high": 2}
    quoted = name.replace('"', '""')
    rows = [f'"{quoted}",{key},{value}\n' for key, value in facts.items()]
    (tmp_path / "own.csv").write_text("device,property,value\n" + "".join(rows), encoding="utf-8")
    scenario = SCENARIO.format(name=json.dumps(name), kind=json.dumps(kind))
    (tmp_path / "mine.toml").write_text(scenario, encoding="utf-8")
    page, errors = executed(chapter, tmp_path, scenario=tmp_path / "mine.toml")
    said, words = opened(context, page)
    assert said == [] and errors == [] and (shown(name) in words or chapter == "ja/02_rollout")  # which names none


@pytest.mark.full
def test_a_chapter_on_a_checkpoint_of_such_names(context, tmp_path):
    folder = tmp_path / "<img src=x onerror=alert(1)> $x$ `y` {ref}`z`"
    folder.mkdir()
    checkpoint(folder, WRITABLE)
    card = tmp_path / "[c](d) .md"
    page, errors = executed("16_your_model", tmp_path, checkpoint=folder, formats="int4/g32", card=card)
    said, words = opened(context, page)
    assert said == [] and errors == [] and shown(folder.name) in words
    assert {tag for tag, *_ in parsed(myst(card.read_text(encoding="utf-8")))[0]} & {"a"} == set()


@pytest.mark.full
def test_a_built_page_shows_such_names(context, tmp_path):
    source = (
        f"names = {WRITABLE!r}\nimport pandas as pd\nfrom IPython.display import Markdown\nfrom rholaw import book\n"
    )
    source += "from rholaw.book.webtable import WebTable\n"
    shows = ['Markdown("".join(f"- {book.text(n)}, {book.code(n)}\\n\\n  {book.text(n)}\\n" for n in names))']
    shows += [
        "pd.DataFrame({'name': names}).style",
        "pd.DataFrame({'name': names})",
        "WebTable(pd.DataFrame({'name': names}), {})",
    ]
    cells = [new_markdown_cell("# Names"), new_code_cell(source), *map(new_code_cell, shows)]
    root = small_book(tmp_path / "book", index=cells)
    (root / "_config.yml").write_text((ROOT / "_config.yml").read_text(encoding="utf-8"), encoding="utf-8")
    index = pages.build(root)
    assert [line for line in problems(context, index) if not line.startswith("TeX in the text")] == []
    page = context.new_page()
    page.goto(index.as_uri())
    page.evaluate("async () => window.MathJax && await MathJax.startup.promise")
    assert page.locator("article mjx-container").count() == 0 and page.evaluate("window.ran ?? 0") == 0
    links = page.locator("article a[href]:not(.headerlink)").evaluate_all("all => all.map(e => e.href)")
    assert [link for link in links if "evil" in link or link.startswith("javascript")] == []
    page.close()


def test_a_page_is_filled_with_its_parts_as_they_are(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<p>{{said}}</p> {{ said }} {{more}}", encoding="utf-8")
    assert escaped.filled(page, {"said": r"\1 {{more}}", "more": 2}) == r"<p>\1 {{more}}</p> {{ said }} 2"
    with pytest.raises(KeyError, match="more"):
        escaped.filled(page, {"said": ""})
