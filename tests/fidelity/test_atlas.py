"""The atlas: enough of it, no row twice, rises that follow from its values, and references that do not mix."""

import math
import subprocess
import sys

import pandas as pd
import pytest

import rholaw as rl
from rholaw import tables
from rholaw.fidelity import atlas

ATLAS = rl.fidelity.load()


def test_the_atlas_is_large_enough():
    real = ATLAS[ATLAS["source"] != "parameter_golf"]
    assert len(ATLAS) >= 2000 and ATLAS["source"].nunique() >= 20 and real["model"].nunique() >= 80


def test_columns_and_words():
    assert list(ATLAS.columns) == [*atlas.COLUMNS, "rise", "rise_stderr"]
    assert set(ATLAS["metric"]) == set(atlas.METRICS)
    assert set(ATLAS["purity"]) == set(atlas.PURITIES) and set(ATLAS["method"]) == set(atlas.METHODS)
    assert set(ATLAS["activations"][~ATLAS["activations"].str.startswith("KV ")]) == set(atlas.ACTIVATIONS)
    told = ["source", "model", "family", "given", "method", "activations", "reference", "corpus", "engine"]
    assert ATLAS[[*told, "place", "licence", "date", "credit"]].notna().all().all()


def test_no_measurement_is_there_twice():
    assert not ATLAS.duplicated(atlas.KEY).any()


def test_every_format_is_of_the_grammar_or_of_those_that_are_inferred():
    unknown = set()
    for name in ATLAS["format"].dropna().unique():
        try:
            rl.parse(name)
        except ValueError:
            unknown.add(name)
    assert unknown == set(atlas.INFERRED)


@pytest.mark.parametrize(
    ("metric", "value", "base", "rise"),
    [
        ("kl", "0.25", "", 0.25),
        ("ppl", "8.0", "4.0", 0.6931471805599453),
        ("ppl", "8.0", "", math.nan),
        ("ce", "2.5", "2.25", 0.25),
        ("word_ppl", "8.0", "4.0", math.nan),
        ("bpb", "1.2", "1.1", math.nan),
        ("task", "0.5", "0.6", math.nan),
    ],
)
def test_the_rise_of_each_metric(metric, value, base, rise):
    row = pd.DataFrame({"metric": [metric], "value": [value], "stderr": ["0.5"], "base": [base]})
    got = atlas.derived(row)
    assert got["rise"][0] == pytest.approx(rise, rel=1e-12, nan_ok=True)
    assert got["rise_stderr"][0] == pytest.approx(0.5 if metric == "kl" else math.nan, nan_ok=True)


def test_rises_computed_by_hand_from_what_was_printed():
    rows = ATLAS.set_index(["source", "model", "given", "method", "metric", "corpus"])["rise"]
    for place, rise in {
        ("gptq_paper", "OPT-6.7B", "W4 per-row asym", "gptq", "ppl", "WikiText-2 test"): math.log(11.39 / 10.86),
        ("omniquant_paper", "Llama-2-7B", "W3A16 row", "awq", "ppl", "WikiText-2 test"): math.log(24.00 / 5.47),
        ("llamacpp_6936", "Llama-3-8B", "q6_K", "ggml", "kl", "WikiText-2 test"): 0.005452,
        ("llamacpp_6936", "Llama-3-8B", "q6_K", "ggml", "ppl", "WikiText-2 test"): math.log(6.253382 / 6.231634),
        ("llamacpp_5676", "Mistral-7B-v0.1", "Q2_K", "imatrix", "ce", "WikiText-2 test"): 0.1103,
        ("gptq_for_llama", "LLaMA-13B", "RTN 3", "rtn", "ppl", "PTB"): math.log(21.21 / 8.06),
    }.items():
        assert rows[place] == pytest.approx(rise, rel=1e-9), place


def test_values_are_possible():
    by = dict(tuple(ATLAS.groupby("metric")))
    assert (by["kl"]["value"] > 0).all() and not by["kl"]["value"].eq(404).any()
    assert (by["ppl"][["value", "base"]].min() >= 1).all() and (by["word_ppl"]["value"] > 1).all()
    assert by["task"]["value"].between(0, 100).all() and by["bpb"]["value"].between(0.1, 3).all()
    assert ATLAS["bits"].dropna().between(0.9, 17).all()
    assert (ATLAS["n_active"].dropna() <= ATLAS["n_params"][ATLAS["n_active"].notna()]).all()


def test_a_model_has_one_size_one_training_and_one_family():
    for column in ("n_params", "n_active", "n_tokens", "family"):
        assert ATLAS.groupby("model")[column].nunique().max() == 1, column


def test_references_of_other_texts_contexts_and_engines_do_not_mix():
    """Within one source, text, context and engine the reference of a model is one number, or two within 1 %."""
    perplexities = ATLAS[ATLAS["metric"].isin(["ppl", "word_ppl", "ce"]) & (ATLAS["source"] != "torchao_qat")]
    place = [perplexities[name] for name in ("source", "model", "corpus", "engine")]
    bases = perplexities["base"].groupby([*place, perplexities["context"].fillna(0)]).agg(["min", "max"]).dropna()
    assert len(bases) > 100
    assert (bases["max"] <= bases["min"] * 1.01).all()


def test_what_fits_use_costs_something():
    usable = rl.fidelity.load(usable=True)
    assert usable["rise"].notna().all() and usable["doubt"].isna().all() and len(usable) > 1500
    assert usable["rise"].min() > -0.001  # a perplexity of eight bits may fall below that of sixteen


def test_divergence_and_loss_agree_where_both_are_told():
    usable = rl.fidelity.load(usable=True, metric=["kl", "ppl"])
    both = usable.pivot_table(index=["source", "model", "given", "method"], columns="metric", values="rise").dropna()
    large = both[both["kl"] > 0.1]
    assert len(large) > 150
    assert (large["ppl"] / large["kl"]).between(0.4, 1.3).mean() > 0.99
    assert both["ppl"].corr(both["kl"]) > 0.99


def test_mixtures_of_the_largest_source_are_called_so():
    rows = ATLAS[(ATLAS["source"] == "gguf_tool_suite") & (ATLAS["metric"] == "kl")].set_index(["model", "given"])
    assert rows.loc[("Qwen3.5-4B", "q4_k"), "purity"] == "pure"
    assert rows.loc[("GLM-4.5-Air", "q4_k"), "purity"] == "mixed"
    assert rows.loc[("GLM-5.1", "q2_k"), "purity"] == "mixed"
    assert rows.loc[("Qwen3.6-27B", "iq2_s"), "format"] == "iq2_xs"  # what the file holds, whatever its name
    assert set(rows["context"]) == {512}


def test_load_by_values():
    rows = rl.fidelity.load(metric="kl", format=["q4_k", "q2_k"], purity="pure")
    assert set(rows["format"]) == {"q4_k", "q2_k"} and set(rows["metric"]) == {"kl"}
    with pytest.raises(ValueError, match="metrik: there is no such column of the atlas; did you mean metric"):
        rl.fidelity.load(metrik="kl")
    with pytest.raises(ValueError, match="q4k: there is no such format; did you mean q4_k"):
        rl.fidelity.load(format="q4k")


def test_sources_name_who_is_to_be_credited():
    table = rl.fidelity.sources().set_index("source")
    assert table["rows"].sum() == len(ATLAS) and table["credit"].notna().all() and table["licence"].notna().all()
    suite = table.loc["gguf_tool_suite"]
    assert "Thireus" in suite["credit"] and suite["models"] == 20
    assert suite["place"] == "Thireus/GGUF-Tool-Suite@384c1f85:models/DeepSeek-V3.1-Terminus and 19 more"
    assert " more" not in table.loc["gptq_paper", "place"]
    assert "Thireus and its contributors" in tables.manifest("fidelity/atlas").source


@pytest.mark.slow
def test_the_atlas_needs_no_torch():
    code = "import sys, rholaw as rl; rl.fidelity.load(); rl.fidelity.sources(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
