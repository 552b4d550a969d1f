"""Names that people use: the same formats in both languages, each of them one."""

import re

import pytest

import rholaw as rl
from rholaw import tables
from rholaw.planning import names, words
from rholaw.planning.inputs import Option
from rholaw.planning.remarks import Reason


def test_both_languages_name_the_same():
    english, japanese = names.table("en"), names.table("ja")
    assert set(english) == set(japanese)
    assert all(
        set(english[section]) == set(japanese[section]) for section in ("formats", "grids", "caches", "roles", "blocks")
    )


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_key_is_a_format_and_no_two_share_a_name(language):
    table = names.table(language)
    assert all(rl.parse(code) for section in ("formats", "grids", "caches") for code in table[section])
    assert all(len(set(table[section].values())) == len(table[section]) for section in ("formats", "grids"))
    assert set(table["roles"]) == {"weights", "activations", "kv"}


@pytest.mark.parametrize(
    ("option", "english", "japanese"),
    [
        (Option(), "16 bits", "16ビット"),
        (Option("sint4/g128"), "INT4 weights", "INT4（重み）"),
        (Option("fp8_row", "fp8_row"), "FP8 weights and activations", "FP8（重み・活性化）"),
        (
            *(Option("fp8_row", "fp8_row", "fp8_tensor"), "FP8 weights and activations, FP8 cache"),
            "FP8（重み・活性化・KVキャッシュ）",
        ),
        (
            *(Option("2:4+fp8_row", "fp8_row"), "2:4-sparse FP8 weights, FP8 activations"),
            "2:4スパース＋FP8（重み）×FP8（活性化）",
        ),
        (Option("fp8_tensor"), "per-tensor FP8 weights", "テンソル単位のFP8（重み）"),
        (
            Option("int4+out0.01", "s0.5"),
            "int4+out0.01 weights, half pruned activations",
            "int4+out0.01（重み）×半分を枝刈り（活性化）",
        ),
    ],
)
def test_options(option, english, japanese):
    assert names.option(option) == names.called(option.name) == english
    assert names.option(option, "ja") == names.called(option.name, "ja") == japanese


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("int4", "4-bit integers"),
        ("sint4/g128", "INT4"),
        ("2:4", "2:4-sparse"),
        ("int4/g64", "4-bit integers, blocks of 64"),
        ("int4/g64:mse", "4-bit integers, blocks of 64, searched"),
        ("int4/g64:bf16", "int4/g64:bf16"),
        ("2:4+int4", "2:4-sparse 4-bit integers"),
        ("2:4+e6m1", "2:4+e6m1"),
        ("q4_k_s", "Q4_K_S"),
        ("iq1_kt", "IQ1_KT"),
        ("e2m1/g16:e4m3", "NVFP4"),
        ("4:8+int4", "4:8-sparse 4-bit integers"),
        ("2:4+nvfp4", "2:4-sparse NVFP4"),
        ("e6m1", "e6m1"),
    ],
)
def test_grids(code, name):
    assert names.grid(code) == name


@pytest.mark.parametrize("text", ["", "engine", "a x b", "FP8（重み・活性化）", "tokens_per_second"])
def test_what_is_no_option_stays(text):
    assert names.called(text) == text


def test_a_language_without_names():
    with pytest.raises(KeyError, match="fr"):
        names.table("fr")


@pytest.mark.parametrize(
    ("code", "english", "japanese"),
    [
        ("int4 x bf16", "4-bit integer weights", "4ビット整数（重み）"),
        ("int4+out x bf16", "outlier-keeping 4-bit integer weights", "外れ値を残す4ビット整数（重み）"),
        ("fp8 x fp8", "FP8 weights and activations", "FP8（重み・活性化）"),
        ("int4 x fp8", "4-bit integer weights, FP8 activations", "4ビット整数（重み）×FP8（活性化）"),
        ("2:4+int4 x bf16", "2:4-sparse 4-bit integer weights", "2:4スパース＋4ビット整数（重み）"),
    ],
)
def test_kernels(code, english, japanese):
    assert (names.kernel(code), names.kernel(code, "ja")) == (english, japanese)


def test_no_kernel_is_told_by_its_code():
    codes = set(tables.read("hardware/kernels").kernel)
    told = [names.kernel(code, language) for code in codes for language in ("en", "ja")]
    assert codes and not [name for name in told if re.search(r" x |bf16|\bfp8|\bint\d", name)]


def test_a_kernel_that_is_not_known_is_told_by_what_it_multiplies():
    reason = Reason("kernel_unknown", {"engine": "vLLM", "numbers": "int4 x bf16"})
    assert words.told(reason) == "whether vLLM runs 4-bit integer weights there is not known"
