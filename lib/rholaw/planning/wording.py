"""What a plan says, in English and in Japanese: verdicts, three sentences for each reason, amounts and times."""

import numpy as np

from .doubts import INPUTS

CURRENCIES_JA = {"USD": "米ドル", "JPY": "円", "EUR": "ユーロ"}
WHOLE = {"JPY"}
"""Currencies without hundredths."""
VERDICTS = {
    "compress": ("Compress", "【圧縮を推奨】"),
    "pilot": ("Run a pilot first", "【まず試験導入を推奨】"),
    "do not compress": ("Do not compress", "【圧縮は見送りを推奨】"),
    "cannot tell": ("Cannot tell in money", "【金額では判断できません】"),
}
MATTERS = (
    "What moves the result most is {first}, then {second}.",
    "結果を最も大きく左右するのは{first}、次いで{second}です。",
)
AGAIN = (
    "Other traffic, devices or tolerance may change this: change them in the scenario and run it again.",
    "利用量、機器、許容する損失が変われば結論も変わり得ますので、条件を変えて再計算してください。",
)
MEASURE = (
    "What moves the result most is {first}, then {second}: measure these on your own system before you commit.",
    "結果を最も大きく左右するのは{first}、次いで{second}ですので、決定の前に自社の環境で実測してください。",
)
SAVES = (
    "{option} on {device}, {batch}, saves {saving} a month (P10 to P90: {saving_p10} to {saving_p90}) against the "
    "cheapest 16-bit deployment, on {base}.",
    "{device}で{option}を使い、{batch}を同時に処理すると、最も安い16ビット運用（{base}）に比べ、"
    "月に{saving}（P10～P90：{saving_p10}～{saving_p90}）削減できる見込みです。",
)
ONLY = (
    "no 16-bit deployment meets the limits of the scenario on the devices given; {option} on {device} does.",
    "指定の機器では16ビットのまま条件を満たせませんが、{device}の{option}なら満たせます。",
)
TRY = (
    "Measure its loss and its speed on your own system before you commit.",
    "決定の前に、品質の低下と速度を自社の環境で実測してください。",
)
SEE = (
    "The recommendation says for each of them what stands against it.",
    "それぞれの理由は推奨事項の欄に示しています。",
)
SENTENCES = {
    "pays": (
        SAVES,
        (
            "It costs {once}, pays back in {payback} (P10 to P90: {payback_p10} to {payback_p90}) and pays within "
            "{horizon} in {pays} of the draws.",
            "初期費用は{once}、回収期間は{payback}（P10～P90：{payback_p10}～{payback_p90}）で、"
            "{horizon}以内に採算が取れる確率は{pays}です。",
        ),
        MEASURE,
    ),
    "gains": (
        SAVES,
        (
            "It costs {once}, so that nothing has to be paid back, and pays within {horizon} in {pays} of the draws.",
            "初期費用は{once}で済むため回収の必要がなく、{horizon}以内に採算が取れる確率は{pays}です。",
        ),
        MEASURE,
    ),
    "swaps": (
        (
            "{option} on {device}, {batch}, costs {once} and {dearer} more a month than the cheapest 16-bit "
            "deployment, on {base}.",
            "{device}で{option}を使い、{batch}を同時に処理すると、最も安い16ビット運用（{base}）に比べ、月額は{dearer}多くなりますが、"
            "初期費用は{once}で済む見込みです。",
        ),
        (
            "It pays within {horizon} in {pays} of the draws; over a longer time in fewer.",
            "{horizon}以内に採算が取れる確率は{pays}で、期間が長くなるほど不利になります。",
        ),
        MEASURE,
    ),
    "late": (
        (
            "even the best option, {option} on {device}, costs {once} and saves {saving} a month.",
            "最良の候補（{device}の{option}）でも、初期費用{once}に対して削減額は月{saving}にとどまります。",
        ),
        (
            "It pays within {horizon} in {pays} of the draws; {first}, then {second} would change that most.",
            "{horizon}以内に採算が取れる確率は{pays}で、結果を最も大きく左右するのは{first}、次いで{second}です。",
        ),
        AGAIN,
    ),
    "dearer": (
        (
            "even the best option, {option} on {device}, costs {cost} a month, which is no less than 16 bits do.",
            "最良の候補（{device}の{option}）でも月額{cost}かかり、16ビット運用より安くなりません。",
        ),
        MATTERS,
        AGAIN,
    ),
    "only": (
        ONLY,
        (
            "It costs {cost} a month and {once}; with nothing to compare this with, no return is given.",
            "月額は{cost}、初期費用は{once}で、比較対象がないため投資対効果は示しません。",
        ),
        TRY,
    ),
    "only, unpriced": (
        ONLY,
        (
            "What it costs cannot be told: no price of {unpriced} is known.",
            "ただし、{unpriced}の価格が不明のため、費用は計算できません。",
        ),
        TRY,
    ),
    "unpriced": (
        (
            "no price of {unpriced} is known, so that neither costs nor returns can be given.",
            "{unpriced}の価格が不明のため、費用も投資対効果も計算できません。",
        ),
        (
            "{option} on {device}, {batch}, takes {hours} device hours a month (P10 to P90: {hours_p10} to "
            "{hours_p90}), where 16 bits on {base} take {base_hours}.",
            "{device}で{option}を使い、{batch}を同時に処理する場合、機器の利用時間は月{hours}時間（P10～P90：{hours_p10}～{hours_p90}時間）で、"
            "16ビット運用（{base}）では月{base_hours}時間です。",
        ),
        (
            "Give prices.gpu_hour_usd in the scenario and run it again.",
            "シナリオのprices.gpu_hour_usdに単価を記入し、再計算してください。",
        ),
    ),
    "none": (
        (
            "no compressed option meets the limits of the scenario.",
            "条件を満たす圧縮方式がありません。",
        ),
        SEE,
        AGAIN,
    ),
    "nothing": (
        (
            "no compressed option meets the limits of the scenario, and neither do 16 bits.",
            "条件を満たす圧縮方式がなく、16ビットでも満たせません。",
        ),
        SEE,
        AGAIN,
    ),
    "traffic": (
        (
            "there is no traffic, so that nothing can be saved.",
            "利用がないため、削減できる費用がありません。",
        ),
        (
            "What compression costs once would be all that remains of it.",
            "圧縮すれば、初期費用だけが残ります。",
        ),
        AGAIN,
    ),
}
"""For each reason three sentences, each in English and in Japanese."""


def summary(scenario, decision, reason, choice, baseline, tornado, language):
    """Three sentences for who decides; language: "en" or "ja"."""
    filled, place = words(scenario, choice, baseline, tornado, language), language == "ja"
    sentences = [each[place].format(**filled) for each in SENTENCES[reason]]
    head = VERDICTS[decision][place]
    return head + "".join(sentences) if place else f"{head}: {' '.join(sentences)}"


def money(value, currency, language="en"):
    """An amount to three significant digits: "USD 12,300", "USD 12.30", or "12,300米ドル"."""
    if not np.isfinite(value):
        return "–"
    cents = 0 if currency in WHOLE else 2
    small = 0 < value < 10.0**-cents
    value = 10.0**-cents if small else value
    shown = _three(value)
    text = f"{shown:,.{cents if 0 < abs(shown) < 100 else 0}f}"
    if language == "en":
        return f"{'less than ' if small else ''}{currency} {text}"
    return f"{text}{CURRENCIES_JA.get(currency, f' {currency}')}{'未満' if small else ''}"


def months(value, language="en"):
    """A time to pay back."""
    english = language == "en"
    if not np.isfinite(value):
        return "never" if english else "回収不能"
    if value <= 0:
        return "at once" if english else "即時"
    if value < 0.05:
        return "less than 0.1 months" if english else "0.1か月未満"
    return f"{value:.1f} months" if english else f"{value:.1f}か月"


def _three(value):
    """Rounded to three significant digits."""
    return round(value, 2 - int(np.floor(np.log10(abs(value))))) if value else 0.0


def _counted(count, noun):
    return f"{count:g} {noun}{'' if count == 1 else 's'}"


def _hours(row, part=""):
    """Device hours a month of a row."""
    return f"{_three(row.gpus * row['hours_month' + part]):,.12g}"


def words(scenario, choice, baseline, tornado, language):
    """What the sentences are filled with."""
    if choice is None:
        return {}
    english, currency, horizon = language == "en", scenario.prices.currency, scenario.project.horizon_months
    words = {"option": choice.option, "device": choice.device, "pays": f"{choice.pays:.0%}"}
    words["base"] = "" if baseline is None else baseline.device
    words["unpriced"] = choice.unpriced
    words["base_hours"] = "" if baseline is None else _hours(baseline)
    words["batch"] = f"{_counted(choice.batch, 'sequence')} in flight" if english else f"{choice.batch}件"
    words["horizon"] = _counted(horizon, "month") if english else f"{horizon:g}か月"
    words |= {"cost": money(choice.cost_month, currency, language)}
    words |= {"dearer": money(-choice.saving_month, currency, language)}
    once = money(abs(choice.cost_once), currency, language)
    if choice.cost_once < 0:
        words["once"] = f"{once} less once than 16 bits do" if english else f"16ビットの場合より{once}少ない額"
    else:
        words["once"] = f"{once} once" if english else once
    for part in ("", "_p10", "_p90"):
        words["hours" + part] = _hours(choice, part)
        words["saving" + part] = money(choice["saving_month" + part], currency, language)
        words["payback" + part] = months(choice["payback_months" + part], language)
    if tornado is not None and len(tornado) > 1:
        first, second = (INPUTS[name][not english] for name in tornado.input[:2])
        words |= {"first": first, "second": second}
    return words
