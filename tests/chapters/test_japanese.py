"""The Japanese edition says the numbers of the English plan, types none by hand, and is found by search."""

import ast
import html
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from IPython.display import Markdown
from matplotlib_inline import backend_inline
from pandas.io.formats.style import Styler

import rholaw as rl
from rholaw import tables
from rholaw.book import checkpoint_card as model_cards
from rholaw.book import figures, japanese, plan_figures
from rholaw.book import search as bilingual
from rholaw.book.figures import plt
from rholaw.fidelity import evidence, trials
from rholaw.hardware import devices as hardware
from rholaw.hardware import residuals
from rholaw.laws import draws as capacities
from rholaw.laws import sources
from rholaw.laws.training_length import TOKENS_PER_PARAM
from rholaw.planning import advice, cases, comparisons, costs, ledger, words
from rholaw.planning.inputs import Option
from rholaw.planning.remarks import Reason

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.stem: nbformat.read(path, 4) for path in sorted((ROOT / "chapters" / "ja").glob("*.ipynb"))}
GLOSSARY = (ROOT / "chapters" / "ja" / "06_glossary.md").read_text(encoding="utf-8")
RATE = 150.0
PARTS = ("", "_p10", "_p90")
JAPANESE = re.compile(f"[{bilingual.CHARACTERS}]")

# --- no number is typed by hand -----------------------------------------------------------------------------------

NAMES = r"[A-Za-z]+[\d.]+[A-Za-z\d]*|2:4"  # P10, FP8, H100 name things, as does the sparsity 2 of 4
CONSTANTS = (
    r"16ビットを1と|16ビット|÷ 16|速度比は1|積が1を|＝1）|1米ドル|1件あたり|1トークンあたり|"
    r"5回に1回|手順[1-5]|練習問題 [1-3]|(?m:^[1-3]\. )"
)
ALLOWED = re.compile(f"{NAMES}|{CONSTANTS}")


def prose(notebook):
    """Every text that the page shows: Markdown without code and links, captions, Japanese strings of the code."""
    for cell in notebook.cells:
        figure = cell.metadata.get("mystnb", {})
        if figure:
            yield from (figure["figure"]["caption"], figure["image"]["alt"])
        if cell.cell_type == "markdown":
            yield re.sub(r"(?ms)^```.*?^```|`[^`\n]*`|\]\([^)]*\)", "", cell.source)
        else:
            yield from strings(cell.source)


def strings(source):
    """The strings of a cell that hold Japanese, without what f-strings compute."""
    tree = ast.parse(source)
    inside = {id(each) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for each in node.values}
    for node in ast.walk(tree):
        texts = []
        if isinstance(node, ast.JoinedStr):
            texts = [each.value for each in node.values if isinstance(each, ast.Constant)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            texts = [node.value]
        if JAPANESE.search("".join(texts)):
            yield re.sub(r"\{.*?\}", "\0", "\0".join(texts))


def typed(text):
    """Digits that stand in a text by hand, half or full width."""
    return re.findall(r"\d", ALLOWED.sub("", text))


@pytest.mark.parametrize("name", PAGES)
def test_no_number_is_typed_by_hand(name):
    assert [text for text in prose(PAGES[name]) if typed(text)] == []


def test_no_number_is_typed_into_the_words():
    sections = [words.texts("ja")[name] for name in ("sentences", "figures", "inputs", "reasons")]
    assert [text for section in sections for text in section.values() if typed(text)] == []


@pytest.mark.parametrize("text", ["月額219万円", "確率は９４％", "24か月", "1. 約3割", "16倍"])
def test_a_typed_number_is_found(text):
    assert typed(text)


@pytest.mark.parametrize("name", PAGES)
def test_no_line_ends_within_a_paragraph(name):
    """A page would have a space there, between characters that have none."""
    broken = r"[^\x00-\x7f]\n(\*\*|[^\n\-|#`*>\d:\s])"
    texts = {cell.id: re.sub(r"(?ms)^```.*?^```", "", cells(cell)) for cell in PAGES[name].cells}
    assert [name for name, text in texts.items() if re.search(broken, text)] == []


def test_strings_leave_out_what_is_computed():
    cell = "x = f'月{value:.3f}円' + 'plain 3' + f'約{1:d}3倍' + '{:.2f}個'.format(1)"
    assert sorted(strings(cell)) == ["\0個", "月\0円", "約\x003倍"]


# --- the pages' numbers are the plan's ----------------------------------------------------------------------------


def executed(notebook, **parameters):
    """[what each code cell shows, as text] of a page run here; figures are drawn and closed."""
    namespace, shown, counted = {"__name__": "page"}, [], False
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        body = ast.parse(cell.source).body
        last = body.pop() if isinstance(body[-1], ast.Expr) and not cell.source.rstrip().endswith(";") else None
        exec(compile(ast.Module(body, []), cell.id, "exec"), namespace)
        if not counted:  # the parameters cell comes first
            namespace.update(parameters)
            counted = True
        value = None if last is None else eval(compile(ast.Expression(last.value), cell.id, "eval"), namespace)
        if isinstance(value, Markdown):
            shown.append(html.unescape(value.data))
        elif isinstance(value, Styler):
            frame = value.data
            shown.append("\n".join("、".join(map(str, row)) for row in frame.itertuples()))
        plt.close("all")
    return shown


@pytest.fixture(scope="module")
def fewer():
    """A law of few resamples, the same for both languages, so that the file is quick."""
    fits, patch = capacities.default_fit(20), pytest.MonkeyPatch()
    patch.setattr(capacities, "default_fit", lambda: fits)
    patch.setattr(backend_inline, "set_matplotlib_formats", lambda *_: None)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def pages(fewer):
    before = plt.rcParams.copy()
    yield {name: executed(notebook, quick=True, yen_per_usd=RATE) for name, notebook in PAGES.items()}
    plt.rcParams.update(before)


@pytest.fixture(scope="module")
def plans(fewer):
    """The English plans, in USD."""
    cases = {name: ROOT / "chapters" / "scenarios" / f"{name}.toml" for name in ("cloud", "edge")}
    scenarios = {name: rl.Scenario.read(path).replace(run={"samples": 200}) for name, path in cases.items()}
    big = list(scenarios["edge"].hardware.devices[:1])
    return {"cloud": rl.plan(scenarios["cloud"]), "edge": rl.plan(scenarios["edge"].replace(hardware={"devices": big}))}


UNITS = "円|件|か月|パラメータ|%|倍|日|台|基|組| nats|ミリ秒|通り|形式|事例"
NUMBER = re.compile(rf"(▲?)([\d,]+(?:\.\d+)?)([兆億万]?)({UNITS})?")
LARGE = {"兆": 1e12, "億": 1e8, "万": 1e4, "": 1.0}


def numbers(text):
    """[(value, unit, digits after the point)] of a text; commands, names such as FP8 and dates are none."""
    text = re.sub(r"```.*?```|\]\([^)]*\)", "", text, flags=re.DOTALL)
    text = re.sub(r"\d{4}-\d\d-\d\d|\d+GB|\b[\w/:]*[A-Za-z]+[\w.:/-]*\d[\w/:]*", "", text, flags=re.ASCII)
    text = re.sub(f"2:4|{CONSTANTS}", "", text)
    for said, share in {"99%超": "100%", "1%未満": "0%"}.items():  # words.share: rounded, they would be these
        text = re.sub(rf"(?<![\d.]){said}", share, text)
    for sign, digits, large, unit in NUMBER.findall(text):
        decimals = len(digits.partition(".")[2])
        yield (-1 if sign else 1) * float(digits.replace(",", "")) * LARGE[large], unit.strip(), decimals


def says(known, number):
    """Whether a number is a known one, as rounded in print: amounts to three digits, others to the digits shown."""
    value, unit, decimals = number
    if unit in ("円", "件", "パラメータ") or abs(value) >= 1e3:
        three = float(f"{known:.3g}") if np.isfinite(known) else known
        return known == value or np.isclose(np.round(three) if unit == "円" else three, value, rtol=1e-9)
    known = 100 * known if unit == "%" else known
    return np.isfinite(known) and f"{known:.{decimals}f}" == f"{value:.{decimals}f}"


def three(row, column, factor=1.0):
    return [factor * row[column + part] for part in PARTS]


def check(text, expected):
    """The numbers of a text are the expected ones, in this order."""
    expected = [value for value in expected if np.isfinite(value)]  # what never comes has no number
    found = list(numbers(text))
    assert len(found) == len(expected), (text, expected)
    assert [number for number, known in zip(found, expected, strict=True) if not says(known, number)] == [], text


def the(shown, start):
    """The one output of a page that begins so."""
    (text,) = (each for each in shown if each.startswith(start))
    return text


def errors():
    """Of the plan's speeds: the median where kernels were timed and where not, and the number of the former."""
    fresh = residuals.held_out()
    timed = fresh.rung == "measured"
    return fresh.error[timed].abs().median(), fresh.error[~timed].abs().median(), int(timed.sum())


def test_the_conclusion_has_the_numbers_of_the_english_plan(pages, plans):
    plan = plans["cloud"]
    row, base = plan.choice, plan.baseline
    reach = plan.scenario.model.shape.non_embedding / rl.runs.one_estimator(rl.runs.load("quest2025")).n_params.max()
    money = [three(row, name, RATE) for name in ("saving_month", "cost_once", "npv")]
    months = plan.scenario.project.horizon_months
    text = the(pages["01_summary"], "例：")
    requests = plan.scenario.traffic.requests_per_month
    check(text, [requests, row.devices_paid, base.devices_paid, *money[0], months, row.pays])
    assert japanese.verdict(plan) in text and row.device in text and base.device in text and text.count("。") == 2
    once = [money[1][0], *three(row, "payback_months"), months, *money[2], row.pays]
    if (surer := plan.conclusion.surer) is not None:
        once += [surer.devices_paid, surer.pays, *three(surer, "saving_month", RATE)]
    check(the(pages["01_summary"], "- **投資対効果**"), [*once, errors()[0], reach])


def test_the_ledger_of_the_case_ends_as_its_plan_does(pages, plans):
    plan = plans["cloud"]
    best = advice.best(plan.table[plan.table.option != "dense"]).head(2)
    first, second = the(pages["01_summary"], "**この例の収支**").splitlines()[4:]
    for text, (_, row) in zip((first, second), best.iterrows(), strict=True):
        assert text.startswith(f"| {japanese.option(row)} |")
        check(text.partition(" |")[2], [*three(row, "saving_month", RATE), row.pays])
    assert "試験導入" in first and plan.verdict == "pilot"


def test_what_the_english_summary_prints_the_japanese_prints(pages, plans):
    """USD 14,600 in the one is 219万円 in the other: each has three digits."""
    english = re.sub(r"^.*?should save", "", plans["cloud"].summary_en)
    dollars = [float(each.replace(",", "")) for each in re.findall(r"USD ([\d,.]+\d)", english)]
    months = [float(each) for each in re.findall(r"([\d.]+) months", english)]
    text = the(pages["01_summary"], "例：") + the(pages["01_summary"], "- **投資対効果**")
    yen = [value for value, unit, _ in numbers(text) if unit == "円"]
    for value in dollars:
        assert any(abs(each / (RATE * value) - 1) < 0.01 for each in yen), value
    assert set(months) <= {value for value, unit, _ in numbers(text) if unit == "か月"}
    assert re.search(r"in (\d+%) of the draws", english)[1] in text


def test_the_return_has_the_numbers_of_the_english_plan(pages, plans):
    row, base = plans["cloud"].choice, plans["cloud"].baseline
    order = ("_p10", "", "_p90")
    amounts = [(base, "cost_month"), *((row, name) for name in ("cost_month", "saving_month", "cost_once", "npv"))]
    expected = [RATE * each[name + part] for each, name in amounts for part in order]
    check(
        the(pages["01_summary"], "月間費用"), expected + [row[n + p] for n in ("roi", "payback_months") for p in order]
    )


def test_the_options_have_the_numbers_of_the_english_plan(pages, plans):
    table = plans["cloud"].table
    text = the(pages["01_summary"], japanese.option(plans["cloud"].choice) + "、")
    lines = text.splitlines()
    assert len(lines) == table.option.nunique() - 1
    for line in lines:
        name = line.partition("、")[0]
        rows = table[table.apply(japanese.option, axis=1) == name]
        (row,) = advice.best(rows).itertuples()
        check(line, [RATE * row.saving_month, row.pays, RATE * row.npv, row.devices_paid])
        assert (row.why_not == "") == ("、–、" in line)


def test_the_gates_have_the_numbers_of_the_english_plan(pages, plans):
    plan, row = plans["cloud"], plans["cloud"].choice
    project, shown = plan.scenario.project, pages["02_rollout"]
    least = RATE * row.cost_once_p90 / costs.annuity(project.horizon_months, project.discount_rate)
    quality = [project.tolerance, np.expm1(project.tolerance)]
    gates = [least, project.horizon_months, row.break_even_requests, *quality, plan.scenario.traffic.latency_ms]
    check(the(shown, "- **続行条件**：次の"), gates)
    check(the(shown, "- **続行条件**：黒字"), [advice.SURE, advice.SURE, row.pays])
    check(the(shown, "- **続行条件**：ほとんど"), [model_cards.DISTURBED] * 2)
    check(the(shown, "- **続行条件**：手順"), [hardware.STALE_DAYS])
    check(the(shown, "**小さく測り"), [least, project.tolerance])
    owned = plans["edge"].choice
    edge = [RATE * owned.saving_month, RATE * owned.cost_once]
    check(the(shown, "- **利用量が少ない"), [row.break_even_requests, row.payback_months_p90, *edge])
    assert japanese.verdict(plans["edge"]) in the(shown, "- **利用量が少ない")


def known_numbers(plan, edge):
    """Every number that the English plan of the worked case stands on or arrives at, in yen."""
    scenario, table, choice = plan.scenario, plan.table, plan.choice
    shape, traffic, project = scenario.model.shape, scenario.traffic, scenario.project
    money = ("cost_month", "saving_month", "cost_once", "npv")
    plain = ("roi", "payback_months", "dloss", "rho")
    rows = [choice, plan.baseline]
    rows += [row for _, row in advice.best(table).iterrows()]
    found = [value for row in rows for name in money for value in three(row, name, RATE)]
    found += [value for row in rows for name in plain for value in three(row, name)]
    found += [value for row in rows for value in (row.pays, 1 - row.pays, row.gpus, row.batch, row.bits)]
    found += [value for row in rows for value in (row.devices_paid, row.replicas, row.ttft_ms)]
    found += [np.expm1(choice.dloss), np.expm1(project.tolerance), choice.break_even_requests]
    dense = table[(table.option == "dense") & (table.device == choice.device) & table.feasible]
    found.append(RATE * dense.cost_month.min())
    found += [*three(edge.choice, "saving_month", RATE), *three(edge.choice, "cost_once", RATE)]
    found.append(RATE * choice.cost_once_p90 / costs.annuity(project.horizon_months, project.discount_rate))
    largest = rl.runs.one_estimator(rl.runs.load("quest2025")).n_params.max()
    found += [shape.non_embedding, largest, shape.non_embedding / largest, *errors()]
    found += [traffic.requests_per_month, traffic.tokens_in, traffic.tokens_out, traffic.latency_ms]
    found += [*traffic.utilisation, project.tolerance, project.horizon_months, project.discount_rate]
    found += [cases.priced(scenario, name).stale for name in scenario.hardware.devices]
    formats = [each for each in rl.catalogue().values() if each.parts][::3]
    draws = capacities.draws()
    ratio = [each.bits / 16 / np.quantile(draws.capacity(each)[0], 0.5) for each in formats]
    found += [len(formats), np.mean(np.less(ratio, 1)), min(ratio), TOKENS_PER_PARAM, sources.LEVEL, 4]
    found += [*sources.spread("int4"), *sources.spread("int4", "int4")]
    prior = rl.prior_sensitivity(8e9, 15e12, method="imatrix")  # of the dialogue, as its capacities are
    found += [8e9, 8e9 * sources.spread("int4")[0], 15e12, 8, 2, 4 / 16, 5]
    found += [*prior.rise(["q4_k", "q2_k"]), *np.ravel(prior.rise_interval(["q4_k", "q2_k"]))]
    found += [rl.gmse(name).value for name in ("int8", "int4", "int2", "q4_k", "q2_k")]
    tried = trials.summary(trials.from_measured(evidence.usable(), ["q5_0", "q3_k"]))  # of the law after training
    found += [prior.kappa, *(tried[name] for name in ("models", "median", "p90"))]
    found += [2 * prior.kappa, 2 * prior.rise(["q4_k"])[0], prior.rise(["q4_k"])[0] / 2, prior.rise(["q5_k"])[0]]
    found += [rl.gmse("q5_k").value, *np.expm1(np.ravel(prior.rise_interval(["q4_k"])))]
    lines = comparisons.memory_line(rl.parse_list("int1, int2, int3, int4, int8"))  # of the first page
    found += [1 / lines.ratio.min(), 1 / sources.spread("int4", "int4")[0], 3]
    table = ledger.recorded()
    found += [RATE * value for part in ledger.SPREAD for value in table[f"saving_month{part}"]]
    plain = ("bits", "gmse", "pays", "devices_paid", "rho", "dloss", "speedup_decode")
    found += table.filter(regex=f"^({'|'.join(plain)})(_p\\d0)?$").to_numpy().ravel().tolist()
    start = rl.fit_sensitivity(pd.DataFrame({"format": ["q4_k", "q3_k"], "rise": [0.03, 0.15]}))
    asked = ["q5_k", "nvfp4", "mxfp4"]
    found += [0.03, 0.15, *start.predict(asked), *np.ravel(start.predict_interval(asked))]
    found += [start.kappa, *start.intervals["kappa"], *(rl.parse(name).bits for name in asked), 128]
    small = rl.totals(rl.survey(tables.DATA / "models" / "shakespeare-1m", "int4/g128, nvfp4", progress=False))
    found += small[["compressed", "error", "ratio", "bits"]].to_numpy().ravel().tolist()
    return [*found, RATE, scenario.run.samples, advice.SURE, model_cards.DISTURBED, hardware.STALE_DAYS]


def test_every_number_on_the_pages_is_known(pages, plans):
    known = known_numbers(plans["cloud"], plans["edge"])
    found = [(number, text) for shown in pages.values() for text in shown for number in numbers(text)]
    assert len(found) > 120
    assert [each[0] for each in found if not any(says(value, each[0]) for value in known)] == []


def test_another_rate_moves_money_and_nothing_else(pages, fewer):
    before = the(pages["01_summary"], "例：")
    after = the(executed(PAGES["01_summary"], quick=True, yen_per_usd=2 * RATE), "例：")
    for one, two in zip(numbers(before), numbers(after), strict=True):
        assert two[0] == pytest.approx((2 if one[1] == "円" else 1) * one[0], rel=0.01)


EUROS = """
[model]
params = 13e9
tokens = 2e12
[[formats]]
weights = "int4"
activations = "int4"
[hardware]
devices = ["L4"]
gpus = [2]
engine = "SGLang"
[traffic]
requests_per_month = 3e4
[prices]
currency = "EUR"
rate = 0.9
gpu_hour = { L4 = 0.9 }
[project]
kind = "train"
engineer_week = 2700
"""


def test_a_scenario_in_euros_costs_the_same_in_yen_and_one_in_yen_keeps_its_rate(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(EUROS)
    own = japanese.scenario(path, RATE)
    assert own.prices.rents["L4"] == (1.0, 1.0, 1.0) and own.project.engineer_week_usd == 3_000
    assert (own.prices.currency, own.prices.rate) == ("JPY", RATE)
    path.write_text(EUROS.replace('"EUR"', '"JPY"').replace("0.9", "155"))
    assert japanese.scenario(path, RATE).prices.rate == 155


@pytest.mark.slow
@pytest.mark.parametrize("name", ["01_summary", "02_rollout", "03_dialogue"])
def test_a_page_follows_another_scenario(name, fewer, tmp_path):
    """A size without a name, a kernel that nobody knows, another currency: all of the page, its checks too."""
    path = tmp_path / "mine.toml"
    path.write_text(EUROS)
    shown = "\n".join(executed(PAGES[name], quick=True, scenario=str(path)))
    shown = re.sub(r"(?ms)^```.*?^```", "", shown)  # what is typed has code names
    assert "130億パラメータのモデル" in shown and not re.search(r"70B|B200|vLLM|int4", shown)
    assert name != "01_summary" or "対応カーネルがあるか分からず、16ビットと同じ速さと見なしたのは4ビット整数" in shown


@pytest.mark.slow
def test_the_case_at_the_edge_passes_its_own_checks(fewer):
    assert "Jetson" in the(executed(PAGES["01_summary"], quick=True, scenario="edge"), "例：")


def test_pages_refuse_in_their_language():
    code = {name: "\n".join(cell.source for cell in page.cells) for name, page in PAGES.items()}
    assert [name for name, text in code.items() if 'book.parameters(globals(), "ja", ' not in text] == []


# --- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2_191_663, "円", "219万円"),
        (679_848, "円", "68万円"),
        (123_456_789, "円", "1.23億円"),
        (99_960, "円", "10万円"),
        (9_871, "円", "9,870円"),
        (8.07, "円", "8円"),
        (-5_310_000, "円", "▲531万円"),
        (0, "円", "0円"),
        (2e7, "件", "2,000万件"),
        (1.5e13, "件", "15兆件"),
        (8e9, "パラメータ", "80億パラメータ"),
        (-0.0, "円", "0円"),
        (256, "件", "256件"),
        (np.inf, "円", "–"),
    ],
)
def test_amounts(value, unit, text):
    assert japanese.amount(value, unit) == text


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (Option(), "16ビット"),
        (Option("sint4/g128"), "INT4（重み）"),
        (Option("fp8_row", "fp8_row"), "FP8（重み・活性化）"),
        (Option("fp8_row", "fp8_row", "fp8_tensor"), "FP8（重み・活性化・KVキャッシュ）"),
        (Option("2:4+fp8_row", "fp8_row"), "2:4スパース＋FP8（重み）×FP8（活性化）"),
        (Option("nf4/g64:fp32"), "NF4（重み）"),
        (Option("2:4+nf4/g64"), "2:4スパース＋64個単位のNF4（重み）"),
        (Option(kv="fp8_tensor"), "FP8（KVキャッシュ）"),
    ],
)
def test_names_of_options(option, text):
    assert japanese.option(option) == text


def test_an_interval_names_its_ends_and_a_span_does_not():
    row = {"npv": 2e6, "npv_p10": -1e6, "npv_p90": 5e6, "rho": np.nan, "rho_p10": np.nan, "rho_p90": np.nan}
    assert japanese.interval(row, "npv") == "200万円（P10～P90：▲100万円～500万円）"
    assert japanese.span(row, "npv", japanese.amount) == "200万円（▲100万円～500万円）"
    assert japanese.span(row, "rho", "{:.2f}".format, "未測定") == "未測定"
    never = dict.fromkeys(("payback_months", "payback_months_p10", "payback_months_p90"), np.inf)
    assert japanese.interval(never, "payback_months", japanese.payback) == "回収不能"


def test_ratios_and_the_summary(plans):
    assert [japanese.times(each) for each in (8.07, -1, np.inf)] == ["8.1倍", "▲1.0倍", "–"]
    plan = plans["cloud"]
    text = japanese.summary(plan)
    assert text.startswith(plan.choice.device) and japanese.option(plan.choice) in text and "fp8" not in text


def test_every_reason_of_the_worked_cases_is_in_japanese(plans):
    for plan in plans.values():
        for against in plan.reasons:
            assert not re.search("[a-z]{3}", japanese.reasons(against)), against
    against = [Reason("too_slow", {"latency_ms": 60.0, "limit_ms": 50.0}), Reason("no_price", {"device": "B300 SXM"})]
    assert japanese.reasons([*against, *against]) == "応答が遅すぎる、価格が不明"


def test_commands_name_chapters_and_parameters_that_exist():
    lines = [
        line for page in PAGES.values() for line in re.findall(r"(?m)^papermill .*$", "\n".join(map(cells, page.cells)))
    ]
    assert len(lines) >= 6
    for line in lines:
        chapter = nbformat.read(ROOT / line.split()[1], 4)
        declared = next(cell.source for cell in chapter.cells if "parameters" in cell.metadata.get("tags", ()))
        for name in re.findall(r"-p (\w+)", line):
            assert re.search(f"(?m)^{name}: ", declared), line


def cells(cell):
    return cell.source if cell.cell_type == "markdown" else ""


def test_the_glossary_has_a_meaning_for_each_term():
    rows = [line.strip("|").split("|") for line in re.findall(r"(?m)^\|.*\|$", GLOSSARY)][2:]
    assert len(rows) >= 40 and all(len(row) == 3 and all(each.strip() for each in row) for row in rows)
    assert not typed(re.sub(r"\]\([^)]*\)", "", GLOSSARY))
    assert len({row[0] for row in rows}) == len(rows) == len({row[1] for row in rows})


# --- figures -----------------------------------------------------------------------------------------------------


def test_figures_write_japanese_as_outlines_and_leave_english_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(backend_inline, "set_matplotlib_formats", lambda *_: None)
    with plt.rc_context():
        figures.style()
        english = dict(plt.rcParams)
        figures.style(japanese=True)
        fig, ax = plt.subplots()
        ax.set(xlabel="".join(plan_figures.named("ja", "JPY").values()), ylabel="比 ρ − 1")  # a missing glyph warns
        fig.savefig(tmp_path / "figure.svg")
        plt.close(fig)
        figures.style()
        assert dict(plt.rcParams) == english
    drawn = (tmp_path / "figure.svg").read_text()
    assert "<text" not in drawn and "IPAexGothic" in drawn
