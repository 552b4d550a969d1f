"""The words of the Japanese edition: amounts, options, reasons and figures as its readers expect them."""

import math

from ..planning.scenario import Scenario
from ..planning.wording import VERDICTS, months
from .execute import ROOT

FORMATS = {
    "fp8_row": "FP8",
    "fp8_tensor": "FP8",
    "sint8/row": "INT8",
    "sint8/g128": "INT8",
    "sint4/g128": "INT4",
    "nvfp4": "NVFP4",
    "mxfp4": "MXFP4",
    "mxfp8_e4m3": "MXFP8",
    "2:4": "2:4スパース",
}
"""What engineers call a format; any other goes by its own name."""

REASONS = {
    "no kernel": "対応カーネルなし",
    "removed": "対応カーネルは削除済み",
    "does not fit": "メモリ不足",
    "too slow": "応答が遅すぎる",
    "loss too high": "品質の低下が許容範囲を超える",
    "loss unknown": "品質の低下が未測定",
    "no price": "価格が不明",
    "the memory": "メモリ容量が不明",
    "the arithmetic": "演算性能が不明",
    "ρ may": "容量 ρ がゼロに近いおそれ",
    "a loss": "目標の損失に届かない",
}
"""How a text of a plan's ``why_not`` begins, and what it says."""

WORDS = {
    "rho": "容量 ρ（16ビット＝1）",
    "prefill": "プリフィルの速度比",
    "decode": "デコードの速度比",
    "pays": "同じ品質で得になる領域",
    "none": "対応カーネルなし（速度比は1）",
    "bits": "保存ビット数 ÷ 16",
    "dense": "16ビット",
    "integer": "整数",
    "float": "浮動小数点",
    "codebook": "コードブック",
    "sparse": "スパースのみ",
    "sparse + quantised": "スパース＋量子化",
    "npv": "正味現在価値（万円）",
    "low": "その前提が低い場合（P10）",
    "high": "その前提が高い場合（P90）",
    "scale": 1e4,
}
"""What ``plan_figures`` writes."""

TABLE = [
    {"selector": "th.row_heading", "props": "white-space: normal; min-width: 8.5em"},
    {"selector": "td", "props": "white-space: nowrap"},
    {"selector": "td:last-child", "props": "white-space: normal; min-width: 9em"},
]
"""How a table of options is set: its names may wrap, its figures may not."""


def amount(value, unit="円"):
    """A number to three significant digits with 万 or 億; ▲ marks a negative one, as in Japanese accounts."""
    if not math.isfinite(value):
        return "–"
    rounded = float(f"{abs(value):.3g}")
    if not rounded:
        return f"0{unit}"
    scale, word = next((each for each in ((1e8, "億"), (1e4, "万")) if rounded >= each[0]), (1, ""))
    digits = 0 if unit != "円" and scale == 1 else 2 - min(2, math.floor(math.log10(max(rounded / scale, 1))))
    return f"{'▲' if value < 0 else ''}{rounded / scale:,.{digits}f}{word}{unit}"


def scenario(name, yen_per_usd=1.0, quick=False):
    """A Scenario in yen: a worked case by its name, or a file; quick: with 200 draws. Raises ScenarioError."""
    path = ROOT / "chapters" / "scenarios" / f"{name}.toml"
    fewer = {"run": {"samples": 200}} if quick else {}
    found = Scenario.read(path if path.is_file() else name)
    return found.replace(prices={"currency": "JPY", "rate": yen_per_usd}, **fewer)


def payback(value):
    """A time to pay back, in months."""
    return months(value, "ja")


def times(value):
    """A ratio, as 8.1倍."""
    return f"{'▲' if value < 0 else ''}{abs(value):.1f}倍" if math.isfinite(value) else "–"


def summary(plan):
    """The summary of a plan without its verdict, its option named as here."""
    text = plan.summary_ja.removeprefix(VERDICTS[plan.verdict][1])
    names = sorted(set(plan.table.option) - {"dense"}, key=len, reverse=True)
    named = next((name for name in names if name in text), "")
    return text.replace(named, option(named)) if named else text


def interval(row, column, show=amount):
    """The median of a column of a plan's row, with its P10 and P90: "219万円（P10～P90：68.0万円～352万円）"."""
    return span(row, column, show).replace("（", "（P10～P90：")


def span(row, column, show, unknown="–"):
    """The same without naming P10 and P90; unknown: what to say where there is no number."""
    middle, low, high = (row[column + part] for part in ("", "_p10", "_p90"))
    return unknown if math.isnan(middle) else f"{show(middle)}（{show(low)}～{show(high)}）"


def option(name):
    """An option of a plan's table: "fp8_row x fp8_row" becomes "FP8（重み・活性化）"."""
    if name == "dense":
        return "16ビット"
    whole, _, cache = name.partition(" kv ")
    weights, _, activations = whole.partition(" x ")
    roles = {}
    for role, text in (("重み", weights), ("活性化", activations), ("KVキャッシュ", cache)):
        if text and text != "dense":
            roles.setdefault("＋".join(FORMATS.get(part, part) for part in _parts(text)), []).append(role)
    return "×".join(f"{text}（{'・'.join(each)}）" for text, each in roles.items())


def _parts(text):
    """A sparsity and what it leaves, where both are known by a name; else the whole."""
    parts = text.split("+")
    return parts if all(part in FORMATS for part in parts) else [text]


def reasons(why_not):
    """A plan's ``why_not`` in Japanese; what is not known here stays as it is."""
    found = (
        next((japanese for start, japanese in REASONS.items() if text.startswith(start)), text)
        for text in why_not.split("; ")
    )
    return "、".join(dict.fromkeys(found))
