"""Attacks on what the library promises; a module here is a kind, and nothing else names it.

PROMISE     what must hold, in one sentence
SECONDS     of a processor that one attempt may take
MEGABYTES   that one attempt may take beyond what the process holds before it
SLICE       how many attempts belong to every run of the tests; of less than one, 20 times as many to the long form
attempt(rng, folder) → in a word or two what came of a random input, tried in an empty folder; raises what is a finding

``tests/test_attacks.py`` tries a few of each, ``bench/attack.py`` as many as fit into the time it is given.
"""

import hashlib
import pkgutil
import tempfile
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

KINDS = [module.name for module in pkgutil.iter_modules(__path__)]


def module(kind: str) -> ModuleType:
    """The module of a kind, imported when it is asked for: some need much that others do without."""
    return import_module(f"{__name__}.{kind}")


def attempt(kind: str, seed: int, number: int) -> str:
    """One attempt of a kind in a folder of its own: the same for the same seed and number, whatever else is tried."""
    entropy = int.from_bytes(hashlib.sha256(kind.encode()).digest()[:4], "big")
    with tempfile.TemporaryDirectory() as folder:
        return module(kind).attempt(np.random.default_rng([seed, number, entropy]), Path(folder))
