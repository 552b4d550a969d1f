"""The recorded errors of formats that no integral gives are found again, and none is missing."""

import numpy as np
import pytest
from sampling import some

import rholaw as rl
from rholaw import tables
from rholaw.error import measure

RECORDED = tables.read(measure.TABLE)


@pytest.mark.slow
@pytest.mark.parametrize("row", some(RECORDED.itertuples(index=False), 8), ids=lambda row: row.format)
def test_recorded_errors_are_found_again(row):
    """On other samples: within 5 standard errors of both together."""
    again = rl.gmse(row.format, np.random.default_rng(1).standard_normal((6, 3072)))
    assert again.n < row.n
    assert abs(again.value - row.value) < 5 * np.hypot(again.stderr, row.stderr)


@pytest.mark.parametrize("format", some(rl.catalogue().values(), 40), ids=str)
def test_a_sampled_format_of_the_catalogue_is_recorded_precisely(format):
    measured = rl.gmse(format)
    if measured.method == "sampled":
        assert str(format).removeprefix("hadamard1024+") in set(RECORDED.format)
        assert measured.stderr < 0.0021 * measured.value
