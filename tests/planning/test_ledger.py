"""The ledger of the running example is what today's plans say."""

import numpy as np
import pytest

from rholaw.book import ROOT
from rholaw.planning import ledger

FOLDER = ROOT / "chapters" / "scenarios"


@pytest.mark.slow
def test_the_record_is_what_plans_say_today():
    today, recorded = ledger.made(FOLDER), ledger.recorded()
    assert list(today) == list(recorded)
    for name in today:
        if today[name].dtype.kind == "f":
            assert np.allclose(today[name], recorded[name], rtol=0.02, atol=1e-9), f"{name}: python bench/ledger.py"
        else:
            assert list(today[name]) == list(recorded[name]), f"{name}: python bench/ledger.py"


def test_an_option_of_more_bits_errs_and_loses_less():
    table = ledger.recorded().sort_values("gmse")
    assert table.dloss.is_monotonic_increasing and table.rho.is_monotonic_decreasing
    assert (table.rho_p10 <= table.rho).all() and (table.rho <= table.rho_p90).all()
