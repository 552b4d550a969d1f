"""The recorded runs are the ones their sources published, and a table of runs that cannot be is refused."""

import contextlib
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rholaw import runs, tables

PUBLIC = {"series", "seed", *runs.TEXT, *runs.POSITIVE, *runs.SETTINGS}


@pytest.fixture(scope="module")
def quest():
    return runs.load("quest2025")


def add_series(data, name, change=lambda frame: frame, kind="published"):
    """A changed copy of quest2025 under another name, with a manifest that agrees with it."""
    frame = change(pd.read_csv(data / "runs/quest2025.csv"))
    frame.to_csv(data / f"runs/{name}.csv", index=False, lineterminator="\n")
    about = (data / "runs/quest2025.toml").read_text(encoding="utf-8").replace('"published"', f'"{kind}"')
    columns = ", ".join(f'"{column}"' for column in frame.columns)
    about = re.sub(r"columns = \[.*?\]", f"columns = [{columns}]", about, flags=re.S)
    (data / f"runs/{name}.toml").write_text(about, encoding="utf-8")
    tables.update(f"runs/{name}")


# ---- the runs as published


def test_quest_has_104_runs_with_the_public_columns(quest):
    assert len(quest) == 104
    assert PUBLIC | {"rotated"} == set(quest.columns)
    assert quest.columns[0] == "series"
    assert (quest["series"] == "quest2025").all()
    assert quest.index.tolist() == list(range(104))
    assert quest["rotated"].dtype == bool
    assert quest.attrs["provenance"][0]["class"] == "published"
    assert quest[quest["weights"] == "dense"].attrs == quest.attrs


def test_quest_runs_per_format(quest):
    assert quest.groupby(["weights", "activations", "rotated"]).size().to_dict() == {
        ("dense", "dense", False): 6,
        ("4:8+int4", "int4", True): 6,
        ("e2m1", "e2m1", True): 4,
        ("int1", "dense", True): 4,
        ("int2", "dense", True): 4,
        ("int3", "dense", True): 4,
        ("int4", "dense", True): 4,
        ("int1", "int1", True): 6,
        ("int2", "int2", True): 12,
        ("int3", "int3", True): 13,
        ("int4", "int4", True): 14,
        ("int8", "int8", True): 3,
        ("int1", "int1", False): 5,
        ("int2", "int2", False): 4,
        ("int3", "int3", False): 5,
        ("int4", "int4", False): 6,
        ("int8", "int8", False): 4,
    }


def test_quest_runs_per_size(quest):
    sizes = [30482560, 49556736, 102777856, 203188480, 443068288, 822151168]
    assert quest.groupby("n_params").size().to_dict() == dict(zip(sizes, [23, 23, 23, 22, 8, 5], strict=True))
    assert quest.groupby("n_params")["lr"].unique().map(list).tolist() == [
        [1.2e-3], [1.2e-3], [6e-4], [3e-4], [1.5e-4], [7.5e-5]
    ]  # fmt: skip
    assert (quest["n_tokens"] % quest["batch_tokens"] == 0).all()


def test_tokens_per_parameter(quest):
    ratio = quest["n_tokens"] / quest["n_params"]
    dense = ratio[quest["weights"] == "dense"]
    assert len(dense) == 6
    assert dense.between(97, 101).all()
    short = quest[ratio < 90]
    assert len(short) == 24
    assert set(zip(short["weights"], short["activations"], short["rotated"], strict=True)) == {
        ("int2", "int2", True), ("int3", "int3", True), ("int4", "int4", True)
    }  # fmt: skip
    assert ratio[ratio < 90].round(-1).isin([20, 30, 50]).all()


def test_rotation_is_read_off_the_method(quest):
    assert (quest["rotated"] == quest["method"].str.contains("Hadamard")).all()
    assert set(quest.loc[quest["weights"] == "dense", "method"]) == {"NoQuantizer"}


@pytest.mark.parametrize(
    ("size", "tokens", "weights", "activations", "rotated", "loss"),
    [
        (30482560, 2999975936, "dense", "dense", False, 3.2071399688720703),
        (822151168, 79999795200, "dense", "dense", False, 2.460976839065552),
        (203188480, 4999872512, "int2", "int2", True, 3.144622325897217),
        (443068288, 42999742464, "4:8+int4", "int4", True, 2.712613582611084),
        (822151168, 79999795200, "int4", "int4", False, 2.517138719558716),
        (102777856, 9999745024, "int1", "dense", True, 3.2309272289276123),
    ],
)
def test_losses_to_the_last_digit(quest, size, tokens, weights, activations, rotated, loss):
    keys = ["n_params", "n_tokens", "weights", "activations", "rotated"]
    losses = quest.set_index(keys).sort_index()["loss"]
    assert losses.loc[[(size, tokens, weights, activations, rotated)]].tolist() == [loss]


def test_losses_fall_with_size_and_with_bits(quest):
    """A swapped cell would show: at equal tokens per parameter, larger models and finer grids lose less."""
    long = quest[quest["n_tokens"] > 90 * quest["n_params"]]
    for _, group in long.groupby(["weights", "activations", "rotated"]):
        assert group.sort_values("n_params")["loss"].is_monotonic_decreasing
    for (_, _, _), group in long[long["weights"].str.startswith("int")].groupby(
        ["n_params", "rotated", long["activations"] == "dense"]
    ):
        assert group.sort_values("weights")["loss"].is_monotonic_decreasing


def test_quest_efficiencies_follow_from_its_runs_and_constants(quest):
    """ρ = (1 + N^α ΔL / A)^(-1/α): the efficiency that QuEST prints as 2:4 with INT4 is that of the runs with 4:8."""
    table = tables.read("published/quest2025_constants")
    law = table[table["quantity"] != "efficiency"].set_index("quantity")["value"]
    dense = quest[quest["weights"] == "dense"].set_index("n_params")["loss"]
    sparse = quest[quest["weights"] == "4:8+int4"].set_index("n_params")["loss"]
    rho = (1 + sparse.index ** law["alpha"] * (sparse - dense) / law["A"]) ** (-1 / law["alpha"])
    printed = table.loc[table["weights"] == "2:4+int4", "value"].item()
    assert math.isclose(rho.mean(), printed, abs_tol=0.005)


# ---- loading


def test_series_are_listed_and_an_unknown_one_names_them():
    assert "quest2025" in runs.series()
    with pytest.raises(ValueError, match="quest2026: there is no such series; did you mean quest2025"):
        runs.load("quest2026")


@pytest.mark.parametrize("names", [[], ["quest2025", "quest2025"]])
def test_a_series_is_named_once_and_at_least_one(names):
    with pytest.raises(ValueError, match="name each series once"):
        runs.load(names)


def test_a_changed_series_is_refused(data):
    path = data / "runs/quest2025.csv"
    path.write_bytes(path.read_bytes().replace(b"3.2071399688720703", b"3.2071399688720704"))
    with pytest.raises(ValueError, match="runs/quest2025 does not match its manifest"):
        runs.load("quest2025")


def test_several_series_are_one_table(data):
    add_series(data, "again", kind="measured")
    both = runs.load(["quest2025", "again"])
    assert both.groupby("series").size().to_dict() == {"again": 104, "quest2025": 104}
    assert both.index.is_unique
    assert [record["table"] for record in both.attrs["provenance"]] == ["runs/quest2025", "runs/again"]


def test_synthetic_runs_are_not_mixed_with_real_ones_unless_asked(data):
    add_series(data, "drawn", kind="synthetic")
    assert runs.load("drawn").attrs["provenance"][0]["class"] == "synthetic"
    with pytest.raises(ValueError, match=r"drawn is synthetic.*mix=True"):
        runs.load(["quest2025", "drawn"])
    assert len(runs.load(["quest2025", "drawn"], mix=True)) == 208


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda frame: frame.drop(columns="loss"), "lack the columns loss"),
        (lambda frame: frame.drop(columns="method"), "column method must be there"),
        (lambda frame: frame.assign(loss=-frame["loss"]), "loss must be positive"),
        (lambda frame: frame.assign(lr=0.0), "lr must be positive"),
        (lambda frame: frame.assign(n_tokens=frame["n_tokens"] + 0.5), "n_tokens must hold whole numbers"),
        (lambda frame: frame.assign(weights=frame["weights"].replace("dense", "")), "column weights must be there"),
        (lambda frame: frame.assign(activations=16), "column activations must be there and hold text"),
        (lambda frame: pd.concat([frame, frame.tail(1)]), "the run in row 104 is there twice"),
        (lambda frame: pd.concat([frame, frame.tail(1).assign(loss=9.0)]), "the run in row 104 is there twice"),
    ],
)
def test_a_series_that_cannot_be_is_refused_even_with_a_manifest_that_agrees(data, change, says):
    # The manifest gives a unit for the loss: without the column the unit goes too.
    about = data / "runs/quest2025.toml"
    about.write_text(about.read_text(encoding="utf-8").split("[units]")[0] + "[units]\n", encoding="utf-8")
    add_series(data, "spoilt", change)
    with pytest.raises(ValueError, match=f"series spoilt: .*{says}"):
        runs.load("spoilt")


def test_a_repeat_with_another_seed_is_another_run(data):
    add_series(data, "seeds", lambda frame: pd.concat([frame, frame.tail(1).assign(seed=1)]))
    assert len(runs.load("seeds")) == 105


# ---- check, on anybody's table


def table(**columns):
    return pd.DataFrame({"n_params": [1e6, 2e6], "n_tokens": [10, 20], "loss": [3.0, 2.5], **columns})


def test_check_accepts_good_tables():
    runs.check(table())
    runs.check(table(weights=["int4", None]))
    runs.check(table(loss=pd.array([3, 2], dtype="Int64")))
    runs.check(table(loss=np.array([3, 2], dtype=np.float16)))
    runs.check(pd.DataFrame({"x": [1]}), columns=["x"])


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (table().drop(columns=["loss", "n_params"]), "lack the columns n_params, loss; they have: n_tokens"),
        (pd.DataFrame(), "lack the columns n_params, n_tokens, loss; they have: none"),
        (table().iloc[:0], "is empty"),
        (table(loss=["3.0", "2.5"]), r"column loss does not hold numbers but .*'3.0'; pandas.to_numeric"),
        (
            table(loss=[10**400, 3.0]),
            "loss must be a number, but is 10+[.]{3}0+ in the row with index 0",
        ),
        (table(loss=["3.0", "high"]), "loss must be a number, but is 'high' in the row with index 1; such rows: 1"),
        (table(n_params=["30,482,560", "2e6"]), "n_params must be a number, but is '30,482,560' in"),
        (table(loss=[True, True]), "column loss does not hold numbers but bool"),
        (table(loss=[1j, 2j]), "column loss does not hold numbers but complex"),
        (table(loss=pd.array([3, None], dtype="Int64")), "loss must .* but is nan in the row with index 1"),
        (table(loss=[2.0, math.inf]), "loss must .* but is inf in the row with index 1"),
        (table(n_params=[0, 1]), "n_params must .* but is 0.0 in the row with index 0; such rows: 1 of 2"),
        (table(n_tokens=[-1, -2]).set_axis(["a", "b"]), "n_tokens .* is -1.0 in the row with index a; .* 2 of 2"),
        (pd.concat([table(), table()[["loss"]]], axis=1), "column loss is there 2 times"),
        ([1, 2, 3], "must be a pandas DataFrame, not list"),
    ],
)
def test_check_says_what_is_wrong(frame, says):
    with pytest.raises(ValueError, match=says):
        runs.check(frame)


@settings(deadline=None)
@given(
    st.lists(st.floats() | st.sampled_from([math.inf, -math.inf, math.nan, 0.0, -0.0, 5e-324]), min_size=1, max_size=8),
    st.sampled_from(["n_params", "n_tokens", "loss"]),
)
def test_check_finds_exactly_the_numbers_that_cannot_be(values, name):
    frame = pd.DataFrame({"n_params": 1.0, "n_tokens": 1, "loss": 1.0}, index=range(100, 100 + len(values)))
    frame[name] = values
    wrong = [place for place, value in enumerate(values) if not 0 < value < math.inf]
    if not wrong:
        runs.check(frame)
        return
    with pytest.raises(ValueError, match=f"^{name} must be positive") as refusal:
        runs.check(frame)
    assert f"is {values[wrong[0]]} in the row with index {100 + wrong[0]}; " in str(refusal.value)
    assert str(refusal.value).endswith(f"such rows: {len(wrong)} of {len(values)}")


TEXTS = st.text("1.e-naif \0é")  # a few letters: a table of all takes Hypothesis seconds
CELLS = st.one_of(st.none(), TEXTS, st.booleans(), st.integers(), st.floats(), st.binary())


@settings(deadline=None)
@given(st.lists(CELLS, max_size=5))
def test_check_never_fails_otherwise_than_by_a_message(values):
    frame = pd.DataFrame({"loss": pd.Series(values, dtype=object)})
    for column in (frame, frame.infer_objects()):
        with contextlib.suppress(ValueError):
            runs.check(column, ["loss"])
            assert values
            assert all(0 < value < math.inf for value in values)


def test_one_estimator_is_dense_or_rotated_and_not_sparse():
    chosen = runs.one_estimator(runs.load("quest2025"))
    assert len(chosen) == 74
    assert set(chosen.weights) == {"dense", "e2m1", "int1", "int2", "int3", "int4", "int8"}
    assert (chosen.rotated | (chosen.weights == "dense")).all()
