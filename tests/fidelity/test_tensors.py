"""The compact tables of tensors say which tensors a model has, and recipes give each of them one type."""

import pandas as pd
import pytest

from rholaw.fidelity import tensors

BITS = {  # of the types of llama.cpp and ik_llama.cpp that recipes use
    **{"f32": 32, "q8_0": 8.5, "iq6_k": 6.625, "q6_k": 6.5625, "q6_0": 6.5, "q5_1": 6, "q5_0": 5.5, "q5_k": 5.5},
    **{"iq5_k": 5.5, "iq5_ks": 5.25, "iq4_k": 4.5, "iq4_nl": 4.5, "q4_0": 4.5, "iq4_ks": 4.25, "iq4_xs": 4.25},
    **{"iq4_kss": 4, "iq4_kt": 4, "iq3_k": 3.4375, "iq3_s": 3.4375, "iq3_ks": 3.1875, "iq3_kt": 3.125},
    **{"iq3_xxs": 3.0625, "iq2_kl": 2.6875, "q2_k": 2.625, "iq2_s": 2.5625, "iq2_xs": 2.3125, "iq2_ks": 2.1875},
    **{"iq2_kt": 2.125, "iq2_xxs": 2.0625, "iq1_kt": 1.75, "iq1_m": 1.75, "iq1_s": 1.5625},
}


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ("0", ["blk.0.ffn_up.weight"]),
        ("0-2 5", ["blk.0.ffn_up.weight", "blk.1.ffn_up.weight", "blk.2.ffn_up.weight", "blk.5.ffn_up.weight"]),
        ("9-10", ["blk.9.ffn_up.weight", "blk.10.ffn_up.weight"]),
    ],
)
def test_layers_are_spread(layers, names):
    rows = pd.DataFrame({"tensor": ["output.weight", "blk.*.ffn_up.weight"], "layers": [None, layers], "weights": 7})
    assert tensors._spread(rows)["tensor"].tolist() == ["output.weight", *names]
    assert tensors._spread(rows)["weights"].eq(7).all()


def test_sizes_sum_to_the_models():
    total = tensors.sizes().groupby("model")["weights"].sum()
    assert (total == tensors.models().set_index("model")["weights"]).all() and len(total) == 20


def test_every_measured_tensor_and_every_tensor_of_a_recipe_has_a_size():
    for frame in (tensors.alone(), tensors.recipe_tensors()):
        assert frame["weights"].notna().all() and (frame["weights"] > 0).all()


def test_one_tensor_alone_costs_something_and_stands_once():
    rows = tensors.alone()
    assert (rows["kl"] > 0).all() and not rows.duplicated(["model", "type", "tensor"]).any()
    assert rows["model"].nunique() == 20


def test_recipes_are_whole_and_their_types_give_the_bits_of_their_names():
    recipes, types = tensors.recipes().set_index("recipe"), tensors.recipe_tensors()
    assert not types.duplicated(["recipe", "tensor"]).any()
    assert (types.groupby("recipe").size() == recipes["tensors"]).all()
    bits = types["type"].str.removesuffix("_r4").map(BITS)
    assert bits.notna().all()
    sums = types.assign(bits=bits * types["weights"]).groupby("recipe")[["bits", "weights"]].sum()
    off = recipes.index[(sums["bits"] / sums["weights"] - recipes["bits"]).abs() > 0.03]
    assert off.tolist() == ["r049", "r058", "r060", "r076"]  # told in the manifest
