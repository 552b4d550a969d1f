"""Parts of κ: shares that sum to one, tensors that were measured together, and what is predicted without measuring."""

import numpy as np
import pandas as pd
import pytest

from rholaw.fidelity import names, parts, sensitivity, tensors


def test_parts_sum_to_the_whole_and_keep_the_order_of_the_file():
    for model in ("Qwen3.5-2B", "GLM-4.5-Air"):
        table = parts.tensor_sensitivities(model)
        assert table["kappa"].sum() == pytest.approx(parts.whole(model).kappa)
        sizes = tensors.sizes()
        assert table["tensor"].tolist() == sizes.loc[sizes["model"] == model, "tensor"].tolist()
        assert 0 < table.attrs["scale"] < 0.3
        stay = table["kappa"].isna()
        assert stay.any() and table["tensor"][stay].str.contains("norm|bias|ssm|gate_inp|nextn").all()
        assert (table["stderr"][~stay] >= 0).all() and not table["kappa"][~stay].isna().any()


def test_the_head_is_worth_most():
    table = parts.tensor_sensitivities("Qwen3.6-27B").set_index("tensor")
    assert table["kappa"].idxmax() == "output.weight"


def test_tensors_that_were_compressed_in_one_measurement_share_it():
    rows = parts.alone("GLM-4.5-Air")["iq1_m"].set_index("tensor")
    together = rows.loc[[f"blk.9.ffn_{part}_shexp.weight" for part in ("gate", "up", "down")]]
    assert together["kl"].nunique() == 1 and together["portion"].sum() == pytest.approx(1)
    assert rows.loc["blk.9.ffn_up_exps.weight", "portion"] == 1
    assert rows["floor"].iloc[0] == rows["kl"].min() and (rows["part"] >= 0).all()


def test_kinds_that_agree_by_chance_are_not_taken_for_one():
    kl = pd.Series([0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.4, 0.1, 0.5, 0.6, 0.7])
    kinds, layers = pd.Series(list("aaaabbbbcccc")), pd.Series([0, 1, 2, 3] * 3)
    assert parts._together(kl, kinds, layers) == {"a": "a", "b": "a", "c": "c"}


def test_types_of_one_model_agree_on_the_shares():
    """Rank one: what each tensor's part is does not depend on the type that it was compressed to."""
    shares = {name: rows.set_index("tensor")["part"] for name, rows in parts.alone("Qwen3-4B-Instruct-2507").items()}
    logs = np.log(pd.DataFrame(shares).dropna() + 1e-5)
    assert len(shares) == 4 and logs.corr().to_numpy().min() > 0.92


def test_a_model_predicted_from_the_others_is_better_than_equal_parts():
    gains = []
    for model in ("Qwen3.5-4B", "Qwen3.6-27B", "GLM-4.7", "Qwen3.5-35B-A3B"):
        measured = parts.shares(model)
        guess = parts.predicted_shares(measured["tensor"].tolist(), without=model)
        off = np.abs(np.log(guess) - np.log(measured["share"] + parts.FAINT))
        equal = np.abs(np.log(1 / len(guess)) - np.log(measured["share"] + parts.FAINT))
        assert guess.sum() == pytest.approx(1)
        gains.append(np.average(off, weights=measured["share"]) / np.average(equal, weights=measured["share"]))
    assert max(gains) < 0.6


def test_predicted_sensitivities_of_a_checkpoint_by_either_kind_of_name():
    shapes = {"model.embed_tokens.weight": (1000, 64), "model.norm.weight": (64,)}
    for at in range(2):
        shapes |= {f"model.layers.{at}.self_attn.{part}_proj.weight": (64, 64) for part in "qkvo"}
        shapes |= {f"model.layers.{at}.mlp.experts.{e}.up_proj.weight": (128, 64) for e in range(4)}
    matrices = names.matrices(shapes)
    assert matrices.set_index("tensor").loc["blk.1.ffn_up_exps.weight"].tolist() == [4 * 128 * 64, 64]
    table = parts.predicted_sensitivities(matrices, kappa=7.0, scale=0.4).set_index("tensor")
    assert table["kappa"].sum() == pytest.approx(7) and table.attrs["scale"] == 0.4
    assert np.isnan(table.loc["model.norm.weight", "kappa"])
    assert table["kappa"].idxmax() == "token_embd.weight"  # without an output.weight it is the head
    with pytest.raises(ValueError, match="no tensor has a name"):
        parts.predicted_sensitivities(pd.DataFrame({"tensor": ["a"], "weights": [1]}), 1.0)


def test_an_unknown_model_is_told_the_closest():
    with pytest.raises(ValueError, match=r"did you mean Qwen3\.6-27B"):
        parts.tensor_sensitivities("Qwen3.6-27b-it")


@pytest.mark.parametrize(
    ("name", "gguf"),
    [
        ("model.layers.7.self_attn.o_proj.weight", "blk.7.attn_output.weight"),
        ("model.language_model.layers.3.mlp.down_proj.weight", "blk.3.ffn_down.weight"),
        ("model.layers.3.mlp.shared_experts.up_proj.weight", "blk.3.ffn_up_shexp.weight"),
        ("lm_head.weight", "output.weight"),
        ("blk.7.attn_q.weight", "blk.7.attn_q.weight"),
        ("model.layers.7.input_layernorm.weight", "model.layers.7.input_layernorm.weight"),
    ],
)
def test_names_of_hugging_face_become_names_of_gguf(name, gguf):
    assert names.of_gguf(name) == gguf


def test_every_module_has_one_name_and_comes_back():
    for kind in names.MODULES:
        module = names.of_module(f"blk.5.{kind}.weight")
        assert names.of_gguf(f"{module.replace('*', '3')}.weight") == f"blk.5.{kind}.weight"
    with pytest.raises(ValueError, match="no module"):
        names.of_module("blk.5.attn_k_b.weight")


def test_the_error_of_files_is_by_damage_where_ggml_searches_and_by_definition_elsewhere():
    assert parts.file_error("q4_k") == float(sensitivity.errors("q4_k")[0])
    assert parts.file_error("iq2_kt") == sensitivity.inferred()["iq2_kt"]
    assert 0.3 < parts.file_error("iq1_s") < 0.5  # of two models; the best codes would have half of it
    with pytest.raises(ValueError, match="q4_x"):
        parts.file_error("q4_x")


def test_the_parts_of_a_type_over_its_whole():
    model = "Qwen3-4B-Instruct-2507"
    sums, rows = parts.additive(model), parts.alone(model)
    assert set(sums.index) <= set(rows) and sums.between(0.3, 3).all()
    name = sums.index[0]
    whole = parts.whole(model).kappa * parts.file_error(name)
    assert sums[name] * whole == pytest.approx(rows[name]["part"].sum())
