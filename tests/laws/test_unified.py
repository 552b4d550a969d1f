"""The forms of the unified law give back what made their runs."""

import numpy as np
import pytest
from synthetic_runs import HELD, QUANTISED, TRUTH, assert_gives_back, compressed_runs, noiseless

import rholaw as rl
from rholaw.laws.compressed import composed_error

TANH = {"F": 0.41, "C": 1.39, "L": 1.0}
FORMS = {
    "unified": (TANH, rl.Curve(F=0.41, C=1.39)),
    "unified-logistic": ({"slope": 0.9, "gain": 12.0}, rl.Logistic(A=0.9, B=12.0)),
    "unified-bounded": ({"slope": 0.8, "gain": 6.0}, rl.BoundedLogistic(A=0.8, B=6.0)),
    "unified-composed": (TANH, rl.Curve(F=0.41, C=1.39)),
}


@pytest.mark.parametrize("law", FORMS)
def test_noiseless_runs_give_the_parameters_back(law):
    own, curve = FORMS[law]
    fit = rl.fit(law, noiseless(law, QUANTISED, TRUTH | own), fixed=HELD)
    assert_gives_back(fit, TRUTH | own)
    (family,) = fit.families
    assert family == ("composed" if law == "unified-composed" else "quantised")
    fitted = fit.curve(family)
    assert type(fitted) is type(curve)
    errors = np.array([rl.gmse(f"int{bits}").value for bits in (2, 3, 4)])
    np.testing.assert_allclose(fitted(errors), curve(errors), rtol=1e-3)
    np.testing.assert_allclose([fit.capacity(f"int{bits}")[0] for bits in (2, 3, 4)], curve(errors), rtol=1e-3)


def test_the_composed_error_is_what_all_parts_lose_together():
    assert composed_error(()) == 0
    assert composed_error(rl.parse("2:4+int4").parts) == pytest.approx(
        1 - (1 - rl.gmse("2:4").value) * (1 - rl.gmse("int4").value)
    )


def test_two_families_have_two_curves():
    runs = compressed_runs(formats=("dense", "int2", "int3", "int4", "s0.25", "s0.5", "s0.75", "2:4+int4"))
    fit = rl.fit("unified", runs, fixed=HELD)
    assert {"F[quantised]", "C[sparse]"} < set(fit.params)
    for family in ("quantised", "sparse"):
        assert pytest.approx(0.41, rel=1e-4) == fit.curve(family).F
    assert fit.law().alpha == pytest.approx(0.34, rel=1e-4)


def test_a_free_saturation_level_is_found():
    runs = compressed_runs()
    compressed = (runs.weights != "dense").astype(int) + (runs.activations != "dense")
    runs["loss"] = rl.Law(**TRUTH).loss(runs.n_params, runs.n_tokens, runs.rho * 0.8**compressed)
    fit = rl.fit("unified", runs, fixed=HELD | {"L": None})
    assert fit.params["L"] == pytest.approx(0.8, rel=1e-4)


def test_it_predicts_formats_it_never_saw_but_no_other_family():
    runs = compressed_runs()
    fit, unseen = rl.fit("unified", runs[runs.weights != "int3"], fixed=HELD), runs[runs.weights == "int3"]
    np.testing.assert_allclose(fit.predict(unseen), unseen.loss, rtol=1e-6)
    with pytest.raises(ValueError, match="no run had a sparse part"):
        fit.capacity("2:4")
    with pytest.raises(ValueError, match="no run had a sparse part"):
        fit.curves("sparse") or fit.curve("sparse")
