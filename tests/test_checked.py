"""What people type: every wrong key and value is named, with what was probably meant."""

import dataclasses
import math

import pytest

from rholaw.checked import (
    REQUIRED,
    build,
    closest,
    limited,
    number,
    shown,
    spread,
    strangers,
    text,
    typed,
    unknown,
    wrong,
)


@dataclasses.dataclass(frozen=True)
class Engine:
    cylinders: int = number(4, "cylinders", 1, 16)
    litres: float = number(1.6, "litres", above=True)
    fuel: str = text("petrol", ("petrol", "diesel"))


@dataclasses.dataclass(frozen=True)
class Needed:
    width: int = number(REQUIRED, "channels", 1)
    share: tuple = spread((), "share", 0, 1)


def test_a_wrong_table_is_named_in_full_and_its_defaults_stand_in():
    problems = []
    data = {"cylindres": 4, "litres": 0, "fuel": "gas"}
    assert build(Engine, data, "engine", problems) == Engine()
    assert problems == [
        "engine.cylindres: there is no such key; did you mean cylinders, in cylinders?",
        "engine.litres: 0 must be above 0 (litres)",
        "engine.fuel: 'gas' is not one of 'petrol', 'diesel'",
    ]
    assert build(Engine, 3, "engine", problems := []) == Engine()
    assert problems == ["engine: must be a table of keys, not 3"]


def test_a_table_changes_a_base_and_gives_tuples():
    assert build(Engine, {"litres": 2}, "engine", [], Engine(fuel="diesel")) == Engine(litres=2, fuel="diesel")
    assert build(Needed, {"share": 0.5}, "needed", [], Needed(8)).share == (0.5, 0.5, 0.5)


def test_an_object_made_in_python_is_checked_by_type_and_limit():
    assert wrong(Engine()) == wrong(Engine(litres=2)) == []
    assert wrong(Engine(cylinders=4.0, litres=math.nan, fuel=3)) == [
        "cylinders must be a whole number, not 4.0",
        "litres must be a finite number, not nan",
        "fuel must be text, not 3",
    ]
    assert wrong(Engine(cylinders=17)) == ["cylinders 17 must be at least 1 and at most 16 (cylinders)"]
    with pytest.raises(TypeError, match="width"):
        Needed()


@pytest.mark.parametrize(
    ("value", "kind"), [(1, int), (1, float), (-0.5, float), (False, bool), ("", str), ([1], list), ({}, dict)]
)
def test_a_value_of_its_kind_is_given_back(value, kind):
    assert typed(value, kind) is value


@pytest.mark.parametrize(
    ("value", "kind"),
    [(1.0, int), (True, int), (True, float), (1, bool), (math.inf, float), ("1", float), (1, str), ((1,), list)],
)
def test_a_value_of_another_kind_is_refused(value, kind):
    with pytest.raises(ValueError, match="must be"):
        typed(value, kind)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("1k", "must be a number (share), not '1k'; write the number alone, 1000"),
        ("1M", "must be a number (share), not '1M'; write the number alone, 1e6"),
        ("8B", "must be a number (share), not '8B'; write the number alone, 8e9"),
        ("1.5bn", "must be a number (share), not '1.5bn'; write the number alone, 1.5e9"),
        ("20 000", "must be a number (share), not '20 000'; write the number alone, 20000"),
        ("8e9 ", "must be a number (share), not '8e9 '; write the number alone, 8e9"),
        ("1,000,000", "must be a number (share), not '1,000,000'; write the number alone, 1e6"),
        ("8,5", "must be a number (share), not '8,5'; write the number alone"),
        ("80 GB", "must be a number (share), not '80 GB'; write the number alone"),
        ("1e400", "must be a number (share), not '1e400'; write the number alone"),
        (True, "must be a number (share), not True"),
        (40, "40 must be at least 0 and at most 1 (share); 0.4 for 40 %"),
        (math.nan, "must be a finite number (share), not nan"),
        (math.inf, "must be a finite number (share), not inf"),
        (10**400, f"must be a finite number (share), not {'1' + '0' * 17}...{'0' * 19}"),
    ],
)
def test_a_number_outside_its_limits_is_refused_with_a_hint(value, says):
    with pytest.raises(ValueError) as refusal:
        limited(value, "share", 0, 1)
    assert str(refusal.value) == says


def test_what_was_meant_is_found_whatever_its_case():
    assert closest("VLM", ["sglang", "vLLM"]) == "vLLM"
    assert closest("tokns", {"tokens": 1, "loss": 2}) == "tokens"
    assert closest(3, ["alpha"]) is None
    assert closest("meta-llama/Llama-3.1-8B-Instruct", ["Llama-3.1-8B", "Llama-2-7B"]) == "Llama-3.1-8B"
    assert closest("abc_loss", ["loss", "abd_loss"]) == "loss"  # what stands in it goes before what is most alike
    parts = ["Llama-3.1", "Llama-3.1-8B", "8B-and"]  # and the longest before the others, wherever it is listed
    assert all(
        closest("a-file-of-Llama-3.1-8B-and-more-of-a-name", order) == parts[1] for order in (parts, parts[::-1])
    )
    assert unknown("zzz", ["a", "b"], "law") == "zzz: there is no such law; there are a, b"


def test_strange_keys_of_a_table_are_listed():
    assert strangers({"a": 1, "bta": 2}, ["a", "beta"], "x") == ["x.bta: there is no such key; did you mean beta?"]
    assert strangers({"a": 1}, ["a"], "x") == []


NESTED = []
for _ in range(200):
    NESTED = [NESTED, NESTED]  # written out it would have 2^200 brackets


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, list(range(10**6)), {"k" * 10**5: 1}, NESTED, 10**5000, "\n" * 99],
    ids=["text", "list", "key", "nested", "digits", "lines"],
)
def test_a_message_shows_what_was_typed_in_few_characters(value):
    assert len(shown(value)) <= 80 and "\n" not in shown(value)
    with pytest.raises(ValueError, match="must be") as refusal:
        typed(value, bool)
    assert len(str(refusal.value)) < 150
    if isinstance(value, str):
        assert len(unknown(value, [value + "x" * i for i in range(40)])) < 700
