"""Predicted against observed: memory, with every miss, and how tests of whole engines fill their batches."""

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


def test_requests_that_start_together_are_served_in_rounds_of_which_the_last_is_smaller():
    def step(sequences: float) -> float:
        return 2.0 + 0.1 * sequences

    assert observed._per_token(step, 10, 10) == observed._per_token(step, 10, float("nan")) == pytest.approx(0.3)
    assert observed._per_token(step, 10, 30) == pytest.approx(0.3)
    assert observed._per_token(step, 10, 12) == pytest.approx((3.0 + 2.2) / 12)


def test_an_engine_that_never_evicts_holds_as_many_sequences_as_fit_at_their_last_length():
    rows = tables.read("hardware/reports").assign(role="any")
    long = rows[(rows.model == "gpt-oss-20b") & (rows.device == "H100 80GB SXM") & (rows.tokens_out == 8192)]
    held, evicted = (
        observed.rooflines(long.assign(engine=engine)).sequences.item() for engine in ("TensorRT-LLM", "vLLM")
    )
    assert held == pytest.approx(evicted * (1024 + 4096) / (1024 + 8192), rel=0.05)
    asked = long.assign(batch=10 * held)
    assert observed.rooflines(asked).sequences.item() == held  # whatever was asked for, no more fit
