"""A fit of the unified law, which cards of formats and of checkpoints show; and kernels for books of a few lines."""

import pytest


@pytest.fixture(scope="session")
def fit():
    import rholaw as rl

    return rl.fit("unified", rl.runs.one_estimator(rl.runs.load("quest2025")), n_bootstrap=20)


@pytest.fixture(scope="session")
def vega():
    """The script of the charts, which takes two seconds to bundle."""
    from rholaw.book import pages

    return pages.vega()


@pytest.fixture(scope="session", autouse=True)
def light_kernels():
    """No torch where kernels are forked: what chapters import takes seconds, and small books do without.

    Nothing else imports ``wave``: where it is, it was imported before.
    """
    from rholaw.book import warm

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warm, "IMPORTED", ("papermill.cli", "ipykernel.kernelapp", "wave"))
        yield
