"""The choices of the first pages are what today's plans say."""

import numpy as np
import pytest
import spoken
from sampling import some

from rholaw.book import ROOT
from rholaw.planning import glance
from rholaw.planning.words import LANGUAGES

SCENARIOS = ROOT / "chapters" / "scenarios"


@pytest.fixture(scope="module")
def recorded():
    return glance.recorded()


def test_each_choice_stands_once_in_its_order(recorded):
    assert [glance.Cell(*row) for row in recorded[list(glance.CHOICES)].itertuples(index=False)] == glance.cells()


@pytest.mark.slow
def test_the_record_is_what_a_plan_says_today(recorded):
    again = "python bench/ledger.py"
    for place in some(range(len(recorded)), 2):
        today = glance.made(SCENARIOS, [glance.cells()[place]]).iloc[0]
        then = recorded.iloc[place]
        assert today.verdict == then.verdict, again
        for language in LANGUAGES:
            texts = today[language], then[language]
            assert len({spoken.NUMBER.sub("#", text) for text in texts}) == 1, again
            assert np.allclose(*(list(spoken.numbers(text)) for text in texts), rtol=0.05, atol=0.02), again


@pytest.mark.slow
def test_the_record_of_options_is_what_a_plan_says_today():
    options, here = glance.recorded_options(), ["model", "device", "traffic"]
    wanted = [cell for cell in glance.cells() if cell.currency == "USD"]
    assert [*options.groupby(here, sort=False).groups] == [(cell.model, cell.device, cell.traffic) for cell in wanted]
    for cell in some(wanted, 2):
        today = glance.options(SCENARIOS, [cell])
        then = options.merge(today[here].drop_duplicates())
        for name in today:
            same = np.allclose(today[name], then[name], rtol=0.02) if today[name].dtype.kind == "f" else None
            assert same or list(today[name]) == list(then[name]), f"{name}: python bench/ledger.py"


def test_money_is_said_in_no_currency_but_the_one_chosen(recorded):
    for _, row in recorded.iterrows():
        other = ("JPY", "円") if row.currency == "USD" else ("USD", "米ドル")
        assert other[0] not in row.en and other[1] not in row.ja
