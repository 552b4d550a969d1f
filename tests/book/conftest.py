"""A fit of the unified law, which cards of formats and of checkpoints show; and kernels for books of a few lines."""

import pytest


@pytest.fixture(scope="session")
def fit():
    import rholaw as rl

    return rl.fit("unified", rl.runs.one_estimator(rl.runs.load("quest2025")), n_bootstrap=20)


@pytest.fixture(scope="session", autouse=True)
def light_kernels():
    """No torch where kernels are forked: what chapters import takes seconds, and small books do without."""
    from rholaw.book import warm

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warm, "IMPORTED", ("papermill.cli", "ipykernel.kernelapp"))
        yield
