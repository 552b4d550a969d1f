"""Predicted against observed: memory, with every miss."""

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
