"""The law as a value: by hand, its inverses, and targets out of reach."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import rholaw as rl
from rholaw.laws.law import capacity_explaining, rise_in_training

LAW = rl.Law(A=406.4, alpha=0.34, B=410.7, beta=0.28, E=1.69)
sizes, tokens, capacities = st.floats(1e6, 1e12), st.floats(1e8, 1e14), st.floats(0.02, 1.2)


def test_by_hand():
    assert LAW.loss(1e9, 1e11, 0.5) == pytest.approx(406.4 * (5e8) ** -0.34 + 410.7 * 1e11**-0.28 + 1.69, rel=1e-14)


@given(sizes, tokens, capacities)
def test_inverses(N, D, rho):
    loss = LAW.loss(N, D, rho)
    assert LAW.params_for(loss, D, rho) == pytest.approx(N, rel=1e-6)
    assert LAW.tokens_for(loss, N, rho) == pytest.approx(D, rel=1e-5)
    assert LAW.params_for(loss, D) == pytest.approx(N * rho, rel=1e-6)


@given(sizes, tokens, capacities)
def test_capacity_from_a_pair_of_losses(N, D, rho):
    assert LAW.capacity(LAW.loss(N, D, rho), LAW.loss(N, D), N) == pytest.approx(rho, rel=1e-6)


@given(st.floats(1e17, 1e26), capacities)
def test_compute_optimal_is_a_minimum_at_its_cost(flops, rho):
    N, D = LAW.compute_optimal(flops, rho)
    assert pytest.approx(flops, rel=1e-12) == 6 * N * D
    best = minimize_scalar(lambda n: LAW.loss(np.exp(n), flops / 6 / np.exp(n), rho), bracket=(15, 30), tol=1e-12)
    assert LAW.loss(N, D, rho) == pytest.approx(best.fun, rel=1e-9)


def test_arguments_broadcast():
    assert LAW.loss(np.full((3, 1), 1e8), np.full(4, 1e10), 0.5).shape == (3, 4)
    assert LAW.params_for([2.5, 3.0], 1e11, 0.5).shape == (2,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LAW.params_for(1.6, 1e12), r"loss 1.6 is out of reach: .* infinite model stays above 1.86"),
        (lambda: LAW.params_for([3.0, 1.7], 1e12), "loss 1.7 is out of reach"),
        (lambda: LAW.tokens_for(1.69, 1e9), r"unlimited training stays above 2.04"),
        (lambda: LAW.loss(0, 1e9), "N must be positive"),
        (lambda: LAW.loss(1e9, 1e9, 0), "rho must be positive"),
        (lambda: LAW.loss(1e9, float("nan")), "D must be positive"),
        (lambda: LAW.capacity(1.0, 5.0, 1e9), "below the dense loss"),
        (lambda: rl.Law(A="3", alpha=1, B=1, beta=1, E=1), "A must be positive"),
        (lambda: rl.Law(A=10**400, alpha=1, B=1, beta=1, E=1), "A must be positive"),
        (lambda: rl.Law(A=[1, 2], alpha=1, B=1, beta=1, E=1), "A must be positive"),
        (lambda: LAW.loss("x" * 9000, 1e9), "^N must be positive and finite, got .{55,80}$"),
        (lambda: LAW.loss(None, 1e9), "N must be positive"),
        (lambda: LAW.loss(1e-300, 1e9, 1e-300), "no finite number here"),
        (lambda: rl.Law(A=1e300, alpha=0.01, B=1, beta=1, E=0).params_for(1, 1e9), "no finite number here"),
        (lambda: rl.Law(A=1, alpha=0, B=1, beta=1, E=1), "alpha must be positive"),
        (lambda: rl.Law(A=1, alpha=1, B=1, beta=1, E=-1), "E must be positive"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_law_without_irreducible_loss_is_allowed():
    assert rl.Law(A=1, alpha=1, B=1, beta=1, E=0).loss(1, 1) == 2


def test_what_training_costs_is_the_difference_of_two_losses():
    law = rl.Law(A=406.4, alpha=0.34, B=410.7, beta=0.28, E=1.69)
    rho = np.array([0.3, 0.8, 1.0])
    rise = rise_in_training(law, 2e8, rho)
    assert rise == pytest.approx(law.loss(2e8, 1e12, rho) - law.loss(2e8, 1e12))
    assert capacity_explaining(law, 2e8, rise) == pytest.approx(rho)
