"""Names of tensors, models, devices, engines and currencies made of HTML, Markdown, TeX and codes of terminals."""

import csv
import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from hostile import github, myst, name, parsed, shown
from matplotlib.figure import Figure

import rholaw as rl
from rholaw.book import checkpoint_card, code, explorer, plan_prose, text
from rholaw.book.escaped import LONG_LABEL, in_figure
from rholaw.book.webtable import WebTable
from rholaw.checked import readable

PROMISE = "a page shows the name as it is, and no element, attribute, link or formula comes of it"
SECONDS = 20  # the first attempt fits the law and starts Vega
MEGABYTES = 1500
SLICE = 20

FRAMES = ["{} at the start", "in {}, here", "- {}: item\n- next", "- next\n- {}", "1. {}", "> {}", "**{}**, bold"]
FRAMES += ["## {}", "| a | b |\n|---|---|\n| {} | {} |", "one\n{}\ntwo", "- a\n\n  {}\n", "*in {} it*"]
PLAIN = {"main", "section", "div", "span", "p", "ul", "ol", "li", "blockquote", "pre", "code", "strong", "em"}
PLAIN |= {"h1", "h2", "h3", "table", "thead", "tbody", "tr", "th", "td", "colgroup", "col"}
HARMLESS = {"class", "id", "start", "title", "style", "data-key", "scope", "type"}


def attempt(rng: np.random.Generator, folder: Path) -> str:
    """One name in one of the places where names are shown."""
    place = PLACES[rng.integers(len(PLACES))]
    return place(name(rng), rng, folder) or place.__name__.strip("_")


def _written(markdown: str, *names: str) -> None:
    """The Markdown shows the names, by the book and by GitHub, and has no element that could do anything."""
    for render in (myst, github):
        _harmless(render(markdown), *names)


def _harmless(html: str, *names: str) -> None:
    elements, words, scripts = parsed(html)
    assert not scripts and {tag for tag, *_ in elements} <= PLAIN, elements
    assert {one for _, *attributes in elements for one in attributes} <= HARMLESS, elements
    for each in names:
        whole = shown(each)
        parts = [whole] if len(whole) <= 100 else [whole[:50].strip(), whole[-50:].strip()]
        assert all(words.count(part) >= names.count(each) for part in parts), (each, words)


def _structure(html: str) -> list[str]:
    """Its elements, but for those that set a name as code or keep a sign alone."""
    return [tag for tag, *_ in parsed(html)[0] if tag not in ("span", "code")]


def _frame(given: str, rng: np.random.Generator, folder: Path) -> None:
    frame, escape = FRAMES[rng.integers(len(FRAMES))], (text, code)[rng.integers(2)]
    markdown, plain = (frame.replace("{}", escape(one)) for one in (given, "plain"))
    _written(markdown, given)
    for render in (myst, github):
        assert _structure(render(markdown)) == _structure(render(plain)), markdown


def _table(given: str, rng: np.random.Generator, folder: Path) -> None:
    given = readable(given) if given.encode(errors="replace").decode() != given else given  # pandas holds no surrogates
    frame = pd.DataFrame({given: [given, "x"], "y": [1.5, np.nan]}, index=[given, "b"]).rename_axis(given + "_")
    styled = frame.style.format(precision=3, na_rep="–").to_html()
    elements, words, _ = parsed(styled)
    allowed = PLAIN | {"style"}
    assert {tag for tag, *_ in elements} <= allowed and words.count(shown(given)[:400]) >= 4, styled
    assert "mathjax_ignore" in styled and "mathjax_ignore" in frame._repr_html_()
    page = WebTable(frame, {"y": "{:.1f}"})._repr_html_()
    elements, words, _ = parsed(page)
    assert {tag for tag, *_ in elements} <= PLAIN
    assert words.count(shown(given)[:400]) >= 4


def _card(given: str, rng: np.random.Generator, folder: Path) -> str | None:
    header, data = {}, rng.normal(size=(2, 8, 64)).astype(np.float32) ** 5
    for i, tensor in enumerate((given, "other.weight")):
        header[tensor] = {"dtype": "F32", "shape": [8, 64], "data_offsets": [i * 2048, i * 2048 + 2048]}
    written = json.dumps(header).encode()
    (folder / "m.safetensors").write_bytes(len(written).to_bytes(8, "little") + written + data.tobytes())
    try:
        survey = rl.survey(folder / "m.safetensors", "int4/g32", progress=False)
    except ValueError:  # a reader may refuse a name
        return "refused"
    survey = survey.assign(role="mlp", note=given)
    fit = checkpoint_card.sensitivity(survey)
    choices = checkpoint_card.choices(survey, 10**6, 0.1, fit)
    page = checkpoint_card.card(given, survey, choices, 10**6, 0.1, fit)
    _written(page, given, given)  # its heading, and what resists
    assert page.count("**What resists.**") == 1 and myst(page).count("<table") == 1
    _written(checkpoint_card.told(survey, choices), given)


@cache
def _scenario() -> rl.Scenario:
    formats = [{"weights": "fp8_row"}, {"weights": "sint4/g128", "speedup_decode": 2.0, "measured_on": "mine"}]
    hardware = {"devices": ["H100 80GB SXM"], "batches": [1]}
    parts = {"model": {"params": 1e9}, "formats": formats, "project": {"kind": "qat"}}
    return rl.Scenario.of(parts | {"hardware": hardware, "run": {"samples": 100}})


def _plan(given: str, rng: np.random.Generator, folder: Path) -> str | None:
    facts = {"memory": 90.0, "bandwidth": 3000.0, "bf16": 900.0, "price_mid": 2.5}
    with open(folder / "own.csv", "w", encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        rows.writerows([("device", "property", "value"), *((given, *fact) for fact in facts.items())])
    hardware = {"devices": [given], "engine": given, "overrides": str(folder / "own.csv")}
    formats = [{"weights": "fp8_row"}, {"weights": "sint4/g128", "speedup_decode": 2.0, "measured_on": given}]
    try:
        plan = rl.plan(_scenario().replace(hardware=hardware, formats=formats, prices={"currency": given, "rate": 2.0}))
    except ValueError as error:
        assert len(str(error)) < 5000
        return "refused"
    _written(plan_prose.decision(plan), *[given] * (given in plan.summary_en))
    _written(plan_prose.refused(plan), given)
    _written("\n".join(f"- {text(warning)}" for warning in plan.warnings), given)
    _written(text(plan.summary_ja), plan.summary_ja)


@cache
def _explorer() -> explorer.Explorer:
    return explorer.explore(_scenario(), [1e9], [1e10])


def _island(given: str, rng: np.random.Generator, folder: Path) -> None:
    made = _explorer()
    data = made.data | {"devices": [given], "engine": given}
    page = explorer.Explorer(data)._repr_html_()
    elements, words, scripts = parsed(page)
    tags = [tag for tag, *_ in elements]
    assert tags.count("script") == 4 and not {"a", "img", "iframe"} & set(tags)
    assert json.loads(scripts[0]) == explorer._folded(data) and "<" not in scripts[0] + scripts[1]
    assert f"billion parameters on {shown(given)[:400]}" in words


def _drawn(given: str, rng: np.random.Generator, folder: Path) -> None:
    figure = Figure()
    label = figure.subplots().set_xlabel(in_figure(given))
    assert label._preprocess_math(label.get_text()) == (in_figure(given).replace(r"\$", "$"), False)
    assert len(readable(given)) > LONG_LABEL or shown(given) == " ".join(label.get_text().replace(r"\$", "$").split())


PLACES = [_frame, _frame, _table, _card, _plan, _island, _drawn]
