"""What stands in the file of a scenario, TOML or YAML, as nested dicts."""

from pathlib import Path
from typing import Any

from .. import toml
from ..checked import shortened


def read(path: Path) -> Any:
    """What a .toml, .yaml or .yml file says. Raises ValueError that begins with its path."""
    where = shortened(str(path))
    try:
        if path.suffix not in (".toml", ".yaml", ".yml"):
            raise ValueError("a scenario is a .toml, .yaml or .yml file")
        return toml.parsed(toml.text(path)) if path.suffix == ".toml" else _yaml(toml.text(path))
    except RecursionError:
        raise ValueError(f"{where}: brackets are nested too deeply") from None
    except OSError as error:
        raise ValueError(f"there is no scenario file {where} to read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{where}: {shortened(str(error), 300)}") from None


def _yaml(text: str) -> Any:
    try:
        from . import plain_yaml
    except ImportError:
        raise ValueError("reading YAML needs the package pyyaml; TOML needs none") from None
    try:
        return plain_yaml.load(text)
    except ValueError as error:
        raise ValueError(f"this is not YAML: {error}") from None
