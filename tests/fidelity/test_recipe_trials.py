"""The test by recipes: on perplexities that follow a line the recipe left out is found, and pairs are counted."""

import numpy as np
import pandas as pd
import pytest

from rholaw.fidelity import recipe_trials


def made(kl, log_ppl, **more):
    return pd.DataFrame({"model": "M", "bits": 4.0, "kl": kl, "log_ppl": log_ppl, **more})


def test_a_line_is_found_again_and_what_departs_from_it_is_told():
    kl = np.array([0.01, 0.05, 0.1, 0.3, 0.5])
    table = recipe_trials.left_out(made(kl, 2.0 + 0.8 * kl))
    assert table["base"].to_numpy() == pytest.approx(2.0) and table["slope"].to_numpy() == pytest.approx(0.8)
    assert table["implied"].to_numpy() == pytest.approx(kl) and table["off"].abs().max() < 1e-9
    assert table["counts"].tolist() == [False, True, True, True, True]
    bent = recipe_trials.left_out(made(kl, 2.0 + 0.8 * kl * [1, 1, 1, 2, 1]))
    assert bent["off"].iloc[3] == pytest.approx(np.log(2))  # the recipe itself is no part of its line


def test_models_with_two_recipes_cannot_be_tried():
    two = made([0.1, 0.2], [2.0, 2.1]).assign(model="N")
    three = made([0.1, 0.2, 0.3], [2.0, 2.1, 2.2])
    assert set(recipe_trials.left_out(pd.concat([two, three], ignore_index=True))["model"]) == {"M"}


def test_pairs_of_one_size_are_told_right_or_wrong():
    table = made([0.1, 0.2, 0.3], [2.0, 2.1, 2.05], bits=[4.0, 4.0, 4.01])
    assert recipe_trials.ordered(table) == (2, 3)
    assert recipe_trials.ordered(table.assign(bits=[2.0, 3.0, 4.0])) == (0, 0)
    assert recipe_trials.ordered(table.assign(kl=0.1)) == (0, 0)


@pytest.mark.slow
def test_the_recipes_of_the_suite():
    table = recipe_trials.predicted()
    assert len(table) >= 50 and (table["low"] < table["kl"]).all() and (table["kl"] < table["high"]).all()
    follow = table[~table["model"].isin(["GLM-4.7-Flash", "GLM-5.1"])]
    tried = recipe_trials.left_out(follow)
    assert tried.loc[tried["counts"], "off"].abs().median() < 0.2
