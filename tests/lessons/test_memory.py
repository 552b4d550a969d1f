"""The associative memory: its task, its batched training, and the capacities that come of it."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from rholaw.formats.grammar import parse
from rholaw.laws.ladder import capacities
from rholaw.lessons.memory import Run, Task, best_rate, grid, train

SMALL = Task(keys=128, values=8)


def test_demand_follows_zipf():
    demand = Task(keys=50, exponent=0.7).demand()
    assert demand.sum().item() == pytest.approx(1, abs=1e-6)
    assert (demand[0] / demand[9]).item() == pytest.approx(10**0.7, rel=1e-5)


def test_a_narrow_memory_has_the_directions_of_a_wide_one_cut_short():
    (e, u, answers), (wide_e, wide_u, same) = SMALL.draw(4, seed=3), SMALL.draw(12, seed=3)
    assert torch.equal(answers, same) and not torch.equal(answers, SMALL.draw(4, seed=4)[2])
    torch.testing.assert_close(e, 2 * F.normalize(wide_e[:, :4], dim=1))
    torch.testing.assert_close(u, F.normalize(wide_u[:, :4], dim=1))


def test_a_memory_that_is_large_enough_forgets_nothing():
    losses = train([Run(32), Run(32, "int8")], steps=100, task=Task(keys=12, values=4), progress=False)["loss"]
    assert (losses < 0.01).all()


def test_the_loss_is_that_of_the_quantised_matrix_and_the_error_too():
    run = Run(8, "int2", seed=1, lr=1e-12)  # it does not move
    found = train([run], steps=1, task=SMALL, progress=False).iloc[0]
    e, u, answers = SMALL.draw(8, seed=1)
    start = train([Run(8, seed=1, lr=1e-12)], steps=1, task=SMALL, progress=False).iloc[0]
    weight = _start(8, 1)
    for row, matrix in ((start, weight), (found, parse("int2").quantize(weight))):
        loss = F.cross_entropy(e @ matrix.T @ u.T, answers, reduction="none") @ SMALL.demand()
        assert row["loss"] == pytest.approx(loss.item(), rel=1e-5)
        assert row["realised"] == pytest.approx(((matrix - weight).norm() / weight.norm()).item() ** 2, rel=1e-4)


def _start(width, seed):
    return torch.from_numpy(np.random.default_rng([seed, 3]).standard_normal((width, width), np.float32)) / width**0.5


def test_a_member_learns_as_it_would_alone():
    runs = grid([8, 12], ("dense", "int3", "2:4"), seeds=(0, 1), rates=(0.02, 0.05))
    together = train(runs, steps=20, task=SMALL, progress=False)
    assert together["n_params"].tolist() == [run.width**2 for run in runs]
    for index in (0, 7, 10, 23):
        alone = train([runs[index]], steps=20, task=SMALL, progress=False).iloc[0]
        assert together.iloc[index].drop(["loss", "realised"]).equals(alone.drop(["loss", "realised"]))
        assert together["loss"][index] == pytest.approx(alone["loss"], rel=1e-4)


@pytest.mark.parametrize("method", ["noise", "channel"])
def test_noise_has_the_error_of_the_format_and_a_run_repeats(method):
    runs = [Run(32, "int2", method, seed) for seed in range(4)]
    found = train(runs, steps=3, task=SMALL, progress=False)
    assert found["realised"].mean() == pytest.approx(0.1188, rel=0.08)
    pd.testing.assert_frame_equal(found, train(runs, steps=3, task=SMALL, progress=False))


def test_capacities_come_in_the_order_of_the_errors():
    runs = grid([6, 8, 10, 12, 16, 20], seeds=(0, 1), rates=(0.02,))
    runs += grid([16], ("int8", "int4", "int2", "int1"), seeds=(0, 1), rates=(0.005, 0.02))
    found = capacities(best_rate(train(runs, steps=80, task=Task(keys=512, values=16), progress=False)))
    rho = found.set_index("weights")["rho"]
    assert rho["int8"] == pytest.approx(1, abs=0.02)
    assert rho["int8"] > rho["int4"] > rho["int2"] > rho["int1"] > 0.1


def test_the_best_rate_is_that_of_the_lowest_mean():
    rows = [
        ("int2", 0.1, 0, 1.0),
        ("int2", 0.1, 1, 3.0),
        ("int2", 0.2, 0, 1.5),
        ("int2", 0.2, 1, 1.6),
        ("s0.5", 0.1, 0, 9),
    ]
    table = pd.DataFrame(rows, columns=["weights", "lr", "seed", "loss"]).assign(n_params=4, method="trust")
    assert best_rate(table)["loss"].tolist() == [1.5, 1.6, 9]


def test_bad_runs_are_refused():
    for wrong, message in [
        (lambda: Run(6, "2:4"), "multiple of 4, not 6"),
        (lambda: Run(8, method="lsq"), "not 'lsq'"),
        (lambda: Run(8, lr=math.nan), "lr must be positive"),
        (lambda: Run(8, "int99x"), "int99x"),
        (lambda: Task(values=1), "two values"),
        (lambda: train([Run(8), Run(8)]), "is there twice"),
        (lambda: train([Run(8)], steps=0), "steps must be positive"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
