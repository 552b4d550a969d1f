"""A slice of every kind of attack; bench/attack.py goes on for an hour."""

import ast
from pathlib import Path

import attacks
import pytest
from sampling import FULL, SEED

from rholaw import tables

MORE = 20  # times as many with --full


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_promises_hold_under_attack(kind):
    for number in range(int(attacks.module(kind).SLICE * (MORE if FULL else 1))):
        try:
            assert attacks.attempt(kind, SEED, number)
        except Exception as error:
            error.add_note(f"again: bench/attack.py --kind {kind} --seed {SEED} --number {number}")
            raise


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_an_attempt_can_be_repeated(kind):
    about = attacks.module(kind)
    assert about.__doc__ and about.PROMISE and min(about.SECONDS, about.MEGABYTES, about.SLICE) > 0


def test_every_fault_that_is_told_has_its_test():
    root = Path(__file__).parents[1]
    for place in tables.read("measured/faults").test:
        path, _, name = place.partition("::")
        tree = ast.parse((root / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place
