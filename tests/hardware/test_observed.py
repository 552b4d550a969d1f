"""Predicted against observed: memory, whole engines and hours of training, with every miss."""

import pytest

from rholaw import tables
from rholaw.hardware import observed


def test_memory_is_what_others_state():
    found = observed.memory()
    assert found.model.nunique() == 7 and set(found.what) == {"checkpoint", "kv", "in use"}
    use, held = found[found.what == "in use"], found[found.what != "in use"]
    assert use.model.nunique() == 3 and use.format.nunique() == 4 and (use.error < 0).all()  # there is always more
    missed = use[use.error < -0.05]
    assert missed.format.tolist() == ["fp8_row"] and missed.error.item() > -0.16  # nobody says what FP8 holds there
    rough = held.source.str.contains("measured|logged by vLLM")
    assert rough.sum() == 2 and held.error[rough].abs().max() < 0.035
    assert held.error[~rough].abs().max() < 0.004  # they print two to five digits


def test_whole_engines_are_predicted_within_the_band_that_the_book_states():
    found = observed.speeds().query("role == 'validation'")
    timed = found[found.rung == "measured"]
    broken = timed[(timed.engine == "torchao") & (timed.activations == "sint8/row")]
    assert (broken.error > 10).all()  # a kernel that was far slower than the products it is made of: a miss, kept
    rest = timed.drop(broken.index)
    assert len(rest) == 50 and (rest.error.abs() < 0.25).mean() >= 0.85 and rest.error.abs().max() < 0.35
    assert rest.inside.mean() > 0.85
    six = rest[(rest.engine == "vLLM")]
    assert len(six) == 6 and six.error.abs().max() < 0.16
    nominal = found[found.rung == "nominal (upper bound)"]
    assert (nominal[nominal.phase == "prefill"].error > 0.1).all()  # an upper bound, as it is called


def test_calibration_and_validation_do_not_mix():
    rows = tables.read("hardware/observed")
    assert set(rows.role) == {"calibration", "validation"}
    vllm = rows[(rows.engine == "vLLM") & (rows.role == "calibration")]
    assert (vllm.weights == "dense").all()
    low, middle, high = observed.system_efficiency("vLLM")
    assert 0.55 < low < middle < high < 0.7
    everywhere = observed.system_efficiency("an engine nobody timed")
    assert everywhere[0] == pytest.approx(low) and everywhere[2] == 1


def test_hours_of_training_and_the_misses():
    found = observed.training().set_index("model")
    assert found.inside.sum() == 4 and not found.inside["Llama-3.1-8B"]
    assert found.implied_mfu["Llama-2-7B"] == pytest.approx(6 * 6.74e9 * 2e12 / (184320 * 3600 * 312e12))
    assert found.error["Llama-3.1-8B"] < -0.5  # what its hours hold beside 6 N D is not said
