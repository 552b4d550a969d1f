"""Formats against the packages that ship them: the same bits where the definitions are the same, else the same error.

What differs is explained by the oracle's remark, one line each in ``oracles.py``.
"""

from math import hypot

import pytest
import torch
from oracles import ORACLES, compare
from sampling import some

import rholaw as rl


@pytest.fixture(scope="module")
def weights():
    return torch.randn(128, 1024, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("oracle", some(ORACLES, 12), ids=str)
def test_values_and_error_are_the_package_s(oracle, weights):
    pytest.importorskip(oracle.package)
    comparison = compare(oracle, weights)
    if not oracle.remark:
        assert comparison.share == 0
    elif oracle.same:
        assert comparison.share > 0, "the remark is out of date: the values are the same bits"
        assert abs(comparison.ours - comparison.theirs) < 4 * comparison.stderr
    else:
        assert abs(comparison.ours - comparison.theirs) > 4 * comparison.stderr


# One scale for the whole tensor makes it a single sample, whose standard error the rows do not tell.
@pytest.mark.parametrize("oracle", some([o for o in ORACLES if o.same and "/tensor" not in o.text], 12), ids=str)
def test_gmse_is_what_the_package_yields(oracle, weights):
    pytest.importorskip(oracle.package)
    measured, comparison = rl.gmse(oracle.text), compare(oracle, weights)
    assert abs(measured.value - comparison.theirs) < 4 * hypot(measured.stderr, comparison.stderr)
