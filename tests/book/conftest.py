"""A fit of the unified law, which cards of formats and of checkpoints show."""

import pytest

import rholaw as rl


@pytest.fixture(scope="session")
def fit():
    return rl.fit("unified", rl.runs.one_estimator(rl.runs.load("quest2025")), n_bootstrap=20)
