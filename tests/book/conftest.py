"""A fit of the unified law, which cards of formats and of checkpoints show."""

import pytest


@pytest.fixture(scope="session")
def fit():
    import rholaw as rl

    return rl.fit("unified", rl.runs.one_estimator(rl.runs.load("quest2025")), n_bootstrap=20)
