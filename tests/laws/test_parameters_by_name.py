"""Parameters by name, for one point or many."""

import copy

import numpy as np
import pytest

from rholaw.laws.parameters import Parameters


def test_a_parameter_is_read_by_its_name_and_broadcasts_over_runs():
    p = Parameters(("A", "alpha", "k[int4|dense]"), np.log(np.arange(1.0, 7).reshape(2, 3)))
    np.testing.assert_allclose(p.alpha, [[2], [5]])
    np.testing.assert_allclose(p.log("k[int4|dense]", "A"), np.log([[3, 1], [6, 4]]))
    assert (p.alpha * np.ones(7)).shape == (2, 7)
    with pytest.raises(AttributeError, match="no parameter 'beta'"):
        p.beta  # noqa: B018
    with pytest.raises(ValueError, match="not in tuple"):
        p.log("beta")
    assert copy.copy(p).names == p.names
