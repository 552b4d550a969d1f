"""Targets: numbers of a trial, their intervals over models, and whether they are met."""

import pandas as pd
import pytest

from rholaw.fidelity import targets, trials


def trial(**models):
    """Rows (rise, predicted, high) of each model."""
    rows = [(name, *row) for name, of_model in models.items() for row in of_model]
    return pd.DataFrame(rows, columns=["model", "rise", "predicted", "high"]).assign(low=0.0)


def test_alarms_are_counted_by_hand():
    rows = trial(a=[(2.0, 1.0, 1.6), (3.0, 1.0, 1.4)], b=[(0.1, 0.1, 0.2), (0.2, 0.2, 1.7), (1.0, 1.0, 1.1)])
    assert targets.flagged(rows) == 0.5 and targets.false_alarms(rows) == pytest.approx(1 / 3)


def test_an_interval_over_models_is_empty_where_all_are_alike_and_spans_them_where_not():
    alike = trial(**{name: [(1.0, 1.1, 2.0)] for name in "abcd"})
    error = targets.MEASURED["median error"][2]
    assert targets.over_models(alike, [error])[0] == pytest.approx((0.1, 0.1, 0.1))
    unlike = trial(a=[(1.0, 1.1, 2.0)], b=[(1.0, 1.3, 2.0)], c=[(1.0, 1.2, 2.0)])
    assert targets.over_models(unlike, [error])[0] == pytest.approx((0.2, 0.1, 0.3))


def test_a_trial_without_a_broken_model_does_not_tell_whether_they_are_flagged():
    (flagged,) = targets.over_models(trial(a=[(1.0, 1.1, 2.0)], b=[(0.5, 0.4, 0.6)]), [targets.flagged], resamples=5)
    assert all(number != number for number in flagged)


@pytest.mark.slow
def test_what_is_met_lies_in_what_is_wanted(monkeypatch):
    rows = trial(a=[(1.0, 1.08, 2.0), (2.0, 1.9, 2.1)], b=[(1.0, 1.02, 1.2)])
    monkeypatch.setattr(trials, "from_measured", lambda rows, formats: rows)
    monkeypatch.setattr(trials, "from_nothing", lambda rows, level=0.95: rows.assign(predicted=rows.predicted * 3))
    table = targets.table(rows, rows, pairs=[("q4_k", "q2_k")])
    met = table.set_index(["known", "target"]).met
    assert met["q4_k and q2_k", "median error"] and not met["nothing", "median factor"]
    assert not met["q4_k and q2_k", "share within 80 % intervals"]  # all are inside, which is too many
    assert set(table.known) == {"q4_k and q2_k", "nothing"} and (table.models == 2).all() and len(table) == 10
