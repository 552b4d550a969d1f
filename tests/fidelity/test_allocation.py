"""The allocator finds the least damage within the bytes, as trying everything does, and says what it will not take."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rholaw.fidelity import allocation, sensitivity

TYPES = ["iq2_kt", "q3_k", "q4_k", "q6_k", "bf16"]


def table(weights, kappas, **more):
    names = [f"blk.{i}.ffn_up.weight" for i in range(len(weights))]
    return pd.DataFrame({"tensor": names, "weights": weights, "kappa": kappas, **more})


def brute(frame, types, budget):
    """The least rise of all ways that fit, by trying each."""
    bits = [allocation.bits_of(name) for name in types]
    errors = [0.0 if name == "bf16" else float(sensitivity.errors(name)[0]) for name in types]
    best = math.inf
    for way in itertools.product(range(len(types)), repeat=len(frame)):
        size = sum(math.ceil(w * bits[t] / 8) for w, t in zip(frame["weights"], way, strict=True))
        if size <= budget:
            best = min(best, sum(k * errors[t] for k, t in zip(frame["kappa"], way, strict=True)))
    return best


cases = st.lists(
    st.tuples(st.integers(256, 10**6), st.floats(1e-6, 10) | st.just(0.0)), min_size=1, max_size=4
).flatmap(lambda rows: st.tuples(st.just(rows), st.floats(2.2, 17)))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(cases)
def test_nothing_within_the_budget_is_better_by_more_than_the_bound_says(case):
    rows, bits = case
    frame = table(*map(list, zip(*rows, strict=True)))
    budget = frame["weights"].sum() * bits / 8 + len(frame)
    chosen = allocation.allocate(frame, TYPES, budget)
    least = brute(frame, TYPES, budget)
    assert chosen.bytes <= budget
    assert chosen.bound <= least * (1 + 1e-9) + 1e-12
    assert least <= chosen.rise * (1 + 1e-9)
    steps = frame["kappa"].max() * float(sensitivity.errors("iq2_kt")[0])  # the largest step of one tensor
    assert chosen.rise <= least + steps + 1e-12


def test_many_small_tensors_come_within_a_thousandth_of_the_bound():
    generator = np.random.default_rng(0)
    frame = table(generator.integers(10**4, 10**6, 400), generator.lognormal(0, 1.5, 400))
    for bits in (2.5, 3.3, 5.0, 7.0):
        chosen = allocation.allocate(frame, TYPES, frame["weights"].sum() * bits / 8)
        assert chosen.bound <= chosen.rise <= chosen.bound * 1.001


def test_more_bytes_never_cost_more_and_equal_tensors_get_equal_types_where_all_fit():
    frame = table([10**5] * 20, [1.0] * 20)
    rises = [allocation.allocate(frame, TYPES, 2 * 10**6 * bits / 8).rise for bits in np.arange(2.2, 16.5, 0.4)]
    assert (np.diff(rises) <= 0).all()
    chosen = allocation.allocate(frame, TYPES, 2 * 10**6 * 4.5 / 8)
    assert set(chosen.table["type"]) == {"q4_k"} and chosen.bits == 4.5


def test_all_fits_and_nothing_is_compressed():
    chosen = allocation.allocate(table([1000, 2000], [1.0, 2.0]), TYPES, 1e9)
    assert set(chosen.table["type"]) == {"bf16"} and chosen.rise == chosen.bound == 0 and chosen.interval() == (0, 0)


def test_a_tensor_without_damage_takes_the_fewest_bytes():
    chosen = allocation.allocate(table([1000, 1000], [0.0, 1.0]), ["q6_k", "iq2_kt"], 1e9)
    assert chosen.table["type"].tolist() == ["iq2_kt", "q6_k"]


def test_fixed_types_hold_by_name_or_pattern_the_first_that_fits_and_without_kappa_f32():
    frame = table([1024] * 4, [1.0, 1.0, 1.0, np.nan])
    fixed = {"blk.0.ffn_up.weight": "Q8_0", r"blk\.[01]\.ffn_up\.weight": "q6_k"}
    chosen = allocation.allocate(frame, ["q3_k"], 1e9, fixed)
    assert chosen.table["type"].tolist() == ["q8_0", "q6_k", "q3_k", "f32"]
    assert chosen.bytes == math.ceil(1024 * (8.5 + 6.5625 + 3.4375 + 32) / 8)
    assert chosen.rise == pytest.approx(sensitivity.errors(["q8_0", "q6_k", "q3_k"]).sum())


def test_blocks_divide_rows():
    frame = table([2880 * 10, 2560 * 10], [1.0, 1.0], row=[2880, 2560])
    chosen = allocation.allocate(frame, ["q4_k", "q5_0"], 1e9)  # 2880 is 11.25 blocks of 256
    assert chosen.table["type"].tolist() == ["q5_0", "q5_0"]
    tight = allocation.allocate(frame, ["q4_k", "q5_0"], 28800 * 5.5 / 8 + 25600 * 4.5 / 8)
    assert tight.table["type"].tolist() == ["q5_0", "q4_k"]
    with pytest.raises(ValueError, match=r"blk\.0\.ffn_up\.weight: rows of 2880 weights .* add q8_0"):
        allocation.allocate(frame, ["q4_k"], 1e9)


@pytest.mark.parametrize(
    ("change", "types", "budget", "fixed", "message"),
    [
        ({}, [], 1e9, None, "types is empty"),
        ({}, ["q4_q"], 1e9, None, "q4_q"),
        ({}, ["q4_k"], np.inf, None, "must be a finite number .bytes: the budget"),
        ({}, ["q4_k"], 10, None, r"leaves 10 bytes for 2 tensors, which take .* raise it"),
        ({}, ["q4_k"], 1e9, {"blk.0.ffn_upp.weight": "q4_k"}, r"did you mean blk\.0\.ffn_up\.weight"),
        ({}, ["q4_k"], 1e9, {"(": "q4_k"}, "is no tensor and no regular expression"),
        ({"kappa": [1.0, -1.0]}, ["q4_k"], 1e9, None, r"blk\.1\.ffn_up\.weight: kappa is -1.0"),
        ({"kappa": [1.0, np.inf]}, ["q4_k"], 1e9, None, "kappa is inf"),
        ({"weights": [0, 0]}, ["q4_k"], 1e9, None, "weights is 0, and must be above 0"),
        ({"weights": [1000, np.nan]}, ["q4_k"], 1e9, None, "weights is nan"),
        ({"tensor": ["a", "a"]}, ["q4_k"], 1e9, None, "a stands more than once"),
    ],
)
def test_what_cannot_be_is_refused(change, types, budget, fixed, message):
    with pytest.raises(ValueError, match=message):
        allocation.allocate(table([1000, 1000], [1.0, 1.0]).assign(**change), types, budget, fixed)


def test_no_tensors_are_refused():
    with pytest.raises(ValueError, match="sensitivities has no rows"):
        allocation.allocate(table([1000], [1.0]).iloc[:0], ["q4_k"], 1e9)


def test_what_is_no_table_is_refused():
    with pytest.raises(TypeError, match="sensitivities must be a DataFrame, not list"):
        allocation.allocate([{"tensor": "a"}], ["q4_k"], 1e9)
    twice = pd.concat([table([1000], [1.0])] * 2, axis=1)
    with pytest.raises(ValueError, match="has the column tensor more than once"):
        allocation.allocate(twice, ["q4_k"], 1e9)


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match="lacks weights, kappa; it has tensor"):
        allocation.allocate(pd.DataFrame({"tensor": ["a"]}), ["q4_k"], 1e9)


def test_the_interval_holds_the_rise_and_widens_with_every_error():
    frame = table([1000, 1000], [1.0, 2.0])
    narrow = allocation.assigned(frame, dict.fromkeys(frame["tensor"], "q4_k"))
    low, high = narrow.interval()
    assert low < narrow.rise < high and high / narrow.rise == pytest.approx(
        np.exp(allocation.Z80 * np.hypot(allocation.DOUBT, allocation.APART))
    )
    wide = allocation.assigned(frame.assign(stderr=[0.5, 0.0]), dict.fromkeys(frame["tensor"], "q4_k"))
    assert wide.interval()[1] > high and wide.interval(0.95)[1] > wide.interval()[1]
    with pytest.raises(ValueError, match="level"):
        narrow.interval(80)


def test_what_to_measure_next_is_what_is_least_known():
    frame = table([1000] * 3, [1.0, 1.0, 1.0], stderr=[0.1, 2.0, 0.1])
    chosen = allocation.assigned(frame, dict.fromkeys(frame["tensor"], "q4_k"))
    assert chosen.measure_next(1)[["measure", "type"]].to_numpy().tolist() == [["blk.1.ffn_up.weight", "q4_k"]]
    frame = table([1000] * 3, [1.0] * 3, stderr=[0.01] * 3)
    frame.attrs["scale"] = 0.5
    chosen = allocation.assigned(frame, dict.fromkeys(frame["tensor"], "q4_k"))
    following = chosen.measure_next()
    assert following.loc[0, "measure"] == "all" and following.loc[0, "share"] > 0.8 and len(following) == 2


def test_types_are_read_in_any_case_and_order_of_storage():
    assert [allocation.plain(name) for name in ("Q4_K", "iq5_k_r4", "q4_0_r8")] == ["q4_k", "iq5_k", "q4_0"]
    frame = table([1000], [1.0])
    assert allocation.assigned(frame, {"blk.0.ffn_up.weight": "IQ2_KT"}).bits == pytest.approx(2.128, abs=0.01)
