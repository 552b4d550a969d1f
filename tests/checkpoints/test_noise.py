"""What errors in the weights of a language model cost."""

import math

import numpy as np
import pytest
import torch

from rholaw.checkpoints import noise


def test_groups_hold_every_matrix_once(model):
    groups = noise.groups(model, depths=2)
    assert sorted(name for names in groups.values() for name in names) == sorted(model.linear)
    assert len(groups) == 14 and groups["query 1-1"] == ("model.layers.1.self_attn.q_proj.weight",)
    assert len(noise.groups(model, depths=5)) == 14  # no more parts than layers


class Bowl:
    """A model whose loss on block b is b + 1 times the squared distance of its weights from where they are now."""

    def __init__(self, weights, start=None):
        self.weights, self.start = weights, start or weights

    def with_weights(self, changed):
        return Bowl(self.weights | changed, self.start)

    def losses(self, blocks):
        distance = sum((self.weights[name] - start).double().square().sum() for name, start in self.start.items())
        return distance * torch.arange(1.0, len(blocks) + 1, dtype=torch.float64)[:, None].expand(-1, 5)


def test_noise_in_a_bowl_costs_what_its_curvature_says():
    generator = torch.Generator().manual_seed(3)
    weights = {name: torch.randn(20, 30, generator=generator) for name in "abc"}
    model, blocks = Bowl(weights), torch.zeros(4, 6)
    size = sum(float(weights[name].square().sum()) for name in "ab")
    for error, seeds in ((1e-4, 1), (0.1, 3)):  # drawn noise has just this error, so that nothing is left to chance
        cost = noise.cost(model, blocks, model.losses(blocks), ["a", "b"], error, seeds)
        assert cost.matrices == ("a", "b")
        assert cost.alpha == pytest.approx(2.5 * size, rel=1e-5)  # the mean of 1 to 4
        assert cost.stderr == pytest.approx(size * math.sqrt(5 / 3 / 4), rel=1e-4)  # over blocks; seeds agree


class Slope(Bowl):
    """A model whose loss is linear in its weights: what noise does to it cancels."""

    def with_weights(self, changed):
        return Slope(self.weights | changed, self.start)

    def losses(self, blocks):
        rise = sum((self.weights[name] - start).double().sum() for name, start in self.start.items())
        return rise.expand(len(blocks), 5)


def test_what_the_loss_does_to_first_order_cancels():
    model = Slope({"a": torch.linspace(-1, 2, 600).reshape(20, 30)})
    blocks = torch.zeros(4, 6)
    assert abs(noise.cost(model, blocks, model.losses(blocks), ["a"], 0.01, 2).alpha) < 1e-3


def test_noise_costs_in_proportion_to_its_error(model, blocks):
    before = model.losses(blocks)
    small, large = (noise.cost(model, blocks, before, model.linear, error, 4) for error in (2e-3, 8e-3))
    assert small.alpha == pytest.approx(large.alpha, rel=0.3)
    assert small.matrices == tuple(model.linear)


def test_errors_weigh_columns_by_their_inputs(model, blocks):
    moments = noise.second_moments(model, blocks)
    seen = {}
    model.losses(blocks, lambda name, x: seen.setdefault(name, []).append(x))
    for name in model.linear:
        torch.testing.assert_close(moments[name], torch.cat(seen[name]).square().mean(0), atol=1e-5, rtol=1e-4)
    name = next(iter(model.linear))
    weight = model.weights[name]
    lost = torch.zeros_like(weight)
    lost[3, 5] = 0.5
    row = noise.errors(model, model.with_weights({name: weight + lost}), moments).set_index("name").loc[name]
    assert row.error == pytest.approx(0.25 / float(weight.square().sum()), rel=1e-5)
    assert row.weighted_error == pytest.approx(
        float(0.25 * moments[name][5] / (weight.square() @ moments[name]).sum()), rel=1e-5
    )
    assert (row.layer, row.part) == (0, "query")


def test_the_prediction_sums_over_groups_by_hand(model, blocks):
    errors = noise.errors(model, model, noise.second_moments(model, blocks))
    errors["error"] = [0.1 if part == "query" else 0.02 for part in errors.part]
    names = {part: tuple(errors[errors.part == part].name) for part in ("query", "down")}
    found = [noise.NoiseCost(names["query"], 3.0, 0.4), noise.NoiseCost(names["down"], 5.0, 1.5)]
    assert noise.predicted(found, errors) == pytest.approx((3 * 0.1 + 5 * 0.02, np.hypot(0.04, 0.03)))
