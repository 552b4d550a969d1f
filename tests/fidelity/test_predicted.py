"""The table of all formats: in order, with what was measured, and a warning where the law is not to be relied on."""

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.fidelity import mixtures
from rholaw.fidelity.predicted import UNSAFE, held_out, table, typical_factor
from rholaw.fidelity.sensitivity import fit_sensitivity, inferred

MEASURED = pd.DataFrame({"format": ["q4_k", "q3_k"], "rise": [0.03, 0.15]})
FIT = fit_sensitivity(MEASURED)


def test_all_formats_are_there_in_order():
    rows = table(FIT, measured=MEASURED)
    assert set(rows["format"]) == {*rl.catalogue(), *inferred(), *mixtures.MIXES} and rows.rise.is_monotonic_increasing
    assert rows["format"].is_unique and (rows.low < rows.rise).all() and (rows.rise < rows.high).all()
    assert rows.set_index("format").measured.dropna().to_dict() == {"q4_k": 0.03, "q3_k": 0.15}
    undefined = inferred().keys() - rl.catalogue().keys()
    assert set(rows["format"][rows.bits.isna()]) == undefined
    assert set(rows["format"][rows.basis == "inferred"]) == inferred().keys()
    assert set(rows["format"][rows.basis == "mix"]) == mixtures.MIXES.keys() - rl.catalogue().keys()


def test_a_mix_costs_what_it_is_worth_and_is_less_certain():
    (row,) = table(FIT, ["q4_k_m"]).itertuples()
    worth, unsure = mixtures.worth("q4_k_m")
    low, high = (end[0] for end in FIT.predict_interval([worth]))
    assert row.rise == FIT.predict([worth])[0] and row.bits == pytest.approx(4.89, abs=0.01)
    assert np.log(row.high / row.rise) == pytest.approx(np.hypot(np.log(high / row.rise), 1.28 * unsure), rel=1e-3)
    assert row.low < low


def test_a_row_is_what_the_fit_says():
    (row,) = table(FIT, ["nvfp4"]).itertuples()
    low, high = FIT.predict_interval("nvfp4")
    assert (row.rise, row.low, row.high) == (FIT.predict("nvfp4")[0], low[0], high[0])
    assert row.gmse == rl.gmse("nvfp4").value and row.bits == 4.5 and np.isnan(row.measured) and row.doubt == ""


@pytest.mark.parametrize(
    ("format", "doubt"),
    [
        ("q4_0", ""),
        ("sint8/row", ""),
        ("fp8_row", ""),
        ("sint4/row", "one scale a row or tensor: can break down"),
        ("int4", "one scale a row or tensor: can break down"),
        ("hadamard128+int4", ""),
        ("2:4+nvfp4", "pruned: the law was not tried on that"),
        ("tq2_0", "unsafe"),
    ],
)
def test_a_doubt_is_said(format, doubt):
    rows = table(FIT, [format])
    assert rows.doubt[0].removeprefix("unsafe; ") == doubt
    assert rows.doubt[0].startswith("unsafe") == (rows.high[0] > UNSAFE)


def test_a_wrong_name_is_refused():
    with pytest.raises(ValueError, match="nvfp5"):
        table(FIT, ["nvfp5"])


def test_a_type_whose_files_hold_more_error_than_its_definition_is_predicted_by_their_damage():
    fit = rl.fit_sensitivity(pd.DataFrame({"format": ["q4_0", "q3_k"], "rise": [0.03, 0.09]}))
    row = table(fit, ["iq2_xxs"]).iloc[0]
    assert row.basis == "inferred" and row.gmse > 1.2 * float(rl.gmse("iq2_xxs"))
    assert row.rise == pytest.approx(fit.floor + fit.kappa * row.gmse)


def test_what_the_fit_did_not_see_is_inside_or_not_and_off_by_a_factor():
    expected, (low, high) = FIT.predict(["q2_k"])[0], (end[0] for end in FIT.predict_interval(["q2_k"]))
    error = float(rl.gmse("q2_k"))
    others = pd.DataFrame({"format": "q2_k", "gmse": error, "rise": [expected * 1.001, high * 1.5, low / 1.5]})
    rows = held_out(FIT, others)
    assert rows.inside.tolist() == [True, False, False] and rows.predicted.tolist() == pytest.approx([expected] * 3)
    median = np.median([1.001, high * 1.5 / expected, 1.5 * expected / low])
    assert typical_factor(rows) == pytest.approx(median)


def test_without_others_nothing_is_off():
    none = held_out(FIT, pd.DataFrame({"format": [], "gmse": [], "rise": []}, dtype=float))
    assert none.empty and np.isnan(typical_factor(none))
