"""Codes and their words: each has a sentence in each language, which asks for no more than the code's data."""

import ast
import re
import string
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from small_plans import SCENARIO

from rholaw import planning
from rholaw.planning import decide, measuring, uncertain, words
from rholaw.planning.assumptions import FACTS
from rholaw.planning.columns import COLUMNS
from rholaw.planning.remarks import Alternative, Conclusion, Doubt, Gap, Ground, LossOrigin, Reason, Turning, Verdict
from rholaw.planning.scenario import Scenario

ROOM = Path(planning.__file__).parent


def asked(text):
    """The names of the data that a text is filled with."""
    return {name.split("[")[0] for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_code_has_its_words_and_no_words_are_without_a_code(language):
    texts = words.texts(language)
    codes = {
        "verdicts": set(Verdict),
        "sentences": {key for three in words.SENTENCES.values() for key in three},
        "reasons": set(Reason.codes),
        "doubts": set(Doubt.codes),
        "gaps": set(Gap),
        "alternatives": set(Alternative.codes),
        "sources": {*LossOrigin, "measured_one"},
        "inputs": set(uncertain.NAMES),
        "columns": set(COLUMNS),
        "labels": set(COLUMNS),
    }
    assert {name: set(texts[name]) for name in codes} == codes
    assert set(words.SENTENCES) == set(Ground)


def test_the_languages_have_the_same_keys():
    english, japanese = (words.texts(language) for language in words.LANGUAGES)
    assert english.keys() == japanese.keys()
    for section in english.keys() - {"currencies", "scales"}:
        assert english[section].keys() == japanese[section].keys(), section
        assert all(text.strip() or section == "phrases" for text in japanese[section].values()), section


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("kind", [Reason, Doubt, Alternative])
def test_a_sentence_asks_for_no_more_than_its_code_has(kind, language):
    for code, text in words.texts(language)[kind.section].items():
        assert asked(text) <= set(kind.codes[code]), code


def test_sentences_of_both_languages_show_the_same_data():
    english, japanese = (words.texts(language)["sentences"] for language in words.LANGUAGES)
    assert {key: asked(text) for key, text in english.items()} == {key: asked(text) for key, text in japanese.items()}


def test_the_english_sentences_show_all_the_data_of_a_code():
    for kind in (Reason, Doubt, Alternative):
        for code, text in words.texts("en")[kind.section].items():
            assert asked(text) == set(kind.codes[code]), code


def test_japanese_stands_in_ja_toml_alone():
    for path in ROOM.rglob("*.py"):
        strings = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
        typed = [text for text in strings if isinstance(text, str) and any("぀" <= letter <= "鿿" for letter in text)]
        assert not [text for text in typed if "\n" not in text and "米ドル" not in text], path.name


def test_a_remark_of_no_code_or_with_other_data_is_refused():
    with pytest.raises(ValueError, match=r"reasons: 'too_big' with \[\]"):
        Reason("too_big")
    with pytest.raises(ValueError, match=r"reasons: 'too_slow' with \['limit_ms'\]"):
        Reason("too_slow", {"limit_ms": 3})
    with pytest.raises(ValueError, match="doubts: 'too_large'"):
        Doubt("too_large", {"need_gb": 3, "room_gb": 2})
    with pytest.raises(ValueError, match="words in en, ja"):
        words.texts("fr")


def test_reasons_are_told_once_each():
    slow = Reason("too_slow", {"latency_ms": 61.23, "limit_ms": 50.0})
    open_one = Reason("loss_unsettled", {"low": 0.01, "high": 0.05, "tolerance": 0.03, "because": None})
    told = words.reasons([slow, open_one, slow])
    assert told.startswith("too slow: 61.2 ms a token, with a limit of 50; loss not settled: +0.01 to +0.05 by")
    assert words.reasons([slow, open_one, slow], "ja") == "応答が遅すぎる、品質が許容範囲に収まるか未確定（要実測）"
    assert words.reasons([]) == words.reasons([], "ja") == ""


def test_changes_of_energy_are_told_as_ranges():
    doubt = Doubt("energy", {"changes": (("nf4 x bf16", -0.1, 0.4), ("LLM.int8", 7.0, 7.0))})
    assert words.told(doubt).endswith("less energy than in 16 bits: NF4 weights -10% to +40%, LLM.int8 +700%.")
    assert words.told(doubt, "ja").endswith("：重みNF4 -10%～+40%、LLM.int8 +700%。")


def test_facts_and_options_are_told_in_the_language():
    unseen = Doubt("fact_unseen", {"device": "L4", "facts": (("memory", 24.0, "GB"), ("power", 72.0, "W"))})
    assert words.told(unseen).endswith(": memory 24 GB, power 72 W.")
    assert words.told(unseen, "ja").endswith("（メモリ 24 GB、消費電力 72 W）。")
    untested = Doubt("speed_untested", {"options": (("dense", "L4"), ("int4", "A10"))})
    assert "of 16 bits on L4; int4 on A10: none" in words.told(untested)
    assert words.told(untested, "ja").startswith("L4の16ビット、A10のint4の速度")
    experts = dict.fromkeys(Doubt.codes["experts"], 1.0) | {"total": 1.168e11, "active": 5.17e9}
    assert "all 117 billion parameters" in words.told(Doubt("experts", experts))
    japanese = words.told(Doubt("experts", experts), "ja")
    assert "全1,170億パラメータを置き" in japanese and "1トークンが使う51.7億パラメータの分" in japanese


def test_every_fact_that_moves_a_plan_has_a_name():
    assert all(set(words.texts(language)["facts"]) == set(FACTS) for language in words.LANGUAGES)


def test_where_nothing_is_feasible_each_obstacle_is_told_in_both_languages():
    unpriced = Reason("no_price", {"device": "B300"})
    against = {"dense": (unpriced,), "int4": (Reason("too_large", {"need_gb": 90.0, "room_gb": 80.0}),)}
    nothing = Conclusion(Verdict.REJECT, Ground.NOTHING, None, None, (), "USD", 24, against)
    english = words.recommendation(nothing)
    assert english.startswith("Do not compress: nothing here meets") and "16 bits: no price of B300" in english
    assert english.endswith("int4: does not fit: 90.0 of 80 GB.")
    assert words.recommendation(nothing, "ja").endswith("16ビット：価格が不明。int4：メモリ不足。")


def test_counts_as_people_say_them():
    told = [(0, "0", "0"), (950, "950", "950"), (2.44e9, "2.4 billion", "24億"), (9.96e8, "1 billion", "10億")]
    told += [(1.5e13, "15 trillion", "15兆"), (3e15, "3,000 trillion", "3,000兆"), (12345, "12,000", "1.2万")]
    for value, english, japanese in told:
        assert (words.large(value), words.large(value, "ja")) == (english, japanese)


@pytest.mark.parametrize(
    ("value", "english", "japanese"),
    [
        (1.0, "more than 99%", "99%超"),
        (0.996, "more than 99%", "99%超"),
        (0.994, "99%", "99%"),
        (0.5, "50%", "50%"),
        (0.006, "1%", "1%"),
        (0.004, "less than 1%", "1%未満"),
        (0.0, "less than 1%", "1%未満"),
        (float("nan"), "–", "–"),
    ],
)
def test_no_share_of_draws_is_told_as_sure_or_impossible(value, english, japanese):
    assert (words.share(value), words.share(value, "ja")) == (english, japanese)


def test_a_summary_tells_no_forecast_as_sure(few):
    conclusion = decide.plan(Scenario.of(SCENARIO)).conclusion
    told = replace(
        conclusion, ground=Ground.PAYS, choice=pd.concat([conclusion.choice.drop("pays"), pd.Series({"pays": 1.0})])
    )
    for language, sure in {"en": "more than 99% of the draws", "ja": "99%超"}.items():
        text = words.summary(told, language)
        assert sure in text and "100%" not in text


@pytest.mark.slow
@pytest.mark.parametrize("ground", words.SENTENCES)
def test_the_verdict_comes_first_and_sentences_are_short(few, ground):
    plan = decide.plan(Scenario.of(SCENARIO))
    wanted = measuring.measurement(plan.scenario, plan.scenario.formats[0])
    turning = Turning(1.2e6, above=ground != "work")
    conclusion = replace(plan.conclusion, ground=ground, turning=turning, measurement=wanted)
    text = words.summary(replace(conclusion, verdict=Verdict.COMPRESS))
    assert text.startswith("Compress: ")
    told = re.sub(r"FP8 weights and activations|H100 80GB SXM|\(.*?\)", "name", text.removeprefix("Compress: "))
    assert max(len(sentence.split()) for sentence in re.split(r"(?<=[a-z0-9%])\. ", told)) <= 28


def test_one_measured_format_is_one_measurement():
    assert words.source(LossOrigin.MEASURED, 1) == "from 1 measurement"
    assert words.source(LossOrigin.MEASURED, 3) == "from 3 measurements"
    assert words.source(LossOrigin.PRIOR, 0, "ja") == "同じ規模のモデルの実測"


def test_where_both_pay_as_many_devices_the_spreads_are_shown(few):
    conclusion = decide.plan(Scenario.of(SCENARIO)).conclusion
    paid = {"devices_paid_p10": 4.0, "devices_paid": 8.0, "devices_paid_p90": 12.0}
    choice = pd.concat([conclusion.choice.drop(list(paid)), pd.Series(paid)])
    base = pd.concat([conclusion.baseline.drop(list(paid)), pd.Series(paid | {"devices_paid_p90": 16.0})])
    alike = replace(conclusion, ground=Ground.PAYS, choice=choice, baseline=base)
    assert " × H100 80GB SXM (P10 to P90: 4 to 12) should save " in words.summary(alike)
    assert "H100 80GB SXM 8基（P10～P90：4～16基）" in words.summary(alike, "ja")
    fewer = replace(alike, choice=choice.replace({8.0: 7.0}))
    assert "on 7 × H100 80GB SXM should save " in words.summary(fewer)


def test_the_surer_choice_is_named_with_its_own_numbers(few):
    conclusion = decide.plan(Scenario.of(SCENARIO)).conclusion
    own = {"pays": 0.74, "saving_month": 5590.0, "saving_month_p10": -2490.0, "saving_month_p90": 16400.0}
    row = pd.concat([conclusion.choice.drop(list(own)), pd.Series(own)])
    for ground in (Ground.PAYS, Ground.GAINS, Ground.SWAPS):
        told = replace(conclusion, ground=ground, surer=row)
        english, japanese = words.summary(told), words.summary(told, "ja")
        assert "The surer choice is FP8 weights and activations on " in english
        assert "74% of the draws pay" in english and "USD 5,590 a month (P10 to P90: USD -2,490 to USD 16,40" in english
        assert (
            "黒字化がより確実なのは" in japanese
            and "確率は74%" in japanese
            and "▲2,490米ドル～1.64万米ドル" in japanese
        )
        assert "surer" not in words.summary(replace(told, surer=None))
