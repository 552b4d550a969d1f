"""A slice of every kind of attack; bench/attack.py goes on for an hour."""

import attacks
import pytest
from sampling import FULL, SEED

MORE = 20  # times as many with --full


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_promises_hold_under_attack(kind):
    for number in range(attacks.KINDS[kind].SLICE * (MORE if FULL else 1)):
        try:
            assert attacks.attempt(kind, SEED, number)
        except Exception as error:
            error.add_note(f"again: bench/attack.py --kind {kind} --seed {SEED} --number {number}")
            raise


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_an_attempt_can_be_repeated(kind):
    about = attacks.KINDS[kind]
    assert about.__doc__ and about.PROMISE and min(about.SECONDS, about.MEGABYTES, about.SLICE) > 0
