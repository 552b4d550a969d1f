"""Cards say what the package computes, and tables of them hold a row a format."""

import numpy as np
import pytest

import rholaw as rl
from rholaw import tables
from rholaw.book import format_card as cards


def test_a_card(fit):
    card = cards.card("int4", fit)
    assert card["bits"] == 4
    assert card["gap, bits"] == pytest.approx(4 + np.log(rl.gmse("int4").value) / np.log(4))
    assert card["gap, dB"] == pytest.approx(card["gap, bits"] * 6.0206, rel=1e-4)
    assert card["ρ low"] < card["ρ"] < card["ρ high"]
    assert card["ρ"] == fit.capacity("int4")[0]


def test_a_page_shows_the_figures_of_a_card_that_say_something():
    shown = cards.shown(cards.card("int8"))["value"]
    assert shown["error (GMSE)"] == "0.0000877" and shown["stored bits a weight"] == "8"
    assert (
        "standard error of the error" not in shown.index
        and "standard error of the error" in cards.shown(cards.card("trellis2")).index
    )


def test_no_capacity_without_a_curve(fit):
    for text in ("2:4", "2:4+int4"):
        assert np.isnan(cards.card(text, fit)["ρ"])
    assert "ρ" not in cards.card("2:4")


def test_table_and_support(fit):
    table = cards.table({"mine": rl.parse("int2/g8"), "theirs": rl.parse("nvfp4")}, fit)
    assert table.index.tolist() == ["mine", "theirs"]
    assert table.loc["mine", "format"] == "int2/g8"
    assert "compute capability 10.0" in cards.support("nvfp4")
    assert cards.support("int7") == ""


def test_every_format_that_hardware_supports_is_in_the_catalogue():
    assert set(tables.read("hardware/format_support").format) <= set(rl.catalogue())
