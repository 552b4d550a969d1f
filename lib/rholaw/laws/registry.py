"""Every law that ``fit`` knows, by name: the unified law, and what each module of the folder ``rivals`` lists.

A new rival is a module there with ``LAWS = {"its-name": ItsClass}``; see ``chinchilla`` for what a law has to say.
"""

import pkgutil
from collections.abc import Callable
from importlib import import_module

import pandas as pd

from ..checked import unknown
from . import rivals, unified
from .chinchilla import Chinchilla

_RIVALS = [import_module(f"{rivals.__name__}.{module.name}") for module in pkgutil.iter_modules(rivals.__path__)]

LAWS: dict[str, Callable[[pd.DataFrame], Chinchilla]] = {
    name: law for module in (unified, *_RIVALS) for name, law in module.LAWS.items()
}
"""{name: what makes the law for a table of runs}."""


def find(name: str) -> Callable[[pd.DataFrame], Chinchilla]:
    """What makes the law of this name. Raises ValueError that lists the names."""
    if name not in LAWS:
        raise ValueError(unknown(name, LAWS, "law"))
    return LAWS[name]
