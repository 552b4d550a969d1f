"""Every module of the folder of rivals is found, and has its test."""

from pathlib import Path

import pytest

from rholaw.laws import registry, rivals
from rholaw.laws.unified import LAWS as OURS

MODULES = {path.stem for path in Path(rivals.__file__).parent.glob("[!_]*.py")}


def test_every_law_is_there():
    assert len(MODULES) >= 7
    laws = [
        "additive",
        "additive-composed",
        "additive-exponents",
        "chen",
        "decoupled",
        "decoupled-exponents",
        "frantar",
        "kumar",
        "kumar-offset",
        "quartet",
        "sun",
    ]
    assert set(registry.LAWS) >= {*OURS, *laws}
    assert list(registry.LAWS)[: len(OURS)] == list(OURS)


def test_every_rival_has_its_test():
    assert {path.stem.removeprefix("test_") for path in (Path(__file__).parent / "rivals").glob("test_*.py")} == MODULES


def test_an_unknown_law_is_refused_with_the_names_that_exist():
    with pytest.raises(ValueError, match="chinchila: there is no such law; did you mean chinchilla"):
        registry.find("chinchila")
