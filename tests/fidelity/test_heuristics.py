"""llama.cpp's mixtures by its rules, and that no rule beats the least damage in the same bytes."""

import pytest

from rholaw.fidelity import heuristics, parts

PLAIN = ["q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q8_0"]
MODEL = "Qwen3.6-27B"


def test_the_mixture_of_a_llama_with_32_layers():
    """As `use_more_bits` of llama.cpp: layers 0 to 3, 28 to 31, and every third between."""
    tensors = ["token_embd.weight", "output.weight"]
    tensors += [f"blk.{i}.{kind}.weight" for i in range(32) for kind in ("attn_v", "attn_q", "ffn_down")]
    types = heuristics.mixture(tensors, "q4_k_m")
    more = [i for i in range(32) if types[f"blk.{i}.ffn_down.weight"] == "q6_k"]
    assert more == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]
    assert types["output.weight"] == "q6_k" and types["token_embd.weight"] == types["blk.0.attn_q.weight"] == "q4_k"
    assert all(types[f"blk.{i}.attn_v.weight"] == types[f"blk.{i}.ffn_down.weight"] for i in range(32))


def test_a_head_that_is_the_embedding_has_the_bits_of_a_head():
    assert heuristics.mixture(["token_embd.weight", "blk.0.ffn_up.weight"], "q2_k")["token_embd.weight"] == "q6_k"


def test_no_rule_does_less_damage_than_the_least():
    table = heuristics.compare(parts.tensor_sensitivities(MODEL), PLAIN, MODEL).set_index("rule")
    assert (table["gain"] > 0.999).all() and table.loc["q2_k", "gain"] == pytest.approx(1)
    assert table.loc["llama.cpp q4_k_m", "gain"] > 1.05
    for bits in ("3", "4", "5"):
        assert table.loc[f"by kind, {bits} bits", "gain"] < table.loc[f"equal parts, {bits} bits", "gain"]


def test_rules_that_are_smaller_than_the_types_are_left_out():
    rules = heuristics.compare(parts.tensor_sensitivities(MODEL), ["q4_k"], MODEL)
    assert rules["bits"].min() == 4.5 and set(rules["rule"]) >= {"q4_k", "equal parts, 5 bits"}
    assert not any("3 bits" in rule or "q2_k" in rule for rule in rules["rule"])


def test_an_unknown_mixture_is_told_the_closest():
    with pytest.raises(ValueError, match="did you mean q4_k_m"):
        heuristics.mixture([], "q4_k_n")
