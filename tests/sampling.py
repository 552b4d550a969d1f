"""How much of an exhaustive test runs: a sample that changes daily, or everything with ``--full``.

some(catalogue, 12)      in a parametrize list: twelve of them, others tomorrow; all of them with --full

The seed stands in the header of every run, and RHOLAW_SEED repeats it.
"""

import datetime
import os
import random
from collections.abc import Iterable

FULL = os.environ.get("RHOLAW_FULL", "") not in ("", "0")
SEED = int(os.environ.get("RHOLAW_SEED") or datetime.datetime.now(datetime.UTC).strftime("%Y%m%d"))


def some(items: Iterable, count: int) -> list:
    """``count`` of the items in their order, or all of them with --full."""
    items = list(items)
    if FULL or count >= len(items):
        return items
    chosen = sorted(random.Random(SEED).sample(range(len(items)), count))
    return [items[i] for i in chosen]
