"""Runs beside their reference: what counts, what does not and why, and how sure a difference of perplexities is."""

import math

import pandas as pd
import pytest
from perplexity_logs import divergence, loaded, perplexity

import rholaw as rl
from rholaw.fidelity import logs, mixtures
from rholaw.fidelity.compared import compare, costs, given, published
from rholaw.fidelity.logs import Run
from rholaw.fidelity.sensitivity import inferred


def compared(tmp_path, *parts):
    path = tmp_path / "my.log"
    path.write_text("".join(parts), encoding="utf-8")
    return compare(logs.read(path))


def test_divergences_need_no_reference(tmp_path):
    result = compared(
        tmp_path, loaded("q8_0"), divergence("0.0014"), loaded("q3_k_s"), divergence("0.228217", "0.001079")
    )
    assert result.metric == "kl" and result.table.format.tolist() == ["q8_0", "q3_k_s"] and not result.refused
    assert result.table.rise.tolist() == [0.0014, 0.228217] and result.table.stderr.tolist() == [0.00024, 0.001079]
    assert result.table.gmse[1] == pytest.approx(0.0213, rel=0.02) and result.n_params == pytest.approx(8.03e9)


def test_perplexities_are_compared_with_16_bits(tmp_path):
    parts = [loaded("q3_k_s"), perplexity(7.8638), loaded("f16"), perplexity(6.2332)]
    result = compared(tmp_path, *parts, loaded("q8_0"), perplexity(6.2343))
    assert result.metric == "ppl" and result.reference == "f16" and result.table.format.tolist() == ["q3_k_s", "q8_0"]
    rise = math.log(7.8638 / 6.2332)
    assert result.table.rise[0] == pytest.approx(rise) and result.table.doubt.tolist() == ["", ""]
    assert result.table.stderr[0] == pytest.approx(math.sqrt(2 * rise / (564 * 255)))


def test_the_error_of_a_difference_is_what_llama_cpp_measures(tmp_path):
    """Llama 3 8B in q3_k_s (llama.cpp, PR 6936): ln ratio .2326 ± .0018; one perplexity ± .0062."""
    result = compared(tmp_path, loaded("q3_k_s"), perplexity(7.863786), loaded("f16"), perplexity(6.231634))
    assert result.table.stderr[0] == pytest.approx(0.0018, rel=0.1)


def test_q8_0_is_a_reference_with_a_doubt(tmp_path):
    result = compared(tmp_path, loaded("q8_0"), perplexity(6.2343), loaded("q3_k_s"), perplexity(7.8638))
    assert result.reference == "q8_0" and result.table.format.tolist() == ["q3_k_s"]
    assert "compared with q8_0" in result.table.doubt[0]


def test_a_divergence_beside_perplexities_counts_by_its_ratio(tmp_path):
    parts = [
        loaded("f16"),
        perplexity(6.2332),
        loaded("q3_k_s"),
        perplexity(7.8638),
        loaded("q4_k_m"),
        divergence("0.031"),
    ]
    result = compared(tmp_path, *parts)
    assert result.metric == "ppl" and result.table.rise[1] == 0.027771


def test_a_mix_is_worth_less_than_its_shares_and_less_certain(tmp_path):
    result = compared(tmp_path, loaded("q4_k_m"), divergence("0.031273"))
    shares = mixtures.bounds(["q4_k", "q6_k"], 4.89)[0]
    assert result.table.gmse[0] == pytest.approx(mixtures.SPARED * shares)
    assert (
        result.table.stderr[0] == pytest.approx(mixtures.SPREAD * 0.031273, rel=1e-3)
        and "a mix" in result.table.doubt[0]
    )


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([loaded("q2_k")], "q2_k: no result: it ends before its final estimate"),
        ([loaded("q2_k"), perplexity("nan", "nan")], "q2_k: its perplexity is not a number"),
        ([loaded("q2_k"), divergence("0.4", chunks=100)], "q2_k: 100 chunks of 512 tokens, where most have 564 of 512"),
        (
            [loaded("q2_k", context=2048), divergence("0.4")],
            "q2_k: 564 chunks of 2048 tokens, where most have 564 of 512",
        ),
    ],
)
def test_a_run_that_does_not_count_is_told_with_its_reason(tmp_path, parts, reason):
    result = compared(tmp_path, loaded("q8_0"), divergence("0.001"), *parts, loaded("q3_k_s"), divergence("0.2"))
    assert result.table.format.tolist() == ["q8_0", "q3_k_s"]
    assert len(result.refused) == 1 and reason in result.refused[0]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([loaded("f16"), perplexity(6.2)], "no run of a compressed model"),
        (
            [loaded("q4_k_m"), perplexity(6.4), loaded("q3_k_s"), perplexity(7.9)],
            "none of the model in f16, bf16 or q8_0",
        ),
        (
            [loaded("q8_0"), divergence("0.001"), loaded("q3_k_s", params=1.24), divergence("0.2")],
            "several models, of 1.24e",
        ),
        ([divergence("0.001")], "no run of a compressed model can be used:\nmy.log, line 2: a model: which model"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, parts, message):
    with pytest.raises(ValueError, match=message):
        compared(tmp_path, *parts)


def test_an_importance_matrix_for_some_is_a_doubt(tmp_path):
    result = compared(
        tmp_path, loaded("q8_0"), divergence("0.001"), loaded("q3_k_s", importance=True), divergence("0.2")
    )
    assert ["importance" in doubt for doubt in result.table.doubt] == [False, True]


def test_a_mix_by_its_name_alone_is_that_of_llama():
    table = compare([Run("my.log, line 1", "Q5_K_S.gguf", kl=(0.016, 0.0001))]).table
    assert table.gmse[0] == pytest.approx(mixtures.weighted(mixtures.MIXES["q5_k_s"])[1])
    assert "Llama 3 8B" in table.doubt[0] and pd.isna(table.tokens[0])


@pytest.mark.parametrize("name", ["UD-Q4_K_XL", "IQ3_M"])
def test_a_mix_that_is_not_known_needs_its_types(name):
    with pytest.raises(ValueError, match=r"mixes is not known: keep the lines"):
        compare([Run("my.log, line 1", f"x-{name}.gguf", kl=(0.016, 0.0001))])


def test_the_example_has_the_numbers_of_the_atlas():
    table, runs = costs("", "")
    rows = rl.fidelity.load(source="llamacpp_6936", model="Llama-3-8B", metric="kl", method="ggml")
    facts = published(rows).set_index("format").rise
    assert table.rise.tolist() == [facts["q4_k_s"], facts["q3_k_s"]] and runs.metric == "kl" and not runs.refused
    assert len(facts) >= 14 and published(rows[:0]).empty


def test_costs_without_a_log_are_numbers_by_name():
    table = given([" q4_k = 0.03 ", "q4_k_m=0.02", "iq4_ks=0.03"])
    assert table["format"].tolist() == ["q4_k", "q4_k_m", "iq4_ks"] and table.rise.tolist() == [0.03, 0.02, 0.03]
    assert table.gmse[0] == rl.gmse("q4_k").value and table.gmse[1] == mixtures.worth("q4_k_m")[0]
    assert table.stderr.tolist() == [0, mixtures.SPREAD * 0.02, 0]


@pytest.mark.parametrize(
    ("log", "measured", "message"),
    [
        ("my.log", "q4_k=0.03", "not both"),
        ("", "q4_k", "must be a format, ="),
        ("", "q4_k=0", "0 must be above 0"),
        ("", "q4_k=inf", "finite number"),
        ("", "q9_k=0.1", "q9_k"),
    ],
)
def test_costs_that_cannot_be_are_refused(log, measured, message):
    with pytest.raises(ValueError, match=message):
        costs(log, measured)


def test_no_costs_are_refused():
    with pytest.raises(ValueError, match="no cost is given"):
        given([])


def test_a_long_word_in_place_of_a_cost_has_a_short_refusal():
    with pytest.raises(ValueError, match=r"^xxx.*must be a format, =") as refusal:
        given(["x" * 5000])
    assert len(str(refusal.value)) < 300


def test_what_a_codebook_type_cost_is_read_by_the_error_that_its_files_have():
    """As predictions are made: measured in a type and predicted for it, the cost comes back."""
    table = given(["iq2_xxs=0.5", "q3_k=0.08"])
    assert table.gmse[0] == inferred()["iq2_xxs"]
    assert rl.fit_sensitivity(table).kappa == pytest.approx(
        rl.fit_sensitivity(table[["format", "rise", "stderr"]]).kappa
    )
