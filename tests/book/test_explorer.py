"""The explorer in headless Chromium: controls are moved, and numbers compared with a plan of the same scenario."""

import re
import tomllib

import numpy as np
import pytest
from browser import BOOK, DESK, PAGE, PHONE, missing, problems

import rholaw as rl
from rholaw.book import explorer, explorer_grid, pages

COLUMNS = [row.column for group in explorer_grid.ROWS.values() for row in group]
UNITS = {"": 1, " M": 1e6, " B": 1e9, " T": 1e12}
CONTROLS = ["c", "o", "d", "s", "t", "m", "b", "price", "r", "p"]
SCENARIO = {
    "model": {"params": 1e9},
    "formats": [
        {"weights": "fp8_row", "activations": "fp8_row"},
        {"weights": "sint4/g128", "kv": "fp8_row", "rho": [0.7, 0.75, 0.8]},
        {"weights": "nvfp4", "activations": "nvfp4"},
    ],
    "hardware": {"devices": ["H100 80GB SXM", "RTX 4090"], "batches": [1, 64], "reserve_gb": 2.5},
    "traffic": {"tokens_in": 700, "utilisation": [0.2, 0.4, 0.6], "latency_ms": 1},
    "prices": {
        "billing": "hours",
        "overhead": [1.2, 1.3, 1.4],
        "gpu_hour_usd": {"RTX 4090": 0.5},
        "currency": "JPY",
        "rate": 150,
    },
    "project": {
        "mfu": [0.3, 0.35, 0.4],
        "horizon_months": 12,
        "discount_rate": 0.1,
        "engineer_weeks": 9,
        "kind": "train",
    },
    "run": {"samples": 300, "seed": 3},
}


@pytest.fixture(scope="module")
def made(fit):
    return explorer.explore(rl.Scenario.of(SCENARIO), [1e9, 8e9, 32e9], [1e10, 1e12], fit)


@pytest.fixture(scope="module")
def path(made, vega, tmp_path_factory):
    """The page, with Vega beside it."""
    folder = tmp_path_factory.mktemp("explorer")
    (folder / "_static").mkdir()
    (folder / "_static" / pages.VEGA).write_text(vega)
    css = ":root { --pst-color-primary: #0072b2 } body { font-family: sans-serif }"
    css += (BOOK.parents[1] / "assets" / "book.css").read_text()
    (folder / "page.html").write_text(PAGE % f"<h1>Explorer</h1><style>{css}</style>{made._repr_html_()}")
    return folder / "page.html"


@pytest.fixture
def page(path, context):
    page = context.new_page()
    page.set_viewport_size(DESK)
    page.goto(path.as_uri())
    yield page
    page.close()


def press(page, **setting):
    """Set controls by keyboard alone: to the first value, then as many steps as wanted."""
    for name, steps in setting.items():
        control = page.locator(f".explorer [name={name}]")
        control.press("Home")
        for _ in range(steps):
            control.press("ArrowDown" if name in "cod" else "ArrowRight")


def cells(page):
    """{row: (text of 16 bits, text of the format)}."""
    script = (
        "e => [...e.querySelectorAll('tr[data-name]')].map(r => [r.dataset.name, ...[...r.cells].slice(1).map(c => "
    )
    script += "c.innerHTML)])"
    return {name: texts for name, *texts in page.locator(".explorer-numbers tbody").evaluate(script)}


def numbers(html):
    """[(value, half a unit of its last digit)] of a cell."""
    found = []
    for digits, unit in re.findall(r"(-?[\d,]+(?:\.\d+)?)( [MBT])?", html.replace("</small>", " ")):
        plain = digits.replace(",", "")
        decimals = len(plain.partition(".")[2])
        whole = plain.lstrip("-").partition(".")[0]
        last = 10.0**-decimals if decimals else 10.0 ** max(len(whole) - 3, 0)
        found.append((float(plain) * UNITS[unit], last * UNITS[unit] / 2))
    return found


def disagreements(shown, row, names):
    """What a column of the page shows otherwise than a row of a plan; and how many numbers agree."""
    wrong, agree = [], 0
    for name in names:
        html = shown[name]
        if html in ("–", "never"):
            if html == "never" and row[name] != np.inf:
                wrong.append(f"{name}: never, not {row[name]}")
            continue
        values = [row[name + part] for part in ("", "_p10", "_p90") if name + part in row.index]
        found = numbers(html)
        for (value, half), expected in zip(found, values if len(found) == 3 else values[:1], strict=True):
            if not abs(value - expected) <= 1.02 * half + 5e-5 * abs(expected) + 1e-12:  # its data have five digits
                wrong.append(f"{name}: {value}, not {expected}")
            agree += 1
    return wrong, agree


def compare(page, fit):
    """All numbers of the page against a plan of the scenario it writes. Raises AssertionError; returns their count."""
    scenario = rl.Scenario.of(tomllib.loads(page.locator(".explorer pre").evaluate("e => e.textContent")))
    table = rl.plan(scenario, fit).table.set_index("option")
    format, shown = page.locator(".explorer [name=o] option:checked").get_attribute("title"), cells(page)
    dense, own = table.loc["dense"], table.loc[format]
    assert set(shown) == set(COLUMNS)
    wrong, agree = disagreements({n: t[0] for n, t in shown.items()}, dense, [n for n, t in shown.items() if t[0]])
    if format == "dense":
        assert all(texts[1] == "" for texts in shown.values())
        assert wrong == []
        return agree
    more, others = disagreements({n: t[1] for n, t in shown.items()}, own, [n for n, t in shown.items() if t[1]])
    assert wrong + more == []
    runs = own.kernel not in ("none", "removed")
    hidden = {name for name, (_, text) in shown.items() if text == "–"}
    assert ("cost_in" in hidden) == ("decode_tokens_s" in hidden) == (not (runs and own.fits))
    rounded = scenario.project.kind == "post-training"
    assert ("speedup_decode" in hidden) == (not runs) and ("margin_prefill" in hidden) == (rounded or not runs)
    assert ("rho" in hidden) == rounded
    assert ("saving_month" in hidden) == ("break_even_requests" in hidden) == (not (runs and own.fits and dense.fits))
    assert hidden <= {row.column for group in explorer_grid.ROWS.values() for row in group if row.needs or row.trained}
    return agree + others


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"o": 0},
        {"c": 1, "o": 1, "d": 0, "s": 1, "t": 1, "b": 1, "price": 12, "r": 8, "p": 3},
        {"c": 0, "o": 2, "d": 1, "s": 0, "t": 0, "b": 0, "price": 9, "r": 11, "p": 10},  # a capacity of one's own
        {"c": 1, "o": 2, "d": 1, "s": 1, "t": 1, "b": 0, "r": 3, "p": 0},  # 16 bits do not fit
        {"c": 0, "o": 1, "d": 1, "s": 2, "t": 1, "b": 1, "r": 0},  # nothing fits
        {"c": 1, "o": 3, "d": 0, "s": 2, "t": 0, "b": 1},  # no kernel
        {"c": 2, "o": 1, "d": 0, "s": 0, "t": 0, "b": 1},  # rounded, by models of its size
        {"c": 2, "o": 2, "d": 0, "s": 1, "t": 1, "m": 5, "b": 1, "price": 3, "r": 5, "p": 2},  # one format measured
        {"c": 2, "o": 3, "d": 1, "s": 0, "t": 1, "m": 2, "b": 0},
        {"c": 1, "o": 2, "d": 0, "s": 0, "t": 1, "b": 1, "price": 30, "r": 11, "p": 4},  # never breaks even
    ],
    ids=str,
)
def test_what_the_page_shows_is_what_a_plan_says(page, fit, setting):
    press(page, **setting)
    for name, steps in setting.items():
        value = float(page.locator(f".explorer [name={name}]").input_value())
        assert value == (pytest.approx(0.05 * (1 + steps)) if name == "price" else steps)
    assert compare(page, fit) >= 13


def test_the_mouse_moves_the_controls_too(page, fit):
    page.locator(".explorer [name=o]").select_option("INT4 weights, FP8 cache")
    slider = page.locator(".explorer [name=s]")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 4, box["y"] + box["height"] / 2)
    assert slider.input_value() == "0"
    assert slider.get_attribute("aria-valuetext") == "1 B"
    assert compare(page, fit) > 20


def test_a_machine_brings_its_price(page, made):
    rent = page.locator(".explorer [name=price]")
    assert float(rent.input_value()) == pytest.approx(made.data["prices"][0]["mid"])
    press(page, d=1)
    assert rent.input_value() == "0.5"


def test_tab_goes_through_every_control_and_the_focus_is_seen(page):
    page.locator(".explorer [name=c]").focus()
    seen = []
    for _ in CONTROLS:
        seen.append(page.evaluate("document.activeElement.name"))
        assert page.evaluate("getComputedStyle(document.activeElement).outline").endswith("solid 2px")
        assert page.evaluate("document.activeElement.labels[0].innerText.trim() !== ''")
        page.keyboard.press("Tab")
    assert seen == CONTROLS


def marks(page):
    """The points of the chart as they describe themselves."""
    script = "e => [...e.querySelectorAll('[aria-roledescription=point]')].map(p => p.getAttribute('aria-label'))"
    return sorted(page.locator(".explorer-chart").evaluate(script))


def test_the_chart_follows_the_table(page, path, made):
    page.wait_for_selector(".explorer-chart .vega-embed, .explorer-chart.vega-embed")
    start = marks(page)
    assert len(start) == len(made.points())
    for point in made.points():
        [label] = [each for each in start if f"option: {point['option']}; what: {point['what']}" in each]
        assert float(re.search(r"loss: ([\d.]+)", label)[1]) == pytest.approx(point["mid"], rel=1e-3)
    press(page, c=1, o=1, s=0, b=1)
    now = marks(page)
    assert now != start
    for phase in ("decode", "prefill", "memory"):
        [label] = [each for each in now if f"option: FP8 weights and activations; what: {phase}" in each]
        gain, (margin, half) = (
            float(re.search(r"loss: ([\d.]+)", label)[1]),
            numbers(cells(page)[f"margin_{phase}"][1])[0],
        )
        assert gain == pytest.approx(1 / (1 - margin) if phase == "memory" else 1 + margin, abs=8 * half)


def test_the_page_is_well(path, context):
    assert problems(context, path) == []


def test_without_scripts_there_is_a_table_and_a_chart(path, made, context):
    still = context.browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = still.new_page()
    page.goto(path.as_uri())
    assert not page.locator(".explorer form").is_visible()
    assert page.locator(".explorer-chart svg").is_visible()
    assert page.locator(".explorer-static table").is_visible()
    texts = page.locator(".explorer-static tbody tr").all_inner_texts()
    for text, (option, row) in zip(texts, made.table().iterrows(), strict=True):
        name, *values = text.split("\t")
        assert name == option
        assert values == ["–" if np.isnan(value) else f"{value:.3g}" for value in row]
    still.close()


def test_without_vega_the_controls_work_and_the_chart_stands_still(path, fit, context, tmp_path):
    (tmp_path / "page.html").write_text(path.read_text())
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    press(page, o=2, s=0)
    assert page.locator(".explorer-chart svg").is_visible()
    assert compare(page, fit) > 20
    page.close()


def test_what_is_no_product_is_refused():
    for part in ({"hardware": {"gpus": [1, 2]}},):
        with pytest.raises(ValueError, match=r"one number of hardware\.gpus"):
            explorer.explore(rl.Scenario.of(SCENARIO).replace(**part), [1e9], [1e10])


def test_the_built_page_moves(context):
    path = BOOK / "19_explorer.html"
    if not path.exists():
        missing("the book is not built: make book")
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".explorer-chart.vega-embed")
    before = marks(page), cells(page)
    press(page, o=2, d=1, s=2)
    after = marks(page), cells(page)
    assert before[0] != after[0] and before[1] != after[1]
    page.close()
