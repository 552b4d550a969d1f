"""What to say about a plan: the row to recommend, the verdict and its reason, and a summary in two languages."""

import numpy as np

from .doubts import INPUTS

SURE = 0.9
"""Share of the draws in which it must pay to say so without a pilot."""

CURRENCIES_JA = {"USD": "米ドル", "JPY": "円", "EUR": "ユーロ"}
VERDICTS = {
    "compress": ("Compress", "【圧縮を推奨】"),
    "pilot": ("Run a pilot first", "【まず試験導入を推奨】"),
    "do not compress": ("Do not compress", "【圧縮は見送りを推奨】"),
}
MATTERS = (
    "What moves the result most is {first}, then {second}.",
    "結果を最も大きく左右するのは{first}、次いで{second}です。",
)
AGAIN = (
    "Other traffic, devices or tolerance may change this: change them in the scenario and run it again.",
    "利用量、機器、許容する損失が変われば結論も変わり得ますので、条件を変えて再計算してください。",
)
SENTENCES = {
    "pays": (
        (
            "{option} on {device}, {batch} sequences in flight, saves {saving} a month (P10 to P90: {saving_p10} to "
            "{saving_p90}) against the cheapest 16-bit deployment, on {base}.",
            "{device}で{option}を同時{batch}件で運用すると、最も安い16ビット運用（{base}）に比べ、"
            "月額{saving}（P10～P90：{saving_p10}～{saving_p90}）を削減できる見込みです。",
        ),
        (
            "It costs {once} once, pays back in {payback} (P10 to P90: {payback_p10} to {payback_p90}) and pays within "
            "{horizon} months in {pays} of the draws.",
            "初期費用は{once}、回収期間は{payback}（P10～P90：{payback_p10}～{payback_p90}）で、"
            "{horizon}か月以内に採算が取れる確率は{pays}です。",
        ),
        (
            "What moves the result most is {first}, then {second}: measure these on your own system before you commit.",
            "結果を最も大きく左右するのは{first}、次いで{second}ですので、決定の前に自社の環境で実測してください。",
        ),
    ),
    "late": (
        (
            "even the best option, {option} on {device}, saves only {saving} a month for {once} once.",
            "最良の候補（{device}の{option}）でも、初期費用{once}に対して削減額は月額{saving}にとどまります。",
        ),
        (
            "It pays within {horizon} months in {pays} of the draws; {first}, then {second} would change that most.",
            "{horizon}か月以内に採算が取れる確率は{pays}で、結果を最も大きく左右するのは{first}、次いで{second}です。",
        ),
        AGAIN,
    ),
    "dearer": (
        (
            "even the best option, {option} on {device}, costs {cost} a month, which is no less than 16 bits do.",
            "最良の候補（{device}の{option}）でも月額{cost}で、16ビット運用より安くなりません。",
        ),
        MATTERS,
        AGAIN,
    ),
    "only": (
        (
            "no 16-bit deployment meets the limits of the scenario on the devices given; {option} on {device} does.",
            "指定の機器では16ビットのまま条件を満たせませんが、{device}の{option}なら満たせます。",
        ),
        (
            "It costs {cost} a month and {once} once; with nothing to compare this with, no return is given.",
            "月額は{cost}、初期費用は{once}で、比較対象がないため投資対効果は示しません。",
        ),
        (
            "Measure its loss and its speed on your own system before you commit.",
            "決定の前に、品質の低下と速度を自社の環境で実測してください。",
        ),
    ),
    "none": (
        (
            "no compressed option meets the limits of the scenario.",
            "条件を満たす圧縮方式がありません。",
        ),
        (
            "The recommendation says for each of them what stands against it.",
            "それぞれの理由は推奨事項の欄に示しています。",
        ),
        AGAIN,
    ),
    "traffic": (
        (
            "there is no traffic, so that nothing can be saved.",
            "利用量がないため、削減できる費用がありません。",
        ),
        (
            "What compression costs once would be all that remains of it.",
            "圧縮すれば、初期費用だけが残ります。",
        ),
        AGAIN,
    ),
}
"""For each reason three sentences, each in English and in Japanese."""


def choose(table):
    """The place of the row to recommend: the compressed, feasible one of greatest median net present value; without a
    baseline the cheapest a month; None where there is none."""
    rows = table[table.feasible & (table.option != "dense")]
    if rows.empty:
        return None
    return int(rows.npv.idxmax() if rows.npv.notna().any() else rows.cost_month.idxmin())


def verdict(scenario, choice, baseline):
    """("compress", "pilot" or "do not compress", the key of its reason)."""
    if scenario.traffic.requests_per_month == 0:
        return "do not compress", "traffic"
    if choice is None:
        return "do not compress", "none"
    if baseline is None:
        return "compress", "only"
    if choice.pays >= 0.5:
        return "compress" if choice.pays >= SURE else "pilot", "pays"
    return "do not compress", "late" if choice.saving_month > 0 else "dearer"


def recommendation(scenario, table, decision, reason, choice, baseline, tornado):
    """The verdict and why, in English; where no option is feasible, what stands against each."""
    if reason == "none":
        first = table[table.option != "dense"].drop_duplicates("option")
        why = [SENTENCES[reason][0][0], *(f"{row.option}: {row.why_not}." for row in first.itertuples())]
    else:
        words = _words(scenario, choice, baseline, tornado, "en")
        why = [each[0].format(**words) for each in SENTENCES[reason][:2]]
    return f"{VERDICTS[decision][0]}: {' '.join(why)}"


def summary(scenario, decision, reason, choice, baseline, tornado, language):
    """Three sentences for who decides; language: "en" or "ja"."""
    words, place = _words(scenario, choice, baseline, tornado, language), language == "ja"
    sentences = [each[place].format(**words) for each in SENTENCES[reason]]
    head = VERDICTS[decision][place]
    return head + "".join(sentences) if place else f"{head}: {' '.join(sentences)}"


def money(value, currency, language="en"):
    """An amount to three significant digits: "USD 12,300", or "12,300米ドル"."""
    if not np.isfinite(value):
        return "–"
    digits = 2 - int(np.floor(np.log10(abs(value)))) if value else 0
    text = f"{round(value, digits):,.{min(max(digits, 0), 2)}f}"
    return f"{currency} {text}" if language == "en" else f"{text}{CURRENCIES_JA.get(currency, currency)}"


def months(value, language="en"):
    """A time to pay back."""
    if not np.isfinite(value):
        return "never" if language == "en" else "回収不能"
    return f"{value:.1f} months" if language == "en" else f"{value:.1f}か月"


def _words(scenario, choice, baseline, tornado, language):
    """What the sentences are filled with."""
    if choice is None:
        return {}
    words = {"option": choice.option, "device": choice.device, "batch": f"{choice.batch}", "pays": f"{choice.pays:.0%}"}
    words |= {"horizon": f"{scenario.project.horizon_months:g}", "base": "" if baseline is None else baseline.device}
    names = {"saving": "saving_month", "once": "cost_once", "cost": "cost_month"}
    for part in ("", "_p10", "_p90"):
        for word, name in names.items():
            words[word + part] = money(choice[name + part], scenario.prices.currency, language)
        words["payback" + part] = months(choice["payback_months" + part], language)
    if tornado is not None and len(tornado) > 1:
        first, second = (INPUTS[name][language == "ja"] for name in tornado.input[:2])
        words |= {"first": first, "second": second}
    return words
