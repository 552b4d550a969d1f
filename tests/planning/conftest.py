"""The default law on few resamples, for plans that take no law of their own."""

import pytest


@pytest.fixture(scope="module")
def few():
    """While a module runs that asks for it."""
    from rholaw.laws import draws as capacities

    fits, patch = capacities.default_fit(16), pytest.MonkeyPatch()
    patch.setattr(capacities, "default_fit", lambda: fits)
    yield
    patch.undo()
