"""The law after training for one model: exact where the law is, honest where the measurements are few or wrong."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rholaw as rl
from rholaw.fidelity import posterior
from rholaw.fidelity.sensitivity import errors, guess, inferred

FORMATS = ["q8_0", "q6_k", "q5_0", "q4_0", "q4_k", "iq4_nl", "q3_k", "q2_k"]


def measured(kappa, floor, formats=FORMATS, **more):
    return pd.DataFrame({"format": formats, "rise": [floor + kappa * float(rl.gmse(f)) for f in formats], **more})


# --- the law itself -----------------------------------------------------------------------------------------------


def test_a_rise_is_kappa_times_gmse():
    law = rl.Sensitivity(4.0, floor=0.002)
    assert law.rise(0.01) == pytest.approx(0.04)
    assert law.measured(0.01) == pytest.approx(0.042)
    assert law.rise("q4_k") == pytest.approx(4 * float(rl.gmse("q4_k")))
    assert law.rise(rl.parse("q4_k")) == law.rise("q4_k")
    np.testing.assert_allclose(law.measured(["dense", 0.01]), [0.002, 0.042])
    assert law.gmse_for(law.rise(0.01)) == pytest.approx(0.01)
    np.testing.assert_allclose(law.gmse_for([0.0, 0.4]), [0.0, 0.1])


def test_a_type_without_a_definition_has_the_error_that_damage_implies():
    assert errors("iq4_k") == [inferred()["iq4_k"]]
    assert errors("iq3_s") == [float(rl.gmse("iq3_s"))]  # what can be computed is not inferred
    assert errors("iq3_s", files=True) == [inferred()["iq3_s"]]  # but files hold what ggml's search left


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rl.Sensitivity(-1.0), "kappa must be a number from 0 up"),
        (lambda: rl.Sensitivity(1.0, floor=float("nan")), "floor must be a number from 0 up"),
        (lambda: rl.Sensitivity("3"), "kappa must be positive and finite, got '3'"),
        (lambda: rl.Sensitivity(1.0).rise(10**400), "GMSE must be positive and finite"),
        (lambda: rl.Sensitivity(1.0).gmse_for("x" * 9000), "^rise must be positive and finite, got .{55,80}$"),
        (lambda: rl.Sensitivity(1.0).rise("q4_z"), "q4_z"),
        (lambda: rl.Sensitivity(1.0).rise(-0.1), "a GMSE is a share of the variance"),
        (lambda: rl.Sensitivity(1.0).gmse_for(-0.1), "a rise is a number of nats"),
        (lambda: rl.Sensitivity(0.0).gmse_for(0.1), "kappa is 0"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- fits ---------------------------------------------------------------------------------------------------------


@given(kappa=st.floats(1, 300), share=st.floats(0.0, 0.05))
@settings(max_examples=15, deadline=None)
def test_measurements_on_the_line_give_the_line(kappa, share):
    floor = share * kappa * float(rl.gmse("q4_0"))
    fit = rl.fit_sensitivity(measured(kappa, floor))
    assert fit.status == "converged"
    assert fit.kappa == pytest.approx(kappa, rel=0.03)
    assert fit.identified["kappa"]
    low, high = fit.intervals["kappa"]
    assert low < kappa < high
    np.testing.assert_allclose(fit.predict(["q4_1", "q2_k"]), kappa * errors(["q4_1", "q2_k"]) + floor, rtol=0.03)


def test_two_rows_predict_the_others():
    truth = measured(5.0, 0.0015)
    fit = rl.fit_sensitivity(truth[truth["format"].isin(["q4_0", "q3_k"])])
    coarse = ["q5_0", "q4_k", "q2_k"]
    expected = truth.set_index("format")["rise"][coarse]
    np.testing.assert_allclose(fit.predict(coarse), expected, rtol=0.1)
    low, high = fit.predict_interval(coarse)
    assert (low < expected).all() and (expected < high).all()
    wide = fit.predict_interval(coarse, level=0.95)
    assert (wide[0] < low).all() and (wide[1] > high).all()
    assert fit.identified == {"kappa": True, "floor": False}


@pytest.mark.parametrize("rise", [0.02, 0.1, 0.5, 1.5])
def test_a_single_large_rise_is_a_large_kappa_and_not_a_floor(rise):
    fit = rl.fit_sensitivity(pd.DataFrame({"format": ["q4_k"], "rise": [rise]}))
    assert fit.kappa * float(rl.gmse("q4_k")) > 0.8 * rise


def test_the_floor_is_what_fine_formats_cost():
    fit = rl.fit_sensitivity(measured(5.0, 0.004))
    assert fit.floor == pytest.approx(0.004, rel=0.1)
    assert fit.identified["floor"]
    np.testing.assert_allclose(fit.rise("q4_0"), fit.predict("q4_0") - fit.floor)
    assert fit.rise_interval("q8_0")[1] < fit.predict_interval("q8_0")[0]


def test_noise_that_is_known_counts():
    table = measured(5.0, 0.0, ["q4_0", "q3_k"])
    sure, noisy = rl.fit_sensitivity(table), rl.fit_sensitivity(table.assign(stderr=table["rise"] * 0.4))
    assert np.diff(np.log(noisy.intervals["kappa"])) > 1.5 * np.diff(np.log(sure.intervals["kappa"]))
    missing = rl.fit_sensitivity(table.assign(stderr=np.nan))
    assert missing.kappa == pytest.approx(sure.kappa)


def test_one_outlier_of_many_moves_little():
    table = measured(5.0, 0.001)
    table.loc[table["format"] == "q5_0", "rise"] *= 2
    assert rl.fit_sensitivity(table).kappa == pytest.approx(5.0, rel=0.1)


@given(
    st.lists(st.tuples(st.floats(1e-5, 0.9), st.floats(1e-7, 20.0)), min_size=1, max_size=6),
    st.floats(1e-6, 0.1),
)
@settings(max_examples=25, deadline=None)
def test_whatever_is_measured_the_fit_is_finite_and_its_intervals_are_in_order(rows, noise):
    table = pd.DataFrame(rows, columns=["gmse", "rise"]).assign(stderr=noise)
    fit = rl.fit_sensitivity(table)
    low, high = fit.predict_interval(table["gmse"])
    assert np.isfinite([*fit.predict(table["gmse"]), *low, *high]).all()
    assert (low < high).all() and (low > 0).all()
    errors_up = np.sort(table["gmse"])
    assert (np.diff(fit.predict_interval(errors_up)[1]) >= 0).all()  # a coarser format is never promised to be better


def test_the_same_measurements_give_the_same_fit():
    first, second = rl.fit_sensitivity(measured(3.0, 0.001)), rl.fit_sensitivity(measured(3.0, 0.001))
    np.testing.assert_allclose(first.draws, second.draws)


def test_a_guess_has_the_centre_and_the_width_of_its_prior():
    prior = posterior.Prior((np.log(6), 0.5), (np.log(0.001), 1.0), (np.log(0.1), 0.5))
    fit = guess(prior)
    assert fit.status == "prior" and fit.identified == {"kappa": False, "floor": False}
    assert fit.kappa == pytest.approx(6, rel=0.05)
    assert np.log(fit.intervals["kappa"][1] / 6) == pytest.approx(0.5 * 1.533, rel=0.1)  # Student's t of four


# --- models that do not follow ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formats", "rises", "status"),
    [
        (["q4_0", "q3_k", "q2_k"], [0.03, 0.02, 0.3], "not proportional: the row at GMSE 0.02"),
        (["q4_0", "q3_k"], [0.03, 0.3], "not proportional: the rise grows"),
        (["q4_0", "q3_k"], [0.03, 0.02], "not proportional: the format with"),
        (["q8_0", "q6_k"], [0.001, 0.002], "reference too noisy: only fine formats"),
        (["q8_0", "q4_0", "q4_k"], [0.055, 0.075, 0.07], "reference too noisy: the floor"),
    ],
)
def test_a_model_that_does_not_follow_is_named(formats, rises, status):
    assert rl.fit_sensitivity(pd.DataFrame({"format": formats, "rise": rises})).status.startswith(status)


def test_rises_within_their_noise_say_that_the_reference_is_too_noisy():
    table = pd.DataFrame({"format": ["q4_0", "q3_k"], "rise": [-0.001, 0.002], "stderr": 0.003})
    assert rl.fit_sensitivity(table).status.startswith("reference too noisy: no rise is above")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"format": ["q4_0"]}, "needs the columns"),
        ({"rise": [0.1]}, "needs the columns"),
        ({"format": [], "rise": []}, "no rows"),
        ({"format": ["q4_0"], "rise": [np.nan]}, "row 0: rise is nan"),
        ({"format": ["q4_0", "q3_k"], "rise": [0.1, 0.0]}, "row 1: rise is 0 nats without a stderr"),
        ({"format": ["q4_0"], "rise": [0.1], "stderr": [-1.0]}, "row 0: stderr"),
        ({"format": ["q4_0"], "rise": ["x" * 9000]}, "^rise must be positive and finite, got .{,500}$"),
        (
            {"format": ["q4_0"], "rise": [0.1], "stderr": ["x" * 9000]},
            "^stderr must be positive and finite, got .{,500}$",
        ),
        ({"format": ["dense"], "rise": [0.1]}, "no row is compressed"),
        ({"format": ["q4_x"], "rise": [0.1]}, "q4_x"),
    ],
)
def test_measurements_that_cannot_be_are_refused(table, message):
    with pytest.raises(ValueError, match=message):
        rl.fit_sensitivity(pd.DataFrame(table))


def test_a_level_is_a_share():
    with pytest.raises(ValueError, match="level is the share"):
        rl.fit_sensitivity(measured(3.0, 0.001)).predict_interval("q4_0", level=80)
