"""Beliefs about engines: known effects are recovered, intervals hold what they say, a new device is less sure."""

import numpy as np
import pytest

from rholaw.hardware import residuals
from rholaw.hardware.devices import Device, devices


def drawn(seed: int, rows: int, levels: int = 6, effect: float = 0.4, source: float = 0.2, own: float = 0.1):
    """Synthetic reports: effects of an engine and a device, ten reports a source."""
    generator = np.random.default_rng(seed)
    engines, places = generator.normal(0, effect, (2, levels))
    sources = generator.normal(0, source, rows // 10 + 1)
    which = generator.integers(levels, size=(rows, 2))
    logs = 0.5 + engines[which[:, 0]] + places[which[:, 1]] + np.repeat(sources, 10)[:rows]
    effects = [{f"engine {e}": 1.0, f"device {d}": 1.0} for e, d in which]
    return effects, [str(i // 10) for i in range(rows)], logs + generator.normal(0, own, rows), engines, places


def test_known_effects_are_recovered():
    effects, sources, logs, engines, places = drawn(0, 400)
    own = residuals.fit(effects, sources, logs)
    assert own.deviations == pytest.approx([0.4, 0.2, 0.1], rel=0.4)
    pairs = [(e, d) for e in range(6) for d in range(6)]
    mean, error = own.predict([{f"engine {e}": 1.0, f"device {d}": 1.0} for e, d in pairs])
    true = np.array([0.5 + engines[e] + places[d] for e, d in pairs])
    assert np.abs(mean - true).max() < 0.15 and (error < 0.35).all()


def test_intervals_hold_four_in_five_of_what_was_held_out():
    held = []
    for seed in range(12):
        effects, sources, logs, *_ = drawn(seed, 120)
        own = residuals.fit(effects[:60], sources[:60], logs[:60])
        mean, error = own.predict(effects[60:])
        held.append(np.abs(logs[60:] - mean) <= residuals.Z * error)
    assert np.mean(held) == pytest.approx(0.8, abs=0.08)


def test_what_was_never_reported_has_the_prior_mean_and_is_less_sure():
    effects, sources, logs, *_ = drawn(1, 200)
    own = residuals.fit(effects, sources, logs)
    mean, error = own.predict([effects[0], {"engine 0": 1.0, "device new": 1.0}, {"engine 0": 1.0}])
    assert mean[1] == pytest.approx(mean[2]) and error[1] > error[2]
    assert error[1] ** 2 == pytest.approx(error[2] ** 2 + own.deviations[0] ** 2)
    assert error[1] > error[0]


def test_a_new_device_is_believed_to_be_as_its_kind_but_less_surely():
    known = devices()["H100 80GB SXM"]
    new = Device("H900", known.memory, known.bandwidth, known.bf16, capability=9.0)
    asked = [residuals.belief("vLLM", device, "decode", 64, "dense", False) for device in (known, new)]
    assert residuals.kind(new) == residuals.kind(known) == "data centre"
    assert asked[1].error > asked[0].error and abs(np.log(asked[1].factor / asked[0].factor)) < asked[1].error
    assert asked[0].runs > 0 and "calibration" in asked[0].source


def test_belief_of_what_was_held_out_never_learnt_from_it():
    rows = residuals.held_out()
    assert len(rows) == 80 + 22 and (rows[rows.table == "reports"].role == "validation").all()
    everything = residuals.coverage(["table"])
    assert everything.rows.sum() == len(rows) and (everything.off >= 1).all()
    assert residuals.coverage().index.names == residuals.KIND
